from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import Hits, Keys, Vectors, ranked
from nearsight.core.errors import DatasetError, FormatError, MeasureError, PictureError
from nearsight.core.events import Done, Skipped, Step
from nearsight.core.items import Benchmark, Item
from nearsight.encode.encoder import create
from nearsight.search import engines
from nearsight.study import run as study
from nearsight.study.pages.report import page, write_page
from nearsight.study.pictures import Pictures
from nearsight.study.report import Report, compare

HUES = {"warm": (220, 90, 40), "cold": (40, 90, 220), "green": (60, 180, 70)}


class Counting:
    """Pictures from files, counting what is decoded."""

    def __init__(self) -> None:
        self.decoded = 0

    def pictures(self) -> Pictures:
        return Pictures(lambda path: path.read_bytes(), self.decode)

    def decode(self, data: bytes, side: int) -> Image.Image:
        self.decoded += 1
        try:
            return Image.open(io.BytesIO(data)).convert("RGB")
        except OSError as error:
            raise PictureError("not a picture", code="picture/not-a-picture") from error


@pytest.fixture(scope="module")
def benchmark_(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Eight noisy pictures of each of three hues, and one picture that is alone in its class."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    items = []
    for label, hue in [*(pair for pair in HUES.items() for _ in range(8)), ("alone", (128, 128, 128))]:
        noise = rng.normal(0, 90, size=(24, 32, 3)) + rng.normal(0, 60, size=3)
        path = folder / f"{len(items)}.png"
        Image.fromarray(np.clip(np.array(hue) + noise, 0, 255).astype(np.uint8)).save(path)
        items.append(Item(len(items) + 10, path, label))
    return Benchmark("hues", "all-loo", tuple(items), tuple(items), True)


def measured(benchmark: Benchmark, **given: Any) -> Report:
    given.setdefault("pictures", Counting().pictures())
    return study.finish(study.run(benchmark, given.pop("encoder", create("colour")), samples=200, **given))


@pytest.fixture(scope="module")
def report(benchmark_: Benchmark) -> Report:
    return measured(benchmark_)


class Half:
    """An engine that knows every second key only."""

    address, exact, oversample, derived = "half?step=2", False, 1.0, False

    def add(self, keys: Keys, vectors: Vectors) -> None:
        self.keys, self.vectors = keys[::2], vectors[::2]

    def search(self, queries: Vectors, k: int, *, among: Keys | None = None) -> Hits:
        return ranked(np.tile(self.keys, (len(queries), 1)), queries @ self.vectors.T, k)


class Whole(Half):
    address, exact = "whole", True

    def add(self, keys: Keys, vectors: Vectors) -> None:
        self.keys, self.vectors = keys, vectors


class Engines:
    def build(self, address: str, **given: Any) -> Half:
        return {"half": Half, "whole": Whole}[address]()


def test_events_then_the_report(benchmark_: Benchmark, report: Report) -> None:
    events = list(study.run(benchmark_, create("colour"), pictures=Counting().pictures(), samples=10))
    assert [e for e in events if isinstance(e, Step) and e.what == "pictures encoded"][-1].done == 25
    assert isinstance(events[-1], Done)
    assert events[-1].counts == {"queries": 24, "lone": 1, "skipped": 0}
    assert (report.queries, report.lone, report.gallery) == (24, 1, 25)
    assert report.measures[0].label == "mAP"
    assert report.measures[0].floor < report.measures[0].low < report.measures[0].value < 1
    assert [row.name for row in report.classes] == ["cold", "green", "warm"]
    assert report.values["mAP"][24] is None
    assert report.card.self_exclusion == "by key"
    assert report.card.metrics["P@1"] == "relevant items in the first 1 places, divided by 1"


def test_worst_queries_come_first_and_never_answer_themselves(report: Report) -> None:
    values = [failure.value for failure in report.worst]
    assert values == sorted(values)
    assert values[0] == min(v for v in report.values["mAP"] if v is not None)
    for failure in report.worst:
        assert failure.key not in {answer.key for answer in failure.answers}
        assert all(answer.right == (answer.label == failure.label) for answer in failure.answers)


def test_json_round_trip(report: Report, tmp_path: Path) -> None:
    assert Report.from_json(report.to_json()) == report
    odd = replace(report, encoder="caf\udce9 \N{SNOWMAN}")  # a file name that is not UTF-8
    odd.write(tmp_path / "r.json")
    assert Report.from_json((tmp_path / "r.json").read_text()) == odd


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"format": "other"}', '{"format": "nearsight-report", "version": 99}',
     '{"format": "nearsight-report", "version": 1}', "[" * 100_000],
)  # fmt: skip
def test_what_is_not_a_report_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        Report.from_json(text)


