"""A real server of drawn scenes, and a real Chromium that opens its page."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from e2e.command import spawn
from fake_words import two_towers
from nearsight import Collection, Encoder
from nearsight.core.items import Item
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.search.calibration.scale import Calibration, Level, Scale, write
from nearsight.search.sync import Annotation

pytest.importorskip("playwright", reason="no playwright (pip install 'nearsight[dev]')")
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

TOKEN = "a-token-for-the-tests-of-the-page"
SCENES = 240
FEW = 16
WAIT = 20_000  # ms: two test processes and two Chromiums may share two cores
SCRIPT = "<img src=x onerror=\"document.title='taken'\">"
"""As the label of an item: no page may run it."""
_WORDS = f"""
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import fake_words, pytest
fake_words.install(pytest.MonkeyPatch())
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine; nothing is downloaded."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium on this machine")
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Drawn scenes, eight kinds by turns."""
    return list(load(f"drawn?n={SCENES}&size=96", tmp_path_factory.mktemp("drawn")).items)


def annotation(item: Item, at: int) -> Annotation:
    return Annotation(
        label=item.label, captions=item.captions[:2], fields={"season": item.fields["season"], "year": 2000 + at % 20}
    )


def collected(folder: Path, encoder: Encoder, items: list[Item]) -> Path:
    """A collection of these items, which says what scores mean where it has words."""
    pictures = folder.with_suffix("")
    pictures.mkdir()
    told = {}
    for at, item in enumerate(items):
        shutil.copy(item.path, pictures / item.path.name)
        told[item.path.name] = annotation(item, at)
    with Collection.create(folder, encoder) as collection:
        list(collection.sync(pictures, annotate=lambda path: told[Path(path).name]))
        if collection.encoder.spec.modalities == ("image", "text"):
            known = Calibration(scale(0.6, 0.85), scale(0.2, 0.5), len(items), 1, collection.fingerprint, 0)
            write(folder, known)
    return folder


def scale(likely: float, sure: float) -> Scale:
    """Thresholds that are known, so that every verdict is met."""
    return Scale(Level(likely, 0.1), Level(sure, 0.01), "labels", 100, SCENES, 0.1)


class Site:
    """A server of its own process, and where it is."""

    def __init__(self, *arguments: object) -> None:
        self.process = spawn("serve", *arguments, "--port", 0, "--no-open", code=_WORDS)
        assert self.process.stdout is not None
        self.url = ""
        while not self.url:
            line = self.process.stdout.readline().decode()
            assert line, self.end()
            self.url = next((word for word in line.split() if word.startswith("http://")), "")

    def end(self) -> str:
        """Stop it; what it wrote to stderr."""
        self.process.terminate()
        try:
            _, said = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        return said.decode()


@pytest.fixture(scope="session")
def site(scenes: list[Item], tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Site]:
    """`scenes` with words. Without: `few`, which tests label; `spare`, which they add to and delete from; `copies`, in
    which some are twice; `twice`, the same to be cleared up."""
    folder = tmp_path_factory.mktemp("site")
    made = [collected(folder / "scenes.ns", two_towers(), scenes)]
    made += [collected(folder / f"{name}.ns", create("colour"), scenes[:FEW]) for name in ("few", "spare")]
    twice = [*scenes[:6], *twins(folder, scenes[:2])]
    made += [collected(folder / f"{name}.ns", create("colour"), twice) for name in ("copies", "twice")]
    with Collection.open(folder / "spare.ns") as spare:
        spare.annotate(1, label=SCRIPT, captions=[SCRIPT])
    running = Site(*made)
    yield running
    said = running.end()
    assert "Traceback" not in said, said


def twins(folder: Path, items: list[Item]) -> list[Item]:
    """The same scenes again, recompressed."""
    made = []
    for at, item in enumerate(items):
        file = folder / f"twin_{at}.jpg"
        with Image.open(item.path) as picture:
            picture.save(file, "JPEG", quality=60)
        made.append(replace(item, path=file))
    return made


class Watched:
    """What a page said that no page should: exceptions, refused scripts and styles, failures."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.expected = ["/progress?"]

    def follow(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.said.append(f"exception: {error}"))
        page.on("console", self._hear)

    def _hear(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.said.append(f"{line.text} {line.location['url']}")

    def unexpected(self) -> list[str]:
        return [line for line in self.said if not any(text in line for text in self.expected)]


@pytest.fixture
def watched() -> Watched:
    """Errors of the page fail the test; `watched.expected` are texts of those that it provokes."""
    return Watched()


@pytest.fixture
def browse(chromium: Browser, site: Site, watched: Watched) -> Iterator[Callable[..., Page]]:
    """Open the page at an address below the site's, in a window of its own; options are those of the window."""
    windows = []

    def call(address: str = "", *, root: str = "", **options: Any) -> Page:
        window = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        windows.append(window)
        window.set_default_timeout(WAIT)
        page = window.new_page()
        watched.follow(page)
        page.goto((root or site.url) + address)
        return page

    yield call
    for window in windows:
        window.close()
    assert not watched.unexpected()
