"""Vectors of pictures and captions, and which is of which, become a report of both ways.

The accuracy of trainings with triplets is reported as *triplet accuracy*: the share of (anchor, positive, negative) in
which the positive is nearer. The negatives are all captions of the other pictures (or all other pictures) of the split,
not one that was drawn. It says little, .5 is chance: R@k stands beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from nearsight.core.arrays import Vectors
from nearsight.core.errors import MeasureError
from nearsight.core.events import Skipped, Step
from nearsight.data.captions import Captioned
from nearsight.measure.crossmodal import RSUM, BothWays, Correcting, cut, measuring
from nearsight.measure.evaluate import drain
from nearsight.measure.intervals import SAMPLES
from nearsight.measure.judged import Floats
from nearsight.measure.protocol import Card, digest
from nearsight.measure.ranking import Gallery, rank
from nearsight.search.hubness import HUBNESS, Hubness, correcting
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS, CrossReport, Example, Found
from nearsight.study.report import Report, Row

NONE = "none"
SHOWN = 4
"""Examples of a kind, each way."""
_ANSWERS = 6
_RULES = {
    TO_TEXTS: "any of the picture's captions is right, among all captions",
    TO_IMAGES: "the caption's own picture is right, among all pictures",
}


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """What a hubness correction looks at: vectors of the pictures and of the captions of another split."""

    relation: Captioned
    images: Vectors
    texts: Vectors


def judge(images: Vectors, texts: Vectors, relation: Captioned, **given: Any) -> CrossReport:
    """`judging`, run to its end."""
    return drain(judging(images, texts, relation, **given))


def judging(
    images: Vectors,
    texts: Vectors,
    relation: Captioned,
    *,
    encoder: tuple[str, str],
    hubness: str = NONE,
    bank: Bank | None = None,
    folds: int = 1,
    hashes: Sequence[str] | None = None,
    skipped: Sequence[Skipped] = (),
    selection_split: str = "",
    seeds: Mapping[str, int] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Generator[Step, None, CrossReport]:
    """Unit vectors (n, d) of the relation's pictures and (m, d) of its texts -> CrossReport, with Steps.

    encoder   its address and its fingerprint
    hubness   address of a correction; its `bank` are pictures for pictures that search, captions for captions that do
    hashes    (n,) sha256 of the pictures, for the card; their names stand there without
    skipped   what was left out before, beside what the relation left out
    seeds     of the training, for the card

    Without a bank a correction takes the queries themselves, and the card says that it is transductive, as it does for
    a bank that holds pictures which are measured. Raises UnknownName for a correction that does not exist, InputError
    for its options, MeasureError where vectors and relation do not fit.
    """
    correction = cast(Hubness, HUBNESS.build(hubness))
    correct: tuple[Correcting | None, Correcting | None] = (None, None)
    engine, transductive = ("exact", "exact"), tuple[str, ...]()
    if correction.learns:
        asking = (images, texts) if bank is None else (bank.images, bank.texts)
        correct = (correcting(correction, asking[0]), correcting(correction, asking[1]))
        source = "the queries themselves" if bank is None else f"split {bank.relation.split or 'all'}"
        engine = (
            f"exact, {correction.address} with a bank of {len(asking[0])} pictures: {source}",
            f"exact, {correction.address} with a bank of {len(asking[1])} captions: {source}",
        )
        transductive = _transductive(correction.address, relation, bank)
    found = yield from measuring(images, texts, relation.of, correct=correct, folds=folds, samples=samples, seed=seed)
    pictures, captions = _digests(relation, hashes)
    reports = []
    for way, measures, asked, among, keys, ranked, size in (
        (TO_TEXTS, found.to_texts, pictures, captions, relation.ids.tolist(), engine[0], len(texts)),
        (TO_IMAGES, found.to_images, captions, pictures, range(len(texts)), engine[1], len(images)),
    ):
        card = Card(
            dataset=relation.name,
            protocol=f"{relation.split or 'all'}: {way}" + (f", mean of {folds} folds" if folds > 1 else ""),
            queries=asked,
            gallery=among,
            self_exclusion="not in the gallery",
            encoder=encoder[1],
            engine=ranked,
            metrics={row.metric.label: row.metric.definition for row in measures.rows},
            caption_rule=_RULES[way],
            selection_split=selection_split,
            seeds={"bootstrap": seed, **(seeds or {})},
            transductive=transductive,
        )
        reports.append(Report.of(card, encoder[0], measures, keys, gallery=size, skipped=(*relation.skipped, *skipped)))
    rsum = Row("rSum", RSUM, "rsum", "percent", found.rsum.value, found.rsum.low, found.rsum.high, found.floor)
    examples = _examples(images, texts, relation, found, correct, folds)
    return CrossReport(
        reports[0], reports[1], rsum, folds, relation.shared, tuple(relation.of.tolist()), tuple(examples)
    )


def _transductive(address: str, relation: Captioned, bank: Bank | None) -> tuple[str, ...]:
    if bank is None:
        return (f"{address} looked at all test queries: it had no bank of its own",)
    measured = {item.path for item in relation.pictures}
    known = sum(item.path in measured for item in bank.relation.pictures)
    return (f"{address}: {known} pictures of its bank are measured",) if known else ()


def _digests(relation: Captioned, hashes: Sequence[str] | None) -> tuple[str, str]:
    """Of the pictures and of the captions, for the card."""
    if hashes is not None and len(hashes) != len(relation.pictures):
        raise MeasureError(f"{len(hashes)} hashes of {len(relation.pictures)} pictures", code="measure/shape")
    names = hashes if hashes is not None else [item.path.name for item in relation.pictures]
    pictures = digest(f"{item.key} {name}" for item, name in zip(relation.pictures, names, strict=True))
    own = relation.ids[relation.of].tolist()
    return pictures, digest(f"{key} {text}" for key, text in zip(own, relation.texts, strict=True))


def _examples(
    images: Vectors,
    texts: Vectors,
    relation: Captioned,
    found: BothWays,
    correct: tuple[Correcting | None, Correcting | None],
    folds: int,
) -> list[Example]:
    """Good, middling and worst queries each way, the clearest first, with what they found in their own fold."""
    examples = []
    for way, measures, correcting_ in zip(
        (TO_TEXTS, TO_IMAGES), (found.to_texts, found.to_images), correct, strict=True
    ):
        to_texts = way == TO_TEXTS
        queries, gallery = (images, texts) if to_texts else (texts, images)
        places = measures["median rank"].values
        chosen = choose(places, [str(key) for key in relation.ids] if to_texts else relation.texts)
        answers: dict[int, tuple[Found, ...]] = {}
        for rows, told in cut(relation.of, folds):
            asking, among = (rows, told) if to_texts else (told, rows)
            mine = [query for query in chosen if query in set(asking.tolist())]
            ready = Gallery.of(among, gallery[among])
            correction = None if correcting_ is None else correcting_(ready)
            for part, hits in rank(queries[mine], ready, k=_ANSWERS, correct=correction):
                for query, keys, scores in zip(mine[part], hits.keys.tolist(), hits.scores.tolist(), strict=True):
                    own = query if to_texts else int(relation.of[query])
                    first = zip(keys[:_ANSWERS], scores[:_ANSWERS], strict=True)
                    answers[query] = tuple(_found(relation, key, score, own, to_texts) for key, score in first)
        for query, kind in chosen.items():
            own = query if to_texts else int(relation.of[query])
            begin, end = relation.starts[own : own + 2]
            said = relation.texts[begin:end] if to_texts else (relation.texts[query],)
            picture = str(relation.pictures[own].path)
            examples.append(Example(way, kind, float(places[query]), picture, said, answers[query]))
    return examples


def choose(places: Floats, names: Sequence[str], count: int = SHOWN) -> dict[int, str]:
    """Queries to show: row -> ``good``, ``middling`` or ``worst``; at most `count` of each, no query twice.

    By the place of the first right answer. Of queries with one place those come first whose `names` have the smaller
    sha256: no order of a listing decides who is shown.
    """
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
    order = sorted(range(len(names)), key=lambda row: (places[row], hashes[row], row))
    each = min(count, max(1, len(order) // 3))
    middle = (len(order) - each) // 2
    chosen: dict[int, str] = {}
    for kind, rows in (
        ("good", order[:each]),
        ("middling", order[middle : middle + each]),
        ("worst", order[::-1][:each]),
    ):
        for row in rows:
            chosen.setdefault(row, kind)
    return chosen


def _found(relation: Captioned, key: int, score: float, own: int, to_texts: bool) -> Found:
    row = int(relation.of[key]) if to_texts else key
    text = relation.texts[key] if to_texts else ""
    return Found(str(relation.pictures[row].path), text, score, row == own)
