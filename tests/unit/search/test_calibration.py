"""What a score means: fitted where the truth is known, kept, said in every answer, refused where it cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fake_words import two_towers
from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import GrammarError, InputError, QueryError, ReadOnly
from nearsight.core.events import Done, Step
from nearsight.core.items import Item
from nearsight.encode import EncoderSpec
from nearsight.measure.intervals import Interval
from nearsight.search.calibration import fit
from nearsight.search.calibration.relation import ByCaptions, ByLabels
from nearsight.search.calibration.scale import NAME, Bars, Calibration, Level, Scale
from nearsight.search.collection import Collection
from nearsight.search.query import Query, Text
from nearsight.search.store.store import Record

DIM, KINDS = 32, 12


def draw(kind: int, n: int, seed: int) -> Vectors:
    """Pictures of one kind: around its own direction, so far apart that kinds meet at their edges."""
    centre = np.random.default_rng(kind).normal(size=DIM)
    return unit(centre + 1.1 * np.random.default_rng([kind, seed]).normal(size=(n, DIM)))


def filled(folder: Path, kinds: list[int], each: int = 60, *, labels: bool = True, mixed: bool = False) -> Collection:
    """`mixed`: the labels say nothing of the vectors."""
    made = Collection.create(folder, EncoderSpec("elsewhere", DIM, (), "ab" * 32, {}), engine="exact")
    told = np.repeat(kinds, each)
    if mixed:
        told = np.random.default_rng(1).permutation(told)
    records = [Record(f"{i}".encode(), label=str(kind) if labels else None) for i, kind in enumerate(told)]
    made.add(np.concatenate([draw(kind, each, 0) for kind in kinds]), records)
    return made


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[Collection]:
    """Eleven of twelve kinds; number 11 is not there."""
    with filled(tmp_path / "c", list(range(KINDS - 1))) as made:
        yield made


def run(collection: Collection, **more: object) -> Calibration:
    work = collection.calibrate(**more)  # type: ignore[arg-type]
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def verdicts(collection: Collection, queries: Vectors) -> list[str | None]:
    return [collection.search(query, 1)[0].verdict for query in queries]


def test_what_is_absent_is_chance_and_what_is_there_is_not(kinds: Collection) -> None:
    run(kinds)
    absent = verdicts(kinds, draw(11, 300, 1))
    assert 1 - absent.count("chance") / 300 < 0.2
    assert absent.count("sure") / 300 < 0.05
    there = [v for kind in range(KINDS - 1) for v in verdicts(kinds, draw(kind, 30, 1))]
    assert there.count("chance") / len(there) < 0.15
    assert there.count("sure") / len(there) > 0.5


def test_what_was_measured_is_what_comes_of_it(kinds: Collection) -> None:
    found = run(kinds).pictures
    assert found is not None
    assert found.how == "labels"
    for level, rate in ((found.likely, 0.1), (found.sure, 0.01)):
        assert level.at is not None
        assert level.false is not None
        assert level.found is not None
        assert level.precision is not None
        assert level.false.value == pytest.approx(rate, abs=rate / 2)
        there = np.concatenate([draw(kind, 60, 2) for kind in range(KINDS - 1)])
        hits = kinds.search_vectors(there, 10)
        labels = {item.key: item.label for item in kinds.items()}
        right = np.array([[labels[key] == str(row // 60) for key in keys] for row, keys in enumerate(hits.keys)])
        reach = hits.scores >= level.at
        best_right = np.where(right, hits.scores, -1).max(axis=1)
        assert abs((best_right >= level.at).mean() - level.found.value) < 0.1
        assert abs(right[reach].mean() - level.precision.value) < 0.05
    assert found.likely.at < found.sure.at


def test_labels_that_tell_nothing_are_said_to(tmp_path: Path) -> None:
    with filled(tmp_path / "c", list(range(8)), mixed=True) as made:
        found = run(made).pictures
        assert found is not None
        for level in (found.likely, found.sure):
            assert level.at is None
            assert "%" in level.why
        assert verdicts(made, draw(0, 5, 1)) == [None] * 5
        with pytest.raises(QueryError, match="cannot say which answer is sure") as caught:
            made.search(Query.like(1, verdict="sure"))
        assert caught.value.code == "query/verdict"


def paired(folder: Path) -> Collection:
    """3,000 items, of which every two are alike and the others random."""
    rng = np.random.default_rng(3)
    made = Collection.create(folder, EncoderSpec("elsewhere", 64, (), "ab" * 32, {}), engine="exact")
    pairs = np.repeat(rng.normal(size=(1500, 64)), 2, axis=0)
    records = [Record(f"{i}".encode(), label=f"{i // 2}") for i in range(3000)]
    made.add(unit(pairs + 0.5 * rng.normal(size=pairs.shape)), records)
    return made


@pytest.mark.parametrize("by", ["labels", "statistics"])
def test_the_best_of_n_random_vectors_is_chance(tmp_path: Path, by: str) -> None:
    with paired(tmp_path / "c") as made:
        found = run(made, by=by).pictures
        assert found is not None
        assert found.how == by
        best = made.search_vectors(unit(np.random.default_rng(9).normal(size=(2000, 64))), 1).scores[:, 0]
        for level in (found.likely, found.sure):
            assert (best >= level.at).mean() <= 1.5 * level.rate
            assert level.found.value > 0.9
        # a cosine has shorter tails than a normal distribution: by statistics alone the threshold lies on the safe side
        assert (best >= found.likely.at).mean() > (0.07 if by == "labels" else 0.01)


def test_a_sample_says_what_all_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth of the items, and the best of six times as many is worked out."""
    with paired(tmp_path / "c") as made:
        whole = run(made).pictures
        monkeypatch.setattr(fit, "_GALLERY", 500)
        part = run(made).pictures
    assert whole is not None
    assert part is not None
    assert (whole.items, part.items) == (3000, 500)
    assert part.likely.at == pytest.approx(whole.likely.at, abs=0.02)


