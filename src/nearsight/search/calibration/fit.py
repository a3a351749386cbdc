"""Fitting what a score means, from what the best score of an unrelated query is in this collection.

The null hypothesis is that nothing in the collection has to do with the query. Then the best of n scores is an extreme
value, and its distribution over queries is what a real best score is held against.

* **Where labels or captions say what is unrelated**, pictures (or captions) of the collection are the queries, each
  searched for among the unrelated items only. That is a query of a kind that is not there.
* **Where nothing says so**, the middle of each query's scores does: at most a fifth of a collection is taken to be
  related to one query, and the others' scores to be normal from the median to there. The best of n of such has the
  distribution function F(x)^n. Where a collection falls into few tight groups that is too much, and then it is said
  that nothing can be told. How often an answer is right, nobody knows here.

In the first case fewer than n items were searched, and in a large collection only a sample. The best of n exceeds the
best of u by b log(n / u) in the mean, where b is the mean distance of the best two (Gumbel, 1958; Weissman, 1978). What
a threshold is worth is measured among those that were searched, before it is raised for the others.

A threshold is the smallest score that at most a declared share of unrelated queries reach: of m of them, the place
ceil((m + 1)(1 - rate)) by rising score, which keeps the rate for the next one whatever the distribution (Vovk et al.,
2005). It is fitted on half of the queries and measured on the other half, and kept only where it is worth something
there: a related answer reaches it at least twice as often as chance does, and of the answers that reach it at least
half (likely) or nine of ten (sure) are related, at the lower end of the interval. By statistics alone, twice as many
pictures of the collection must have a neighbour that reaches it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.core.errors import EncoderError, InputError, ReadOnly
from nearsight.core.events import Done, Event, Step
from nearsight.core.items import Item
from nearsight.measure.intervals import Interval, bootstrap, proportion
from nearsight.search.calibration.relation import ByCaptions, ByLabels, Relation
from nearsight.search.calibration.scale import LIKELY, SURE, Calibration, Level, Scale, write
from nearsight.search.captions import Captions

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

BY = ("auto", "labels", "captions", "statistics")
RATES = {LIKELY: (0.10, 0.5), SURE: (0.01, 0.9)}
"""The share of unrelated queries that may reach it, and the share of what reaches it that must be related."""
TIMES = 2.0
"""How many times as often as chance a related answer must reach it."""
LEAST = 50
"""Items without which there is nothing to fit."""
_QUERIES = 2000
_GALLERY = 50_000
"""Items that are searched: 200 MB at 1,000 dimensions."""
_ROWS = 64
_FIRST = 10
_FEW = 30
"""Unrelated items without which a query says nothing."""
_MIDDLE = (0.5, 0.8)
_DRAWS = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the scores of m queries are like; NaN where there is no such thing.

    null     best score to an unrelated item, of as many as were searched; or quantiles of that, in columns
    related  best score to a related item; to any, where nothing says which are
    scores   (m, 10) of the first ten answers, and `right` 1 for the related of them, 0 for the unrelated
    spacing  what the best unrelated score rises by when the items become e times as many
    """

    null: Floats
    related: Floats
    scores: Floats
    right: Floats
    spacing: float


def calibrate(collection: Collection, *, by: str = "auto", seed: int = 0) -> Generator[Event, None, Calibration]:
    """Fit what a score means in this collection and keep it there; the next search says it.

    by  what says which items are unrelated to a query: ``labels``, ``captions``, ``statistics`` (the scores alone), or
        ``auto``: the first of these that the collection has for at least half of its items
    seed  of the sample: at most 2,000 queries of a kind, and 50,000 items that are searched

    Closed early, nothing is changed. Raises InputError (code ``calibrate/few``, ``calibrate/by``), Damaged, ReadOnly,
    WriteFailed.
    """
    if by not in BY:
        raise InputError(f"by is {', '.join(BY)}, not {by}", code="calibrate/by")
    if not collection.store.write:
        raise ReadOnly(f"{collection.folder} is open for reading only")
    snapshot = collection.store.verified()
    keys = snapshot.living()
    if len(keys) < LEAST:
        raise InputError(
            f"{len(keys)} items are too few to say what chance is", code="calibrate/few", hint=f"index {LEAST} or more"
        )
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(keys)[:_GALLERY])
    items = list(collection.items(chosen.tolist()))
    gallery = snapshot.vectors(snapshot.rows_of(chosen))
    asked = rng.permutation(len(items))[:_QUERIES]
    how = _how(by, items)
    relation: Relation | None = None
    if how == "labels":
        relation = ByLabels([items[at] for at in asked], items)
    elif how == "captions":
        texts = [item.captions for item in items]
        relation = ByCaptions([texts[at] for at in asked], texts, asked)
    more = math.log(len(keys) / len(items))
    pictures = yield from _scale("pictures", gallery[asked], asked, gallery, more, relation, rng)
    words = yield from _words(collection, items, gallery, more, by, rng)
    found = Calibration(pictures, words, len(keys), snapshot.generation, collection.fingerprint, seed)
    write(collection.store.folder, found)
    yield Done("calibrate", {"pictures": pictures.queries, "words": words.queries if words else 0})
    return found


