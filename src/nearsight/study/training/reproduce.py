"""A published table, row by row: what was published beside what is measured here under a declared protocol.

Each row is a recipe, trained into a folder of its own; a row that is already there, by the same recipe, is not trained
again. A row whose weights must be downloaded and cannot be gives way to its stand-in, and says so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from nearsight.core import settings
from nearsight.core.artefact import made_by, replace_file
from nearsight.core.errors import NearsightError, Unreachable
from nearsight.core.events import Event
from nearsight.encode.encoder import Encoder
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import Recipe
from nearsight.study import recipes
from nearsight.study.published import changed, require_rows, stand_in
from nearsight.study.report import Report
from nearsight.study.run import EXACT, run
from nearsight.study.training.outcome import read_reports, save_reports
from nearsight.study.training.run import divide, train

FORMAT, VERSION = "nearsight-table", 1


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it was published. ``published``: engine's title -> mAP; none for rows that are ours."""

    title: str
    recipe: str
    stand_in: str = ""
    published: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A table: what it shows, its rows, its engines (title -> address), and what must be known to read it."""

    name: str
    title: str
    lines: tuple[Line, ...]
    engines: Mapping[str, str]
    notes: tuple[str, ...]


TABLE1 = Published(
    "table1",
    "Retrieval on the MIT split",
    (
        Line("pre-trained", "report/pretrained", "report/pretrained_packed", {"KNN": 0.77, "FAISS": 0.78}),
        Line("siamese", "report/siamese", published={"KNN": 0.17, "FAISS": 0.18}),
        Line("triplet", "report/triplet", published={"KNN": 0.58, "FAISS": 0.60}),
        Line("fine-tuned, ours", "modern/finetuned"),
        Line("siamese, ours", "modern/siamese"),
        Line("triplet, ours", "modern/triplet"),
        Line("small network, any loss", "modern/small"),
    ),
    {"KNN": "exact", "FAISS": "faiss/Flat"},
    (
        "The report says only 'on the MIT Test Split': its figures stand beside both protocols, in which the test "
        "pictures search the training pictures (test->train), or each other (test-loo).",
        "mAP over the whole gallery, divided by all relevant pictures; ties count as the mean over their orders. Which "
        "mAP the report took, and of how many answers, it does not say; a truncated one can be higher or lower.",
        "FAISS's flat index is exact: KNN and FAISS rank alike here; where the published ones differ, something else "
        "did too. Both search by cosine.",
    ),
)
TABLES = {table.name: table for table in (TABLE1,)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure: a row of the table, through one engine, under one protocol.

    value      mean over the seeds' mAP; low, high: their spread, or with one seed the bootstrap's 95% interval
    published  of the same row and engine; None for rows that are ours
    chance     mAP of random rankings; first: P@1
    minutes    of a training: its median epoch times their number, for a run may have slept in between
    findings   codes of what the doctor found at the last epoch of any seed
    """

    row: str
    recipe: str
    engine: str
    protocol: str
    published: float | None
    value: float
    low: float
    high: float
    chance: float
    first: float
    seeds: tuple[int, ...]
    minutes: float
    findings: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was reproduced."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """{format, version, made_by, name, title, cells: [...], notes: [...]}."""
        body = {"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}
        return json.dumps(body, indent=1) + "\n"

    @property
    def findings(self) -> list[str]:
        """What the doctor found, row by row."""
        return sorted({f"{cell.row}: {', '.join(cell.findings)}" for cell in self.cells if cell.findings})

    def lines(self) -> list[tuple[str, ...]]:
        """For a terminal, the first one the header; a published value that we could not stand beside is a dash."""
        lines: list[tuple[str, ...]] = [
            ("row", "searched by", "protocol", "published", "measured", "interval", "chance", "P@1", "minutes")
        ]
        for cell in self.cells:
            lines.append(
                (
                    cell.row, cell.engine, cell.protocol, "-" if cell.published is None else f"{cell.published:.2f}",
                    f"{cell.value:.3f}", f"{cell.low:.3f} .. {cell.high:.3f}", f"{cell.chance:.3f}",
                    f"{cell.first:.3f}", f"{cell.minutes:.1f}",
                )
            )  # fmt: skip
        return lines


def reproduce(
    table: Published,
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    only: Sequence[str] = (),
    overrides: Sequence[str] = (),
    device: str = "auto",
) -> Generator[Event | Progress | Epoch, None, Table]:
    """Train and measure the rows (`only`: recipes to take), each with every seed, into `folder`.

    `overrides` are assignments for all recipes (``loop.epochs=1``); they are noted. Raises what `train` raises.
    """
    cells: list[Cell] = []
    require_rows(table.name, [line.recipe for line in table.lines], only)
    for line in table.lines:
        if only and line.recipe not in only:
            continue
        cells += yield from _line(line, table, folder, seeds, overrides, device)
    done = Table(table.name, table.title, tuple(cells), (*table.notes, *changed(overrides)))
    replace_file(folder / f"{table.name}.json", done.to_json().encode())
    return done


def _line(
    line: Line, table: Published, folder: Path, seeds: Sequence[int], overrides: Sequence[str], device: str
) -> Generator[Event | Progress | Epoch, None, list[Cell]]:
    def all_seeds(name: str) -> Generator[Event | Progress | Epoch, None, list[_Run]]:
        runs = []
        for seed in seeds:
            runs.append((yield from _run(_recipe(name, seed, overrides), folder, table, device)))
        return runs

    taken, note = line.recipe, ""
    try:
        runs = yield from all_seeds(taken)
    except Unreachable as error:
        if not line.stand_in:
            raise
        # for every seed: a mean over two recipes would be of neither
        taken = line.stand_in
        note, told = stand_in(line.recipe, taken, error)
        yield told
        runs = yield from all_seeds(taken)
    about = _recipe(taken, seeds[0], overrides).about
    return [
        _cell(line, taken, title, at, runs, seeds, note or about)
        for title in table.engines
        for at in range(len(runs[0].reports[title]))
    ]


@dataclass(frozen=True, slots=True)
class _Run:
    """One seed of one row: a report by engine and protocol, minutes of training, findings."""

    reports: Mapping[str, Sequence[Report]]
    minutes: float
    findings: tuple[str, ...]


def _run(
    recipe: Recipe, folder: Path, table: Published, device: str
) -> Generator[Event | Progress | Epoch, None, _Run]:
    place = folder / f"{recipe.name.replace('/', '-')}-seed{recipe.seed}"
    told = _finished(place, recipe)
    if told is None:
        yield from train(recipe, place, device=device)
        told = _finished(place, recipe)
        if told is None:
            raise NearsightError(f"{place} does not hold what was just trained into it")
    encoder = Encoder.load(place / "encoder")
    reports: dict[str, Sequence[Report]] = {}
    for title, address in table.engines.items():
        kept = place / ("after.json" if address == EXACT else f"after-{title.lower()}.json")
        found = read_reports(kept)
        if not found or any(report.card.encoder != encoder.spec.fingerprint for report in found):
            with tempfile.TemporaryDirectory(prefix="nearsight-") as cache:
                fresh = []
                selection = read_reports(place / "after.json")[0].card.selection_split
                for benchmark in divide(recipe).benchmarks:
                    one = yield from run(benchmark, encoder, engine=address, cache_folder=Path(cache))
                    fresh.append(replace(one, card=replace(one.card, selection_split=selection)))
            found = tuple(fresh)
            save_reports(kept, found)
        reports[title] = found
    history = [Epoch.from_json(one) for one in told["history"]]
    codes = tuple(dict.fromkeys(finding["code"] for finding in told["findings"]))
    return _Run(reports, len(history) * median(epoch.seconds for epoch in history) / 60, codes)


def _finished(place: Path, recipe: Recipe) -> dict[str, Any] | None:
    """training.json of an encoder that was trained by exactly this recipe; None where there is none."""
    try:
        if (place / "encoder" / "recipe.toml").read_text(encoding="utf-8") != settings.write(recipe):
            return None
        told: dict[str, Any] = json.loads((place / "encoder" / "training.json").read_text(encoding="utf-8"))
        return told if read_reports(place / "after.json") else None
    except (OSError, ValueError):
        return None


def _recipe(name: str, seed: int, overrides: Sequence[str]) -> Recipe:
    return replace(settings.override(recipes.of_pictures(recipes.read(name)), overrides), seed=seed)


def _cell(line: Line, taken: str, engine: str, at: int, runs: Sequence[_Run], seeds: Sequence[int], note: str) -> Cell:
    reports = [one.reports[engine][at] for one in runs]
    main = [report.measures[0] for report in reports]
    first = [next(row.value for row in report.measures if row.label == "P@1") for report in reports]
    values = [row.value for row in main]
    low, high = (min(values), max(values)) if len(values) > 1 else (main[0].low, main[0].high)
    return Cell(
        row=line.title,
        recipe=taken,
        engine=engine,
        protocol=reports[0].card.protocol,
        published=None if line.published is None else line.published.get(engine),
        value=sum(values) / len(values),
        low=low,
        high=high,
        chance=main[0].floor,
        first=sum(first) / len(first),
        seeds=tuple(seeds),
        minutes=sum(one.minutes for one in runs) / len(runs),
        findings=tuple(sorted({code for one in runs for code in one.findings})),
        note=note,
    )
