"""How near an encoder takes copies to be: measured with copies that we make ourselves, of pictures of the collection.

Encoders differ: copies at half the size have a cosine of 0.95 to one, of 0.75 to another. So the threshold is neither
ours to choose nor the user's to guess. It is measured once and remembered in the collection.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nearsight.core.errors import EncoderError, PictureError
from nearsight.core.events import Step
from nearsight.data.images import decode, read

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_UNMEASURED = 0.8
"""Where no picture can be read, or the vectors came from elsewhere."""
_NOTE = "duplicates/at-least"
_PICTURES = 48
_MISSED = 0.02
"""Share of the copies that may lie below the threshold."""
_LEAST, _MOST = 0.5, 0.98
_CUT = 0.1
_QUALITY = 40


def nearness(collection: Collection) -> Generator[Step, None, float]:
    """The cosine that 49 of 50 copies have to their originals: at half the size, at JPEG quality 40, cut by a tenth.

    At least 0.5 and at most 0.98. A writer remembers it in the collection.
    """
    known = collection.recall(_NOTE)
    if known is not None:
        return float(known)
    cosines: list[float] = []
    keys = collection.keys()
    some = keys[:: max(1, keys.size // _PICTURES)][:_PICTURES]
    for done, item in enumerate(collection.items(some.tolist()), start=1):
        try:
            whole = decode(read(item.path), side=collection.encoder.tower.side)
            vectors = collection.encoder.encode_images([whole, *_copies(whole)])
            cosines += (vectors[1:] @ vectors[0]).tolist()
        except PictureError:
            continue
        except EncoderError as error:
            if error.code != "encoder/none":
                raise
            return _UNMEASURED
        yield Step("how near copies are", done, some.size)
    if not cosines:
        return _UNMEASURED
    found = round(float(np.clip(np.quantile(cosines, _MISSED), _LEAST, _MOST)), 3)
    if collection.store.write:
        collection.remember(_NOTE, str(found))
    return found


def _copies(whole: Image.Image) -> Iterator[Image.Image]:
    width, height = whole.size
    yield whole.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=_QUALITY)
    yield decode(file.getvalue())
    yield whole.crop((round(_CUT * width), 0, width, max(1, round((1 - _CUT) * height))))