def test_statistics_alone_say_where_they_cannot_tell(kinds: Collection) -> None:
    """Few tight groups: the middle of the scores says nothing about their best."""
    found = run(kinds, by="statistics").pictures
    assert found is not None
    assert (found.likely.at, found.sure.at, found.likely.precision) == (None, None, None)
    assert "chance would in 10%" in found.likely.why


def test_what_was_not_searched_counts_in_the_best_score() -> None:
    """With two labels half of the items are searched; chance is the best of all."""
    rng = np.random.default_rng(4)
    vectors = unit(rng.normal(size=(2000, 64)))
    items = [Item(key, Path(f"{key}"), "ab"[key % 2]) for key in range(2000)]
    own = np.arange(2000)
    work = fit._look("pictures", vectors, own, vectors, ByLabels(items, items))
    while True:
        try:
            next(work)
        except StopIteration as end:
            seen = end.value
            break
    wanted = np.median((unit(rng.normal(size=(2000, 64))) @ vectors.T).max(axis=1))
    half = np.median((unit(rng.normal(size=(2000, 64))) @ vectors[::2].T).max(axis=1))
    assert wanted - half > 0.015
    assert np.median(seen.null) == pytest.approx(wanted, abs=0.008)


def test_a_threshold_must_be_worth_something() -> None:
    good, bad = Interval(0.95, 0.93, 0.97), Interval(0.95, 0.85, 0.99)
    often, seldom = Interval(0.03, 0.021, 0.04), Interval(0.03, 0.019, 0.04)
    assert fit._doubt(0.7, 0.01, 0.9, often, good) == ""
    assert fit._doubt(0.7, 0.01, 0.9, often, None) == ""
    assert fit._doubt(0.7, 0.01, 0.9, often, bad) == "of the answers from 0.700 up only 95% are related"
    assert "reaches 0.700 in 3% of searches" in fit._doubt(0.7, 0.01, 0.9, seldom, good)


