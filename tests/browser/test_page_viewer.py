"""One picture at full size: what is known of it, regions, labels, deletion, and two side by side."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from browser.acts import asked, at_rest, keys, names, searching, settled, state, tiles
from browser.conftest import SCENES, Watched
from nearsight.core.items import Item

Browse = Callable[..., Page]


def test_a_picture_opens_with_what_is_known_of_it(browse: Browse, scenes: list[Item]) -> None:
    page = browse("?q=1~key~20")
    first = tiles(page).first
    label = first.locator(".name").inner_text()
    first.get_by_role("button", name="Open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=label, exact=True)).to_be_visible()
    item = scenes[19]
    for text in (item.path.name, "96 × 96", "@20", str(item.fields["season"]), item.captions[0], "1.00"):
        expect(dialog.get_by_text(text, exact=True).first).to_be_visible()
    expect(page.locator(".frame img")).to_have_js_property("naturalWidth", 96)
    assert state(page)["open"] == ["20"]
    link = dialog.get_by_role("link", name="Open the file").get_attribute("href")
    assert link
    answer = page.request.get(link)
    assert answer.ok
    assert answer.headers["content-type"].startswith("image/")


def test_back_closes_it_and_a_link_opens_it(browse: Browse) -> None:
    page = browse()
    tiles(page).nth(2).get_by_role("button", name="Open").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert "open" not in state(page)
    page = browse("?open=5")
    expect(page.get_by_role("dialog").get_by_text("@5", exact=True)).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert "open" not in state(page)


def test_arrows_go_from_picture_to_picture_beyond_the_page(browse: Browse) -> None:
    page = browse()
    order = keys(page)
    tiles(page).last.get_by_role("button", name="Open").click()
    expect(page.get_by_role("dialog").get_by_text(f"@{order[-1]}", exact=True)).to_be_visible()
    expect(page.locator(".tile:not(.bone)").nth(len(order))).to_be_attached()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog").get_by_text(f"@{order[-1] - 1}", exact=True)).to_be_visible()
    page.get_by_role("button", name="Previous picture").click()
    page.keyboard.press("Escape")
    expect(page.locator(f".tile[data-key='{order[-1]}'] .picture")).to_be_focused()


def test_a_box_that_is_dragged_is_searched_by_in_its_pixels(browse: Browse) -> None:
    page = browse("?open=20")
    area = at_rest(page.locator(".frame:not(.loading)"))
    page.mouse.move(area["x"] + area["width"] / 4, area["y"] + area["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.7, area["y"] + area["height"] * 0.9, steps=4)
    page.mouse.up()
    with searching(page) as answer:
        page.get_by_role("button", name="Search this region").click()
    (example,) = asked(answer.value)["examples"]
    assert example["key"] == 20
    assert example["box"] == pytest.approx([24, 48, 67, 86], abs=1)
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert answer.value.json()["hits"]
    page.get_by_role("button", name="Item 20, a region of it: open it").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_box_is_moved_by_its_handles(browse: Browse) -> None:
    page = browse("?open=20")
    area = at_rest(page.locator(".frame:not(.loading)"))
    page.get_by_role("button", name="Draw a region").click()
    for (x, y), (dx, dy) in (((0.75, 0.75), (0.25, 0.25)), ((0.5, 0.5), (-0.25, -0.25))):  # a corner, then all of it
        page.mouse.move(area["x"] + area["width"] * x, area["y"] + area["height"] * y)
        page.mouse.down()
        page.mouse.move(area["x"] + area["width"] * (x + dx), area["y"] + area["height"] * (y + dy), steps=3)
        page.mouse.up()
    with searching(page) as answer:
        page.get_by_role("button", name="Search this region").click()
    assert asked(answer.value)["examples"][0]["box"] == pytest.approx([0, 0, 72, 72], abs=1)


def test_a_box_is_drawn_by_keys_and_added_to_a_search(browse: Browse) -> None:
    page = browse("?q=1~text~green&open=20")
    settled(page)
    expect(page.locator(".frame:not(.loading)")).to_be_visible()
    page.get_by_role("button", name="Draw a region").click()
    expect(page.get_by_role("group", name="Region")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
    with searching(page) as answer:
        page.get_by_role("button", name="Add it to the search").click()
    words, region = asked(answer.value)["examples"]
    assert words == {"text": "green", "weight": 1}
    assert region["box"] == pytest.approx([18, 24, 66, 78], abs=1)


def test_a_region_of_a_given_picture(browse: Browse, scenes: list[Item]) -> None:
    page = browse()
    with searching(page):
        page.locator("input[type=file]").first.set_input_files(scenes[3].path)
    settled(page)
    page.get_by_role("button", name="Your picture: open it").click()
    expect(page.locator(".frame:not(.loading)")).to_be_visible()
    page.get_by_role("button", name="Draw a region").click()
    with searching(page) as answer:
        page.keyboard.press("Enter")
    assert answer.value.json()["query"] == "<picture>[24,24,72,72]"


def test_more_less_and_search_by_it(browse: Browse) -> None:
    page = browse("?q=1~text~green&open=20")
    settled(page)
    with searching(page) as answer:
        page.get_by_role("dialog").get_by_role("button", name="Less like this").click()
    assert asked(answer.value)["examples"] == [{"text": "green", "weight": 1}, {"key": 20, "weight": -1}]
    tiles(page).nth(4).hover()
    key = keys(page)[4]
    with searching(page) as answer:
        tiles(page).nth(4).get_by_role("button", name="More like this").click()
    assert asked(answer.value)["examples"][2] == {"key": key, "weight": 1}
    key = keys(page)[3]
    tiles(page).nth(3).hover()
    with searching(page) as answer:
        tiles(page).nth(3).get_by_role("button", name="Search by this picture").click()
    assert asked(answer.value)["examples"] == [{"key": key, "weight": 1}]


def test_a_label_is_edited(browse: Browse) -> None:
    page = browse("?in=few")
    settled(page)
    page.locator(".tile[data-key='3'] .picture").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    dialog.get_by_label("Label").fill("lighthouse")
    dialog.get_by_label("Label").press("Enter")
    expect(page.get_by_text("Labelled lighthouse")).to_be_visible()
    expect(page.locator(".tile[data-key='3'] .name")).to_have_text("lighthouse")
    page.keyboard.press("Escape")
    expect(page.get_by_role("checkbox", name="lighthouse")).to_be_visible()
    expect(page).to_have_url(re.compile("in=few$"))  # the way back is gone in its own time
    page.reload()
    page.get_by_role("checkbox", name="lighthouse").check()
    expect(page.locator(".count")).to_have_text("1 picture")


def test_deleting_is_asked_about_first(browse: Browse) -> None:
    page = browse("?in=spare")
    before = keys(page)
    tiles(page).first.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete this picture?")
    question.get_by_role("button", name="Keep").click()
    expect(page.locator(".tile")).to_have_count(len(before))
    page.get_by_role("button", name="Delete").click()
    question.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".tile")).to_have_count(len(before) - 1)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.reload()
    assert keys(page) == before[1:]


def test_two_are_compared_side_by_side(browse: Browse) -> None:
    page = browse("?q=1~key~20")
    one, two = keys(page)[:2]
    for at in (0, 1):
        tiles(page).nth(at).hover()
        tiles(page).nth(at).get_by_role("button", name="Choose").click()
    with searching(page) as answer:
        page.get_by_role("button", name="Compare").click()
    assert asked(answer.value)["where"] == {"key": {"eq": two}}
    dialog = page.get_by_role("dialog", name="Compare two pictures")
    expect(dialog.locator("figure")).to_have_count(2)
    expect(dialog.locator(".near")).to_contain_text(f"{answer.value.json()['hits'][0]['score']:.2f}")
    for image in dialog.locator(".two img").all():
        expect(image).to_have_js_property("naturalWidth", 96)
    assert state(page)["compare"] == [f"{one},{two}"]
    page.go_back()
    expect(dialog).to_be_hidden()
    page.go_forward()
    dialog.get_by_role("button", name="Open").first.click()
    expect(page.get_by_role("dialog").get_by_text(f"@{one}", exact=True)).to_be_visible()


def test_an_item_that_is_gone_is_said(browse: Browse, watched: Watched) -> None:
    watched.expected.append("404")
    page = browse(f"?open={SCENES + 1000}")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    page.keyboard.press("Escape")
    assert names(page)
