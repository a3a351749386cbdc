"""Captioned pictures in Karpathy's JSON layout (Flickr8k, Flickr30k, COCO): ``karpathy/flickr8k``.

``images[].filename``, ``.filepath`` (COCO), ``.split``, ``.sentences[].raw``. Read from
ROOT/NAME/dataset_NAME.json[.gz] with pictures in ROOT/NAME/images, or from any such file: ``karpathy/PATH.json``.
Karpathy and Fei-Fei, CVPR 2015.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.data.datasets import Dataset, home, place, usable_captions


def build(variant: str | None = None, *, root: Path | None, images: str = "images") -> Dataset:
    """`images` is the folder of the pictures, below the JSON file's own. Keys count the entries of the file.

    Entries whose picture is not there are skipped (``dataset/missing-picture``), and so are captions that are empty
    (``dataset/empty-caption``). The sets have no labels.
    Raises DatasetError: ``dataset/variant``, ``dataset/missing``, ``dataset/format``, ``dataset/empty``.
    """
    if variant is None:
        raise DatasetError("which set?", code="dataset/variant", hint="write karpathy/flickr8k or karpathy/FILE.json")
    listing = _listing(variant, root)
    pictures = listing.parent / images
    items: list[Item] = []
    skipped: list[Skipped] = []
    for key, entry in enumerate(_entries(listing)):
        try:
            path = pictures / str(entry.get("filepath", "")) / entry["filename"]
            captions, empty = usable_captions(path, [sentence["raw"] for sentence in entry["sentences"]])
            split = str(entry["split"])
        except (KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"entry {key} of {listing} lacks filename, split or sentences[].raw ({error!r})", code="dataset/format"
            ) from error
        if path.is_file():
            items.append(Item(key, path, None, split, captions))
            skipped += empty
        else:
            skipped.append(Skipped(str(path), "dataset/missing-picture", "named in the listing and not there"))
    name = variant if "." not in variant else listing.name.partition(".")[0].removeprefix("dataset_")
    return Dataset(name, tuple(items), tuple(skipped))


def _listing(variant: str, root: Path | None) -> Path:
    if variant.endswith((".json", ".json.gz")):
        return place(variant, root, "karpathy")
    folder = home(root, f"karpathy/{variant}") / variant
    for suffix in (".json", ".json.gz"):
        path = folder / f"dataset_{variant}{suffix}"
        if path.is_file():
            return path
    raise DatasetError(
        f"there is no dataset_{variant}.json in {folder}",
        code="dataset/missing",
        hint="put it there, or name the file: karpathy/PATH.json",
    )


def _entries(listing: Path) -> list[Any]:
    try:
        raw = listing.read_bytes()
        body = json.loads(gzip.decompress(raw) if listing.suffix == ".gz" else raw)
        entries = body["images"]
    except (ValueError, KeyError, TypeError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(
            f"{listing} is not in Karpathy's layout: {error!r}", code="dataset/format", hint="expected {images: [...]}"
        ) from error
    if not isinstance(entries, list):
        raise DatasetError(f"'images' in {listing} is not a list", code="dataset/format")
    return entries
