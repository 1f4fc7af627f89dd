"""WCAG 2.2 AA: axe finds no violation on any kind of page, in both languages, light and dark, wide and narrow; keyboard, zoom, print."""

import pytest
from axe_playwright_python.sync_playwright import Axe

KINDS = [
    "/", "/fr/", "/how-facts-are-coded", "/fr/what-is-not-known", "/twittosphere", "/twittosphere/events?type=crisis", "/twittosphere/timeline", "/twittosphere/panorama", "/fr/twittosphere/sources",
    "/twittosphere/organisations/societe-generale", "/fr/twittosphere/organisations/societe-generale", "/twittosphere/cohorts/cac-40-2012-03", "/twittosphere/accounts/comcastcares",
    "/twittosphere/events/comcast-2008-service-launched", "/twittosphere/uses/societe-generale-2009-recruitment", "/twittosphere/figures/twitter-2012-daily-active-users",
    "/twittosphere/sources/communication-entreprise-2012-six-ans", "/twittosphere/who-left", "/twittosphere/platform-changes?year=2013", "/twittosphere/search?_search=comcast",
    "/twittosphere?sql=select+1", "/twittosphere/metrics/followers", "/twittosphere/nothing-here", "/fr/twittosphere/uses?_search=zzzz",
]


RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
@pytest.mark.parametrize("path", KINDS)
def test_axe_finds_nothing(browser, server: str, path: str, scheme: str, width: int):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server + path)
    found = Axe().run(page, options=RULES).response["violations"]
    context.close()
    assert not found, [(violation["id"], violation["nodes"][0]["html"][:200], len(violation["nodes"])) for violation in found]


@pytest.mark.parametrize("path", KINDS)
def test_no_page_scrolls_sideways_at_320_pixels(browser, server: str, path: str):
    """A phone has 360 pixels; 320 are what is left of 1280 at a zoom of 400 %."""
    context = browser.new_context(viewport={"width": 320, "height": 780})
    page = context.new_page()
    page.goto(server + path)
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert width <= 320


def test_keyboard_alone_suffices(browser, server: str):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{server}/twittosphere/events")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip" and page.locator(".skip").bounding_box()["width"] > 50, "the first stop is the link to the content, and is seen"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('aside, form.filters, thead, tbody, .export-links')?.tagName"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if reached >= {"ASIDE", "FORM", "THEAD", "TBODY"}:
            break
    assert reached >= {"ASIDE", "FORM", "THEAD", "TBODY"}
    context.close()


def test_still_where_motion_is_reduced(browser, server: str):
    for motion, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        context = browser.new_context(reduced_motion=motion)
        page = context.new_page()
        page.goto(server)
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
        context.close()


def test_printed_page_shows_facts_and_addresses_of_sources(browser, server: str):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server}/twittosphere/organisations/societe-generale")
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible() and not page.locator(".order").is_visible() and page.locator("#timeline").is_visible()
    assert "http" in page.evaluate("getComputedStyle(document.querySelector('.sources .out'), '::after').content")
    context.close()


def test_page_says_its_language(browser, server: str):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server}/fr/twittosphere/events")
    assert page.locator("html").get_attribute("lang") == "fr" and page.locator("h1").inner_text() == "Événements"
    page.get_by_role("link", name="Usages", exact=True).click()
    assert page.locator("h1").inner_text() == "Usages", "the choice is kept"
    page.locator("#facet-type").get_by_role("link", name="Service client").click()
    assert page.locator("html").get_attribute("lang") == "fr"
    page.get_by_role("link", name="English").click()
    assert page.locator("h1").inner_text() == "Uses" and "type=customer_service" in page.url, "so is the selection"
    context.close()
