"""The whole run: walk, encode what is new, annotate, drop what is gone, bring the engine up to date."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nearsight.core.errors import PictureError, ReadOnly
from nearsight.core.events import Done, Event, Skipped, Step
from nearsight.data.images import Found, Limits, decode, read, walk
from nearsight.search.sync.difference import Difference
from nearsight.search.sync.options import DEFAULT_LIMITS, Annotation, Options, columns
from nearsight.search.sync.pipeline import Pipeline
from nearsight.search.sync.stopwatch import Stopwatch

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_COUNTS = ("added", "updated", "moved", "copied", "touched", "dropped", "unchanged", "skipped", "annotated", "captions")


def sync(collection: Collection, root: Path, options: Options) -> Iterator[Event]:
    """Yields Step, Skipped and Encoded as it goes, and Done with counts: added, updated, moved (same content, new
    path: the key stays), copied (of the added and updated: without encoding), touched (same content), dropped,
    unchanged, skipped, annotated, captions (encoded, where the encoder has words; one in which it knows nothing is a
    Skipped too).

    What Encoded announced is committed; closing the generator early (Ctrl-C) commits what is encoded, and the next
    run goes on from there. A folder that was moved or renamed as a whole is known again by its files.

    Raises InputError (no such folder, or code ``folder/overlap``: one that lies in an indexed one, or around it),
    RootVanished, ReadOnly, WriteFailed, EncoderError.
    """
    if not collection.store.write:
        raise ReadOnly(f"{collection.folder} is open for reading only")
    started = time.monotonic()
    counts, clock = dict.fromkeys(_COUNTS, 0), Stopwatch()
    difference = Difference(collection.store, root.resolve(), forget=options.drop == "always")
    try:
        for event in clock.each("walk", _told(difference, options)):
            counts["skipped"] += isinstance(event, Skipped)
            yield event
        if options.drop == "safe":
            difference.require_plausible(0)
        counts["unchanged"] = difference.unchanged()
        total = difference.count_jobs()
        if total:
            yield from Pipeline(collection, difference, options, counts, clock).run(total)
        if options.annotate is not None:
            yield from _annotate(collection, difference.root_id, options.annotate, counts)
        if options.drop != "never":
            yield from _drop(collection, difference, options, counts)
    finally:
        difference.close()
    yield Step("engine", 0, None)
    with contextlib.closing(collection.building()) as building:
        yield from clock.each("engine", building)
    if "text" in collection.modalities:
        counts["captions"] = yield from collection.encode_captions()
    yield Done("sync", counts, time.monotonic() - started, clock.spent() if options.profile else {})


def sample(root: Path, count: int, limits: Limits = DEFAULT_LIMITS, *, side: int = 0) -> Iterator[Image.Image]:
    """Up to `count` decoded pictures spread evenly over a folder, in random order (seed 0), decoded one by one: for
    encoders that learn from a collection. `side` as in `decode`."""
    files = [found.path for found in walk(root) if isinstance(found, Found)]
    if not files:
        return
    chosen = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int))
    for i in np.random.default_rng(0).permutation(chosen):
        with contextlib.suppress(PictureError):  # `sync` reports it with its reason
            yield decode(read(files[i], limits), limits=limits, side=side)


def _told(difference: Difference, options: Options) -> Iterator[Event]:
    yield from difference.walk(follow_links=options.follow_links, only=options.only)
    yield from difference.remembered_skips()


def _annotate(
    collection: Collection, root_id: int, annotate: Callable[[Path], Annotation | None], counts: dict[str, int]
) -> Iterator[Event]:
    """Labels and fields of pictures that were there already may have changed in the table that gives them."""
    last, page = -1, 2000
    while True:
        with collection.store.reading() as catalogue:
            rows = catalogue.all(
                f"SELECT key, path, label, captions, fields FROM item WHERE root=? AND key>? ORDER BY key LIMIT {page}",
                root_id,
                last,
            )
        changes = {}
        for key, path, label, captions, fields in rows:
            note = annotate(Path(os.fsdecode(path)))
            if note is not None:
                wanted = columns(label=note.label, captions=note.captions, fields=note.fields)
                if wanted != {"label": label, "captions": captions, "fields": fields}:
                    changes[key] = wanted
        if changes:
            collection.store.amend(changes)
            counts["annotated"] += len(changes)
            yield Step("annotate", counts["annotated"], None)
        if len(rows) < page:
            return
        last = rows[-1][0]


def _drop(collection: Collection, difference: Difference, options: Options, counts: dict[str, int]) -> Iterator[Event]:
    gone = difference.gone()
    if options.drop == "safe":
        difference.require_plausible(len(gone))
    for start in range(0, len(gone), 10_000):
        counts["dropped"] += collection.store.delete(gone[start : start + 10_000])
        yield Step("drop", counts["dropped"], len(gone))
    difference.forget_skips()
