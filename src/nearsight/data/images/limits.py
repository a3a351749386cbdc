"""How large a picture may be, and why a file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nearsight.core.errors import InputError, PictureError

REASONS: Mapping[str, str] = MappingProxyType(
    {
        # what the file holds
        "empty": "the file is empty",
        "not-a-picture": "the content is not a picture",
        "format": "a kind of picture that is not read here",
        "needs-heif": "HEIC pictures need the package 'pillow-heif', which is not installed",
        "truncated": "the picture breaks off before its end",
        "damaged": "the picture is damaged",
        # what would cost too much
        "too-many-bytes": "the file is too large",
        "too-long-side": "a side of the picture is too long",
        "too-many-pixels": "the picture has too many pixels",
        "aspect": "the picture is too narrow to compare with others",
        "metadata": "the picture carries more parts beside its pixels than any camera writes",
        "memory": "there is not enough memory for this picture",
        "timeout": "decoding took too long and was stopped",
        "crashed": "the decoder crashed on this picture",
        # what the file system says
        "unreadable": "the file cannot be read",
        "unreadable-folder": "the folder cannot be listed",
        "vanished": "the file is not there (any more)",
        "changed": "the file changed while it was read",
        "not-a-file": "not a regular file",
        "hidden": "hidden: its name begins with a dot",
        "link": "a symbolic link",
        "link-loop": "a symbolic link that leads back to where it is",
        "link-outside": "a symbolic link out of the folder",
        "link-again": "a symbolic link to a folder that another link led to already",
    }
)
"""Reason (the part of a code behind ``picture/``) -> a sentence for people."""

_REPAIRS: Mapping[str, str] = {
    "empty": "copy it again from where it came",
    "format": "convert it to JPEG, PNG, WebP, TIFF or AVIF",
    "needs-heif": "pip install 'nearsight[heif]'",
    "truncated": "copy it again from where it came",
    "damaged": "copy it again from where it came, or save it anew with an image editor",
    "too-many-bytes": "raise max_bytes, or save it smaller",
    "too-long-side": "raise max_side, or save it smaller",
    "too-many-pixels": "raise max_pixels, or save it smaller",
    "aspect": "raise max_aspect, or cut it into pieces",
    "metadata": "save it without metadata",
    "memory": "raise the memory limit, or save it smaller",
    "timeout": "raise the time limit if the source can be trusted",
    "unreadable": "check its permissions and the disk",
    "unreadable-folder": "check its permissions and the disk; nothing is known about what is in it",
    "changed": "run again when it is no longer being written",
    "link": "follow links, or point to the folder that holds the picture",
    "link-outside": "index the folder it points to as well",
}


def hint(reason: str) -> str:
    """The repair for a reason; empty where there is none."""
    return _REPAIRS.get(reason, "")


def refusal(reason: str, detail: str = "", *, path: Path | None = None) -> PictureError:
    """The error for one of `REASONS`, with the figures or the library's words in ``detail``."""
    message = REASONS[reason] + (f" ({detail})" if detail else "")
    if path is not None:
        message = f"{shown(path)}: {message}"
    return PictureError(message, code=f"picture/{reason}", hint=hint(reason))


def shown(path: Path) -> str:
    """A path for people: bytes that are not UTF-8, line breaks and writing-direction marks are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may cost. All are checked before memory for pixels is taken.

    Raises InputError for limits below 1.
    """

    max_bytes: int = 512 << 20
    """A 16-bit TIFF of a 60-megapixel camera has 360 MB; videos and archives are larger."""
    max_side: int = 65_535
    """What a JPEG can have at most."""
    max_pixels: int = 128 << 20
    """Above the 108 megapixels of a phone and the 102 of a medium-format camera; 4 bytes each while decoding: 512 MB.

    WebP, AVIF and HEIC cost their decoders about 15 bytes a pixel, so half as many are allowed there.
    """
    max_aspect: float = 100.0
    """Longer side by shorter side. Encoders bring the shorter side to about 224, so a 1 x 60,000 strip would become
    13 million pixels wide; the longest panoramas and screenshots of pages are below 50."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_side", "max_pixels", "max_aspect"):
            if not getattr(self, name) >= 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")

    def check(self, width: int, height: int, *, costly: bool = False) -> None:
        """Raises PictureError (too-long-side, too-many-pixels, aspect) for a picture of that size.

        ``costly``: its decoder takes about four times the memory of the others.
        """
        if width < 1 or height < 1:
            raise refusal("damaged", f"{width} x {height} pixels")
        size = f"{width:,} x {height:,} pixels"
        if max(width, height) > self.max_side:
            raise refusal("too-long-side", f"{size}; at most {self.max_side:,}")
        most = self.max_pixels // 2 if costly else self.max_pixels
        if width * height > max(most, 1):
            raise refusal("too-many-pixels", f"{size}; at most {most:,} in all")
        if max(width, height) > self.max_aspect * min(width, height):
            raise refusal("aspect", f"{size}; at most {self.max_aspect:g} : 1")
