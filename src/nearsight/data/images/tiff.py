"""A TIFF with one directory of its own making: only what pixels need, nothing that leads elsewhere."""

from __future__ import annotations

import struct

from nearsight.data.images.containers import MAX_PROFILE, Bare
from nearsight.data.images.limits import Limits, refusal

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _TURN, _PROFILE = 256, 257, 274, 34675
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_PIXELS = {
    *(_WIDTH, _HEIGHT, 258, 259, 262, 266, 277, 284, 292, 293, 317, 320, 332, 338, 339, 347),
    *(_STRIPS, _STRIP_ROWS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES),
    *range(512, 522),  # JPEG inside, as of 1992
    *range(529, 533),  # how YCbCr is meant
}
_ENTRIES = 4096


def tiff(data: bytes, limits: Limits) -> Bare:
    """The first directory, rebuilt at the end of the data from the entries that make pixels.

    Further directories, loops among them, EXIF, GPS and makers' notes are out of reach then. Raises PictureError:
    truncated, damaged, metadata, and what `Limits.check` raises.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    # classic: 12-byte entries with 4-byte values; BigTIFF: 20 and 8
    count_code, word, value_bytes = ("Q", "Q", 8) if big else ("H", "I", 4)
    entry, header = struct.Struct(f"{order}HH{word}{value_bytes}s"), 16 if big else 8
    if len(data) < header:
        raise refusal("truncated")
    start = struct.unpack_from(order + word, data, header - value_bytes)[0]
    if start < header:
        raise refusal("damaged", "no directory")
    first = start + struct.calcsize(order + count_code)
    if first > len(data):
        raise refusal("truncated")
    count = struct.unpack_from(order + count_code, data, start)[0]
    if count > _ENTRIES:
        raise refusal("metadata")
    if first + count * entry.size > len(data):
        raise refusal("truncated")

    kept: dict[int, bytes] = {}
    numbers: dict[int, tuple[int, ...]] = {}
    turn, profile = 1, b""
    for at in range(first, first + count * entry.size, entry.size):
        tag, kind, length, value = entry.unpack_from(data, at)
        if tag not in _PIXELS and tag not in (_TURN, _PROFILE):
            continue
        size = _SIZES.get(kind, 0) * length
        where = struct.unpack(order + word, value)[0]
        if not size or (size > value_bytes and where + size > len(data)):
            if tag in _PIXELS:
                raise refusal("truncated" if size else "damaged", f"entry {tag}")
            continue
        raw = value[:size] if size <= value_bytes else data[where : where + size]
        if tag == _TURN:
            found = struct.unpack(order + "H", raw)[0] if kind == 3 and length == 1 else 1
            turn = found if 1 <= found <= 8 else 1
        elif tag == _PROFILE:
            profile = raw if size <= MAX_PROFILE else b""
        else:
            kept[tag] = data[at : at + entry.size]
            if kind in _NUMBERS:
                numbers[tag] = struct.unpack(f"{order}{length}{_NUMBERS[kind]}", raw)
    _check(numbers, len(data), limits)

    if numbers.get(_STRIP_ROWS, (0,))[0] > numbers[_HEIGHT][0]:  # "all in one", often as 2**32 - 1
        rows = struct.pack(order + "I", numbers[_HEIGHT][0]).ljust(value_bytes, b"\0")
        kept[_STRIP_ROWS] = entry.pack(_STRIP_ROWS, 4, 1, rows)
    padding = -len(data) % 8
    head = data[: header - value_bytes] + struct.pack(order + word, len(data) + padding)
    entries = b"".join(kept[tag] for tag in sorted(kept))
    directory = struct.pack(order + count_code, len(kept)) + entries + b"\0" * value_bytes
    return Bare(b"".join((head, memoryview(data)[header:], b"\0" * padding, directory)), turn, profile)


def _check(numbers: dict[int, tuple[int, ...]], size: int, limits: Limits) -> None:
    """Sizes within the limits, pixels within the file."""
    if not (numbers.get(_WIDTH) and numbers.get(_HEIGHT)):
        raise refusal("damaged", "no size")
    limits.check(numbers[_WIDTH][0], numbers[_HEIGHT][0])
    across, down = numbers.get(_TILE_WIDTH, (1,))[0], numbers.get(_TILE_HEIGHT, (1,))[0]
    if across * down > max(limits.max_pixels, 1 << 20):  # memory is taken for whole tiles
        raise refusal("too-many-pixels", f"in tiles of {across:,} x {down:,}")
    for offsets, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        where, long = numbers.get(offsets, ()), numbers.get(lengths, ())
        if long and len(long) != len(where):
            raise refusal("damaged", "strips or tiles without a length")
        if any(a >= size for a in where) or any(a + b > size for a, b in zip(where, long, strict=False)):
            raise refusal("truncated")