def test_it_is_kept_said_and_the_same_again(kinds: Collection, tmp_path: Path) -> None:
    assert kinds.calibration is None
    assert kinds.search(1, 3)[0].verdict is None
    found = run(kinds)
    content = (kinds.folder / NAME).read_bytes()
    assert run(kinds) == found
    assert (kinds.folder / NAME).read_bytes() == content
    other = run(kinds, seed=1)
    assert other.pictures != found.pictures
    assert kinds.calibration == other
    run(kinds)
    assert kinds.calibration == found
    with Collection.open(kinds.folder, read_only=True) as reader:
        assert reader.calibration == found
        assert reader.search(1, 3)[0].verdict == "sure"
        assert reader.stats()["calibrated"]
        list(kinds.backup(tmp_path / "copy"))
    with Collection.open(tmp_path / "copy", read_only=True) as copy:
        assert copy.calibration == found
    assert not [finding for finding in kinds.check() if not isinstance(finding, Step)]


def test_answers_below_a_verdict_are_left_out(kinds: Collection) -> None:
    run(kinds)
    everything = kinds.search(draw(3, 1, 8)[0], 700)
    for verdict, good in (("likely", {"likely", "sure"}), ("sure", {"sure"})):
        query = Query.like(draw(3, 1, 8)[0], verdict=verdict)
        assert kinds.search(query, 700) == [match for match in everything if match.verdict in good]
        few = Query.like(draw(3, 1, 8)[0], verdict=verdict, min_score=everything[1].score)
        assert kinds.search(few, 700) == [match for match in everything[:2] if match.verdict in good]
    assert {match.verdict for match in everything} == {"chance", "likely", "sure"}


def test_without_calibration_a_verdict_cannot_be_asked_for(kinds: Collection) -> None:
    with pytest.raises(QueryError) as caught:
        kinds.search(Query.like(1, verdict="likely"))
    assert (caught.value.code, caught.value.hint) == (
        "query/verdict",
        "nearsight calibrate fits what a score means here",
    )
    with pytest.raises(QueryError):
        Query.like(1, verdict="chance")


def test_several_examples_are_judged_by_the_mean_score(kinds: Collection) -> None:
    """Two pictures of one kind have more in common than one has with others; that is not evidence."""
    found = run(kinds)
    pairs = [Query.like(*some) for some in draw(11, 200, 5).reshape(100, 2, DIM)]
    absent = [kinds.search(query, 1)[0].verdict for query in pairs]
    assert absent.count("chance") >= 85
    assert absent.count("sure") <= 3
    a, b = draw(2, 2, 6)
    assert kinds.search(Query.like(a, b), 1)[0].verdict == "sure"
    assert kinds.search(Query(((a, 2.0),)), 1)[0].verdict == kinds.search(a, 1)[0].verdict
    assert found.bars_of(Query(((a, -1.0),)), 1.0) == Bars()
    match = kinds.search(Query(((a, 1.0), (b, -0.5))), 1)[0]
    length = float(np.linalg.norm(a - 0.5 * b))
    assert match.verdict == found.verdict(match.score * length)


def test_words_and_pictures_have_thresholds_of_their_own() -> None:
    def scale(likely: float, sure: float | None) -> Scale:
        return Scale(Level(likely, 0.1), Level(sure, 0.01), "captions", 100, 100, 0.03)

    found = Calibration(scale(0.5, 0.7), scale(0.2, 0.3), 100, 1, "ab", 0)
    assert [found.verdict(0.4), found.verdict(0.4, words=True)] == ["chance", "sure"]
    both = Query(((Text("red"), 1.0), (1, 3.0)))
    bars = found.bars_of(both, 4.0)
    assert (bars.likely, bars.sure) == (pytest.approx(0.425), pytest.approx(0.6))
    assert found.bars_of(both, 2.0).likely == pytest.approx(0.85)
    blind = Calibration(scale(0.5, None), None, 100, 1, "ab", 0)
    assert blind.verdict(0.99) == "likely"
    assert blind.verdict(0.99, words=True) is None
    assert blind.bars_of(both, 4.0) == Bars()


