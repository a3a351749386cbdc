"""Judged answers make the query better; they are kept, and become a table to train on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import InputError, QueryError, ReadOnly
from nearsight.encode import EncoderSpec
from nearsight.search import feedback, judgements
from nearsight.search.calibration.scale import Calibration, Level, Scale
from nearsight.search.collection import Collection
from nearsight.search.query import PROBE, Query, Text
from nearsight.search.store.store import Record

DIM, EACH = 32, 40


def draw(kind: int, n: int, seed: int) -> Vectors:
    """Kinds that lie near each other, in many directions that say nothing."""
    centre = np.random.default_rng(kind).normal(size=DIM)
    noise = np.random.default_rng([kind, seed]).normal(size=(n, DIM)) * np.linspace(0.2, 3, DIM)
    return unit(0.9 * centre + noise + 1)


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[Collection]:
    """Six kinds of forty."""
    with Collection.create(tmp_path / "c", EncoderSpec("elsewhere", DIM, (), "ab" * 32, {}), engine="exact") as made:
        records = [Record(f"{i}.jpg".encode(), label=str(i // EACH)) for i in range(6 * EACH)]
        made.add(np.concatenate([draw(kind, EACH, 0) for kind in range(6)]), records)
        yield made


def judged(collection: Collection, query: Vectors, kind: str, each: int) -> Query:
    """As somebody who goes down the answers until `each` are good and `each` bad."""
    found = collection.search(query, len(collection))
    good = [match.item.key for match in found if match.item.label == kind][:each]
    bad = [match.item.key for match in found if match.item.label != kind][:each]
    return Query(((query, 1.0),), up=tuple(good), down=tuple(bad))


def precision(collection: Collection, query: Query, kind: str, seen: set[int]) -> float:
    """Mean precision at the good answers, among those that were not judged."""
    found = [match.item for match in collection.search(query, len(collection)) if match.item.key not in seen]
    right = np.array([item.label == kind for item in found])
    return float((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())


@pytest.mark.parametrize("each", [2, PROBE])
def test_judgements_make_the_rest_of_the_answers_better(kinds: Collection, each: int) -> None:
    before, after = [], []
    for kind in range(6):
        for query in draw(kind, 5, 1):
            refined = judged(kinds, query, str(kind), each)
            assert refined.method == ("probe" if each == PROBE else "rocchio")
            seen = {*refined.up, *refined.down}
            before.append(precision(kinds, Query.like(query), str(kind), seen))
            after.append(precision(kinds, refined, str(kind), seen))
    assert np.mean(after) > np.mean(before) + 0.05
    assert np.mean(np.array(after) > np.array(before)) > 0.7


def test_rocchio_is_what_rocchio_wrote(kinds: Collection) -> None:
    query = draw(0, 1, 1)[0]
    up, down = kinds.vectors(np.array([1, 2])), kinds.vectors(np.array([90]))
    wanted = 0.2 * query + 0.8 * up.mean(axis=0) - 0.2 * down.mean(axis=0)
    got = kinds.vector(Query(((query, 3.0),), up=(1, 2), down=(90,)))
    assert np.allclose(got, wanted / np.linalg.norm(wanted), atol=1e-6)
    alone = kinds.vector(Query((), up=(1, 2)))
    assert np.allclose(alone, unit(up.mean(axis=0)[None])[0], atol=1e-6)
    assert kinds.vector(Query((), down=(90,))) == pytest.approx(-down[0])


def test_the_classifier_is_at_its_minimum() -> None:
    """Found by going down the gradient of what is to be minimised, a small step at a time."""
    rng = np.random.default_rng(0)
    query, up, down = unit(rng.normal(size=(1, 20)))[0], unit(rng.normal(size=(6, 20))), unit(rng.normal(size=(9, 20)))
    start = feedback.rocchio(query, up, down)[0].astype(np.float64)
    w, b = start.copy(), 0.0
    for _ in range(5000):
        good, bad = 1 / (1 + np.exp(up @ w + b)), 1 / (1 + np.exp(-down @ w - b))
        w -= 0.2 * (feedback._PENALTY * (w - start) - good @ up / len(up) + bad @ down / len(down))
        b -= 0.2 * float(bad.mean() - good.mean())
    assert feedback.probe(query, up, down) == pytest.approx(w / np.linalg.norm(w), abs=1e-5)
    assert float(start @ w) / np.linalg.norm(w) < 0.99


def test_separable_judgements_and_many_of_them_are_no_trouble(kinds: Collection) -> None:
    with np.errstate(all="raise"):
        vector = feedback.probe(None, draw(0, 500, 2), draw(3, 3, 2))
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-6)
    same = draw(0, 1, 1)
    with pytest.raises(QueryError) as caught:
        feedback.rocchio(feedback.BAD * same[0], same[:0], same)
    assert caught.value.code == "query/cancelled"


def test_bad_answers_are_gone_and_good_ones_where_it_is_said(kinds: Collection) -> None:
    query = judged(kinds, draw(0, 1, 1)[0], "0", 2)
    found = [match.item.key for match in kinds.search(query, 240)]
    assert len(found) == 238
    assert {*query.up} <= {*found}
    fresh = Query(query.examples, up=query.up, down=query.down, unjudged=True)
    left = [match.item.key for match in kinds.search(fresh, 240)]
    assert left == [key for key in found if key not in query.up]
    assert [match.item.key for match in kinds.search(fresh, 10)] == left[:10]
    assert [match.rank for match in kinds.search(fresh, 5, offset=5)] == [6, 7, 8, 9, 10]
    assert [match.item.key for match in kinds.search(fresh, 5, offset=5)] == left[5:10]
    folding = Query(query.examples, up=query.up, down=query.down, fold=0.5)
    shown = kinds.search(folding, 10)
    assert not {*query.down} & {key for match in shown for key in (match.item.key, *match.folded)}


def test_what_cannot_be_judged_is_an_error(kinds: Collection) -> None:
    for make, code in (
        (lambda: Query.like(1).__class__(((1, 1.0),), up=(3,), down=(3,)), "query/judged"),
        (lambda: kinds.search(Query((), up=(999,))), "query/key"),
        (lambda: kinds.search(Query(())), "query/empty"),
        (lambda: kinds.search(Query((), up=(1, 2), down=(1 << 61,))), "query/key"),
        (lambda: kinds.search_captions(Query(((1, 1.0),), up=(3,))), "query/judged"),
    ):
        with pytest.raises(QueryError) as caught:
            make()
        assert caught.value.code == code
    assert Query(((1, 1.0),), up=(3, 3, np.int64(4))).up == (3, 4)


def test_refined_answers_are_judged_by_the_mean_score(kinds: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = Scale(Level(0.6, 0.1), Level(0.8, 0.01), "labels", 100, 100, 0.0)
    found = Calibration(scale, None, 240, 1, kinds.fingerprint, 0)
    monkeypatch.setattr(Collection, "calibration", found)
    query = draw(0, 1, 1)[0]
    plain, refined = Query.like(query), Query(((query, 2.0),), up=(1, 2), down=(90,))
    bars = kinds.aim(plain).bars
    assert (bars.likely, bars.sure) == (pytest.approx(0.6), pytest.approx(0.8))
    up, down = kinds.vectors(np.array([1, 2])), kinds.vectors(np.array([90]))
    length = float(np.linalg.norm(0.2 * query + 0.8 * up.mean(axis=0) - 0.2 * down.mean(axis=0)))
    assert kinds.aim(refined).bars.likely == pytest.approx(0.6 / length)
    assert kinds.aim(Query((), up=(1, 2))).bars.likely == pytest.approx(0.6 / np.linalg.norm(up.mean(axis=0)))
    probe = judged(kinds, query, "0", PROBE)
    assert {match.verdict for match in kinds.search(probe, 10)} == {None}
    with pytest.raises(QueryError, match="cannot say which answer is sure"):
        kinds.search(Query(probe.examples, verdict="sure", up=probe.up, down=probe.down))


def test_several_items_get_a_label_at_once(kinds: Collection) -> None:
    before = kinds.store.snapshot().generation
    kinds.annotate([1, 2, 3], label="horse")
    assert kinds.store.snapshot().generation == before + 1
    assert [item.label for item in kinds.items([1, 2, 3, 4])] == ["horse"] * 3 + ["0"]
    with pytest.raises(InputError):
        kinds.annotate([1, 999], label="cow")
    assert kinds.item(1).label == "horse"
    kinds.annotate(np.int64(1), label=None)
    assert kinds.item(1).label is None


def test_judgements_are_kept_and_become_a_table(kinds: Collection, tmp_path: Path) -> None:
    kinds.keep_feedback(Text("a horse"), up=[1, 2], down=[50])
    kinds.keep_feedback(Query(((Text("sand"), 1.0), (7, 1.0), (8, -1.0)), up=(2,), down=(51,)))
    kinds.keep_feedback(draw(0, 1, 1)[0], up=[60])
    kinds.keep_feedback(draw(0, 1, 2)[0], up=[61])
    kinds.keep_feedback("./a horse.jpg", down=[1])
    kinds.keep_feedback(Text("a horse"), down=[1], up=[50])
    kinds.close()
    with Collection.open(kinds.folder) as again:
        found = judgements.kept(again.store)
        assert [(one.number, one.query, one.words, one.up, one.down) for one in found[:2]] == [
            (1, "a horse", "a horse", (1, 2), (50,)),
            (2, "sand + @7 - @8", "", (2, 7), (51, 8)),
        ]
        assert judgements.labels(found) == {
            1: "not a horse: 1",
            2: "sand + @7 - @8",
            7: "sand + @7 - @8",
            8: "not sand + @7 - @8: 8",
            50: "a horse",
            51: "not sand + @7 - @8: 51",
            60: "<vector> 3",
            61: "<vector> 4",
        }
        again.delete([51])
        list(judgements.write_table(again, tmp_path / "judged.csv"))
        list(again.backup(tmp_path / "copy"))
        assert not [finding for finding in again.check() if hasattr(finding, "harmless")]
    with Collection.open(tmp_path / "copy", read_only=True) as copy:
        assert judgements.kept(copy.store) == found
        with pytest.raises(ReadOnly):
            copy.keep_feedback(1, up=[2])
    with open(tmp_path / "judged.csv", encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 7
    assert rows["1.jpg"]["caption"] == "a horse"
    assert rows["49.jpg"] == {"path": "49.jpg", "label": "a horse", "caption": "a horse"}


def test_a_table_without_judgements_is_an_error(kinds: Collection, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        judgements.write_table(kinds, tmp_path / "judged.csv")
    assert caught.value.code == "feedback/none"
    with pytest.raises(InputError) as caught:
        judgements.write_table(kinds, tmp_path / "judged.parquet")
    assert caught.value.code == "export/format"
    for query, judged_, code in ((1, {}, "feedback/none"), (1, {"up": [999]}, "item/unknown")):
        with pytest.raises(InputError) as caught:
            kinds.keep_feedback(query, **judged_)
        assert caught.value.code == code
    assert judgements.kept(kinds.store) == []
