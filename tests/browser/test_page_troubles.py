"""What the page does when things go wrong: it waits, asks, says why, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from browser.acts import keys, say, searching, settled, tiles
from browser.conftest import FEW, SCENES, SCRIPT, TOKEN, Site, Watched, collected
from nearsight.core.items import Item
from nearsight.encode import create

Browse = Callable[..., Page]


@pytest.fixture
def guarded(scenes: list[Item], tmp_path: Path) -> Iterator[Site]:
    """A server that wants a token."""
    running = Site(collected(tmp_path / "guarded.ns", create("colour"), scenes[:FEW]), "--token", TOKEN)
    yield running
    running.end()


def test_a_busy_server_is_asked_again_when_it_said(browse: Browse, watched: Watched) -> None:
    watched.expected.append("503")
    page = browse()
    settled(page)
    busy = {"type": "about:blank", "title": "Busy", "status": 503, "code": "server/busy", "detail": "busy", "hint": ""}
    page.route(
        "**/search",
        lambda route: route.fulfill(
            status=503, headers={"Retry-After": "1"}, json=busy, content_type="application/problem+json"
        ),
    )
    with searching(page):
        say(page, "green")
        expect(page.get_by_text("The server is busy. Trying again in 1 s")).to_be_visible()
        page.unroute("**/search")
    settled(page)
    expect(page.get_by_text("The server is busy")).to_have_count(0)


def test_a_page_that_is_offline_says_so_and_goes_on_by_itself(browse: Browse, watched: Watched) -> None:
    watched.expected.append("ERR_INTERNET_DISCONNECTED")
    page = browse()
    settled(page)
    page.context.set_offline(True)
    say(page, "green")
    expect(page.get_by_role("heading", name="This device is offline.")).to_be_visible()
    with searching(page):
        page.context.set_offline(False)
    settled(page)
    expect(page.get_by_role("heading", name="This device is offline.")).to_be_hidden()


def test_an_error_is_said_with_its_repair_and_another_try(browse: Browse, watched: Watched) -> None:
    watched.expected.append("500")
    page = browse()
    settled(page)
    told = {
        "code": "store/damaged",
        "detail": "a segment is damaged",
        "hint": "nearsight repair mends it",
        "status": 500,
    }
    page.route("**/search", lambda route: route.fulfill(status=500, json=told))
    say(page, "green")
    expect(page.get_by_role("heading", name="a segment is damaged")).to_be_visible()
    expect(page.get_by_text("nearsight repair mends it")).to_be_visible()
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    settled(page)


def test_the_next_page_that_fails_can_be_had_again(browse: Browse, watched: Watched) -> None:
    watched.expected.append("500")
    page = browse()
    page.route("**/items?*offset=60*", lambda route: route.fulfill(status=500, json={"detail": "broken", "hint": ""}))
    page.reload()
    assert len(keys(page)) == 60
    page.mouse.wheel(0, 20_000)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute("**/items?*offset=60*")
    page.get_by_role("button", name="Try again").click()
    expect(tiles(page).nth(61)).to_be_attached()


def test_the_token_is_asked_for_once(guarded: Site, browse: Browse, watched: Watched) -> None:
    watched.expected.append("401")
    page = browse(root=guarded.url)
    dialog = page.get_by_role("dialog", name="Token")
    dialog.get_by_label("Token").fill("not the token of this server")
    dialog.get_by_role("button", name="Open").click()
    expect(dialog.get_by_text("That was not the token.")).to_be_visible()
    dialog.get_by_label("Token").fill(TOKEN)
    dialog.get_by_label("Token").press("Enter")
    assert len(keys(page)) == FEW
    expect(tiles(page).first.locator("img")).to_have_class("here")
    page.reload()
    assert len(keys(page)) == FEW
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert TOKEN not in page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")


def test_without_the_token_the_page_says_what_is_missing(guarded: Site, browse: Browse, watched: Watched) -> None:
    watched.expected.append("401")
    page = browse(root=guarded.url)
    expect(page.get_by_role("dialog", name="Token")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="This server wants a token.")).to_be_visible()
    page.get_by_role("button", name="Enter the token").click()
    page.get_by_role("dialog", name="Token").get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    assert len(keys(page)) == FEW


def test_an_address_that_says_nonsense_shows_the_collection(browse: Browse) -> None:
    page = browse("?where={&also=[&fold=x&up=a,b&compare=1&view=that&verdict=no")
    assert len(keys(page)) == 60
    assert page.locator(".count").inner_text() == f"{SCENES} pictures"


def test_script_in_names_and_labels_stays_text(browse: Browse, watched: Watched) -> None:
    watched.expected.append("400")  # no word of it is known
    page = browse("?in=spare")
    settled(page)
    expect(page.locator(".tile[data-key='1'] .name")).to_have_text(SCRIPT)
    expect(page.get_by_role("checkbox", name=SCRIPT)).to_be_visible()
    page.get_by_role("checkbox", name=SCRIPT).check()
    expect(page.get_by_role("group", name=f"filter label: {SCRIPT}")).to_be_visible()
    page.locator(".tile[data-key='1'] .picture").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name=SCRIPT)).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("listitem").filter(has_text=SCRIPT)).to_be_visible()
    page = browse("?q=1~text~" + quote(SCRIPT))
    expect(page.locator(".chip .said")).to_have_text(SCRIPT)
    assert page.title() == f"{SCRIPT} · scenes · nearsight"
