"""``python -m benchmarks.page_shots [ENCODER]``: the pictures of docs/page.md, taken of the page itself.

The scenes are drawn here, so that everybody may have them. ENCODER is a folder with words in it (as `nearsight train`
writes one for captions); without it the pictures are searched by pictures alone.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from nearsight import Collection
from nearsight.core.items import Item
from nearsight.data.datasets import load
from nearsight.encode import Encoder, create
from nearsight.search.sync import Annotation

IMAGES = Path(__file__).parent.parent / "docs" / "images"
LARGEST = 400_000  # bytes
SCENES = 480
COPIES = 5
DESKTOP: dict[str, Any] = {"viewport": {"width": 1360, "height": 850}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


def main(encoder: Encoder, to: Path = IMAGES) -> None:
    """Take them all."""
    words = "text" in encoder.spec.modalities
    with tempfile.TemporaryDirectory() as folder, served(indexed(Path(folder), encoder)) as url, browser() as chromium:
        query = "?q=1~text~red sailing boats on the sea" if words else "?q=1~key~17"

        page = opened(chromium, url + query, **DESKTOP)
        page.locator(".tile").nth(1).get_by_role("button", name="Good answer").click()
        page.locator(".tile").nth(1).hover()
        keep(page, to, "desktop")

        page = opened(chromium, url + "?q=1~key~14", **PHONE)
        keep(page, to, "phone")

        page = opened(
            chromium,
            url + '?q=1~key~16&q=-0.5~key~9&where={"season":{"in":["autumn","summer"]}}',
            **DESKTOP,
            color_scheme="dark",
        )
        keep(page, to, "dark")

        page = opened(chromium, url + "?open=12", **DESKTOP)
        page.wait_for_selector(".frame:not(.loading)")
        rest(page)
        area = page.locator(".frame").bounding_box() or {}
        for at, (x, y) in enumerate(((0.1, 0.6), (0.72, 0.97))):
            page.mouse.move(area["x"] + area["width"] * x, area["y"] + area["height"] * y, steps=3)
            page.mouse.down() if at == 0 else page.mouse.up()
        keep(page, to, "region")

        page = opened(chromium, url + "?q=1~key~17", **DESKTOP)
        for at in (0, 2):
            page.locator(".tile").nth(at).hover()
            page.locator(".tile").nth(at).get_by_role("button", name="Choose").click()
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector(".near .score")
        keep(page, to, "compare")

        page = opened(chromium, url + "?view=duplicates", ready=".group-card img", **DESKTOP)
        keep(page, to, "duplicates")


def indexed(folder: Path, encoder: Encoder) -> Path:
    """Scenes with their labels, captions and columns, some of them twice, and what their scores mean."""
    items = list(load(f"drawn?n={SCENES}&size=384", folder).items)
    pictures = folder / "pictures"
    pictures.mkdir()
    told = {}
    for item in items:
        shutil.copy(item.path, pictures / item.path.name)
        told[item.path.name] = noted(item)
    for item in items[3 : 3 + COPIES]:
        name = f"copy of {item.path.name}"
        with Image.open(item.path) as picture:
            picture.resize((300, 300)).save(pictures / name, quality=70)
        told[name] = noted(item)
    with Collection.create(folder / "scenes.ns", encoder) as collection:
        list(collection.sync(pictures, annotate=lambda path: told[Path(path).name]))
        list(collection.calibrate())
    return folder / "scenes.ns"


def noted(item: Item) -> Annotation:
    label = (item.label or "").replace("_", " ")
    return Annotation(
        label=label,
        captions=item.captions[:3],
        fields={name: item.fields[name] for name in ("season", "time", "weather")},
    )


@contextmanager
def served(collection: Path) -> Iterator[str]:
    """The address of a server of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nearsight", "serve", collection, "--port", "0", "--no-open"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(chromium: Browser, url: str, *, ready: str = ".tile img.here", **options: Any) -> Page:
    page = chromium.new_context(**options).new_page()
    page.goto(url)
    page.wait_for_selector(ready)
    return page


def rest(page: Page) -> None:
    """Wait until every picture in sight is there and nothing moves any more."""
    page.evaluate(
        """async () => {
            const waits = (one) => !one.complete && one.getBoundingClientRect().top <= innerHeight;
            const moves = (one) => one.playState === "running";
            while ([...document.images].some(waits) || document.getAnimations().some(moves))
                await new Promise(requestAnimationFrame);
        }"""
    )


def keep(page: Page, to: Path, name: str) -> None:
    """As WebP."""
    rest(page)
    to.mkdir(parents=True, exist_ok=True)
    file = to / f"page-{name}.webp"
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").save(file, quality=82, method=6)
    size = file.stat().st_size
    print(f"{file.name}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"{file} has more than {LARGEST} bytes")


if __name__ == "__main__":
    main(Encoder.load(Path(sys.argv[1])) if len(sys.argv) > 1 else create("colour"))
