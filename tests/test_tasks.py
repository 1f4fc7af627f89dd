"""Ten tasks of a visitor who knows neither Datasette nor SQL: from the home page, by links and forms alone, in at most four clicks."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conftest import ROOT


VERSION = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))["version"]


class Visitor:
    """A page whose clicks are counted."""

    def __init__(self, page: Page):
        self.page, self.clicks = page, 0

    def click(self, name: str, role: str = "link", exact: bool = True) -> None:
        """Click the first visible link or button of that name in the main part of the page, or else in its header."""
        self.clicks += 1
        inside = self.page.get_by_role("main").get_by_role(role, name=name, exact=exact)
        (inside if inside.count() else self.page.get_by_role(role, name=name, exact=exact)).first.click()
        self.page.wait_for_load_state()

    def narrow(self, name: str) -> None:
        """Click a value of a facet."""
        self.clicks += 1
        self.page.get_by_role("complementary").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def search(self, words: str) -> None:
        """Type words into the search box of the home page and send them."""
        self.page.get_by_role("main").get_by_role("searchbox").fill(words)
        self.click("Search", "button")

    def fill(self, name: str, value: str) -> None:
        """Fill a named box of a question and run it."""
        self.page.locator(f"main input[name={name}]").fill(value)
        self.click("Run", "button")


@pytest.fixture
def visitor(browser, server: str):
    context = browser.new_context(viewport={"width": 360, "height": 780}, base_url=server, accept_downloads=True)
    page = context.new_page()
    page.goto("/")
    visitor = Visitor(page)
    yield visitor
    context.close()
    assert visitor.clicks <= 4


def main_text(visitor: Visitor) -> str:
    return visitor.page.get_by_role("main").inner_text()


def test_when_societe_generale_first_recruited_and_who_says_so(visitor: Visitor):
    visitor.search("societe generale")
    visitor.click("Société Générale")
    visitor.click("Société Générale shows some of its job offers on Twitter")
    assert "2009" in main_text(visitor)
    expect(visitor.page.locator("main a[href^='https://communication-entreprise.eu']")).to_have_count(1)


def test_which_cac_40_companies_had_an_account_by_the_end_of_2010(visitor: Visitor):
    visitor.click("Where did each member of the CAC 40 of March 2012 stand?")
    dates = visitor.page.locator("td.col-opened").all_inner_texts()
    assert sum(bool(date.strip()) and date.strip() < "2011" for date in dates) >= 5


def test_how_many_sp_500_accounts_opened_in_2009(visitor: Visitor, db: sqlite3.Connection):
    visitor.click("How fast did the S&P 500 companies come to Twitter?")
    expected = db.execute("select opened from adoption where cohort = 's-and-p-500-2022-11' and year = 2009").fetchone()[0]
    row = visitor.page.locator("tbody tr", has=visitor.page.locator("td.col-year", has_text="2009"))
    assert row.locator("td.col-accounts_opened").inner_text().strip() == str(expected)


def test_what_comcasts_help_desk_was_and_when_it_began(visitor: Visitor):
    visitor.search("comcastcares")
    visitor.click("Frank Eliason of Comcast begins to answer complaints as @comcastcares")
    assert "April 2008" in main_text(visitor)


def test_who_left_x_in_france_from_2023_to_2025(visitor: Visitor):
    visitor.click("Who left, when and why?")
    visitor.page.locator("main input[name=since]").fill("2023")
    visitor.fill("country", "France")
    rows = visitor.page.locator("tbody tr").all()
    found = [row for row in rows if row.locator("td.col-country").inner_text().strip() == "France" and "2023" <= row.locator("td.col-date").inner_text().strip() < "2026"]
    assert len(found) >= 10 and len(found) >= len(rows) - 5


def test_the_fortune_500_share_in_2012(visitor: Visitor):
    visitor.click("What share of the Fortune 500 was on Twitter in each study?")
    row = visitor.page.locator("tbody tr", has=visitor.page.locator("td.col-year", has_text="2012"))
    assert row.first.locator("td.col-percent").inner_text().strip() == "73"


def test_all_customer_service_uses_by_airlines(visitor: Visitor, db: sqlite3.Connection):
    visitor.click("Uses")
    visitor.narrow("Customer service")
    visitor.narrow("All values of Sector")
    visitor.narrow("Airlines and airports")
    expected = db.execute("select count(*) from uses where type = 'customer_service' and sector = 'airlines'").fetchone()[0]
    assert re.search(rf"\b{expected} rows?\b", main_text(visitor))


def test_a_companys_followers_over_time(visitor: Visitor):
    visitor.search("whole foods market")
    visitor.click("Whole Foods Market")
    expect(visitor.page.get_by_role("img", name="Followers.")).to_be_visible()
    counts = [row.inner_text() for row in visitor.page.locator("#figures ~ .frame tbody tr").all() if row.locator("th a").inner_text() == "Followers"]
    assert len({re.match(r"\s*(\d{4})", count)[1] for count in counts}) >= 2, counts


def test_download_the_data(visitor: Visitor, tmp_path: Path):
    with visitor.page.expect_download() as waiting:
        visitor.click("Download twittosphere.db")
    waiting.value.save_as(tmp_path / "data.db")
    assert (tmp_path / "data.db").read_bytes()[:15] == b"SQLite format 3"


def test_cite_one_fact(visitor: Visitor):
    visitor.search("nkm")
    visitor.click("@nkm")
    cited = visitor.page.locator("main cite").inner_text()
    assert f"version {VERSION}" in cited and "/twittosphere/accounts/nkm" in cited
