"""Every file in search/hubness, judged: the contract of its folder's door, and its formula as a loop."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError
from nearsight.measure.ranking import Gallery, rank
from nearsight.search.hubness import HUBNESS, Hubness, correcting

Row = list[float]
Rows = list[Row]


def column(bank: Rows, item: int) -> Row:
    return [row[item] for row in bank]


def nothing(query: Row, bank: Rows) -> Row:
    return query


def csls(query: Row, bank: Rows, k: int = 10) -> Row:
    def near(values: Row) -> float:
        some = sorted(values, reverse=True)[:k]
        return sum(some) / len(some)

    return [2 * s - near(query) - near(column(bank, item)) for item, s in enumerate(query)]


def softmax(query: Row, bank: Rows, t: float = 0.05) -> Row:
    scores = []
    for item, s in enumerate(query):
        shares = [math.exp(b / t) for b in column(bank, item)]
        scores.append(t * math.log(math.exp(s / t) / (sum(shares) / len(shares))))
    return scores


def bank_norm(query: Row, bank: Rows, k: int = 1, t: float = 0.05) -> Row:
    active = set()
    for row in bank:
        last = sorted(row, reverse=True)[:k][-1]
        active |= {item for item, s in enumerate(row) if s >= last}
    hub = any(s == max(query) and item in active for item, s in enumerate(query))
    return softmax(query, bank, t) if hub else query


FORMULAS: dict[str, Callable[[Row, Rows], Row]] = {
    "none": nothing,
    "csls": csls,
    "csls?k=1": lambda query, bank: csls(query, bank, 1),
    "csls?k=3": lambda query, bank: csls(query, bank, 3),
    "inverted_softmax": softmax,
    "inverted_softmax?temperature=0.5": lambda query, bank: softmax(query, bank, 0.5),
    "qb_norm": bank_norm,
    "qb_norm?k=2&temperature=0.2": lambda query, bank: bank_norm(query, bank, 2, 0.2),
}
ADDRESSES = sorted({*HUBNESS.names(), *FORMULAS})
every = pytest.mark.parametrize("address", ADDRESSES)


def made(address: str) -> Hubness:
    found: Hubness = HUBNESS.build(address)
    return found


def vectors(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, d)) + 0.5)


def drawn(q: int = 7, n: int = 9, b: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of queries and of a bank to the same items."""
    items = vectors(n, seed=seed + 2)
    return vectors(q, seed=seed) @ items.T, vectors(b, seed=seed + 1) @ items.T


@every
def test_it_says_what_it_is_and_is_built_again(address: str) -> None:
    built = made(address)
    assert made(built.address) == built
    assert HUBNESS.help(address.partition("?")[0])
    assert address in FORMULAS, "a correction is judged by its formula: add it above"


@every
@pytest.mark.parametrize(("q", "n", "b"), [(7, 9, 12), (1, 1, 1), (3, 1, 5), (2, 30, 1), (4, 5, 2), (30, 4, 40)])
def test_it_is_its_formula(address: str, q: int, n: int, b: int) -> None:
    for seed in range(3):
        queries, bank = drawn(q, n, b, seed)
        expected = [FORMULAS[address](row, bank.tolist()) for row in queries.tolist()]
        got = made(address).fit([bank])(queries.copy())
        assert got.dtype == np.float32
        assert got == pytest.approx(np.array(expected), abs=2e-6)
        assert np.isfinite(got).all()


@every
def test_neither_blocks_nor_the_order_of_the_bank_mean_anything(address: str) -> None:
    queries, bank = drawn(b=40)
    expected = made(address).fit([bank])(queries.copy())
    for parts in (np.array_split(bank, 7), [bank[:1], bank[:0], bank[1:]], [bank[::-1]], iter(np.array_split(bank, 3))):
        assert made(address).fit(parts)(queries.copy()) == pytest.approx(expected, abs=1e-6)


@every
def test_a_query_is_judged_by_itself(address: str) -> None:
    queries, bank = drawn()
    correct = made(address).fit([bank])
    together = correct(queries.copy())
    for row in range(len(queries)):
        assert np.array_equal(correct(queries[row : row + 1].copy())[0], together[row])
    assert correct(queries[:0].copy()).shape == (0, queries.shape[1])


