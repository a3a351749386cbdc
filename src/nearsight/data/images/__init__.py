"""Pictures in: find files, read them within bounds, decode them to RGB, and refuse by name what cannot be used.

::

    walk(root)    -> Found | Skipped         what is there, in a fixed order; nothing is opened
    read(path)    -> bytes                   a regular file, whole and unchanged while it was read
    decode(bytes) -> PIL.Image, RGB 8 bit    identified by content, sRGB, upright, first frame, on white
    dimensions(bytes) -> (width, height)     as it is shown; its pixels are not decoded
    Isolated()    -> .decode                 the same in processes that can be killed: for pictures from strangers

Whatever cannot be used raises `nearsight.core.errors.PictureError` with a code ``picture/REASON`` out of `REASONS`.
"""

from nearsight.data.images.decoding import decode, decode_sized, dimensions, thumbnail
from nearsight.data.images.files import picture_hash, read
from nearsight.data.images.folders import Found, walk
from nearsight.data.images.isolated import Isolated
from nearsight.data.images.limits import REASONS, Limits

__all__ = [
    "REASONS",
    "Found",
    "Isolated",
    "Limits",
    "decode",
    "decode_sized",
    "dimensions",
    "picture_hash",
    "read",
    "thumbnail",
    "walk",
]
