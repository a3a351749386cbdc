"""The whole run: list the source once, then encode the shards that are not there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from itertools import chain
from pathlib import Path
from typing import Any, cast

from nearsight.core.artefact import MANIFEST, read_manifest, write_manifest
from nearsight.core.errors import FormatError, InputError, NotACollection, WriteFailed
from nearsight.core.events import Done, Encoded, Event, Skipped, Step
from nearsight.encode import Encoder
from nearsight.search.bulk.files import (
    PLAN,
    SHARDS,
    SKIPPED,
    TRIES,
    Entry,
    named,
    numbers,
    parquet,
    read_skipped,
    shard_facts,
    write_plan,
    write_skipped,
)
from nearsight.search.bulk.options import Options
from nearsight.search.bulk.runners import RUNNERS, Runner
from nearsight.search.bulk.shard import Work
from nearsight.search.bulk.sources import Source, listed, source
from nearsight.search.store.lock import WriterLock

FORMAT, VERSION = "nearsight-bulk", 1
_TOLD = 10_000
"""Rows of a table of what the listing left out."""


def encode(
    given: str, encoder: Encoder, out: Path, options: Options | None = None, *, on: str = "local"
) -> Generator[Event, None, None]:
    """Encode all pictures of a source into Parquet shards in the folder `out`; see `nearsight.search.bulk`.

    The source is listed once, and what is in the list is what will be encoded: pictures that come later go to another
    folder. The same call goes on where a run ended, however it ended; what is there is not made again. `on`: a runner's
    address (``local``, ``ray``).

    Yields Step, Skipped (of shards made now), Encoded (a shard is there) and Done with counts: encoded, skipped, kept
    (encoded before), shards. Closed early (Ctrl-C) it leaves whole shards alone.

    Raises InputError (no such source; ``bulk/other``: the folder belongs to another run; ``bulk/empty``), DatasetError,
    EncoderError (not fitted), Locked, WriteFailed, MissingExtra, ClusterError, UnknownName.
    """
    started = time.monotonic()
    options = options or Options()
    counts = dict.fromkeys(("encoded", "skipped", "kept", "shards"), 0)
    parquet()
    runner = cast(Runner, RUNNERS.build(on))
    found = source(given)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"could not make {out}: {error}") from error
    lock = WriterLock(out)
    try:
        meta = yield from _planned(found, encoder, out, options, counts)
        counts["shards"] = meta["shards"]
        work = Work(
            out.resolve(), found.root or out, meta["pictures"], meta["dtype"], options.limits, options.workers,
            options.isolate,
        )  # fmt: skip
        yield from _shards(work, runner, meta, options.retry, counts)
    finally:
        lock.release()
    yield Done("encode", counts, time.monotonic() - started)


def read_run(out: Path) -> dict[str, Any]:
    """What a bulk run was asked for. Raises NotACollection, FormatError, Damaged."""
    meta: dict[str, Any] = read_manifest(out / MANIFEST, FORMAT, VERSION)["meta"]
    return meta


def _planned(
    found: Source, encoder: Encoder, out: Path, options: Options, counts: dict[str, int]
) -> Generator[Event, None, dict[str, Any]]:
    """The run's manifest, after the source was listed if it was not before."""
    columns = options.columns
    asked = {
        "source": found.text,
        "encoder": encoder.spec.address,
        "fingerprint": encoder.spec.fingerprint,
        "dtype": options.dtype,
        "rows": options.rows,
        "columns": [columns.path, columns.label, columns.caption],
        "folder_labels": options.folder_labels,
    }
    try:
        meta = read_run(out)
    except NotACollection:
        meta = yield from _list(found, encoder, out, options, asked, counts)
        return meta
    except FormatError as error:
        raise InputError(f"{out} holds something else", code="bulk/other", hint="choose another --out") from error
    for name, value in asked.items():
        if meta[name] != value:
            raise InputError(
                f"{out} belongs to a run with {name} {_shown(meta[name])}, not {_shown(value)}",
                code="bulk/other",
                hint="choose another --out, or ask for the same",
            )
    return meta


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _list(
    found: Source, encoder: Encoder, out: Path, options: Options, asked: dict[str, Any], counts: dict[str, int]
) -> Generator[Event, None, dict[str, Any]]:
    """The manifest comes last: a listing that was broken off begins again."""
    for name in (PLAN, SHARDS, SKIPPED, TRIES):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir()
    encoder.save(out / "encoder")
    shards, pictures = 0, 0
    entries: list[Entry] = []
    left_out: list[Skipped] = []
    for one in chain(listed(found, options, out), [None]):
        if isinstance(one, Skipped):
            left_out.append(one)
            yield one
        elif one is not None:
            entries.append(one)
        if len(entries) == options.rows or (one is None and entries):
            write_plan(named(out, PLAN, shards), entries)
            shards, pictures, entries = shards + 1, pictures + len(entries), []
            yield Step("walk", pictures, None)
        if len(left_out) == _TOLD or (one is None and left_out):
            write_skipped(out / SKIPPED / f"listing_{counts['skipped']:06d}.parquet", left_out)
            counts["skipped"], left_out = counts["skipped"] + len(left_out), []
    if not pictures:
        raise InputError(f"there are no files in {found.text}", code="bulk/empty", hint="check the path")
    meta = asked | {
        "root": None if found.root is None else str(found.root),
        "dim": encoder.spec.dim,
        "shards": shards,
        "pictures": pictures,
    }
    write_manifest(out / MANIFEST, FORMAT, VERSION, meta, {})
    return meta


def _shards(
    work: Work, runner: Runner, meta: dict[str, Any], retry: bool, counts: dict[str, int]
) -> Generator[Event, None, None]:
    there = set(numbers(work.folder, SHARDS))
    again = set(numbers(work.folder, SKIPPED)) if retry else set()
    missing = [number for number in range(meta["shards"]) if number not in there or number in again]
    behind = 0
    for number in sorted(there - again):
        behind += _size(meta, number)
        counts["kept"] += shard_facts(named(work.folder, SHARDS, number))[1]
    yield Step("encode", behind, meta["pictures"])
    if not missing:
        return
    going: dict[int, int] = {}
    for number, done, whole in runner.run(work, missing):
        going[number] = done
        if whole:
            behind += going.pop(number)
            yield from _told(work.folder, number, counts)
        yield Step("encode", behind + sum(going.values()), meta["pictures"])


def _size(meta: dict[str, Any], number: int) -> int:
    """Pictures in the plan of a shard: all have as many, but the last."""
    return min(int(meta["rows"]), int(meta["pictures"]) - number * int(meta["rows"]))


def _told(folder: Path, number: int, counts: dict[str, int]) -> Generator[Event, None, None]:
    """A shard is there."""
    rows = shard_facts(named(folder, SHARDS, number))[1]
    counts["encoded"] += rows
    if rows:
        yield Encoded(rows)
    left_out = named(folder, SKIPPED, number)
    for one in read_skipped(left_out) if left_out.is_file() else ():
        counts["skipped"] += 1
        yield one
