"""Search with the page: words, the written form, pictures given in every way, chips, filters, pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.acts import asked, hand_over, keys, names, say, searching, settled, state, striped, tiles
from browser.conftest import SCENES, Watched
from nearsight.core.items import Item

Browse = Callable[..., Page]


def test_the_page_opens_on_the_collection_newest_first(browse: Browse) -> None:
    page = browse()
    assert keys(page)[0] == SCENES
    expect(page.get_by_text(f"{SCENES} pictures", exact=True)).to_be_visible()
    expect(tiles(page).first.locator("img")).to_have_class("here")
    assert page.title() == "scenes · nearsight"


def test_words_find_and_scores_and_verdicts_are_said(browse: Browse) -> None:
    page = browse()
    with searching(page) as answer:
        say(page, "green")
    hits = answer.value.json()["hits"]
    assert asked(answer.value)["examples"] == [{"text": "green", "weight": 1}]
    assert keys(page)[: len(hits)] == [hit["key"] for hit in hits]
    first = tiles(page).first
    expect(first.locator(".score")).to_have_text(f"{hits[0]['score']:.2f}")
    expect(first.locator(".verdict")).to_contain_text(hits[0]["verdict"])
    assert state(page)["q"] == ["1~text~green"]
    expect(page.get_by_role("group", name="more of green")).to_be_visible()


def test_a_written_query_becomes_chips_and_filters(browse: Browse) -> None:
    page = browse()
    with searching(page) as answer:
        say(page, 'green + 2: @12 - "red" | season = summer and year >= 2003; min_score=-0.5; fold=0.99')
    sent = asked(answer.value)
    assert sent["examples"] == [
        {"text": "green", "weight": 1}, {"key": 12, "weight": 2}, {"text": "red", "weight": -1}
    ]  # fmt: skip
    assert sent["where"] == {"all": [{"season": {"in": ["summer"]}}, {"year": {"gte": 2003}}]}
    assert (sent["min_score"], sent["fold"]) == (-0.5, 0.99)
    for name in ("more of green", "more of item 12", "less of red", "filter season: summer", "filter year: from 2003"):
        expect(page.get_by_role("group", name=name)).to_be_visible()
    expect(page.get_by_label("Weight of item 12")).to_have_value("2")
    expect(page.get_by_role("switch", name="Fold near-duplicates")).to_be_checked()
    expect(page.get_by_role("searchbox", name="Words")).to_have_value("green - red")


def test_a_filter_that_the_panel_cannot_say_is_a_chip(browse: Browse) -> None:
    page = browse()
    with searching(page) as answer:
        say(page, "green | season = summer or not year < 2010")
    hits = answer.value.json()["hits"]
    assert hits
    assert all(hit["fields"]["season"] == "summer" or hit["fields"]["year"] >= 2010 for hit in hits)
    page.get_by_role("button", name="Remove the filter season").click()
    expect(page.get_by_role("group", name="filter")).to_have_count(0)


def test_a_mistake_is_shown_at_its_character(browse: Browse, watched: Watched) -> None:
    watched.expected.append("400")
    page = browse()
    say(page, "green + - red")
    expect(page.locator("#mistake mark")).to_have_text("-")
    expect(page.locator("#mistake code")).to_have_text("green + - red")
    expect(page.get_by_role("alert")).to_contain_text("words or a picture are missing here")
    assert page.evaluate("[words.selectionStart, words.selectionEnd]") == [8, 9]
    page.get_by_role("searchbox", name="Words").press("End")
    page.keyboard.type("!")
    expect(page.locator("#mistake")).to_be_hidden()


def test_words_that_the_encoder_does_not_know_are_said(browse: Browse, watched: Watched) -> None:
    watched.expected.append("400")
    page = browse()
    say(page, "giraffe")
    expect(page.get_by_text("there is no known word in 'giraffe'")).to_be_visible()
    page = browse()
    say(page, "green giraffe")
    expect(page.get_by_text("not known: “giraffe”")).to_be_visible()


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_that_is_given_is_found(browse: Browse, scenes: list[Item], way: str) -> None:
    page = browse()
    settled(page)
    file = scenes[20].path
    with searching(page) as answer:
        if way == "choose":
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Search by a picture").click()
            chooser.value.set_files(file)
        elif way == "drop":
            hand_over(page, "#results", "dragenter", file)
            expect(page.get_by_text("Search by it")).to_be_visible()
            hand_over(page, "#drop .by", "drop", file)
        else:
            hand_over(page, "", "paste", file)
    best = answer.value.json()["hits"][0]
    assert best["name"] == file.name
    assert best["score"] > 0.999
    assert keys(page)[0] == best["key"]
    expect(page.get_by_role("group", name="more of your picture")).to_be_visible()
    with searching(page) as again:
        page.reload()
    assert again.value.json()["hits"][0]["key"] == best["key"]


def test_the_link_of_a_picture_says_that_the_picture_is_elsewhere(browse: Browse) -> None:
    page = browse("?q=1~picture~p123456789abc")
    expect(page.get_by_role("heading", name="That picture is not in this browser")).to_be_visible()
    page.get_by_role("button", name="Browse everything").click()
    assert keys(page)[0] == SCENES


def test_no_match_is_said_in_words(browse: Browse, tmp_path: Path) -> None:
    page = browse()
    settled(page)
    with searching(page) as answer:
        hand_over(page, "", "paste", striped(tmp_path / "striped.jpg"))
    assert answer.value.json()["verdict"] == "chance"
    expect(page.get_by_role("heading", name="No match")).to_be_visible()
    expect(page.get_by_text("no nearer than chance")).to_be_visible()
    with searching(page) as strict:
        page.get_by_role("radio", name="Likely").check()
    assert strict.value.json()["hits"] == []
    expect(page.get_by_role("heading", name="Nothing here is likely")).to_be_visible()
    page.get_by_role("button", name="Show every answer").click()
    tiles(page)


def test_chips_change_sign_and_weight_and_go(browse: Browse) -> None:
    page = browse("?q=1~text~green&q=1~key~5")
    settled(page)
    with searching(page) as answer:
        page.get_by_role("button", name="More of green: make it less").click()
    assert asked(answer.value)["examples"] == [{"text": "green", "weight": -1}, {"key": 5, "weight": 1}]
    with searching(page) as answer:
        page.get_by_label("Weight of item 5").fill("2.5")
        page.get_by_label("Weight of item 5").press("Enter")
    assert asked(answer.value)["examples"][1] == {"key": 5, "weight": 2.5}
    with searching(page) as answer:
        page.get_by_role("button", name="Remove green").click()
    assert asked(answer.value)["examples"] == [{"key": 5, "weight": 2.5}]
    page.get_by_role("button", name="Clear the search").click()
    assert keys(page)[0] == SCENES
    assert "q" not in state(page)


def test_filters_come_from_the_columns(browse: Browse, scenes: list[Item]) -> None:
    page = browse()
    settled(page)
    page.get_by_role("checkbox", name="coast").check()
    expect(page.get_by_text("30 pictures", exact=True)).to_be_visible()
    assert set(names(page)) == {"coast"}
    page.get_by_role("checkbox", name="forest").check()
    expect(page.get_by_text("60 pictures", exact=True)).to_be_visible()
    page.get_by_label("year from, as a number").fill("2010")
    page.get_by_label("year from, as a number").press("Enter")
    some = sum(one.label in ("coast", "forest") and at % 20 >= 10 for at, one in enumerate(scenes))
    expect(page.get_by_text(f"{some} pictures", exact=True)).to_be_visible()
    page.get_by_label("year to", exact=True).press("ArrowLeft")
    assert state(page)["where"] == ['{"label":{"in":["coast","forest"]},"year":{"gte":2010,"lte":2018}}']
    expect(page.locator(".took, .count").first).to_be_visible()
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_text(f"{SCENES} pictures", exact=True)).to_be_visible()


def test_filters_that_leave_nothing_say_so(browse: Browse) -> None:
    page = browse('?where={"label":{"in":["coast"]},"season":{"in":["nowhere"]}}')
    expect(page.get_by_role("heading", name="Nothing has these filters")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    tiles(page)


def test_scrolling_goes_on_to_the_end(browse: Browse) -> None:
    for address in ("", "?q=1~key~7"):
        page = browse(address)
        assert len(keys(page)) < SCENES
        for so_far in range(len(keys(page)), SCENES, 60):
            page.mouse.wheel(0, 20_000)
            expect(page.locator(".tile:not(.bone)").nth(so_far)).to_be_attached()
        expect(page.locator(".tile")).to_have_count(SCENES)
        assert len(set(keys(page))) == SCENES


def test_near_duplicates_fold(browse: Browse) -> None:
    page = browse("?in=copies&q=1~key~2")
    everything = keys(page)
    page.get_by_role("switch", name="Fold near-duplicates").click()
    expect(page.locator(".tile .copies").first).to_have_text("+1")
    assert len(keys(page)) < len(everything)
    assert state(page)["fold"] == ["0.97"]


def test_captions_are_found_for_a_picture(browse: Browse, scenes: list[Item]) -> None:
    page = browse("?q=1~key~20")
    settled(page)
    with searching(page) as answer:
        page.get_by_role("radio", name="Captions").check()
    assert asked(answer.value)["captions"] is True
    assert names(page)[:3] == [hit["caption"] for hit in answer.value.json()["hits"][:3]]
    page = browse("?open=20")
    with searching(page):
        page.get_by_text("Captions that fit it").click()
    expect(page.locator("details .captions-of li")).to_have_count(5)


def test_several_collections_and_only_what_they_can(browse: Browse) -> None:
    page = browse()
    settled(page)
    page.get_by_role("combobox", name="Collection").select_option("few")
    expect(page.get_by_text("16 pictures", exact=True)).to_be_visible()
    assert state(page)["in"] == ["few"]
    assert page.get_by_role("searchbox", name="Words").get_attribute("placeholder") == "A picture"
    page.go_back()
    expect(page.get_by_text(f"{SCENES} pictures", exact=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="Collection")).to_have_value("scenes")


def test_back_forward_and_a_shared_link_show_the_same(browse: Browse) -> None:
    page = browse()
    settled(page)
    with searching(page):
        say(page, "green")
    green = keys(page)
    with searching(page):
        say(page, "blue - green")
    blue = keys(page)
    assert blue != green
    link = page.url
    with searching(page):
        page.go_back()
    assert keys(page) == green
    expect(page.get_by_role("searchbox", name="Words")).to_have_value("green")
    with searching(page):
        page.go_forward()
    assert keys(page) == blue
    shared = browse("?" + link.partition("?")[2])
    assert keys(shared) == blue
    expect(shared.get_by_role("group", name="less of green")).to_be_visible()
