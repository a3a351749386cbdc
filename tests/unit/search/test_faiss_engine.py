"""What is particular to faiss: factory strings, options, training."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import EngineError
from nearsight.search.engines import ENGINES


def rows(n: int, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n), unit(np.random.default_rng(0).standard_normal((n, dim)))


@pytest.mark.parametrize(
    "factory", ["Foo", "PQ7", "LSH", "NSG16", "IDMap,Flat", "PQ4,RFlat", "IVF99999999,Flat", "PQ4x40", "flat"]
)
def test_a_factory_that_cannot_be_is_refused_with_a_hint(factory: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineError, match="engine/factory") as caught:
        ENGINES.build(f"faiss/{factory}", dim=32)
    assert factory in caught.value.message
    assert "/project/" not in str(caught.value)
    assert "IVF256,Flat" in caught.value.hint
    assert caught.value.__cause__ is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "address",
    [
        "Flat?nprobe=3",
        "Flat?seed=1",
        "Flat?train_size=9",
        "HNSW8?nprobe=3",
        "IVF4,Flat?ef=3",
        "IVF4,Flat?nprobe=0",
        "HNSW8?ef=-1",
        "IVF4,Flat?seed=-1",
        "PQ4x4?train_size=600",
    ],
)
def test_an_option_it_does_not_have_is_refused(address: str) -> None:
    with pytest.raises(EngineError, match="engine/option"):
        ENGINES.build(f"faiss/{address}", dim=8)


def test_answers_exactly_until_there_is_enough_to_learn_from(capfd: pytest.CaptureFixture[str]) -> None:
    engine = ENGINES.build("faiss/IVF8,PQ4x4?nprobe=1", dim=8)
    keys, vectors = rows(700)
    engine.add(keys[:600], vectors[:600])
    expected = ENGINES.build("exact", dim=8)
    expected.add(keys[:600], vectors[:600])
    np.testing.assert_array_equal(engine.search(vectors, 9).keys, expected.search(vectors, 9).keys)
    engine.add(keys[600:], vectors[600:])
    expected.add(keys[600:], vectors[600:])
    assert (engine.search(vectors, 9).keys != expected.search(vectors, 9).keys).any()
    assert "WARNING" not in "".join(capfd.readouterr())


def test_more_probes_find_more() -> None:
    keys, vectors = rows(2000)
    found = []
    for nprobe in (1, 4, 32):
        engine = ENGINES.build(f"faiss/IVF32,Flat?nprobe={nprobe}", dim=8)
        engine.add(keys, vectors)
        found.append(engine.search(vectors[:200], 10).scores.sum())
    assert found[0] < found[1] < found[2]


def test_the_seed_decides_what_is_learned() -> None:
    keys, vectors = rows(1500)

    def scores(seed: int) -> np.ndarray:
        engine = ENGINES.build(f"faiss/PQ4x4?train_size=700&seed={seed}", dim=8)
        engine.add(keys, vectors)
        return np.asarray(engine.search(vectors[:50], 5).scores)

    np.testing.assert_array_equal(scores(3), scores(3))
    assert (scores(3) != scores(4)).any()


def test_ivf_without_a_number_takes_as_many_lists_as_suit() -> None:
    engine = ENGINES.build("faiss/IVF,Flat", dim=4)
    keys, vectors = rows(25_000, 4)
    engine.add(keys[:20_000], vectors[:20_000])
    assert engine._waiting is not None
    engine.add(keys[20_000:], vectors[20_000:])
    assert engine._index.nlist == int(4 * 25_000**0.5)
    assert np.mean(engine.search(vectors[:100], 1).keys[:, 0] == keys[:100]) > 0.98


def test_a_rotation_waits_for_the_256_centroids_that_it_learns_by() -> None:
    assert ENGINES.build("faiss/OPQ4_8,IVF8,PQ4x4", dim=16)._plan.needed == 256 * 39
    assert ENGINES.build("faiss/IVF8,PQ4x4", dim=16)._plan.needed == 16 * 39


@pytest.mark.slow
def test_a_rotation_before_the_codes_is_learned_too(capfd: pytest.CaptureFixture[str]) -> None:
    engine = ENGINES.build("faiss/OPQ4_8,IVF8,PQ4x4?nprobe=8", dim=16)
    keys, vectors = rows(10_000, 16)
    engine.add(keys, vectors)
    engine.remove(keys[:500])
    found = engine.search(vectors[500:600], 1000)
    assert (found.keys >= 500).all()
    assert np.mean((found.keys == keys[500:600, None]).any(axis=1)) > 0.9
    assert "WARNING" not in "".join(capfd.readouterr())


def test_a_graph_that_reaches_too_few_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a graph can be out of reach however far one goes; here it is not allowed to go far."""
    engine = ENGINES.build("faiss/HNSW8", dim=8)
    keys, vectors = rows(2000)
    engine.add(keys, vectors)
    engine.remove(keys[20:])
    monkeypatch.setattr(type(engine), "_width", lambda *_: (1, 1))
    found = engine.search(vectors[:5], 20)
    assert (np.sort(found.keys, axis=1) == keys[:20]).all()


def test_rows_and_results_outlive_what_the_caller_does_with_keys() -> None:
    """Keys are copied; only vectors may be referenced."""
    engine = ENGINES.build("exact", dim=8)
    keys, vectors = rows(10)
    engine.add(keys, vectors)
    keys[:] = 77
    np.testing.assert_array_equal(engine.search(vectors, 1).keys[:, 0], np.arange(10))


@pytest.mark.parametrize("address", ["exact", "faiss/Flat"])
def test_large_blocks_are_referenced_not_copied(address: str) -> None:
    engine = ENGINES.build(address, dim=8)
    keys, vectors = rows(20_000)
    engine.add(keys[:10_000], vectors[:10_000])
    engine.add(keys[10_000:], vectors[10_000:])
    assert all(np.shares_memory(block, vectors) for block in engine._blocks)
    many = sum(room._room.nbytes for room in (engine._keys._keys, engine._keys._alive, engine._keys._order))
    assert many <= 24 * 20_000