def test_of_another_encoder_or_damaged_it_is_as_good_as_not_there(kinds: Collection, tmp_path: Path) -> None:
    run(kinds)
    content = (kinds.folder / NAME).read_bytes()
    spec = EncoderSpec("other", DIM, (), "cd" * 32, {})
    with Collection.create(tmp_path / "other", spec, engine="exact") as other:
        (other.folder / NAME).write_bytes(content)
        assert other.calibration is None
    (kinds.folder / NAME).write_bytes(content.replace(b'"seed": 0', b'"seed": 1'))
    assert kinds.calibration is None
    assert kinds.search(1, 1)[0].verdict is None
    (finding,) = [finding for finding in kinds.check() if not isinstance(finding, Step)]
    assert (finding.code, finding.harmless) == ("calibration", True)
    kinds.close()
    list(Collection.repair(kinds.folder))
    assert not (kinds.folder / NAME).exists()


def test_a_collection_that_grew_is_said_to_have(kinds: Collection) -> None:
    found = run(kinds)
    assert found.stale(len(kinds)) == found.stale(2 * len(kinds)) == found.stale(len(kinds) // 2) == ""
    assert found.stale(2 * len(kinds) + 1) == "it was calibrated with 660 items and has 1,321 now"
    assert found.stale(1)


def test_closed_early_nothing_changes_and_steps_are_told(kinds: Collection) -> None:
    work = kinds.calibrate()
    first = next(work)
    assert first == Step("calibrate pictures", 64, 660)
    work.close()
    assert not (kinds.folder / NAME).exists()
    events = list(kinds.calibrate())
    assert [event.done for event in events if isinstance(event, Step)][-1] == 660
    assert isinstance(events[-1], Done)


def test_what_cannot_be_fitted_is_an_error(kinds: Collection, tmp_path: Path) -> None:
    with filled(tmp_path / "few", [1], each=10) as few, pytest.raises(InputError, match="too few") as caught:
        run(few)
    assert caught.value.code == "calibrate/few"
    for by in ("captions", "magic"):
        with pytest.raises(InputError) as caught:
            run(kinds, by=by)
        assert caught.value.code == "calibrate/by"
    kinds.close()
    with Collection.open(kinds.folder, read_only=True) as reader, pytest.raises(ReadOnly):
        run(reader)


def test_few_queries_cannot_say_what_one_in_a_hundred_is(tmp_path: Path) -> None:
    with filled(tmp_path / "c", [1, 2, 3], each=40) as made:
        found = run(made).pictures
        assert found is not None
        assert found.likely.at is not None
        assert found.sure.at is None
        assert found.sure.why == "60 unrelated queries are too few to say what only 1% of them reach"


def test_labels_and_captions_say_what_is_related(kinds: Collection) -> None:
    items = list(kinds.items([1, 2, 61]))
    assert ByLabels(items, items)(slice(0, 2)).tolist() == [[1, 1, -1], [1, 1, -1]]
    texts = [["a dog in snow", "the dog runs"], ["a dog on a beach"], ["a red car"], ["a blue sky"], ["a red sky"], []]
    signs = ByCaptions([["a dog"], ["a"], ["zebra"]], texts * 10, np.array([1, 2, 3]))(slice(0, 3))
    assert signs[0].tolist() == [1, 1, -1, -1, -1, 0] * 10
    assert signs[1].nonzero()[0].tolist() == [2]  # a word that all have but those without captions says nothing
    assert signs[2].nonzero()[0].tolist() == [3]


def test_a_verdict_is_written_and_read() -> None:
    query = Query.parse("horse | label = zoo; fold=0.97; verdict=sure")
    assert query.verdict == "sure"
    assert Query.parse(str(query)) == query
    for text in (
        "horse; verdict=chance",
        "horse; verdict=sure; verdict=sure",
        "horse; verdict sure",
        "a; verdict=surely",
    ):
        with pytest.raises(GrammarError):
            Query.parse(text)


def test_texts_of_our_own_stand_in_for_words_where_there_are_no_captions(tmp_path: Path) -> None:
    assert len(set(fit.bank())) == len(fit.bank()) > 200
    with Collection.create(tmp_path / "c", two_towers()) as made:
        rng = np.random.default_rng(0)
        made.add(unit(np.abs(rng.normal(size=(100, 768)))), [Record(f"{i}".encode()) for i in range(100)])
        found = run(made)
        assert found.pictures is not None
        assert found.words is None  # of our texts, this encoder knows those with a colour in them, too few