@every
def test_items_keep_their_scores_in_any_order_and_like_items_tie(address: str) -> None:
    queries, bank = drawn(n=9)
    queries[:, 5], bank[:, 5] = queries[:, 2], bank[:, 2]
    order = np.random.default_rng(1).permutation(9)
    expected = made(address).fit([bank])(queries.copy())
    mixed = made(address).fit([np.ascontiguousarray(bank[:, order])])(np.ascontiguousarray(queries[:, order]))
    assert np.array_equal(mixed, expected[:, order])
    assert np.array_equal(expected[:, 5], expected[:, 2])


@every
def test_odd_similarities_give_finite_scores(address: str) -> None:
    correct = made(address)
    for value in (0.0, 1.0, -1.0):
        same = np.full((3, 4), value, dtype=np.float32)
        got = correct.fit([same])(same.copy())
        assert np.isfinite(got).all()
        assert np.ptp(got) == 0


def test_any_temperature_is_finite() -> None:
    queries, bank = drawn()
    for name in ("inverted_softmax", "qb_norm"):
        for temperature in ("1e-6", "0.001", "1", "1e6"):
            got = made(f"{name}?temperature={temperature}").fit([bank, -bank])(queries.copy())
            assert np.isfinite(got).all()
    hot = made("inverted_softmax?temperature=1e6").fit([bank])(queries.copy())
    assert hot == pytest.approx(queries - bank.mean(axis=0), abs=1e-5)
    cold = made("inverted_softmax?temperature=1e-6").fit([bank])(queries.copy())
    assert cold == pytest.approx(queries - bank.max(axis=0), abs=1e-4)


@every
def test_a_bank_of_nothing_is_refused_by_those_that_learn(address: str) -> None:
    built = made(address)
    for empty in ([], [np.empty((0, 4), dtype=np.float32)]):
        if not built.learns:
            built.fit(empty)
            continue
        with pytest.raises(InputError) as caught:
            built.fit(empty)
        assert caught.value.code == "hubness/bank"


@pytest.mark.parametrize(
    "address", ["csls?k=0", "qb_norm?k=0", "qb_norm?temperature=0", "inverted_softmax?temperature=-1"]
)
def test_options_out_of_bounds_are_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        made(address)
    assert caught.value.code == "hubness/option"


def hubby(n: int = 60, d: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, each with one right item of the same number, items of which three lean to all queries, and a bank."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=d)
    items = rng.normal(size=(n, d))
    queries, bank = (0.9 * rng.normal(size=(n, d)) + 1.5 * middle for _ in range(2))
    queries += items * 1.2
    items[:3] += 3 * middle
    return unit(queries), unit(items), unit(bank)


@pytest.mark.parametrize("address", [a for a in ADDRESSES if a.partition("?")[0] != "none"])
def test_hubs_are_found_less_and_right_items_more(address: str) -> None:
    queries, items, bank = hubby()
    gallery = Gallery.of(np.arange(len(items)), items)

    def first(correct: object) -> np.ndarray:
        return np.concatenate([hits.keys[:, 0] for _, hits in rank(queries, gallery, k=1, correct=correct)])  # type: ignore[arg-type]

    plain = first(None)
    assert (plain < 3).mean() > 0.5, "three items are everybody's nearest"
    mended = first(correcting(made(address), bank)(gallery))
    assert (mended < 3).mean() < 0.6 * (plain < 3).mean()
    right = np.arange(len(items))
    assert (mended == right).mean() > (plain == right).mean() + 0.1


def test_a_bank_is_looked_at_block_by_block() -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(Hubness):
        def fit(self, bank):  # type: ignore[no-untyped-def]
            seen.extend(scores.shape for scores in bank)
            return lambda scores: scores

    gallery = Gallery.of(np.arange(50_000), unit(np.random.default_rng(0).normal(size=(50_000, 2))))
    correcting(Watching("watching"), vectors(200, 2))(gallery)
    assert sum(rows for rows, _ in seen) == 200
    assert len(seen) > 1
