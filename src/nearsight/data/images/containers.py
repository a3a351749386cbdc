"""A file without all that its pixels do not need: what Pillow is given to decode.

Metadata is where decoders are attacked and where they warn: megabytes of compressed text, ten thousand frames,
directories that lead back to themselves, EXIF that points beyond its end. Here a container's parts are walked once,
within bounds; parts that make pixels are kept as they are, the turn (EXIF orientation) and the colour profile are taken
out, everything else is left behind. Pillow then meets one frame, no metadata, no reason to warn.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from nearsight.data.images.limits import refusal

PARTS = 200_000
"""Segments or chunks of one file; half a gigabyte of PNG in pieces of 8 KB has 65,000."""
MAX_PROFILE = 8 << 20
"""Bytes of a colour profile; the largest for printing presses have about 3 MB. A larger one is ignored."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A file's pixels, and the two things about them that count."""

    data: bytes
    turn: int = 1
    """EXIF orientation, 1..8; 1 where it is missing or broken."""
    profile: bytes = b""
    """ICC profile; empty where it is missing."""


def orientation(exif: bytes) -> int:
    """The orientation (1..8) in an EXIF block, with or without its ``Exif`` prefix; 1 for whatever is broken."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    start = struct.unpack_from(order + "I", exif, 4)[0]
    if start + 2 > len(exif):
        return 1
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from(order + "H", exif, start)[0], 12):
        if at + 12 > len(exif):
            return 1
        tag, kind, count, value = struct.unpack_from(order + "HHIH", exif, at)
        if tag == 0x0112:
            return value if kind == 3 and count == 1 and 1 <= value <= 8 else 1
    return 1


_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0..7, SOI


def jpeg(data: bytes) -> Bare:
    """Frame, tables, scans, and the Adobe marker that says how colours are meant."""
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    view = memoryview(data)
    exif = b""
    profile: dict[int, bytes] = {}
    at = 2
    for _ in range(PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise refusal("truncated")
        marker, at = data[found.end() - 1], found.end()
        if marker in _JPEG_ALONE:
            continue
        if marker == 0xD9:
            raise refusal("damaged", "no pixels before its end")
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + length
        if end > len(data) or at + 2 > len(data):
            raise refusal("truncated")
        if length < 2:
            raise refusal("damaged", "a segment without a length")
        if marker == 0xDA:
            kept.append(view[found.end() - 2 :])
            return Bare(b"".join(kept), orientation(exif), _joined(profile))
        if marker == 0xE1 and not exif and data.startswith(b"Exif\0\0", at + 2):
            exif = data[at + 2 : end]
        elif marker == 0xE2 and length > 16 and data.startswith(b"ICC_PROFILE\0", at + 2):
            profile[data[at + 14]] = data[at + 16 : end]
        elif marker == 0xEE or not (0xE0 < marker < 0xF0 or marker == 0xFE):
            kept.append(view[found.end() - 2 : end])
        at = end
    raise refusal("metadata")


def _joined(parts: dict[int, bytes]) -> bytes:
    whole = b"".join(parts[number] for number in sorted(parts))
    return whole if len(whole) <= MAX_PROFILE else b""


def png(data: bytes) -> Bare:
    """Header, palette, transparent colour, pixels; their checksums are verified."""
    kept: list[bytes | memoryview] = [data[:8]]
    view = memoryview(data)
    turn, profile, standard = 1, b"", False
    depth = colours = 0
    at = 8
    for _ in range(PARTS):
        if at + 12 > len(data):
            raise refusal("truncated")
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, end = at + 8, at + 12 + length
        if end > len(data):
            raise refusal("truncated")
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise refusal("damaged", f"wrong checksum of {name.decode()}")
            chunk: bytes | memoryview = view[at:end]
            if name == b"IHDR" and length == 13:
                depth, colours = data[body + 8], data[body + 9]
            elif name == b"tRNS":
                chunk = _transparency(data[body : body + length], depth, colours)
            kept.append(chunk)
        elif name == b"eXIf":
            turn = orientation(data[body : body + length])
        elif name == b"sRGB":
            standard = True
        elif name == b"iCCP":
            profile = _inflated(data[body : body + length])
        if name == b"IEND":
            return Bare(b"".join(kept), turn, b"" if standard else profile)
        at = end
    raise refusal("metadata")


def _transparency(body: bytes, depth: int, colours: int) -> bytes:
    """The tRNS chunk as Pillow understands it: it compares with samples that it has scaled to 8 bits."""
    if colours == 0 and len(body) == 2:
        if depth == 16:
            return b""  # one shade of 65,536, compared after rounding to 256, would clear its neighbours
        if depth in (2, 4):
            body = (int.from_bytes(body, "big") * 255 // (2**depth - 1) & 0xFF).to_bytes(2, "big")
    elif colours == 2 and depth == 16:
        return b""
    return struct.pack(">I", len(body)) + b"tRNS" + body + zlib.crc32(b"tRNS" + body).to_bytes(4, "big")


def _inflated(chunk: bytes) -> bytes:
    """The profile in an iCCP chunk; empty if it is broken or larger than any profile (a bomb)."""
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(chunk.partition(b"\0")[2][1:], MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if inflate.eof else b""


def gif(data: bytes) -> Bare:
    """The first frame with its transparent colour, on a canvas that holds it."""
    width, height = struct.unpack_from("<HH", data.ljust(13, b"\0"), 6)
    at = 13 + _gif_colours(data[10:11])
    colours, control = data[13:at], b""
    for _ in range(PARTS):
        if at + 2 > len(data):
            raise refusal("truncated")
        if data[at] == 0x21:
            if data[at + 1] == 0xF9 and at + 8 <= len(data):  # only the transparent colour: no delay, no disposal
                control = b"\x21\xf9\x04" + bytes([data[at + 3] & 1]) + b"\0\0" + data[at + 6 : at + 7] + b"\0"
            at = _gif_end(data, at + 2)
        elif data[at] == 0x2C:
            if at + 11 > len(data):
                raise refusal("truncated")
            left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
            end = _gif_end(data, at + 10 + _gif_colours(data[at + 9 : at + 10]) + 1)
            canvas = struct.pack("<HH", max(width, left + across), max(height, top + down))
            return Bare(data[:6] + canvas + data[10:13] + colours + control + data[at:end] + b";")
        else:
            raise refusal("damaged", "no frame")
    raise refusal("metadata")


def _gif_colours(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _gif_end(data: bytes, at: int) -> int:
    """Behind a chain of sub-blocks."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise refusal("truncated")


