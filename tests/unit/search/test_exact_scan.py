"""A few queries over float16 rows: the scan at the speed of memory finds what the slow way finds."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.search.engines import ENGINES, _blocks, _kernels

DIM, N = 24, 4000


def drawn(n: int = N, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((30, DIM))
    return unit(centres[rng.integers(30, size=n)] + 0.4 * rng.standard_normal((n, DIM))).astype(np.float16)


def slowly(rows: np.ndarray, query: np.ndarray, k: int, among: np.ndarray | None = None) -> list[int]:
    scores = (rows.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    keys = range(len(rows)) if among is None else among.tolist()
    return sorted(keys, key=lambda key: (-scores[key], key))[:k]


@pytest.fixture(params=[1, 3])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _blocks.Blocks:
    """Of 4,000 rows, scanned 512 at a time by one thread or by three."""
    monkeypatch.setattr(_kernels, "_THREADS", request.param)
    monkeypatch.setattr(_blocks, "_SCAN_ROWS", 512)
    engine = ENGINES.build("exact", dim=DIM)
    assert isinstance(engine, _blocks.Blocks)
    engine.add(np.arange(N), drawn())
    return engine


@pytest.mark.parametrize("length", [1e-6, 1.0, 3e7])
def test_it_finds_what_the_slow_way_finds(engine: _blocks.Blocks, length: float) -> None:
    for query in length * drawn(8, seed=1).astype(np.float32):
        hits = engine.search(query[None], 10)
        assert hits.keys[0].tolist() == slowly(drawn(), query, 10)
        assert np.allclose(hits.scores[0], (drawn().astype(np.float64) @ query)[hits.keys[0]], rtol=1e-6)


def test_alone_and_in_a_crowd_a_query_gets_the_same_answer(engine: _blocks.Blocks) -> None:
    queries = drawn(6, seed=2).astype(np.float32)
    together = engine.search(queries, 20)
    for at, query in enumerate(queries):
        alone = engine.search(query[None], 20)
        assert np.array_equal(alone.keys[0], together.keys[at])
        assert np.array_equal(alone.scores[0], together.scores[at])


@pytest.mark.parametrize("share", [0.01, 0.6])
def test_filters_and_removed_rows(engine: _blocks.Blocks, share: float) -> None:
    rng = np.random.default_rng(3)
    among = np.sort(rng.choice(N, int(share * N), replace=False))
    engine.remove(among[::2])
    query = drawn(1, seed=4).astype(np.float32)
    assert engine.search(query, 15, among=among).keys[0].tolist() == slowly(drawn(), query[0], 15, among[1::2])


@pytest.mark.parametrize("length", [1.0, 1e6])
def test_more_near_ties_than_candidates(length: float) -> None:
    for query in unit(np.random.default_rng(5).standard_normal((10, DIM))):
        aside = np.random.default_rng(6).standard_normal((N, DIM))
        aside -= np.outer(aside @ query, query)
        rows = (0.5 * query + np.sqrt(0.75) * unit(aside)).astype(np.float16)  # all at 0.5, but for their rounding
        engine = ENGINES.build("exact", dim=DIM)
        engine.add(np.arange(N), rows)
        asked = (length * query).astype(np.float32)
        assert engine.search(asked[None], 10).keys[0].tolist() == slowly(rows, asked, 10)


def test_rows_are_not_widened(engine: _blocks.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def widened(rows: np.ndarray) -> np.ndarray:
        raise AssertionError("rows were copied as float32")

    monkeypatch.setattr(_kernels, "widened", widened)
    engine.search(drawn(_blocks._SCANNED).astype(np.float32), 5)
    with pytest.raises(AssertionError):
        engine.search(drawn(_blocks._SCANNED + 1).astype(np.float32), 5)
