"""Which engine suits a budget of memory: the arithmetic is that of real indexes, and growing changes the choice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError
from nearsight.search import budget
from nearsight.search.budget import choose, parse_size
from nearsight.search.collection import Collection
from nearsight.search.engines import ENGINES
from nearsight.search.store.store import Record

MB, GB = 1 << 20, 1 << 30


def test_what_is_looked_at_in_no_time_needs_no_index() -> None:
    assert choose(50_000, 512, 2, 2 * GB).engine == "faiss/Flat"
    assert choose(0, 512, 2, 2 * MB).engine == "faiss/Flat"


@pytest.mark.parametrize(
    ("allowed", "engine"),
    [
        (32 * GB, "faiss/HNSW32,SQ8"),
        (4 * GB, "faiss/IVF,SQ8"),
        (2 * GB, "faiss/IVF,RaBitQ"),
        (GB // 2, "faiss/Flat"),
    ],
)
def test_the_fastest_that_fits(allowed: int, engine: str) -> None:
    choice = choose(10_000_000, 256, 2, allowed)
    assert choice.engine == engine
    if engine != "faiss/Flat":
        assert choice.bytes <= allowed
        assert "GB" in choice.why
    else:
        assert "no index" in choice.why


@pytest.mark.parametrize("dim", [64, 256])
@pytest.mark.parametrize("at", range(3))
def test_its_arithmetic_is_that_of_the_indexes(dim: int, at: int) -> None:
    address, each, _ = budget._engines(dim)[at]
    n = 25_000 if "IVF" in address else 5_000
    engine = ENGINES.build(address, dim=dim)
    engine.add(np.arange(n), unit(np.random.default_rng(0).normal(size=(n, dim))))
    import faiss

    held = len(faiss.serialize_index(engine._index)) / n
    if "IVF" in address:  # the lists' middles are not a matter of each vector; the place of each is not serialized
        held = (held * n - engine._index.nlist * dim * 4) / n
    assert 0.85 * each < held < 1.1 * each


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2G", 2 * GB),
        ("500M", 500 * MB),
        ("500mb", 500 * MB),
        ("1.5 GiB", 3 * GB // 2),
        ("2097152", 2 * MB),
        ("1t", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-2G", "2 X", "0", "5k", "G", "1e3M", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_size(text)
    assert caught.value.code == "memory/size"


def test_it_is_chosen_anew_as_the_collection_grows(external: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_QUICK", 0)
    monkeypatch.setattr(budget, "_FEW", 1000)
    collection, vectors = external(800, engine="faiss/Flat")
    assert collection.engine_choice is None
    collection.choose_engine(1250 * (16 + 330))
    collection.build_engine()
    assert (collection.engine, collection.unindexed) == ("faiss/Flat", 0)
    more = unit(np.random.default_rng(6).normal(size=(600, 16)))
    collection.add(more[:250], [Record(f"a{i}".encode()) for i in range(250)])
    assert collection.unindexed == 1050, "the engine that it has needs no index, the one that suits now does"
    assert collection.build_engine()
    assert (collection.engine, collection.engine_state) == ("faiss/HNSW32,SQ8", "ready")
    assert collection.unindexed == 0
    collection.close()
    with Collection.open(collection.folder) as again:
        again.add(more[250:], [Record(f"b{i}".encode()) for i in range(350)])
        again.build_engine()
        assert again.engine == "faiss/IVF,SQ8"
        assert "HNSW32,SQ8 473 kB would take more" in again.engine_choice.why
        assert again.search_vectors(vectors[:5], 1).keys.ravel().tolist() == [1, 2, 3, 4, 5]
        again.change_engine("faiss/IVF,SQ8")
        assert again.engine_choice is None, "named, it is not chosen"
        assert not again.build_engine(), "and its index stays"
        again.choose_engine(1 << 20)
        again.change_engine("exact")
        assert again.engine_choice is None
        again.build_engine()
        assert again.engine == "exact"
