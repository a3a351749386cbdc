"""What the report pages share: one document that needs nothing else, its style, pictures inside it, plain tables.

No script and no other host, held by a content security policy; light and dark; whatever is wide scrolls by itself.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from nearsight.core.events import Skipped
from nearsight.measure.protocol import Card

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e22; --faint: #646a73; --line: #dcdde0; --paper: #fafaf8; --bar: #2e5caa;
  --chance: #c9a227; --other: #c2571a; --gain: #1a7a43; --loss: #c02f2f; --raised: #f1f1ed; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e9ea; --faint: #a2a7af; --line: #3a3d43; --paper: #17181b;
  --bar: #7ba4e8; --chance: #e2c04f; --other: #ee9a62; --gain: #5cc98b; --loss: #f28b82; --raised: #212328; } }
html { -webkit-text-size-adjust: 100% }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 74rem;
  margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.6rem }
p, caption, figcaption { color: var(--faint); text-align: left }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { font-weight: 600; color: var(--faint); white-space: nowrap !important }
th:first-child, td:first-child, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere }
.told td:first-child { min-width: 7.5rem } .wide td:first-child { overflow-wrap: break-word }
figure { margin: 1.2rem 0 } figure img { max-width: 100%; height: auto; border-radius: 4px }
svg { vertical-align: middle } .line { stroke: var(--line) } .span { stroke: var(--bar) } .dot { fill: var(--bar) }
.chance { stroke: var(--chance) }
"""


def document(title: str, body: str, *, style: str = "") -> str:
    """The whole page: `title` is text, `body` is HTML, `style` comes behind the shared one."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)} · nearsight</title><style>{_STYLE}{style}</style></head>"
    )
    return f"{head}<body>{body}</body></html>\n"


def image(picture: Image.Image, alt: str) -> str:
    """The picture itself, inside the page."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=82)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img alt="{escape(alt)}" width="{picture.width}" height="{picture.height}" '
        f'src="data:image/jpeg;base64,{data}">'
    )


def figure(picture: Image.Image, told: str, *, kind: str = "") -> str:
    """A picture with its caption, which is its description too. ``kind`` is a class of the style."""
    return (
        f"<figure{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{image(picture, told)}"
        f"<figcaption>{escape(told)}</figcaption></figure>"
    )


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text under a header row (none where `head` is empty)."""
    names = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{names}{lines}</table></div>'


def text_table(rows: Iterable[Sequence[str]]) -> str:
    """Names and what is said of them, which may be long: both wrap."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td class={chr(34)}text{chr(34)}>{escape(t)}</td>' for t in told)}</tr>"
        for name, *told in rows
    )
    return f'<table class="told">{lines}</table>'


def card_rows(card: Card) -> list[tuple[str, str]]:
    """The protocol card as names and values; the metrics are told beside the measures."""
    rows = []
    for name, value in card.to_json().items():
        if name == "metrics":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        rows.append((name.replace("_", " "), str(value) or "–"))
    return rows


def skipped_rows(skipped: Iterable[Skipped]) -> list[tuple[str, str, str]]:
    """Path, code and reason of each."""
    return [(event.path, event.code, event.why) for event in skipped]
