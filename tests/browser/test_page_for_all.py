"""The page for everybody: by keyboard alone, on a phone, dark, with a screen reader, without motion."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

import nearsight
from browser.acts import asked, keys, searching, settled, state, tiles

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

Browse = Callable[..., Page]
WEB = Path(nearsight.__file__).parent / "http" / "web"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
PLACES = {
    "browsing": "",
    "searching": "?q=1~text~green&q=-1~key~5&fold=0.97",
    "picture": "?open=5",
    "compare": "?compare=5,6",
    "duplicates": "?in=copies&view=duplicates",
    "nothing": '?where={"season":{"in":["never"]}}',
}
READY = {"picture": ".facts dl", "compare": ".near .score", "duplicates": ".group-card img", "nothing": ".nothing"}


def focused(page: Page) -> int | None:
    return page.evaluate("Number(document.activeElement.closest('.tile')?.dataset.key) || null")


def test_everything_goes_by_keyboard(browse: Browse) -> None:
    page = browse()
    order = keys(page)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Words")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert focused(page) == order[0]
    page.keyboard.press("ArrowRight")
    assert focused(page) == order[1]
    columns = page.evaluate("getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length")
    page.keyboard.press("ArrowDown")
    assert focused(page) == order[1 + columns]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == order[0]
    page.keyboard.press("End")
    assert focused(page) not in order[: len(order) - 1]
    page.keyboard.press("Home")
    page.keyboard.press("u")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("d")
    expect(page.get_by_role("group", name="Thumbs")).to_contain_text("1 good, 1 bad")
    page.keyboard.press("d")
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("c")
    expect(page.get_by_role("dialog", name="Compare two pictures")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)  # the focus goes back when it is gone, not with the key
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_text(f"@{order[2]}", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert focused(page) == order[2]
    with searching(page) as answer:
        page.keyboard.press("s")
    assert asked(answer.value)["examples"] == [{"key": order[2], "weight": 1}]
    settled(page)
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    second = focused(page)
    with searching(page) as answer:
        page.keyboard.press("-")
    assert asked(answer.value)["examples"][1] == {"key": second, "weight": -1}


def test_the_keys_are_listed(browse: Browse) -> None:
    page = browse()
    settled(page)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    for key in ("/", "Enter", "Esc", "u", "d", "+", "?"):
        expect(dialog.get_by_text(key, exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_keys_for_the_page_are_not_taken_from_what_is_typed(browse: Browse) -> None:
    page = browse()
    settled(page)
    page.get_by_role("searchbox", name="Words").press_sequentially("used x/c?")
    expect(page.get_by_role("searchbox", name="Words")).to_have_value("used x/c?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_focus_stays_in_a_dialog_and_comes_back(browse: Browse) -> None:
    page = browse()
    settled(page)
    page.get_by_role("button", name="Add pictures").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    for key in ["Tab"] * 7 + ["Shift+Tab"] * 9:
        page.keyboard.press(key)
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Add pictures")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_no_barriers(browse: Browse, place: str, scheme: str) -> None:
    """WCAG 2.2 A and AA as axe judges it: names, roles, contrast, order."""
    page = browse(PLACES[place], color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator(READY.get(place, ".tile img.here")).first).to_be_visible()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = axe.Axe().run(page, options=rules)
    assert not found.response["violations"], found.generate_report()


def test_a_phone_needs_no_sideways_scrolling_and_fingers_fit(browse: Browse) -> None:
    page = browse("?q=1~text~green&q=1~key~5", **PHONE)
    settled(page)
    for way in ("Good", "Bad"):
        tiles(page).nth(0).get_by_role("button", name=f"{way} answer").tap()
    for place in ("grid", "picture", "filters"):
        if place == "picture":
            tiles(page).first.get_by_role("button", name="Open").tap()
            expect(page.locator(".facts dl")).to_be_visible()
        elif place == "filters":
            page.go_back()
            page.get_by_role("button", name="Filters").tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate("""() => [...document.querySelectorAll('button, select, a.button, label.value, summary')]
            .filter((one) => one.checkVisibility({ checkOpacity: true }) && one.clientWidth > 1)
            .map((one) => [one.getAttribute('aria-label') ?? one.textContent, one.getBoundingClientRect()])
            .filter(([, area]) => Math.min(area.width, area.height) < 34 || Math.max(area.width, area.height) < 44)
            .map(([name, area]) => `${name}: ${area.width} x ${area.height}`)""")
        assert small == []
    page.get_by_role("dialog").get_by_text("forest", exact=True).tap()
    expect(page.get_by_role("button", name="Filters, 1 hold")).to_be_attached()


def test_the_theme_follows_the_system_until_it_is_chosen(browse: Browse) -> None:
    page = browse(color_scheme="dark")
    settled(page)
    light = "getComputedStyle(document.documentElement).backgroundColor === 'rgb(248, 248, 246)'"
    assert not page.evaluate(light)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(light)
    for chosen, is_light in (("light", True), ("dark", False)):
        page.get_by_role("button", name="Theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == chosen
        assert page.evaluate(light) is is_light
    page.reload()
    settled(page)
    assert not page.evaluate(light)
    page.get_by_role("button", name="Theme: dark. Change to as the system").click()
    assert page.evaluate(light)


def test_who_wants_no_motion_sees_none(browse: Browse) -> None:
    page = browse("?q=1~text~green", reduced_motion="reduce")
    settled(page)
    moving = (
        "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none').length"
    )
    assert page.evaluate(moving) == 0
    assert page.evaluate("document.getAnimations().length") == 0


def test_what_is_shown_while_one_waits(browse: Browse) -> None:
    page = browse()
    settled(page)
    held: list[Route] = []
    page.route("**/search", lambda route: held.append(route))
    page.get_by_role("searchbox", name="Words").fill("green")
    with searching(page):
        page.keyboard.press("Enter")
        expect(page.locator(".tile.bone").first).to_be_visible()
        expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
        held.pop().continue_()
    expect(page.locator(".tile.bone")).to_have_count(0)


def test_no_text_ever_becomes_markup() -> None:
    sources = {file.name: file.read_text(encoding="utf-8") for file in WEB.iterdir()}
    assert len(sources) > 20
    for name, text in sources.items():
        assert len(text.splitlines()) < 400, name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", text
        ), name
        assert "http://www.w3.org" in text or not re.search(r"https?://", text), f"{name} names another host"
        assert not re.search(r"<style|\sstyle=|\son\w+=", text) or not name.endswith(".html"), name


def test_what_the_address_says_is_all_that_is_kept(browse: Browse) -> None:
    page = browse("?q=1~key~5&verdict=likely")
    settled(page)
    assert state(page)["verdict"] == ["likely"]
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
