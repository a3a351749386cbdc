"""multipart/form-data, piece by piece: as many fields, files and bytes as are allowed, and nothing on the disk.

A form must be whole: one that breaks off before its last boundary is refused, not half understood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from nearsight.http.problems import Refusal
from nearsight.http.settings import Settings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One uploaded picture: the field it came in, what its sender calls it, its bytes."""

    field: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The texts and the pictures of a request."""

    texts: dict[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


async def read_form(kind: str, body: AsyncIterator[bytes], settings: Settings) -> Form:
    """The fields of a form; `kind` is its Content-Type. Raises Refusal (400), and what `body` raises."""
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    if not boundary:
        raise refused("its Content-Type names no boundary")
    parts = _Parts(settings)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for piece in body:
            parser.write(piece)
    except FormParserError as error:
        raise refused("it is not well-formed") from error
    if not parts.whole:
        raise refused("it breaks off")
    return Form(parts.texts, tuple(parts.pictures))


def refused(why: str) -> Refusal:
    """The answer for a form that cannot be read."""
    return Refusal(400, f"the form cannot be read: {why}", code="request/form")


class _Parts:
    """What the parser has met so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.texts: dict[str, str] = {}
        self.pictures: list[Picture] = []
        self.whole = False
        self._headers: dict[bytes, bytes] = {}
        self._header = self._value = b""
        self._name = ""
        self._file: str | None = None
        self._content = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._headers, self._content = {}, bytearray()

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        about = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        if b"name" not in about:
            raise refused("a part has no name")
        self._name = _text(about[b"name"])
        self._file = _text(about[b"filename"]) if b"filename" in about else None
        if self._file is None and len(self.texts) >= _FIELDS:
            raise refused(f"it has more than {_FIELDS} fields")
        if self._file is not None and len(self.pictures) >= self._settings.files:
            raise refused(f"it has more than {self._settings.files} pictures")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        if self._file is None and len(self._content) > self._settings.json_bytes:
            raise refused(f"a field has more than {self._settings.json_bytes:,} bytes")

    def _on_part(self) -> None:
        if self._file is None:
            if self._name in self.texts:
                raise refused(f"the field {self._name!r} is there twice")
            self.texts[self._name] = _text(bytes(self._content))
        elif self._file or self._content:  # of an empty field for files, browsers send neither
            self.pictures.append(Picture(self._name, self._file, bytes(self._content)))

    def _on_end(self) -> None:
        self.whole = True


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise refused("it is not in UTF-8") from error
