"""What one does on the page, in words."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, expect


def tiles(page: Page) -> Locator:
    """The pictures that are shown; waits for the first."""
    shown = page.locator(".tile:not(.bone)")
    expect(shown.first).to_be_visible()
    return shown


def settled(page: Page) -> Locator:
    """The same, when the answer is there."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    return tiles(page)


def keys(page: Page) -> list[int]:
    settled(page)
    return page.evaluate("[...document.querySelectorAll('.tile')].map((tile) => Number(tile.dataset.key))")


def names(page: Page) -> list[str]:
    settled(page)
    return page.locator(".tile .name").all_inner_texts()


def say(page: Page, words: str) -> None:
    page.get_by_role("searchbox", name="Words").fill(words)
    page.get_by_role("searchbox", name="Words").press("Enter")


def state(page: Page) -> dict[str, list[str]]:
    """What the address says: in the page itself, for news of it travel slower."""
    return parse_qs(urlsplit(page.evaluate("location.href")).query, keep_blank_values=True)


def searching(page: Page) -> Any:
    """Waits for the answer of a search that is begun inside; its ``value``."""
    return page.expect_response(lambda answer: answer.url.endswith("/search") and answer.status == 200)


def asked(answer: Any) -> dict[str, Any]:
    """The JSON that a search without pictures was asked with."""
    return answer.request.post_data_json


def at_rest(frame: Locator) -> FloatRect:
    """Where it lies on the screen once nothing moves any more: what opens rises into its place."""
    frame.evaluate(
        """(node) => Promise.allSettled(
            node.closest("dialog").getAnimations({ subtree: true }).map((one) => one.finished))"""
    )
    area = frame.bounding_box()
    assert area
    return area


def hand_over(page: Page, selector: str, event: str, file: Path) -> None:
    """A picture as the system hands it over when it is dropped or pasted."""
    page.evaluate(
        """([selector, event, name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const given = new DataTransfer();
            given.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const at = selector ? document.querySelector(selector) : document.body;
            const made = event === "paste"
                ? new ClipboardEvent("paste", { clipboardData: given, bubbles: true, cancelable: true })
                : new DragEvent(event, { dataTransfer: given, bubbles: true, cancelable: true });
            at.dispatchEvent(made);
        }""",
        [selector, event, file.name, base64.b64encode(file.read_bytes()).decode()],
    )


def striped(file: Path, angle: int = 0) -> Path:
    """A picture unlike any scene, and a little different with each angle."""
    picture = Image.new("RGB", (120, 80), (250, 0, 250))
    for at in range(0, 120, 8):
        picture.paste((0, 255, 255 - angle), (at, 0, at + 4, 80))
    content = io.BytesIO()
    picture.rotate(angle).save(content, "JPEG", quality=95)
    file.write_bytes(content.getvalue())
    return file
