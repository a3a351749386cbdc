"""What the page changes: thumbs, labels, pairs to train on, uploads, duplicates; and the news of a running index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from browser.acts import asked, hand_over, keys, searching, settled, state, striped, tiles

Browse = Callable[..., Page]


def thumb(page: Page, at: int, way: str) -> int:
    one = tiles(page).nth(at)
    one.get_by_role("button", name=f"{way} answer").click()
    return int(one.get_attribute("data-key") or -1)


def test_thumbs_refine_the_search(browse: Browse) -> None:
    page = browse("?q=1~text~green")
    settled(page)
    up, down = thumb(page, 3, "Good"), thumb(page, 0, "Bad")
    expect(page.get_by_role("group", name="Thumbs")).to_contain_text("1 good, 1 bad")
    with searching(page) as answer:
        page.get_by_role("button", name="Refine").click()
    assert (asked(answer.value)["up"], asked(answer.value)["down"]) == ([up], [down])
    found = keys(page)
    assert down not in found[:3]
    expect(page.get_by_text("refined by your thumbs")).to_be_visible()
    assert (state(page)["up"], state(page)["down"]) == ([str(up)], [str(down)])
    expect(page.locator(f".tile[data-key='{up}']").get_by_role("button", name="Good answer")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.get_by_role("button", name="Refine")).to_be_disabled()
    with searching(page) as answer:
        page.get_by_role("button", name="Forget the thumbs").click()
    assert "up" not in asked(answer.value)
    expect(page.get_by_role("group", name="Thumbs")).to_be_hidden()


def test_a_thumb_is_taken_back_or_turned(browse: Browse) -> None:
    page = browse()
    settled(page)
    thumb(page, 1, "Good")
    thumb(page, 1, "Bad")
    expect(page.get_by_role("group", name="Thumbs")).to_contain_text("1 bad")
    thumb(page, 1, "Bad")
    expect(page.get_by_role("group", name="Thumbs")).to_be_hidden()


def test_thumbs_become_a_label(browse: Browse) -> None:
    page = browse("?in=few&q=1~key~5")
    settled(page)
    thumb(page, 0, "Good")
    thumb(page, 1, "Good")
    page.get_by_role("button", name="Save as label").click()
    page.get_by_label("Label for 2 pictures").fill("favourites")
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("2 pictures labelled favourites")).to_be_visible()
    page.get_by_role("checkbox", name="favourites").check()
    expect(page.locator(".tile")).to_have_count(2)


def test_thumbs_are_kept_for_training(browse: Browse) -> None:
    page = browse("?in=few&q=1~key~5")
    settled(page)
    up, down = thumb(page, 1, "Good"), thumb(page, 4, "Bad")
    with page.expect_request("**/feedback/pairs") as kept:
        page.get_by_role("button", name="Keep for training").click()
    sent = kept.value.post_data_json
    assert (sent["up"], sent["down"], sent["examples"]) == ([up], [down], [{"key": 5, "weight": 1}])
    expect(page.get_by_text("2 judgements kept for training")).to_be_visible()


def test_pictures_are_added_and_what_cannot_be_is_named(browse: Browse, tmp_path: Path) -> None:
    page = browse("?in=spare")
    before = len(keys(page))
    (tmp_path / "notes.jpg").write_text("no picture at all")
    page.get_by_role("button", name="Add pictures").click()
    page.get_by_label("Label for all").fill("stripes")
    files = [striped(tmp_path / "striped.jpg"), tmp_path / "notes.jpg", striped(tmp_path / "turned.jpg", 9)]
    page.locator("#upload-files").set_input_files(files)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_have_text("2 added, 1 skipped")
    line = dialog.get_by_role("listitem").filter(has_text="notes.jpg")
    assert len(line.locator(".why").inner_text()) > 20
    page.locator("#upload-files").set_input_files(files[0])
    expect(dialog.get_by_role("status")).to_have_text("2 added, 1 already there, 1 skipped")
    dialog.get_by_role("button", name="Show them").click()
    expect(page.locator(".tile")).to_have_count(before + 2)
    expect(page.locator(".tile .name").nth(0)).to_have_text("stripes")
    with searching(page) as answer:
        hand_over(page, "", "paste", files[2])
    assert answer.value.json()["hits"][0]["name"] == "turned.jpg"


def test_a_drop_on_add_adds(browse: Browse, tmp_path: Path) -> None:
    page = browse("?in=spare")
    settled(page)
    file = striped(tmp_path / "dropped.jpg", 21)
    hand_over(page, "#results", "dragenter", file)
    hand_over(page, "#drop .add", "drop", file)
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("1 added")


def test_a_collection_that_is_read_only_offers_no_changes(browse: Browse) -> None:
    def read_only(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for one in told["collections"]:
            one["writable"] = False
        route.fulfill(response=answer, json=told)

    page = browse("")
    page.route("**/collections", read_only)
    page.reload()
    tiles(page).first.get_by_role("button", name="Open").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    for name in ("Delete", "Add pictures", "Save"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_duplicates_are_groups_of_which_one_is_kept(browse: Browse) -> None:
    page = browse("?in=twice")
    before = keys(page)
    page.get_by_role("button", name="Near-duplicates").click()
    groups = page.get_by_role("article")
    expect(groups).to_have_count(2)
    group = groups.first
    first, second = (int(one.get_attribute("data-key") or -1) for one in group.locator("figure").all())
    expect(group.get_by_role("radio", name="keep")).to_be_checked()
    group.get_by_role("radio", name="copy").check()
    expect(group.get_by_role("radio", name="keep")).to_have_attribute("id", f"keep-{second}")
    group.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("dialog", name="Compare two pictures").locator("figure")).to_have_count(2)
    page.keyboard.press("Escape")
    group.get_by_role("button", name="Delete 1 copy").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(groups).to_have_count(1)
    page.get_by_role("button", name="Back to the pictures").click()
    assert keys(page) == [key for key in before if key != first]


def test_duplicates_show_their_progress(browse: Browse) -> None:
    page = browse("?in=few")
    settled(page)
    answer = {"state": "working", "done": 40, "total": 100, "groups": [], "groups_total": 0}
    page.route("**/duplicates?*", lambda route: route.fulfill(json=answer))
    page.get_by_role("button", name="Near-duplicates").click()
    expect(page.get_by_text("40 of 100")).to_be_visible()
    answer |= {"state": "ready", "done": 100}
    expect(page.get_by_role("heading", name="No near-duplicates")).to_be_visible()


def test_a_running_index_is_told_and_its_end_too(browse: Browse) -> None:
    page = browse("?in=few")
    job = {"stage": "index", "done": 1200, "total": 4000, "rate": 118.4, "left_s": 24, "skipped": 3}
    jobs = [job]
    page.route("**/progress?*", lambda route: route.fulfill(json={"jobs": jobs}))
    page.reload()
    line = page.get_by_text("Indexing 1,200 of 4,000 pictures · 118 a second · 24 s left · 3 skipped")
    expect(line).to_be_visible()
    expect(page.get_by_role("progressbar", name="Indexing")).to_have_attribute("max", "4000")
    job |= {"stage": "engine", "done": 1000}
    expect(page.get_by_text("Building the search index: 1,000 of 4,000 · 118 a second")).to_be_visible()
    with page.expect_response("**/items?*"):
        jobs.clear()
        expect(page.get_by_text("Indexing is done")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Indexing")).to_have_count(0)
