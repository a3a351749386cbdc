"""``nearsight index FOLDER``: make a collection mirror a folder of pictures."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from nearsight.cli import places, render
from nearsight.cli.labels import annotation
from nearsight.cli.ladder import remember_speed
from nearsight.cli.options import DTYPE, ENCODER, ENGINE, Dtype, EngineOption, IsolateOption, WorkersOption
from nearsight.core.errors import EncoderMismatch, InputError, WriteFailed
from nearsight.core.events import Done, Encoded, Event, Skipped

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_SAMPLE = 1000
_MANY = 100_000
"""Pictures for which a GPU's arithmetic is chosen: bf16 where it gives the golden vectors."""
_NAMED = 3


EXAMPLES = """nearsight index ~/Pictures
nearsight index shop --collection shop.ns --encoder timm/resnet50 --labels shop/table.csv
nearsight index flickr8k/images --labels flickr8k/dataset_flickr8k.json --split test -c test.ns -e runs/words/encoder
nearsight index archive --memory 2G
nearsight index uploads --isolate --report skipped.jsonl"""


class Drop(StrEnum):
    """What happens to items whose pictures are gone."""

    SAFE = "safe"
    ALWAYS = "always"
    NEVER = "never"


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of pictures, with all folders in it.")],
    collection: Annotated[
        Path | None,
        typer.Option(
            "--collection",
            "-c",
            metavar="PATH",
            help=f"Where the collection is kept. Default: ${places.VARIABLE}, else FOLDER/{places.HIDDEN}.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="ADDRESS",
            help="What makes the vectors: an address (nearsight show encoders) or an encoder folder. A collection "
            f"keeps its encoder; a new one takes '{ENCODER}' unless told.",
            show_default=False,
        ),
    ] = None,
    engine: EngineOption = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Instead of --engine: the fastest engine whose search takes no more than so much memory (500M, 2G), "
            "chosen anew as the collection grows. Remembered until --engine.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            "--dtype",
            help=f"How a new collection stores vectors: {DTYPE} unless told; float16 takes half the bytes.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="folder|TABLE|none",
            help="Where labels come from: the folder that a picture lies in, a CSV or Parquet table (path, label, "
            "caption, further columns to filter by; paths below the table's folder), captions in Karpathy's JSON "
            "(dataset_flickr8k.json), or nowhere. Remembered; a new collection takes 'folder'.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Only pictures of this split of the table, as if there were no others. Remembered until a table is "
            "named without it. Without it all are in, and --filter split=NAME chooses when searching.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        Drop,
        typer.Option(
            "--drop",
            help="Pictures that are gone: forget them, but not when most vanish at once (safe); always, even a whole "
            "FOLDER; never.",
        ),
    ] = Drop.SAFE,
    isolate: IsolateOption = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", metavar="", help="Follow symbolic links that stay inside FOLDER.")
    ] = False,
    workers: WorkersOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write every file that was left out, and why, as JSON lines."),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", metavar="", help="Show where the time goes: reading, decoding, the network, committing."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", metavar="", help="JSON lines on stdout: one for each file left out, then the counts."),
    ] = False,
) -> None:
    """Make a collection mirror a folder of pictures.

    New pictures are added, changed ones encoded again, moved ones followed, gone ones forgotten; nothing is encoded
    twice. Ctrl-C keeps what is done, and the same command goes on from there.
    """
    if memory is not None and engine is not None:
        raise InputError(
            "--engine names the engine, --memory has it chosen", code="memory/engine", hint="leave one out"
        )
    from nearsight.search.budget import parse_size

    allowed = None if memory is None else parse_size(memory)
    where = places.home(folder, collection)
    fresh = not (where / "manifest.json").is_file()
    if fresh and not folder.is_dir():  # one that was indexed and is gone is for `sync` to judge
        raise InputError(f"there is no folder {render.shown(folder)}", code="folder/none", hint="check the path")
    if fresh:
        kept = make(where, folder, encoder, engine, dtype)
    else:
        kept = places.reopened(where, lambda there: _require_same(there, encoder), engine=engine, dtype=dtype)
    with kept:
        if allowed is not None:
            kept.choose_engine(allowed)
        annotate, only = annotation(kept, folder, labels, split)
        spec = kept.store.manifest
        render.note(f"{render.shown(where)}: {render.header(spec['encoder'], spec['engine'])}")
        before = len(kept)
        seen = _Seen(as_json)
        events = kept.sync(
            folder,
            annotate=annotate,
            only=only,
            drop=drop.value,
            workers=workers,
            isolate=isolate,
            follow_links=follow_links,
            profile=profile,
        )
        try:
            render.watch(render.generator(events), seen)
        except (render.Stopped, KeyboardInterrupt):
            raise render.Stopped(
                f"stopped; the collection has {len(kept):,} pictures, {len(kept) - before:,} of them new. "
                "The same command goes on from here."
            ) from None
        finally:
            if report is not None:
                _write_report(report, seen.skipped)
        _summary(seen, len(kept), as_json, where, folder.resolve())
        if kept.engine_choice is not None:
            render.note(f"{kept.engine}: {kept.engine_choice.why}")
        if len(kept) and kept.engine_state != "ready":
            render.warn(f"the engine will be told the rest by the next index: {kept.engine_state}")
        remember_speed(spec["encoder"], seen.encoded, seen.done.seconds if seen.done else 0)
        if fresh and not as_json:
            inside = "" if collection is None and places.VARIABLE not in os.environ else f" -c {render.shown(where)}"
            given = "PICTURE|WORDS" if "text" in kept.modalities else "PICTURE"
            render.note(render.aside(f"Search it: nearsight search {given}{inside}"))
            if encoder is None:
                render.note(render.aside(f"'{ENCODER}' is small and quick; larger ones: nearsight show encoders"))


