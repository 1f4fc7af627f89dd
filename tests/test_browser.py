"""What a visitor does, in headless Chromium against the running server with the real database."""

import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 780}}


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser, server: str):
    """A page of each size; the test fails on a script error, a refusal by the security policy, a failed request or one that leaves the server."""
    context = browser.new_context(viewport=SIZES[request.param], base_url=server, accept_downloads=True)
    page, trouble = context.new_page(), []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)  # what the content security policy refuses, too
    page.on("request", lambda made: None if made.url.startswith((server, "data:", "blob:")) else trouble.append(made.url))
    page.on("response", lambda answer: trouble.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    yield page
    context.close()
    assert not trouble


def no_sideways_scroll(page: Page) -> bool:
    """Tell whether the page fits the width of the window."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")


def test_home_search_and_organisation(page: Page):
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("How organisations came to Twitter")
    assert no_sideways_scroll(page)
    page.get_by_role("main").get_by_role("searchbox").fill("societe generale")
    page.get_by_role("main").get_by_role("button", name="Search").click()
    page.get_by_role("main").get_by_role("link", name="Société Générale", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Société Générale")
    for name in ("Accounts", "Timeline", "Figures", "Sources"):
        expect(page.get_by_role("heading", name=name, exact=False).first).to_be_visible()
    assert no_sideways_scroll(page)
    assert page.locator("#all-sources ~ ol a[href^='http']").count() > 0, "sources can be clicked through"


def test_facet_narrows_the_table(page: Page):
    page.goto("/twittosphere/events")
    before = page.locator("h2", has_text="row").first.inner_text()
    page.locator("#facet-type a", has_text="Crisis").click()
    assert "type=" in page.url
    assert page.locator("h2", has_text="row").first.inner_text() != before
    cells = page.locator("td.col-type").all_inner_texts()
    assert cells and len({cell.strip() for cell in cells}) == 1


def test_question_takes_a_parameter(page: Page):
    page.goto("/twittosphere")
    page.get_by_role("link", name="What changed on the platform in a year?").click()
    page.locator("input[name=year]").fill("2013")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**year=2013**")
    dates = page.locator("td.col-date").all_inner_texts()
    assert dates and all(date.strip().startswith("2013") for date in dates)


def test_download_opens_in_sqlite(page: Page, db: sqlite3.Connection, tmp_path: Path):
    page.goto("/twittosphere")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download twittosphere.db").first.click()
    waiting.value.save_as(tmp_path / "downloaded.db")
    copy = sqlite3.connect(tmp_path / "downloaded.db")
    for table in ("organisations", "accounts", "events", "uses", "figures", "sources"):
        sql = f"select count(*) from {table}"
        assert copy.execute(sql).fetchone()[0] == db.execute(sql).fetchone()[0] > 0
    copy.close()


def test_own_sql(page: Page):
    page.goto("/twittosphere")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("table.rows-and-columns tbody tr").nth(5)).to_be_visible()
