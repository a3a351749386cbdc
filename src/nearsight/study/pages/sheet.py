"""Contact sheets: the query top left, what was found beside and below it, right and wrong framed."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE = 200
_GAP = 14
_FRAME = 5
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 30, 34), (112, 116, 124)
_QUERY, _RIGHT, _WRONG, _PLAIN = (46, 92, 170), (30, 132, 73), (198, 40, 40), (196, 198, 202)


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a sheet, or words in its place. ``picture`` None: it cannot be read any more, or there are
    ``words`` instead. ``right`` None: nobody says."""

    picture: Image.Image | None
    caption: str
    score: float | None = None
    right: bool | None = None
    words: str = ""


def contact_sheet(
    queries: Sequence[Cell],
    found: Sequence[Cell],
    *,
    columns: int = 5,
    side: int = SIDE,
    title: str = "",
    role: str = "query",
) -> Image.Image:
    """The queries (one or several), then the found pictures, in reading order -> an RGB picture.

    Frames: blue for a query, green for right, red for wrong, grey where nobody says; a tick or a cross in the corner
    says the same without colour. Under a query stands its `role`, under each picture its place, score and caption.
    """
    cells = [*queries, *found]
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    size = max(11, side // 14)
    font, bold = ImageFont.load_default(size), ImageFont.load_default(size * 1.15)
    line = round(size * 1.45)
    top = _GAP + (line + _GAP if title else 0)
    pitch = (side + 2 * _FRAME + _GAP, side + 2 * _FRAME + 2 * line + _GAP)
    sheet = Image.new("RGB", (_GAP + columns * pitch[0], top + rows * pitch[1]), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_GAP, _GAP), fit(title, bold, sheet.width - 2 * _GAP), fill=_INK, font=bold)
    for number, cell in enumerate(cells):
        x, y = _GAP + number % columns * pitch[0], top + number // columns * pitch[1]
        is_query = number < len(queries)
        colour = _QUERY if is_query else {True: _RIGHT, False: _WRONG, None: _PLAIN}[cell.right]
        outer = (x, y, x + side + 2 * _FRAME - 1, y + side + 2 * _FRAME - 1)
        draw.rectangle(outer, fill=colour)
        inside = written(cell.words, side) if cell.words else thumbnail(cell.picture, side)
        sheet.paste(inside, (x + _FRAME, y + _FRAME))
        if not is_query and cell.right is not None:
            _mark(draw, outer[2], outer[1], max(20, side // 8), colour, cell.right)
        head = role if is_query else f"{number - len(queries) + 1}"
        if cell.score is not None:
            head += f"   {cell.score:.3f}"
        draw.text((x, outer[3] + 4), head, fill=colour if is_query or cell.right is not None else _INK, font=bold)
        draw.text((x, outer[3] + 4 + line), fit(cell.caption, font, side + 2 * _FRAME), fill=_FAINT, font=font)
    return sheet


def flowed(sheets: Sequence[Image.Image], *, columns: int, side: int = SIDE) -> Image.Image:
    """Several sheets in reading order, beside each other as long as a row has no more than so many pictures."""
    most = _GAP + columns * (side + 2 * _FRAME + _GAP)
    corners: list[tuple[int, int]] = []
    left = top = bottom = right = 0
    for sheet in sheets:
        if left and left + sheet.width - _GAP > most:
            left, top = 0, bottom
        corners.append((left, top))
        left, bottom, right = left + sheet.width - _GAP, max(bottom, top + sheet.height), max(right, left + sheet.width)
    whole = Image.new("RGB", (max(right, _GAP), max(bottom, _GAP)), _PAPER)
    for sheet, corner in zip(sheets, corners, strict=True):
        whole.paste(sheet, corner)
    return whole


def thumbnail(picture: Image.Image | None, side: int) -> Image.Image:
    """The whole picture within a square of `side`, on paper; a note where there is none."""
    if picture is None:
        empty = Image.new("RGB", (side, side), (232, 232, 230))
        font = ImageFont.load_default(max(11, side // 14))
        ImageDraw.Draw(empty).text((side / 2, side / 2), "not readable", fill=_FAINT, font=font, anchor="mm")
        return empty
    return ImageOps.pad(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS, color=_PAPER)


def written(words: str, side: int) -> Image.Image:
    """Words on a square of paper, as large as they fit; what does not fit in the smallest letters is left out."""
    paper = Image.new("RGB", (side, side), _PAPER)
    draw = ImageDraw.Draw(paper)
    room, smallest = side - side // 8, max(11, side // 16)
    for size in range(max(side // 7, smallest), smallest - 1, -1):
        font, line = ImageFont.load_default(size), round(size * 1.3)
        lines = _folded(words, font, room, most=room // line)
        if len(lines) * line <= room:
            break
    shown = lines[: room // line]
    if len(lines) > len(shown):
        shown[-1] = fit(shown[-1] + " …", font, room)
    top = (side - len(shown) * line) / 2 + line / 2
    for number, text in enumerate(shown):
        draw.text((side / 2, top + number * line), text, fill=_INK, font=font, anchor="mm")
    return paper


def _folded(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, *, most: int) -> list[str]:
    """`text` in lines of `width`, one more than `most` at the most; a word that is wider is a line, shortened."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(joined := f"{lines[-1]} {word}") <= width:
            lines[-1] = joined
        elif len(lines) > most:
            break
        else:
            lines.append(fit(word, font, width))
    return lines


def fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """`text` on one line, its middle left out where it is wider than `width`: both ends of a path say something."""
    text = " ".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).split())
    if font.getlength(text) <= width:
        return text

    def short(keep: int) -> str:
        head = keep // 2
        return f"{text[:head]}…{text[len(text) - (keep - head) :]}"

    too_wide = bisect.bisect_left(range(len(text)), True, key=lambda keep: font.getlength(short(keep)) > width)
    return short(max(0, too_wide - 1))


def _mark(draw: ImageDraw.ImageDraw, right: int, top: int, size: int, colour: tuple[int, int, int], good: bool) -> None:
    """A tick or a cross on a tab in the corner."""
    left = right - size
    draw.rectangle((left, top, right, top + size), fill=colour)
    width = max(2, size // 8)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * size, top + y * size

    if good:
        draw.line([at(0.22, 0.52), at(0.42, 0.74), at(0.78, 0.28)], fill="white", width=width, joint="curve")
    else:
        draw.line([at(0.27, 0.27), at(0.73, 0.73)], fill="white", width=width)
        draw.line([at(0.27, 0.73), at(0.73, 0.27)], fill="white", width=width)