# the collection


def make(
    where: Path, folder: Path, encoder: str | None = None, engine: str | None = None, dtype: Dtype | None = None
) -> Collection:
    """A new collection for a folder. An encoder that learns does so from a sample of it, and that is remembered."""
    from nearsight.encode import create
    from nearsight.encode.quantize import stated
    from nearsight.search.collection import Collection
    from nearsight.search.store.takeover import LEARNED
    from nearsight.search.sync import sample

    made = create(encoder or ENCODER)
    learns = not made.tower.fitted
    if learns:
        made.fit(render.counted(sample(folder, _SAMPLE, side=made.tower.side), "fit"))
        if told := stated(made.spec.identity):
            render.note(told)
    if made.on_gpu:
        made.use(expect=_MANY)
    kept = Collection.create(where, made, engine=engine or ENGINE, dtype=dtype.value if dtype else DTYPE)
    if learns:
        kept.remember(LEARNED, f"{render.brief(made.spec.address)} learned from these pictures (not from their labels)")
    return kept


def _require_same(kept: Collection, encoder: str | None) -> None:
    from nearsight.encode import create
    from nearsight.search.migration import made_by

    if encoder is None:
        return
    given = create(encoder)
    if not made_by(given, kept.store.manifest):
        place = render.shown(kept.folder)
        raise EncoderMismatch(
            f"{place} was made by {kept.store.manifest['encoder']}; {given.tower.address} gives other vectors",
            hint=f"to change its encoder: nearsight migrate {place} --encoder {encoder}; to keep it, leave --encoder "
            "out; or index into a new collection: --collection PATH",
        )


# what is said


class _Seen:
    """Keeps what the summary needs of the events; with --json, hands skipped files on as they come."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.skipped: list[Skipped] = []
        self.encoded = 0
        self.done: Done | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Skipped):
            self.skipped.append(event)
            if self.as_json:
                render.line({"event": "skipped", **_facts(event)})
        elif isinstance(event, Encoded):
            self.encoded += event.count
        elif isinstance(event, Done):
            self.done = event


def _facts(skipped: Skipped) -> dict[str, str]:
    return {"path": skipped.path, "code": skipped.code, "why": skipped.why, "hint": skipped.hint}


def _write_report(file: Path, skipped: list[Skipped]) -> None:
    try:
        with open(file, "w", encoding="ascii") as handle:
            _lines(handle, skipped)
    except OSError as error:
        raise WriteFailed(
            f"could not write {file}: {error.strerror or error}", hint="choose another --report"
        ) from error


def _lines(handle: IO[str], skipped: list[Skipped]) -> None:
    for one in skipped:
        handle.write(json.dumps(_facts(one)) + "\n")


def _summary(seen: _Seen, total: int, as_json: bool, where: Path, folder: Path) -> None:
    done = seen.done or Done("sync")
    if as_json:
        body: dict[str, Any] = {"event": "done", "collection": str(where), "items": total, **done.counts}
        spent = {"spent": {part: round(seconds, 3) for part, seconds in done.spent.items()}} if done.spent else {}
        render.line({**body, "seconds": round(done.seconds, 3), **spent})
    told = [f"{count:,} {name}" for name, count in done.counts.items() if count and name != "skipped"]
    pace = f", {seen.encoded / done.seconds:,.0f} pictures a second" if seen.encoded and done.seconds > 0.5 else ""
    render.note(f"{total:,} pictures: {', '.join(told) or 'nothing to do'} ({render.duration(done.seconds)}{pace})")
    if done.spent:
        render.note(f"where the time went: {render.shares(done.spent)}; {_bound(done.spent)}")
    for text in skipped_table(seen.skipped, folder):
        render.note(text)


def _bound(spent: Mapping[str, float]) -> str:
    """Which part to make faster."""
    first = ("walk", "waiting", "encode", "commit", "engine")  # one after the other; the rest goes on beside them
    slowest = max(first, key=lambda part: spent.get(part, 0.0))
    return {
        "walk": "looking for files takes longest",
        "waiting": "the network waits for pictures: reading and decoding take longest",
        "encode": "the network takes longest",
        "commit": "the disk takes longest",
        "engine": "building the engine's index takes longest",
    }[slowest]


def skipped_table(skipped: list[Skipped], folder: Path | None = None) -> list[str]:
    """Files that were left out, by reason, the first few of each named (below `folder`), with the repair."""
    if not skipped:
        return []
    groups: dict[str, list[Skipped]] = defaultdict(list)
    for one in skipped:
        groups[one.code].append(one)
    lines = [f"{len(skipped):,} left out:"]
    for code, some in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        names = ", ".join(render.shown(one.path, folder) for one in some[:_NAMED])
        more = f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
        lines.append(f"  {len(some):>5,}  {code.removeprefix('picture/')}: {names}{more}")
        if some[0].hint:
            lines.append(f"         {render.aside(some[0].hint)}")
    return lines
