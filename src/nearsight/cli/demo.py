"""``nearsight demo``: everything once, on pictures that are drawn here; no network, no torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import render
from nearsight.cli.answers import draw, save
from nearsight.cli.eval import finished, overview
from nearsight.cli.examples import PICTURE, Example
from nearsight.cli.index import make
from nearsight.cli.serve import tell
from nearsight.core.errors import MissingExtra

if TYPE_CHECKING:
    from nearsight.search.collection import Collection
    from nearsight.study.report import Report

EXAMPLES = """nearsight demo
nearsight demo --folder /tmp/scenes --n 80
nearsight demo --serve"""

ENCODERS = ("bundled", "colour", "hog", "bovw?words=300")
ENGINES = ("exact", "faiss/Flat", "faiss/HNSW32", "faiss/SQ8")
METRICS = ("average_precision", "precision@1", "precision@5")


def run(
    folder: Annotated[
        Path, typer.Option("--folder", metavar="PATH", help="Where pictures, collections and the sheet are kept.")
    ] = Path("demo"),
    n: Annotated[int, typer.Option("--n", min=40, metavar="N", help="How many scenes to draw.")] = 240,
    serve: Annotated[
        bool, typer.Option("--serve", metavar="", help="Then show the collections in a page, until Ctrl-C.")
    ] = False,
) -> None:
    """Draw pictures, index them, search them, measure the answers.

    Eight kinds of scenes; each descriptor makes a collection, each engine searches it; a contact sheet shows one
    search. A second run finds everything done.
    """
    from nearsight.data.datasets import load

    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    render.note(f"Drawing {n:,} scenes in {render.shown(folder)} (kept for the next run) ...")
    dataset = load(f"drawn?n={n}", folder.resolve())
    pictures = _common(dataset.items[0].path, folder.resolve())
    reports, weights = [], []
    found: list[tuple[float, Path]] = []
    for address in ENCODERS:
        try:
            kept = _indexed(folder, pictures, address)
        except MissingExtra as missing:
            render.note(f"Without {address}: {missing.message} ({missing.hint})")
            continue
        with kept:
            for engine in ENGINES:
                report = _measured(kept, engine)
                reports.append(report)
                weights.append(_weight(kept, engine))
            found.append((max(report.measures[0].value for report in reports[-len(ENGINES) :]), kept.folder))
    render.out(f"{len(dataset.items):,} pictures, {len(dataset.labels)} kinds; each searches all the others")
    render.out()
    for line in overview(reports, {"bytes a vector": weights}):
        render.out(line)
    render.out()
    places = [place for _, place in sorted(found, reverse=True)]
    if places:
        _search(folder, places[0], dataset.items[len(dataset.labels) // 2].path)
    render.note(render.aside(f"{render.duration(time.monotonic() - begun)} in all"))
    if serve:
        from nearsight.http.server import serve as show
        from nearsight.http.settings import Settings

        show(places, Settings(), lambda url: tell(url, open_page=True))


def _common(picture: Path, folder: Path) -> Path:
    """The folder of the drawn set: the first one below `folder` on the way to a picture."""
    return folder / picture.relative_to(folder).parts[0]


def _indexed(folder: Path, pictures: Path, address: str) -> Collection:
    """The collection of one descriptor, made or brought up to date."""
    from nearsight.search.collection import Collection
    from nearsight.search.sync import folder_label

    place = folder / f"{address.partition('?')[0]}.ns"
    kept = Collection.open(place) if (place / "manifest.json").is_file() else make(place, pictures, address)
    try:
        render.watch(render.generator(kept.sync(pictures, annotate=folder_label)))
    except BaseException:
        kept.close()
        raise
    return kept


def _measured(kept: Collection, engine: str) -> Report:
    from nearsight.study.collection import run_collection

    return finished(run_collection(kept, engine=engine, metrics=METRICS, name="drawn"))


def _weight(kept: Collection, engine: str) -> str:
    from nearsight.study.collection import bytes_a_vector

    return f"{bytes_a_vector(kept, engine):,.0f}"


def _search(folder: Path, place: Path, picture: Path) -> None:
    """One search, shown as a command and as a sheet."""
    from nearsight.search.collection import Collection

    content = picture.read_bytes()
    with Collection.open(place, read_only=True) as kept:
        own = set(kept.twins(content))
        matches = [match for match in kept.search(content, 10) if match.item.key not in own][:9]
        sheet = draw(kept, [Example(picture.name, PICTURE, content)], own, matches)
        words = "text" in kept.modalities
    file = folder / "sheet.png"
    save(sheet, file)
    render.out(f"Try: nearsight search {render.shown(picture)} -c {render.shown(place)}")
    if words:
        render.out(f'Try: nearsight search "a car on a street" -c {render.shown(place)}')