def test_vectors_are_made_once(benchmark_: Benchmark, report: Report, tmp_path: Path) -> None:
    first, again, other = Counting(), Counting(), Counting()
    assert measured(benchmark_, pictures=first.pictures(), cache_folder=tmp_path).values == report.values
    assert first.decoded == 25
    assert measured(benchmark_, pictures=again.pictures(), cache_folder=tmp_path).values == report.values
    assert again.decoded == 0
    measured(benchmark_, encoder=create("colour?bins=4"), pictures=other.pictures(), cache_folder=tmp_path)
    assert other.decoded == 25


def test_a_cache_that_cannot_be_kept_costs_no_measurement(
    benchmark_: Benchmark, report: Report, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert measured(benchmark_, cache_folder=tmp_path / "file" / "cache").values == report.values


def test_a_damaged_cache_is_made_again(benchmark_: Benchmark, report: Report, tmp_path: Path) -> None:
    measured(benchmark_, cache_folder=tmp_path)
    (file,) = tmp_path.glob("*/vectors.npy")
    data = bytearray(file.read_bytes())
    data[-3] ^= 64
    file.write_bytes(bytes(data))
    counting = Counting()
    assert measured(benchmark_, pictures=counting.pictures(), cache_folder=tmp_path).values == report.values
    assert counting.decoded == 25


@pytest.mark.parametrize("cached", [False, True])
def test_bad_pictures_are_named_and_left_out(benchmark_: Benchmark, tmp_path: Path, cached: bool) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    bad = (Item(1, tmp_path / "text.jpg", "warm"), Item(2, tmp_path / "gone.jpg", "cold"))
    items = (*bad, *benchmark_.gallery)
    broken = Benchmark("hues", "all-loo", items, items, True)
    folder = tmp_path / "cache"
    if cached:
        measured(broken, cache_folder=folder)
    events = []
    work = study.run(broken, create("colour"), pictures=Counting().pictures(), samples=10, cache_folder=folder)
    try:
        while True:
            events.append(next(work))
    except StopIteration as end:
        report = end.value
    named = [(e.path, e.code) for e in events if isinstance(e, Skipped)]
    assert sorted(named) == [
        (str(tmp_path / "gone.jpg"), "picture/unreadable"),
        (str(tmp_path / "text.jpg"), "picture/not-a-picture"),
    ]
    assert (report.gallery, report.queries, len(report.skipped)) == (25, 24, 2)


def test_nothing_to_find_is_an_error(benchmark_: Benchmark) -> None:
    unlabelled = tuple(replace(item, label=None) for item in benchmark_.gallery)
    with pytest.raises(DatasetError) as caught:
        measured(Benchmark("x", "y", unlabelled, unlabelled, True))
    assert caught.value.code == "dataset/nothing-to-find"


def test_an_exact_engine_measures_the_same_to_the_last_digit(
    benchmark_: Benchmark, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENGINES", Engines())
    other = measured(benchmark_, engine="whole")
    assert other.values == report.values
    assert other.card.engine == "whole, 24 candidates"
    assert other.loss is not None
    assert other.loss.index == 0
    cut = ["precision@3", "hit@5"]
    assert measured(benchmark_, engine="whole", metrics=cut).values == measured(benchmark_, metrics=cut).values


def test_what_an_engine_loses_is_told(benchmark_: Benchmark, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ENGINES", Engines())
    half = measured(benchmark_, engine="half")
    assert half.loss is not None
    assert half.loss.model == pytest.approx(1 - report.measures[0].value)
    assert half.loss.index == pytest.approx(report.measures[0].value - half.measures[0].value)
    assert half.loss.index > 0.2
    assert "did not bring" in page(half, Counting().pictures())


def test_few_candidates_lose_what_they_do_not_bring(
    benchmark_: Benchmark, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENGINES", Engines())
    few = measured(benchmark_, engine="whole", candidates=5)
    assert few.card.engine == "whole, 5 candidates"
    assert few.values["P@5"] == report.values["P@5"]
    for cut, full in zip(few.values["mAP"], report.values["mAP"], strict=True):
        assert (cut is None) == (full is None)
        assert cut is None or cut <= min(full, 5 / 7) + 1e-12  # 5 of the 7 relevant ones at most
    assert few.loss is not None
    assert few.loss.index == pytest.approx(report.measures[0].value - few.measures[0].value)


def test_comparing_wants_one_protocol(benchmark_: Benchmark, report: Report) -> None:
    better = measured(benchmark_, encoder=create("colour?bins=4"))
    with pytest.raises(MeasureError, match="encoder"):
        compare(report, better)
    changes = {change.label: change for change in compare(report, better, varying=["encoder"])}
    change = changes["mAP"]
    assert change.difference.value == pytest.approx(change.after - change.before)
    assert change.difference.low <= change.difference.value <= change.difference.high
    same = compare(report, report)[0]
    assert (same.difference.value, same.clear) == (0, False)
    smaller = measured(replace(benchmark_, queries=benchmark_.queries[:20]))
    with pytest.raises(MeasureError, match="queries"):
        compare(report, smaller)


def test_comparing_pairs_queries_by_key(benchmark_: Benchmark, report: Report) -> None:
    turned = measured(replace(benchmark_, queries=benchmark_.queries[::-1]))
    assert turned.card == report.card
    difference = compare(report, turned)[0].difference
    assert difference.low == difference.high == 0


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}]

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_runs_nothing(report: Report, tmp_path: Path) -> None:
    write_page(report, tmp_path / "page.html", Counting().pictures())
    text = (tmp_path / "page.html").read_text()
    seen = Seen()
    seen.feed(text)
    assert seen.open == []
    assert "script" not in seen.tags
    assert seen.tags.count("img") == len(report.worst) == 12
    assert all(address.startswith("data:image/jpeg;base64,") for address in seen.addresses)
    assert "http://" not in text
    assert "https://" not in text
    for row in report.measures:
        assert f"<b>{row.value:.4f}</b>" in text
        assert f"{row.floor:.4f}" in text
    assert report.card.gallery in text
    assert "Lone queries: 1." in text


def test_hostile_names_stay_text(report: Report) -> None:
    nasty = "<script>alert(1)</script>\"'\udce9"
    worst = replace(report.worst[0], path=nasty, label=nasty)
    odd = replace(
        report,
        encoder=nasty,
        card=replace(report.card, dataset=nasty),
        worst=(worst,),
        skipped=(Skipped(nasty, "c", nasty),),
        classes=(replace(report.classes[0], name=nasty),),
    )
    text = page(odd, Counting().pictures())
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    text.encode("utf-8", "replace")


def test_tables_are_plain_rows(report: Report) -> None:
    header, first, *_ = report.table()
    assert header == ("measure", "value", "95% interval", "chance")
    assert first[0] == "mAP"
    assert re.fullmatch(r"0\.\d{4} \.\. 0\.\d{4}", first[2])
    assert {len(row) for row in report.class_table()} == {3 + len(report.measures)}
    assert "24 queries in 25 pictures, 1 lone" in report.summary()


def test_the_json_is_as_documented(report: Report) -> None:
    from nearsight.study import report as module

    documented = set(re.findall(r'"(\w+)"', module.__doc__ or ""))
    body = json.loads(report.to_json())
    assert set(body) <= documented
    assert set(body["measures"][0]) <= documented
    assert set(body["worst"][0]["answers"][0]) <= documented


def test_many_reports_are_one_file(report: Report) -> None:
    from nearsight.study.report import many_from_json, many_to_json

    assert many_from_json(many_to_json([report, report])) == [report, report]
    assert many_from_json(report.to_json()) == [report]
    with pytest.raises(FormatError):
        many_from_json("[{")