def _how(by: str, items: Sequence[Item]) -> str:
    labels = {item.label for item in items} - {None}
    labelled = sum(item.label is not None for item in items)
    captioned = sum(bool(item.captions) for item in items)
    has = {"labels": labelled if len(labels) > 1 else 0, "captions": captioned, "statistics": len(items)}
    if by == "auto":
        return next(how for how, count in has.items() if 2 * count >= len(items))
    if has[by] < LEAST:
        raise InputError(
            f"{has[by]} items with {by} are too few to say what is unrelated",
            code="calibrate/by",
            hint="two labels or more are needed; or take --by statistics",
        )
    return by


def _words(
    collection: Collection, items: Sequence[Item], gallery: Vectors, more: float, by: str, rng: np.random.Generator
) -> Generator[Event, None, Scale | None]:
    """What a score of words means: by captions of the items where there are enough, else by texts of our own."""
    if "text" not in collection.modalities:
        return None
    told = [(at, text) for at, item in enumerate(items) for text in item.captions]
    by_captions = by in ("auto", "captions") and len(told) >= 2 * LEAST
    if by_captions:
        told = [told[at] for at in rng.permutation(len(told))[:_QUERIES]]
    else:
        told = [(-1, text) for text in bank()]
    rows, vectors = yield from _encoded(collection, [text for _, text in told])
    if len(rows) < LEAST:
        return None
    own = np.array([told[row][0] for row in rows], dtype=np.int64)
    relation = None
    if by_captions:
        relation = ByCaptions([[told[row][1]] for row in rows], [item.captions for item in items], own)
    return (yield from _scale("words", vectors, None, gallery, more, relation, rng))


def bank() -> list[str]:
    """Texts of many kinds, one a line, that stand for words of which nothing is known."""
    return (files("nearsight.search.calibration") / "words.txt").read_text(encoding="utf-8").splitlines()


def _encoded(collection: Collection, texts: Sequence[str]) -> Generator[Event, None, tuple[list[int], Vectors]]:
    """The texts in which the encoder knows a word, by their places, and their vectors."""
    rows, vectors = [], []
    known = Captions(collection).known(texts)
    for row, text in enumerate(texts):
        try:
            vector = known[text] if text in known else collection.encoder.encode_texts([text])[0]
        except EncoderError as error:
            if error.code != "text/empty":
                raise
        else:
            rows.append(row)
            vectors.append(vector)
        yield Step("words", row + 1, len(texts))
    return rows, np.array(vectors, dtype=np.float32).reshape(len(rows), collection.dim)


def _scale(
    what: str,
    queries: Vectors,
    own: NDArray[np.int64] | None,
    gallery: Vectors,
    more: float,
    relation: Relation | None,
    rng: np.random.Generator,
) -> Generator[Event, None, Scale]:
    """`more`: the logarithm of how many times as many items there are as in `gallery`."""
    seen = yield from _look(what, queries, own, gallery, relation)
    order = rng.permutation(len(queries))
    fitted, held = order[::2], order[1::2]
    null = seen.null[fitted].ravel()
    null = np.sort(null[~np.isnan(null)])
    lift = seen.spacing * more
    levels = {name: _level(null, seen, held, lift, rate, part) for name, (rate, part) in RATES.items()}
    how = relation.how if relation is not None else "statistics"
    return Scale(levels[LIKELY], levels[SURE], how, len(fitted), len(gallery), seen.spacing)


