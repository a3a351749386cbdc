"""The page on photographs: the MIT split with its labels, Flickr8k with its captions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.acts import asked, hand_over, keys, names, say, searching, settled, tiles
from browser.conftest import Site
from fake_words import two_towers
from nearsight import Collection
from nearsight.core.items import Item
from nearsight.data.datasets import load
from nearsight.search.sync import Annotation

pytestmark = pytest.mark.real
Browse = Callable[..., Page]
EACH = 15
CAPTIONED = 150


@pytest.fixture(scope="module")
def photographs(data_root: Path) -> dict[str, list[Item]]:
    """Some of each class, some with captions; all from the test splits."""
    scenes = [item for item in load("mit_split", data_root).items if item.split == "test"]
    classes = sorted({item.label for item in scenes if item.label})
    captioned = [item for item in load("karpathy/flickr8k", data_root).items if item.split == "test"]
    return {
        "mit": [item for name in classes for item in [one for one in scenes if one.label == name][:EACH]],
        "flickr": captioned[:CAPTIONED],
    }


@pytest.fixture(scope="module")
def gallery(photographs: dict[str, list[Item]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both, with colours as words."""
    folder = tmp_path_factory.mktemp("gallery")
    made = []
    for name, items in photographs.items():
        (folder / name).mkdir()
        told = {}
        for item in items:
            shutil.copy(item.path, folder / name / item.path.name)
            told[item.path.name] = Annotation(label=item.label, captions=item.captions)
        with Collection.create(folder / f"{name}.ns", two_towers()) as collection:
            list(collection.sync(folder / name, annotate=lambda path, told=told: told[Path(path).name]))
            assert len(collection) == len(items)
        made.append(folder / f"{name}.ns")
    running = Site(*made)
    yield running
    said = running.end()
    assert "Traceback" not in said, said


def test_scenes_by_picture_by_class_by_region(
    browse: Browse, gallery: Site, photographs: dict[str, list[Item]]
) -> None:
    page = browse(root=gallery.url)
    settled(page)
    wanted = photographs["mit"][4 * EACH]
    with searching(page) as answer:
        hand_over(page, "", "paste", wanted.path)
    best = answer.value.json()["hits"][0]
    assert best["name"] == wanted.path.name
    assert best["score"] > 0.999
    with searching(page) as answer:
        page.get_by_role("checkbox", name="coast").check()
    assert set(names(page)) == {"coast"}
    assert len(answer.value.json()["hits"]) == EACH
    tiles(page).first.get_by_role("button", name="Open").click()
    expect(page.locator(".frame:not(.loading)")).to_be_visible()
    page.get_by_role("button", name="Draw a region").click()
    with searching(page) as answer:
        page.get_by_role("button", name="Search this region").click()
    assert asked(answer.value)["examples"][0]["box"] == [64, 64, 192, 192]


def test_captions_and_words(browse: Browse, gallery: Site, photographs: dict[str, list[Item]]) -> None:
    page = browse("?in=flickr", root=gallery.url)
    assert len(keys(page)) == 60
    with searching(page) as answer:
        say(page, "green")
    found = answer.value.json()["hits"][0]
    first = tiles(page).first
    expect(first.locator(".name")).to_have_text(found["captions"][0])
    expect(first.locator("img")).to_have_class("here")
    first.get_by_role("button", name="Open").click()
    dialog = page.get_by_role("dialog")
    for caption in next(one for one in photographs["flickr"] if one.path.name == found["name"]).captions:
        expect(dialog.get_by_role("listitem").filter(has_text=caption).first).to_be_visible()
    page.keyboard.press("Escape")
    with searching(page) as answer:
        page.get_by_role("radio", name="Captions").check()
    assert names(page)[0] == answer.value.json()["hits"][0]["caption"]
