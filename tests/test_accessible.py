"""axe finds no violation on any kind of page, in both languages, light and dark; nothing scrolls sideways on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

KINDS = [
    "/", "/fr/", "/how-facts-are-coded", "/twittosphere", "/twittosphere/events?type=crisis", "/twittosphere/timeline", "/twittosphere/panorama", "/fr/twittosphere/sources",
    "/twittosphere/organisations/societe-generale", "/fr/twittosphere/organisations/societe-generale", "/twittosphere/cohorts/cac-40-2012-03", "/twittosphere/accounts/comcastcares",
    "/twittosphere/events/comcast-2008-service-launched", "/twittosphere/uses/societe-generale-2009-recruitment", "/twittosphere/figures/twitter-2012-daily-active-users",
    "/twittosphere/sources/communication-entreprise-2012-six-ans", "/twittosphere/who-left", "/twittosphere/platform-changes?year=2013", "/twittosphere/search?_search=orange",
    "/twittosphere?sql=select+1", "/twittosphere/metrics/followers", "/twittosphere/nothing-here", "/fr/twittosphere/uses?_search=zzzz",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", KINDS)
def test_axe_finds_nothing(browser, server: str, path: str, scheme: str):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server + path)
    found = Axe().run(page).response["violations"]
    context.close()
    assert not found, [(violation["id"], violation["nodes"][0]["html"][:200], len(violation["nodes"])) for violation in found]


@pytest.mark.parametrize("path", KINDS)
def test_no_page_scrolls_sideways_at_360_pixels(browser, server: str, path: str):
    context = browser.new_context(viewport={"width": 360, "height": 780})
    page = context.new_page()
    page.goto(server + path)
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert width <= 360


def test_page_says_its_language(browser, server: str):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server}/fr/twittosphere/events")
    assert page.locator("html").get_attribute("lang") == "fr" and page.locator("h1").inner_text() == "Événements"
    page.goto(f"{server}/twittosphere/uses")
    assert page.locator("h1").inner_text() == "Usages", "the choice is kept"
    page.get_by_role("link", name="English").click()
    assert page.locator("h1").inner_text() == "Uses"
    context.close()
