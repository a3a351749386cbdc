"""``nearsight eval``: how good the answers are, on a collection's labels, or on a data set's labels or captions."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nearsight.cli import both_ways, places, render, reports
from nearsight.cli.index import skipped_table
from nearsight.cli.options import ENCODER
from nearsight.core.errors import InputError
from nearsight.core.events import Event, Skipped

if TYPE_CHECKING:
    from nearsight.data.datasets import Dataset
    from nearsight.study.crossmodal.report import CrossReport
    from nearsight.study.report import Report

T = TypeVar("T")

EXAMPLES = """nearsight eval ~/Pictures --json before.json
nearsight eval ~/Pictures --against before.json
nearsight eval --data mit_split --protocol 'test->train' -e colour -e hog --engine exact --engine faiss/HNSW32
nearsight eval --data karpathy/flickr8k -e two-towers/encoder --hubness csls --html captions.html"""


def run(
    collection: Annotated[
        Path | None,
        typer.Argument(
            metavar="[COLLECTION|REPORT.json]",
            help="A collection or indexed folder, measured on its own labels: every labelled picture searches the "
            f"others. Or a report written before. Else ${places.VARIABLE}, else {places.HIDDEN} in the working folder "
            "or one above it.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATASET",
            help="Measure on a data set instead (nearsight show datasets): mit_split, folder/PATH, karpathy/flickr8k.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="PATH", help="Where the data set lies; default: $NEARSIGHT_DATA."),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="ADDRESS",
            help=f"With --data: what makes the vectors, an address or an encoder folder; repeatable. '{ENCODER}' "
            "unless told. Captions need one that has words.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="ADDRESS",
            help="What searches, on labels; repeatable. 'exact' unless told; for another one, what it loses is told "
            "in parts.",
            show_default=False,
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            "--candidates",
            min=1,
            metavar="N",
            help="How many an engine brings to be scored exactly; else as many as the metrics look at.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol",
            metavar="RULE",
            help="With --data: 'test->train' (one split searches another), test-loo (leave one out in a split), loo "
            "(all). 'image->text' or 'text->image' measures captions, both ways at once. Repeatable. Default: "
            "test->train where there are such splits, else loo; captions where there are no labels.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="ADDRESS",
            help="What to measure on labels (nearsight show metrics), the main one first; repeatable.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Whose captions to measure; 'test' unless told, or all where there is none.",
            show_default=False,
        ),
    ] = None,
    hubness: Annotated[
        str | None,
        typer.Option(
            "--hubness",
            metavar="ADDRESS",
            help="For captions: hold back what everything finds (nearsight show hubness): csls, qb_norm.",
            show_default=False,
        ),
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(
            "--bank",
            metavar="SPLIT",
            help="Whose pictures and captions --hubness looks at; 'train' unless told.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            min=1,
            metavar="N",
            help="For captions: the mean of N parts that are searched by themselves (COCO 1K: 5 of its 5,000).",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the report; '-' is stdout. Several: a JSON array."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one report as a page, with the worst queries shown."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="REPORT.json",
            help="Compare with a report written before, query by query; refused where they measured different things.",
        ),
    ] = None,
    varying: Annotated[
        list[str] | None,
        typer.Option(
            "--varying",
            metavar="FIELD",
            help="What --against is about and may differ: encoder, engine (with its hubness correction); repeatable.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", metavar="", help="Keep vectors of data sets in the user's cache folder."),
    ] = True,
) -> None:
    """Measure how good the answers are, on labels or on captions both ways.

    Each measure stands beside its 95% interval and the value of a random ranking. The query itself is never counted.
    """
    if collection is not None and data is not None:
        raise InputError("a collection and --data are two things to measure", code="eval/what", hint="take one")
    captions = both_ways.Options(split, hubness, bank, folds)
    if data is None:
        for option, given in (("--encoder", encoder), ("--protocol", protocol), ("--root", root), *captions.given()):
            if given:
                raise InputError(
                    f"{option} goes with --data; a collection has its own", code="eval/what", hint=f"leave {option} out"
                )
    found: Sequence[Report | CrossReport]
    if collection is not None and collection.is_file():
        found = reports.load(collection)
    else:
        metrics, engines = _metrics(metric), engine or ["exact"]
        if data is None:
            found = list(_on_collection(places.find(collection), engines, metrics, candidates))
        else:
            dataset, encoders = _dataset(data, root), encoder or [ENCODER]
            if captions.asked(dataset, protocol or []):
                both_ways.refuse({"--engine": engine, "--candidates": candidates, "--metric": metric})
                found = list(_on_captions(dataset, encoders, captions, cache))
            else:
                found = list(_on_data(dataset, encoders, protocol or [], engines, metrics, candidates, cache))
    if html is not None and len(found) > 1:
        raise InputError(f"--html draws one report, and these are {len(found)}", code="eval/html")
    if str(as_json) != "-":
        _print(found)
    if as_json is not None:
        reports.save(as_json, found)
    if html is not None:
        _draw(found[0], html)
    if against is not None:
        reports.compare(against, found, varying or [])


# measuring


def _metrics(given: list[str] | None) -> tuple[str, ...]:
    from nearsight.study.run import METRIC_ADDRESSES

    return tuple(given) if given else METRIC_ADDRESSES


def _on_collection(
    folder: Path, engines: list[str], metrics: tuple[str, ...], candidates: int | None
) -> Iterator[Report]:
    from nearsight.study.collection import run_collection

    name = folder.resolve().parent.name if folder.name == places.HIDDEN else folder.name
    with places.opened(folder) as kept:
        bare = kept.labels().get(None, 0)
        if bare:
            render.warn(f"{bare:,} of {len(kept):,} pictures have no label and are left out")
        for engine in engines:
            yield finished(run_collection(kept, engine=engine, candidates=candidates, metrics=metrics, name=name))


def _dataset(data: str, root: Path | None) -> Dataset:
    from nearsight.data.datasets import load

    dataset = load(data, root)
    if dataset.skipped:
        render.warn(f"{len(dataset.skipped):,} left out of {dataset.name}, the first: {dataset.skipped[0].why}")
    return dataset


def _vectors(cache: bool) -> Path | None:
    """Where vectors of data sets are kept."""
    import platformdirs

    return platformdirs.user_cache_path("nearsight", appauthor=False) / "vectors" if cache else None


def _on_data(
    dataset: Dataset,
    encoders: list[str],
    protocols: list[str],
    engines: list[str],
    metrics: tuple[str, ...],
    candidates: int | None,
    cache: bool,
) -> Iterator[Report]:
    from nearsight.encode import create
    from nearsight.encode.quantize import stated
    from nearsight.study.fitting import fit_on
    from nearsight.study.run import run as study

    chosen = protocols or (["test->train"] if {"test", "train"} <= set(dataset.splits) else ["loo"])
    benchmarks = [dataset.benchmark(one) for one in chosen]
    for address in encoders:
        made = create(address)
        learned = fit_on(made, dataset, counted=lambda pictures: render.counted(pictures, "fit"))
        if told := stated(made.spec.identity):
            render.note(told)
        made.use("auto", expect=len(dataset.items))
        for benchmark in benchmarks:
            for engine in engines:
                yield finished(
                    study(
                        benchmark,
                        made,
                        engine=engine,
                        candidates=candidates,
                        metrics=metrics,
                        cache_folder=_vectors(cache),
                        transductive=learned,
                    )
                )


def _on_captions(
    dataset: Dataset, encoders: list[str], options: both_ways.Options, cache: bool
) -> Iterator[CrossReport]:
    from nearsight.encode import create

    for address in encoders:
        made = create(address).use("auto", expect=len(dataset.items))
        yield finished(options.measure(dataset, made, _vectors(cache)))


def finished(work: Generator[Event, None, T]) -> T:
    """Run a study to its end; what it left out is named."""
    skipped: list[Skipped] = []

    def see(event: Event) -> None:
        if isinstance(event, Skipped):
            skipped.append(event)

    report = render.watch(work, see)
    for line in skipped_table(skipped):
        render.warn(line)
    return report


# telling


def _draw(report: Report | CrossReport, html: Path) -> None:
    from nearsight.study.crossmodal.report import CrossReport
    from nearsight.study.pictures import Pictures

    if isinstance(report, CrossReport):
        from nearsight.study.pages.both_ways import write_both_ways_page

        write_both_ways_page(report, html, Pictures.default())
    else:
        from nearsight.study.pages.report import write_page

        write_page(report, html, Pictures.default())
    render.note(f"Page: {render.shown(html)}")


def _print(found: Sequence[Report | CrossReport]) -> None:
    from nearsight.study.crossmodal.report import CrossReport

    both_ways.tell([one for one in found if isinstance(one, CrossReport)])
    _tell([one for one in found if not isinstance(one, CrossReport)])


def _tell(reports: list[Report]) -> None:
    if not reports:
        return
    if len(reports) > 1:
        for line in overview(reports):
            render.out(line)
        return
    report = reports[0]
    render.out(render.clean(report.summary()).replace(report.encoder, render.brief(report.encoder)))
    render.out()
    for line in render.table(report.table(), right=(1, 2, 3), indent=2):
        render.out(line)
    if report.loss is not None:
        loss = report.loss
        render.out()
        render.out(
            f"  {report.measures[0].label} lacks {loss.total:.4f} to 1: "
            f"model {loss.model:.4f}, index {loss.index:.4f}, ties {loss.ties:.4f}"
        )
    for told in report.card.transductive:
        render.out()
        render.out(f"  Transductive: {told}")
    if 1 < len(report.classes) <= 60:
        render.out()
        rows = report.class_table()
        for line in render.table(rows, right=range(1, len(rows[0])), indent=2):
            render.out(line)


def overview(reports: list[Report], extra: dict[str, list[str]] | None = None) -> list[str]:
    """Several reports as one table: a row each, the first measure with interval and chance, then the others' values.

    `extra` are further columns: title -> a cell for each report.
    """
    first = reports[0].measures
    more = extra or {}
    many = len({report.card.protocol for report in reports}) > 1
    head = ["encoder", *(["protocol"] if many else []), "engine", first[0].label, "95% interval", "chance"]
    rows = [[*head, *(row.label for row in first[1:]), "ms a query", *more]]
    for at, report in enumerate(reports):
        values = {row.label: row.value for row in report.measures}
        main = report.measures[0]
        rows.append(
            [
                render.brief(report.encoder) + (" *" if report.card.transductive else ""),
                *([report.card.protocol] if many else []),
                _engine(report),
                f"{main.value:.4f}",
                f"{main.low:.4f} .. {main.high:.4f}",
                f"{main.floor:.4f}",
                *(f"{values[row.label]:.4f}" for row in first[1:]),
                f"{report.search_ms:.3f}",
                *(cells[at] for cells in more.values()),
            ]
        )
    lines = render.table(rows, right=range(len(head) - 3, len(rows[0])))
    notes = dict.fromkeys(told for report in reports for told in report.card.transductive)
    return [*lines, *([""] if notes else []), *(f"* {told}" for told in notes)]


def _engine(report: Report) -> str:
    """The engine; how many candidates it brought only where that is not the whole gallery."""
    name, _, count = report.card.engine.rpartition(", ")
    number = count.partition(" ")[0]
    return name if number.isdigit() and int(number) >= report.gallery - 1 else report.card.engine
