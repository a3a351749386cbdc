"""The rows of the reliability catalogue under "Numbers" that are the store's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harm import DIM, SPEC, records, vectors

from nearsight.core.arrays import ranked, unit
from nearsight.core.errors import InputError
from nearsight.search.collection import Collection
from nearsight.search.query import Filter
from nearsight.search.store.store import Record


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, 1e20, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_vector_without_unit_length_is_refused_whole_batch_and_all(tmp_path: Path, bad: float, dtype: str) -> None:
    with Collection.create(tmp_path / "c", SPEC, dtype=dtype) as collection:
        collection.add(vectors(3), records(3))
        batch = vectors(4, 1)
        batch[2] *= bad
        with pytest.raises(InputError) as refused:
            collection.add(batch, records(4, "new"))
        assert refused.value.code == "vectors"
        assert "row 2" in refused.value.message
        with pytest.raises(InputError):
            collection.search_vectors(batch[2:3], 1)
        assert len(collection) == 3
        assert collection.add(vectors(1, 2), records(1, "after")).tolist() == [4]


def test_float16_is_stored_and_answered_from_as_stored(tmp_path: Path) -> None:
    given = vectors(50)
    given[0] = unit(np.array([[1.0, *[1e-9] * (DIM - 1)]]))[0]  # underflows, stays a unit vector
    with Collection.create(tmp_path / "c", SPEC, dtype="float16") as collection:
        collection.add(given, records(50))
        path = collection.folder / "segments" / "000001.vec"
        stored = np.fromfile(path, "<f2", offset=4096).reshape(-1, DIM)
        assert stored.tobytes() == given.astype(np.float16).tobytes()
        query = vectors(1, 5)
        truth = stored.astype(np.float64) @ query[0].astype(np.float64)
        hits = collection.search_vectors(query, 50)
        assert np.allclose(hits.scores[0], np.sort(truth)[::-1], atol=1e-6)


def test_equal_scores_are_in_the_order_of_keys_after_every_change(tmp_path: Path) -> None:
    one = vectors(1)
    with Collection.create(tmp_path / "c", SPEC) as collection:
        collection.add(np.repeat(one, 30, axis=0), records(30))
        collection.delete([1, 17])
        collection.store.append(records(2, "again"), np.repeat(one, 2, axis=0), replacing=[4, 9])
        wanted = [key for key in range(1, 31) if key not in (1, 17)]
        for _ in range(2):
            for k in (1, 5, 28, 100):
                hits = collection.search_vectors(one, k)
                assert [int(key) for key in hits.keys[0] if key >= 0] == wanted[:k]
            collection.compact()


@pytest.mark.parametrize("engine", ["exact", "faiss/Flat", "faiss/HNSW8"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_filters_deletes_and_k_equal_brute_force(tmp_path: Path, engine: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    with Collection.create(tmp_path / "c", SPEC, engine=engine, dtype=dtype) as collection:
        truth = dict(zip(collection.add(vectors(150), records(150)).tolist(), vectors(150), strict=True))
        collection.build_engine()
        for turn in range(4):
            gone = rng.choice(sorted(truth), 15, replace=False).tolist()
            collection.delete(gone)
            truth = {key: row for key, row in truth.items() if key not in gone}
            changed = sorted(truth)[:5]
            fresh = vectors(5, 50 + turn)
            again = [(item, f"turn {turn} {item.key}") for item in collection.items(changed)]
            collection.store.append(
                [Record(path.encode(), label=item.label) for item, path in again], fresh, replacing=changed
            )
            truth.update(zip(changed, fresh, strict=True))
            queries = vectors(3, 90 + turn)
            for label in (None, "l0", "nobody"):
                chosen = [i.key for i in collection.items() if label in (None, i.label)]
                keys = np.array(chosen, dtype=np.int64)
                rows = np.array([truth[key] for key in chosen], dtype=collection.store.shape.dtype).reshape(-1, DIM)
                scores = queries.astype(np.float64) @ rows.T.astype(np.float64)
                for k in (1, 7, 500):
                    wanted = ranked(np.tile(keys, (3, 1)), scores, k)
                    where = Filter.of({"label": label}) if label else None
                    hits = collection.search_vectors(queries, k, where=where)
                    assert hits.keys.tolist() == wanted.keys.tolist()
                    assert np.allclose(hits.scores, wanted.scores, atol=1e-6)
            if turn == 2:
                collection.compact()
