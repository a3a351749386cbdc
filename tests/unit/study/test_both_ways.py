"""The judge of captions and pictures: its card, its corrections, what it shows, and its report on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import FormatError, InputError, MeasureError, UnknownName
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.data.captions import Captioned, captioned
from nearsight.data.datasets import Dataset
from nearsight.measure.crossmodal import both_ways
from nearsight.search.hubness import HUBNESS, correcting
from nearsight.study.crossmodal.judge import Bank, choose, judge
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS, CrossReport, compare_both

ENCODER = ("colour | words", "f" * 64)


def made(split: str, n: int = 40, seed: int = 0, *, noise: float = 0.8) -> tuple[Captioned, Vectors, Vectors]:
    """Pictures with 1 to 6 captions each and vectors that lean to a middle which pictures and captions share."""
    rng = np.random.default_rng(seed)
    items = tuple(
        Item(1000 * seed + row, Path(f"/{split}/{row}.jpg"), None, split, tuple(f"{split} {row} {c}" for c in range(k)))
        for row, k in enumerate(rng.integers(1, 7, n))
    )
    relation = captioned(Dataset("set", items), split)
    centres = rng.normal(size=(n, 24)) + 0.7
    centres[: n // 10] += 1.5  # hubs
    told = centres[relation.of] + noise * rng.normal(size=(len(relation.of), 24))
    return relation, unit(centres + noise * rng.normal(size=(n, 24))), unit(told)


def bank(seed: int = 5) -> Bank:
    relation, images, texts = made("train", seed=seed)
    return Bank(relation, images, texts)


def judged(**given: Any) -> CrossReport:
    relation, images, texts = made("test", noise=given.pop("noise", 0.8))
    return judge(images, texts, relation, encoder=ENCODER, samples=100, **given)


@pytest.fixture(scope="module")
def report() -> CrossReport:
    return judged()


def test_both_reports_hold_what_was_measured(report: CrossReport) -> None:
    relation, images, texts = made("test")
    found = both_ways(images, texts, relation.of, samples=100)
    assert (report.rsum.value, report.rsum.low, report.rsum.high) == (
        found.rsum.value, found.rsum.low, found.rsum.high,
    )  # fmt: skip
    assert report.rsum.low < report.rsum.value < report.rsum.high
    assert report.rsum.floor < report.rsum.low
    for (_, one), measures in zip(report.ways, (found.to_texts, found.to_images), strict=True):
        assert [row.value for row in one.measures] == [row.interval.value for row in measures.rows]
        assert [row.label for row in one.measures] == ["R@1", "R@5", "R@10", "median rank", "triplet accuracy"]
    assert (report.to_texts.queries, report.to_texts.gallery) == (40, len(texts))
    assert (report.to_images.queries, report.to_images.gallery) == (len(texts), 40)
    assert report.to_texts.query_keys == tuple(relation.ids.tolist())


def test_the_card_says_under_which_rule(report: CrossReport) -> None:
    there, back = report.to_texts.card, report.to_images.card
    assert (there.protocol, back.protocol) == ("test: image->text", "test: text->image")
    assert "any of the picture's captions" in there.caption_rule
    assert "own picture" in back.caption_rule
    assert (there.queries, there.gallery) == (back.gallery, back.queries)
    assert there.engine == back.engine == "exact"
    assert not there.transductive
    other = judged(hashes=[f"{n:064x}" for n in range(40)], seeds={"training": 3}, selection_split="val", folds=4)
    card = other.to_texts.card
    assert card.queries != there.queries
    assert card.gallery == there.gallery
    assert card.protocol == "test: image->text, mean of 4 folds"
    assert (card.seeds, card.selection_split) == ({"bootstrap": 0, "training": 3}, "val")
    with pytest.raises(MeasureError):
        judged(hashes=["one"])


@pytest.mark.parametrize("hubness", ["csls?k=5", "inverted_softmax", "qb_norm"])
def test_a_correction_is_declared_with_its_bank(report: CrossReport, hubness: str) -> None:
    own = bank()
    found = judged(hubness=hubness, bank=own)
    built = HUBNESS.build(hubness)
    relation, images, texts = made("test")
    correct = (correcting(built, own.images), correcting(built, own.texts))
    assert found.rsum.value == both_ways(images, texts, relation.of, correct=correct, samples=2).rsum.value
    assert found.to_texts.card.engine == f"exact, {built.address} with a bank of 40 pictures: split train"
    assert f"{len(own.texts)} captions: split train" in found.to_images.card.engine
    assert not found.to_texts.card.transductive
    with pytest.raises(MeasureError, match="engine"):
        compare_both(report, found)
    assert found.rsum.value != report.rsum.value


def test_a_bank_of_the_test_queries_is_stamped() -> None:
    for given in ({}, {"bank": Bank(*made("test"))}):
        found = judged(hubness="csls", **given)
        for _, one in found.ways:
            assert len(one.card.transductive) == 1
            assert "csls" in one.card.transductive[0]
    assert "40 pictures" in found.to_texts.card.transductive[0]
    assert not judged(hubness="none", bank=Bank(*made("test"))).to_texts.card.transductive
    for address, error in (("cslss", UnknownName), ("csls?k=0", InputError)):
        with pytest.raises(error):
            judged(hubness=address)


def test_what_was_left_out_stands_in_both(report: CrossReport) -> None:
    note = Skipped("x.jpg", "picture/damaged", "broken")
    assert judged(skipped=[note]).to_images.skipped == (note,)
    assert not report.to_texts.skipped


def test_examples_are_of_every_kind_and_say_what_is_right(report: CrossReport) -> None:
    relation, _, _ = made("test")
    for way in (TO_TEXTS, TO_IMAGES):
        some = [example for example in report.examples if example.way == way]
        assert {kind: [e.kind for e in some].count(kind) for kind in ("good", "middling", "worst")} == {
            "good": 4, "middling": 4, "worst": 4,
        }  # fmt: skip
        by_kind = {kind: [e.place for e in some if e.kind == kind] for kind in ("good", "middling", "worst")}
        assert max(by_kind["good"]) <= min(by_kind["middling"]) <= max(by_kind["middling"]) <= min(by_kind["worst"])
        assert by_kind["worst"] == sorted(by_kind["worst"], reverse=True)
        for example in some:
            assert [found.score for found in example.answers] == sorted(
                (found.score for found in example.answers), reverse=True
            )
            right = [at for at, found in enumerate(example.answers, 1) if found.right]
            assert (right[0] if right else 7) == min(example.place, 7)
            for found in example.answers:
                assert found.right == (found.picture == example.picture)
                assert bool(found.text) == (way == TO_TEXTS)
            own = next(item for item in relation.pictures if str(item.path) == example.picture)
            assert set(example.texts) <= set(own.captions)
            assert len(example.texts) == (len(own.captions) if way == TO_TEXTS else 1)


def test_examples_of_folds_and_of_corrections_are_those_that_were_measured() -> None:
    for given in ({"folds": 4}, {"hubness": "csls?k=3", "bank": bank()}, {"folds": 3, "hubness": "qb_norm"}):
        for example in judged(**given).examples:
            right = [at for at, found in enumerate(example.answers, 1) if found.right]
            assert (right[0] if right else 7) == min(example.place, 7)


def test_who_is_shown_follows_from_places_and_names_alone() -> None:
    places = np.array([1.0, 1, 1, 1, 1, 9, 2, 2, 30, 5])
    names = [f"caption {n}" for n in range(10)]
    kinds = {names[row]: kind for row, kind in choose(places, names, 3).items()}
    order = np.random.default_rng(0).permutation(10)
    mixed = {names[order[row]]: kind for row, kind in choose(places[order], [names[at] for at in order], 3).items()}
    assert kinds == mixed
    assert [name for name, kind in kinds.items() if kind == "worst"] == ["caption 8", "caption 5", "caption 9"]
    assert choose(np.array([1.0]), ["one"]) == {0: "good"}
    assert set(choose(np.array([1.0, 2]), ["one", "two"])) == {0, 1}


def test_it_is_the_same_after_a_round_trip(report: CrossReport, tmp_path: Path) -> None:
    report.write(tmp_path / "r.json")
    assert CrossReport.from_json((tmp_path / "r.json").read_text()) == report
    body = json.loads(report.to_json())
    for broken in (
        "", "[]", "{}", "null", "[" * 100_000, report.to_texts.to_json(),
        json.dumps({**body, "version": 99}),
        json.dumps({**body, "extra": 1}),
        json.dumps({key: value for key, value in body.items() if key != "rsum"}),
        json.dumps({**body, "of": body["of"][1:]}),
        json.dumps({**body, "rsum": {**body["rsum"], "odd": 1}}),
        json.dumps({**body, "text_to_image": {}}),
        json.dumps({**body, "examples": [{}]}),
    ):  # fmt: skip
        with pytest.raises(FormatError):
            CrossReport.from_json(broken)


def test_rows_for_a_terminal(report: CrossReport) -> None:
    rows = report.table()
    assert [row[0] for row in rows if row[0]] == ["both ways", TO_TEXTS, TO_IMAGES]
    assert rows[1][1] == "rSum"
    assert len(rows) == 2 + 2 * 5
    assert "40 pictures" in report.summary()


def test_two_encoders_are_compared_on_the_same_draws(report: CrossReport) -> None:
    better = judged(noise=0.3)
    changes = {(way, change.label): change for way, change in compare_both(report, better)}
    assert len(changes) == 11
    rsum = changes["both ways", "rSum"]
    assert rsum.clear
    assert rsum.difference.value == pytest.approx(better.rsum.value - report.rsum.value)
    for way, (_, one), (_, two) in zip((TO_TEXTS, TO_IMAGES), report.ways, better.ways, strict=True):
        change = changes[way, "R@1"]
        assert (change.before, change.after) == (one.measures[0].value, two.measures[0].value)
        assert change.difference.value == pytest.approx(change.after - change.before)
    same = compare_both(report, report)
    assert all((c.difference.low, c.difference.value, c.difference.high) == (0, 0, 0) for _, c in same)
    folded = compare_both(judged(folds=4), judged(folds=4, noise=0.3))[0][1]
    assert folded.difference.value == pytest.approx(folded.after - folded.before)
    card = replace(report.to_texts.card, encoder="other")
    other = replace(better, to_texts=replace(better.to_texts, card=card))
    with pytest.raises(MeasureError, match="encoder"):
        compare_both(report, other)
    with pytest.raises(MeasureError, match="captions"):
        compare_both(report, replace(better, of=better.of[1:]))
