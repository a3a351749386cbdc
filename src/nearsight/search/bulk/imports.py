"""Shards into a collection: checked, in batches that are committed, as often as one likes."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderMismatch, InputError
from nearsight.core.events import Done, Event, Step
from nearsight.search.bulk.encode import read_run
from nearsight.search.bulk.files import SHARDS, Picture, named, numbers, read_shard, shard_facts
from nearsight.search.bulk.reading import is_address
from nearsight.search.store.store import Record
from nearsight.search.sync.difference import NUMBER, add_root
from nearsight.search.sync.options import columns

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_SOME = 500
"""Paths in one statement."""
_COUNTS = ("added", "updated", "annotated", "unchanged", "newer", "repeated", "captions", "shards", "missing")

_Place = tuple[int | None, bytes]
"""An item's root and path: what it is known by."""


def take_in(
    collection: Collection, folder: Path, *, pictures: Path | None = None
) -> Generator[Event, None, dict[str, int]]:
    """Take the shards of a bulk run that are there into a collection, which may be new, or have other pictures.

    Pictures of a folder become items of that folder: where it lies here too (or at `pictures`), `sync` goes on from
    them and encodes nothing again. The pictures need not be at hand: items are found all the same, they only cannot be
    shown. Those from a store of objects keep their address in the field ``address``.

    An item with the same path is replaced where its content differs and is not newer than the shard's, else its labels
    are brought up to date. What Step announced is committed, so a run that was broken off is simply repeated.

    Yields Step and Done with the counts that it returns: added, updated, annotated, unchanged, newer (kept as they
    are), repeated (rows of a path that came again at once: the last counts), captions, shards, missing (not encoded
    yet). Raises NotACollection (no bulk run), EncoderMismatch, InputError (codes ``vectors``, ``folder/none``,
    ``folder/overlap``), Damaged (which shard), ReadOnly, WriteFailed.
    """
    started = time.monotonic()
    run = read_run(folder)
    counts = dict.fromkeys(_COUNTS, 0)
    there = numbers(folder, SHARDS)
    sizes = {number: _proven(named(folder, SHARDS, number), collection) for number in there}
    counts["shards"], counts["missing"] = len(there), int(run["shards"]) - len(there)
    if pictures is not None and not pictures.is_dir():
        raise InputError(f"there is no folder {pictures}", code="folder/none", hint="check the path")
    root = pictures.resolve() if pictures is not None else Path(run["root"]) if run["root"] else None
    roots = _Roots(collection, root)
    done, total = 0, sum(sizes.values())
    for number in there:
        path = named(folder, SHARDS, number)
        for some, vectors in read_shard(path):
            try:
                _commit(collection, [roots.record(one) for one in some], vectors, counts)
            except InputError as error:
                if error.code != "vectors":
                    raise
                hint = "remove that file and run the same nearsight encode: it is made again"
                raise InputError(f"{path}: {error.message}", code="vectors", hint=hint) from error
            done += len(some)
            yield Step("import", done, total)
    yield Step("engine", 0, None)
    yield from collection.building()
    if "text" in collection.modalities:
        counts["captions"] = yield from collection.encode_captions()
    yield Done("import", counts, time.monotonic() - started)
    return counts


def require_same(collection: Collection, place: Path, facts: Mapping[str, Any]) -> None:
    """Raises EncoderMismatch where the run or shard at `place`, whose facts are given, is of another encoder."""
    if facts.get("fingerprint") != collection.fingerprint:
        made_by = collection.store.manifest["encoder"]
        raise EncoderMismatch(
            f"{place} was made by {facts.get('encoder', 'an unknown encoder')}, {collection.folder} by {made_by}",
            hint="take it into a new collection",
        )


def _proven(path: Path, collection: Collection) -> int:
    """How many pictures a shard has, if this collection's encoder made it. Before anything is written."""
    facts, rows = shard_facts(path)
    require_same(collection, path, facts)
    return rows


class _Roots:
    """Where pictures are, as a collection knows it: the folder of the source, and what does not lie in it."""

    def __init__(self, collection: Collection, root: Path | None) -> None:
        self._root = root
        self._id: int | None = None
        if root is not None:
            with collection.store.reading() as catalogue:
                known = catalogue.one("SELECT id FROM root WHERE path=?", os.fsencode(root))
            self._id = int(known) if known is not None else add_root(collection.store, root)

    def record(self, one: Picture) -> Record:
        entry = one.entry
        fields = dict(entry.fields)
        text = os.fsdecode(entry.path)
        root, path = None, entry.path
        stat: tuple[int | None, int | None] = (None, None)
        if is_address(text):
            fields = {"address": text, **fields}  # a path would fold its slashes
        elif self._root is not None:
            whole = os.path.normpath(self._root / text)
            inside = Path(whole).is_relative_to(self._root)
            root = self._id if inside else None
            path = os.fsencode(Path(whole).relative_to(self._root) if inside else whole)
            stat = _stat(whole, one)
        return Record(
            path, root, one.sha256, one.size, entry.mtime_ns, *stat,
            label=entry.label, captions=entry.captions, fields=fields,
        )  # fmt: skip


def _stat(path: str, one: Picture) -> tuple[int | None, int | None]:
    """ctime and inode of a picture that is at hand as it was encoded, so that `sync` knows it again."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None, None
    same = (status.st_size, status.st_mtime_ns) == (one.size, one.entry.mtime_ns)
    return (status.st_ctime_ns, status.st_ino & NUMBER) if same else (None, None)


def _commit(collection: Collection, given: list[Record], vectors: NDArray[np.floating], counts: dict[str, int]) -> None:
    last = {(record.root, record.path): at for at, record in enumerate(given)}
    counts["repeated"] += len(given) - len(last)
    known = _known(collection, list(last))
    rows: list[int] = []
    replacing: list[int | None] = []
    amends: dict[int, dict[str, Any]] = {}
    for place, at in last.items():
        record = given[at]
        key, sha256, mtime_ns, *annotation = known.get(place, (None,) * 6)
        if key is None or sha256 is None or bytes(sha256) != record.sha256:
            if mtime_ns is not None and record.mtime_ns is not None and mtime_ns > record.mtime_ns:
                counts["newer"] += 1
                continue
            rows.append(at)
            replacing.append(key)
            counts["added" if key is None else "updated"] += 1
            continue
        wanted = columns(label=record.label, captions=record.captions, fields=record.fields)
        if list(wanted.values()) == annotation:
            counts["unchanged"] += 1
        else:
            amends[key] = wanted
            counts["annotated"] += 1
    if amends:
        collection.store.amend(amends)
    if rows:
        collection.store.append([given[at] for at in rows], vectors[rows], replacing=replacing)


def _known(collection: Collection, places: list[_Place]) -> dict[_Place, tuple[Any, ...]]:
    """Place -> key, sha256, mtime_ns, label, captions, fields of the item that is there."""
    found: dict[_Place, tuple[Any, ...]] = {}
    for root in {root for root, _ in places}:
        paths = [path for other, path in places if other == root]
        for start in range(0, len(paths), _SOME):
            some = paths[start : start + _SOME]
            with collection.store.reading() as catalogue:
                rows = catalogue.all(
                    "SELECT path, key, sha256, mtime_ns, label, captions, fields FROM item "
                    f"WHERE root IS ? AND path IN ({','.join('?' * len(some))})",
                    root,
                    *some,
                )
            found |= {(root, bytes(path)): tuple(facts) for path, *facts in rows}
    return found
