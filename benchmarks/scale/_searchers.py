"""Those who search beside us, each with the same vectors (100,000 or so, unit length) and inner product, k = 10.

Runs in the peer's own environment, with numpy alone: ``python -m benchmarks.scale._searchers NAME FOLDER`` builds
from ``FOLDER/vectors.npy`` and answers ``FOLDER/queries.npy`` one query at a time at each width of its search. Settings
of a graph or of lists are each library's own defaults unless said; the width alone is swept.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Search = Callable[[Vectors], Any]
"""The keys (row numbers) of up to K neighbours of one query (dim,), best first."""
At = Callable[[int], Search]
"""A search as wide as the number says; exact ones do not look at it."""

K = 10
_FEW = 20
"""Queries asked before the clock runs."""
_ENOUGH = 100, 10.0
"""Queries and seconds after which no more are asked at this width."""
_GRAPH = (10, 16, 32, 64, 128, 256, 512)
_LISTS = (2, 4, 8, 16, 32, 64, 128)


class Place(NamedTuple):
    """Where a peer keeps its files, and what has to be closed at the end."""

    folder: Path
    closing: contextlib.ExitStack


@dataclass(frozen=True)
class Peer:
    """`packages`: what pip installs for it. `width`: what is swept, in its own words; nothing if it is exact."""

    build: Callable[[Vectors, Place], At]
    packages: tuple[str, ...]
    what: str
    width: str = ""
    widths: tuple[int, ...] = (0,)


def numpy(vectors: Vectors, place: Place) -> At:
    kept = np.array(vectors)

    def search(query: Vectors) -> NDArray[np.int64]:
        scores = kept @ query
        best = np.argpartition(scores, -K)[-K:]
        return best[np.argsort(-scores[best])]

    return lambda _: search


def scikit_learn(vectors: Vectors, place: Place) -> At:
    """By Euclidean distance, which ranks unit vectors as the product does and is its fastest."""
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(np.array(vectors))
    return lambda _: lambda query: fitted.kneighbors(query[None], return_distance=False)[0]


def faiss_flat(vectors: Vectors, place: Place) -> At:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda _: lambda query: index.search(query[None], K)[1][0]


def faiss_hnsw(vectors: Vectors, place: Place) -> At:
    import faiss

    index: Any = faiss.index_factory(vectors.shape[1], "HNSW32", faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)

    def at(width: int) -> Search:
        index.hnsw.efSearch = width
        return lambda query: index.search(query[None], K)[1][0]

    return at


def faiss_ivf(vectors: Vectors, place: Place) -> At:
    """4 sqrt(n) lists."""
    import faiss

    lists = int(4 * len(vectors) ** 0.5)
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)

    def at(width: int) -> Search:
        index.nprobe = width
        return lambda query: index.search(query[None], K)[1][0]

    return at


def usearch(vectors: Vectors, place: Place) -> At:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(vectors)), vectors)

    def at(width: int) -> Search:
        index.expansion_search = width
        return lambda query: index.search(query, K).keys

    return at


def hnswlib(vectors: Vectors, place: Place) -> At:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)

    def at(width: int) -> Search:
        index.set_ef(width)
        return lambda query: index.knn_query(query, k=K)[0][0]

    return at


def _lancedb(kind: str, told: Callable[[Any, int], Any]) -> Callable[[Vectors, Place], At]:
    def build(vectors: Vectors, place: Place) -> At:
        import lancedb
        import pyarrow

        flat = pyarrow.array(np.ascontiguousarray(vectors).reshape(-1), pyarrow.float32())
        column = pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        rows = pyarrow.table({"key": np.arange(len(vectors)), "vector": column})
        table = lancedb.connect(str(place.folder)).create_table("vectors", rows)
        if kind:
            table.create_index(metric="dot", index_type=kind)

        def at(width: int) -> Search:
            def search(query: Vectors) -> Any:
                asked = told(table.search(query).distance_type("dot").select(["key", "_distance"]).limit(K), width)
                return asked.to_arrow()["key"].to_numpy()

            return search

        return at

    return build


def chromadb(vectors: Vectors, place: Place) -> At:
    from chromadb import PersistentClient, Settings
    from chromadb.api.shared_system_client import SharedSystemClient

    def opened() -> Any:
        return PersistentClient(str(place.folder), Settings(anonymized_telemetry=False))

    client = opened()
    kept = client.create_collection("vectors", configuration={"hnsw": {"space": "ip"}}, embedding_function=None)
    most = client.get_max_batch_size()
    for start in range(0, len(vectors), most):
        part = np.asarray(vectors[start : start + most])
        kept.add([str(start + i) for i in range(len(part))], embeddings=part)

    def at(width: int) -> Search:
        kept.modify(configuration={"hnsw": {"ef_search": width}})
        SharedSystemClient.clear_system_cache()  # an index that is open goes on with the width it was opened with
        again = opened().get_collection("vectors", embedding_function=None)
        return lambda query: [int(key) for key in again.query(query_embeddings=query[None], n_results=K)["ids"][0]]

    return at


def _milvus_lite(kind: str, width: str) -> Callable[[Vectors, Place], At]:
    def build(vectors: Vectors, place: Place) -> At:
        from pymilvus import DataType, MilvusClient

        client = MilvusClient(str(place.folder / "vectors.db"))
        place.closing.callback(client.close)
        schema = client.create_schema(auto_id=False)
        schema.add_field("key", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        index = client.prepare_index_params()
        made = {"M": 16, "efConstruction": 200} if width else {}
        index.add_index("vector", index_type=kind, metric_type="IP", params=made)
        client.create_collection("vectors", schema=schema)
        for start in range(0, len(vectors), 5000):
            part = np.asarray(vectors[start : start + 5000])
            client.insert("vectors", [{"key": start + i, "vector": row} for i, row in enumerate(part)])
        client.flush("vectors")
        client.create_index("vectors", index)
        client.load_collection("vectors")

        def at(value: int) -> Search:
            how = {"metric_type": "IP", "params": {width: value} if width else {}}

            def search(query: Vectors) -> list[int]:
                found = client.search("vectors", [query], limit=K, search_params=how, output_fields=["key"])
                return [hit["key"] for hit in found[0]]

            return search

        return at

    return build


def _pgvector(graph: bool) -> Callable[[Vectors, Place], At]:
    def build(vectors: Vectors, place: Place) -> At:
        import pgserver
        import psycopg
        from pgvector.psycopg import register_vector

        server = pgserver.get_server(place.folder / "data", cleanup_mode="stop")
        place.closing.callback(server.cleanup)
        socket = server.get_postmaster_info().socket_dir
        db = psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True)
        place.closing.callback(db.close)
        db.execute("CREATE EXTENSION vector")
        register_vector(db)
        db.execute(f"CREATE TABLE vectors (key bigint PRIMARY KEY, vector vector({vectors.shape[1]}))")
        with db.cursor().copy("COPY vectors FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "vector"])
            for key, row in enumerate(vectors):
                copy.write_row([key, row])
        if graph:
            db.execute("SET maintenance_work_mem = '1GB'")  # what its manual says: the graph has to fit
            db.execute("CREATE INDEX ON vectors USING hnsw (vector vector_ip_ops)")
        db.execute("VACUUM ANALYZE vectors")

        def at(width: int) -> Search:
            if graph:
                db.execute(f"SET hnsw.ef_search = {width}")
            asked = f"SELECT key FROM vectors ORDER BY vector <#> %b LIMIT {K}"
            return lambda query: [key for (key,) in db.execute(asked, [query], prepare=True)]

        return at

    return build


def _ours(engine: str) -> Callable[[Vectors, Place], At]:
    """`Collection.search_vectors`, float16 in its folder."""

    def build(vectors: Vectors, place: Place) -> At:
        from benchmarks.scale._collections import collected

        collection = collected(place.folder / "vectors.ns", vectors, engine=engine)
        place.closing.callback(collection.close)
        collection.build_engine()
        first = int(collection.keys().min())

        def at(width: int) -> Search:
            collection.search_vectors(np.eye(1, vectors.shape[1], dtype=np.float32), K)
            found: Any = collection._looks.searcher._main
            if width:  # as of faiss/HNSW32?ef=... or faiss/IVF,SQ8?nprobe=..., without building it again
                option = "nprobe" if "IVF" in engine else "ef"
                found._plan = replace(found._plan, **{option: width})
            return lambda query: collection.search_vectors(query[None], K).keys[0] - first

        return at

    return build


PEERS = {
    "numpy": Peer(numpy, ("numpy",), "matrix product and argpartition"),
    "scikit_learn": Peer(scikit_learn, ("scikit-learn",), "NearestNeighbors(algorithm='brute')"),
    "faiss_flat": Peer(faiss_flat, ("faiss-cpu",), "IndexFlatIP"),
    "ours_exact": Peer(_ours("faiss/Flat"), (), "a collection, faiss/Flat (the default)"),
    "lancedb_flat": Peer(_lancedb("", lambda asked, _: asked), ("lancedb",), "no index"),
    "milvus_lite_flat": Peer(_milvus_lite("FLAT", ""), ("pymilvus", "milvus-lite"), "FLAT"),
    "pgvector_flat": Peer(_pgvector(False), ("pgserver", "psycopg[binary]", "pgvector"), "no index"),
    "faiss_hnsw": Peer(faiss_hnsw, ("faiss-cpu",), "HNSW32", "efSearch", _GRAPH),
    "ours_hnsw": Peer(_ours("faiss/HNSW32"), (), "a collection, faiss/HNSW32 (ef is k + 16 at least)", "ef", _GRAPH),
    "faiss_ivf": Peer(faiss_ivf, ("faiss-cpu",), "IVF,Flat of 4 sqrt(n) lists", "nprobe", _LISTS),
    "ours_ivf": Peer(_ours("faiss/IVF,SQ8"), (), "a collection, faiss/IVF,SQ8", "nprobe", _LISTS),
    "usearch": Peer(usearch, ("usearch",), "float16", "expansion_search", _GRAPH),
    "hnswlib": Peer(hnswlib, ("hnswlib",), "M=16, ef_construction=200", "ef", _GRAPH),
    "lancedb": Peer(
        _lancedb("IVF_HNSW_SQ", lambda asked, width: asked.ef(width).refine_factor(2)),
        ("lancedb",), "IVF_HNSW_SQ, refine_factor=2", "ef", _GRAPH[2:]),
    "chromadb": Peer(chromadb, ("chromadb",), "its defaults, PersistentClient", "ef_search", _GRAPH),
    "milvus_lite": Peer(
        _milvus_lite("HNSW", "ef"), ("pymilvus", "milvus-lite"), "HNSW, M=16, efConstruction=200", "ef", _GRAPH),
    "pgvector": Peer(
        _pgvector(True), ("pgserver", "psycopg[binary]", "pgvector"), "hnsw, its defaults", "hnsw.ef_search", _GRAPH),
}  # fmt: skip


def measured(peer: Peer, folder: Path) -> dict[str, Any]:
    """What `main` tells, and the keys (widths, q, K) in ``FOLDER/found.npy``; -1 where it found fewer."""
    vectors, queries = np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "queries.npy")
    with tempfile.TemporaryDirectory(prefix="nearsight-peer-") as name, contextlib.ExitStack() as closing:
        place, before, begun = Place(Path(name), closing), _private(), time.perf_counter()
        at = peer.build(vectors, place)
        built = time.perf_counter() - begun
        found = np.full((len(peer.widths), len(queries), K), -1)
        points, private = [], []
        for row, width in zip(found, peer.widths, strict=True):
            search = at(width)
            for query in queries[:_FEW]:
                search(query)
            times: list[float] = []
            for keys, query in zip(row, queries, strict=True):
                start = time.perf_counter()
                answer = search(query)
                times.append(time.perf_counter() - start)
                keys[: len(answer)] = answer
                if len(times) >= _ENOUGH[0] and sum(times) > _ENOUGH[1]:
                    break
            private.append(_private() - before)  # the first counts: some open their index anew for each width
            points.append([width, len(times), *1000 * np.percentile(times, [50, 25, 75])])
        np.save(folder / "found.npy", found)
        disk = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file()) / 1e6
    versions = ", ".join(f"{name} {version(name)}" for name in (re.sub(r"\[.*", "", one) for one in peer.packages))
    return {"build": built, "private_mb": private[0], "disk_mb": disk, "versions": versions, "points": points}


def _private() -> float:
    """MB of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    told = re.search(r"RssAnon:\s+(\d+)", status)
    return int(told[1]) * 1024 / 1e6 if told else float("nan")


if __name__ == "__main__":
    print(json.dumps(measured(PEERS[sys.argv[1]], Path(sys.argv[2]))), flush=True)
    os._exit(0)  # some libraries' threads outlive their clients