def _look(
    what: str,
    queries: Vectors,
    own: NDArray[np.int64] | None,
    gallery: Vectors,
    relation: Relation | None,
) -> Generator[Event, None, _Seen]:
    """Search for every query among the gallery; `own` (m,) is the place there that is the query itself."""
    m, n = len(queries), len(gallery)
    null = np.full((m, _DRAWS if relation is None else 1), np.nan)
    related, gaps, searched = np.full(m, np.nan), np.full(m, np.nan), np.full(m, np.nan)
    scores, right = np.full((m, _FIRST), np.nan), np.full((m, _FIRST), np.nan)
    for start in range(0, m, _ROWS):
        rows = slice(start, min(start + _ROWS, m))
        there: Floats = (queries[rows] @ gallery.T).astype(np.float64)
        if own is not None:
            there[np.arange(len(there)), own[rows]] = -np.inf
        first = np.argpartition(-there, _FIRST, axis=1)[:, :_FIRST]
        scores[rows] = np.take_along_axis(there, first, axis=1)
        if relation is None:
            null[rows], gaps[rows] = _normal(there)
            if own is not None:  # of our own texts nobody knows whether there is anything related
                related[rows] = there.max(axis=1)
        else:
            signs = relation(rows)
            told = np.take_along_axis(signs, first, axis=1)
            right[rows] = np.where(told == 0, np.nan, told > 0)
            unrelated = np.where(signs < 0, there, -np.inf)
            best = np.partition(unrelated, -2, axis=1)[:, -2:]
            enough = (signs < 0).sum(axis=1)
            good = enough >= _FEW
            null[rows, 0] = np.where(good, best[:, 1], np.nan)
            gaps[rows] = np.where(good, best[:, 1] - np.where(good, best[:, 0], 0), np.nan)
            searched[rows] = np.where(good, enough, np.nan)
            best_related = np.where(signs > 0, there, -np.inf).max(axis=1)
            related[rows] = np.where(np.isfinite(best_related), best_related, np.nan)
        yield Step(f"calibrate {what}", rows.stop, m)
    spacing = float(np.nanmean(gaps)) if (~np.isnan(gaps)).any() else 0.0
    if relation is not None:
        null[:, 0] += spacing * np.log(n / searched)
    return _Seen(null, related, scores, right, spacing)


def _normal(scores: Floats) -> tuple[Floats, Floats]:
    """(b, n) scores -> (b, draws) quantiles of the best of n unrelated, where those from the median to the 80% quantile
    are the middle of a normal distribution; and (b,) what the median of that rises by for e times as many."""
    low, high = np.quantile(scores, _MIDDLE, axis=1)
    deviation = (high - low) / NormalDist().inv_cdf(_MIDDLE[1])

    def best(share: float, n: float) -> float:
        return NormalDist().inv_cdf(share ** (1 / n))

    n = scores.shape[1]
    places = np.array([best((draw + 0.5) / _DRAWS, n) for draw in range(_DRAWS)])
    return low[:, None] + deviation[:, None] * places, deviation * (best(0.5, math.e * n) - best(0.5, n))


def _level(null: Floats, seen: _Seen, held: NDArray[np.int64], lift: float, rate: float, part: float) -> Level:
    """The threshold that at most `rate` of the fitted `null` (sorted) reach, measured on the queries `held` among what
    was searched, and then raised by `lift` for what was not."""
    place = math.ceil((len(null) + 1) * (1 - rate))
    if place > len(null):
        why = f"{len(null)} unrelated queries are too few to say what only {rate:.0%} of them reach"
        return Level(None, rate, why)
    at = float(np.nextafter(np.float32(null[place - 1]), np.float32(np.inf)))  # scores are float32
    related = seen.related[held]
    found = _share(related[~np.isnan(related)] >= at)
    false = precision = None
    if seen.null.shape[1] == 1:
        other = seen.null[held, 0]
        false = _share(other[~np.isnan(other)] >= at)
        right = np.where(seen.scores[held] >= at, seen.right[held], np.nan)
        judged = (~np.isnan(right)).sum(axis=1)
        if judged.any():
            precision = bootstrap(np.nansum(right, axis=1)[judged > 0] / judged[judged > 0])
    why = _doubt(at + lift, rate, part, found, precision)
    return Level(None if why else at + lift, rate, why, false, found, precision)


def _doubt(at: float, rate: float, part: float, found: Interval | None, precision: Interval | None) -> str:
    """Why a score of `at` is worth too little; empty where it is worth enough."""
    if found is not None and found.low < TIMES * rate:
        return f"the best related answer reaches {at:.3f} in {found.value:.0%} of searches; chance would in {rate:.0%}"
    if precision is not None and precision.low < part:
        return f"of the answers from {at:.3f} up only {precision.value:.0%} are related"
    return ""


def _share(reached: NDArray[np.bool_]) -> Interval | None:
    return proportion(int(reached.sum()), reached.size) if reached.size else None