def webp_size(data: bytes) -> tuple[int, int]:
    """Canvas of a WebP: its decoder takes memory for it as soon as it is opened."""
    if len(data) < 30 or int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise refusal("truncated")
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


_EXIF_ITEM = re.compile(rb"(infe[\x02\x03]...(?:....|......))Exif", re.DOTALL)


def boxes(data: bytes) -> bytes:
    """AVIF or HEIC: whole, and with its EXIF item renamed, so that nobody parses it.

    In these formats the turn is a property of the image and applied by the decoder; EXIF's own must be ignored
    (ISO/IEC 23008-12, 6.5.10).
    """
    at, meta, seen = 0, slice(0), set[bytes]()
    for _ in range(PARTS):
        if at + 8 > len(data):
            raise refusal("truncated")
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        elif length == 0:
            length = len(data) - at
        if length < 8:
            raise refusal("damaged", "a box without a length")
        if at + length > len(data):
            raise refusal("truncated")
        if name == b"meta":
            meta = slice(at, at + length)
        seen.add(name)
        at += length
        if at == len(data) or {b"meta", b"mdat"} <= seen:  # what some cameras append is not our business
            return data[: meta.start or 0] + _EXIF_ITEM.sub(rb"\1skip", data[meta]) + data[meta.stop :]
    raise refusal("metadata")
