"""A table of vectors in Milvus: a collection there, on a server or in a folder that Milvus Lite opens."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.arrays import NO_KEY, Keys, Scores, Vectors
from nearsight.core.errors import EngineAway
from nearsight.search.engines._kernels import nothing
from nearsight.search.engines._remote import OPEN, Sums

VARIABLE = "MILVUS_TOKEN"
_LONG = 3600.0
"""Seconds for building an index, or listing everything."""
_WRITING = 60.0
_LISTED = 8192
_FILE = "milvus.db"
_open: Counter[str] = Counter()  # Milvus Lite keeps one server a file in a process, and its lock, until it is released
_opening = threading.Lock()


class MilvusTable:
    """See `nearsight.search.engines._remote.Table`. `uri`: of a server; None for Milvus Lite. `graph`: m and ef of its
    HNSW index, or None."""

    most = 16_384

    def __init__(self, uri: str | None, dim: int, graph: tuple[int, int] | None, timeout: float) -> None:
        self._uri = uri
        self._dim = dim
        self._graph = graph
        self._timeout = timeout
        self._name = ""
        self._path: Path | None = None
        self._scratch = False
        self._client: Any = None
        self._connecting = threading.Lock()

    def settle(self, folder: Path | None, name: str) -> None:
        self._name = name
        if self._uri is None and folder is not None:
            self._path = folder / _FILE

    # the calls

    def make(self) -> None:
        from pymilvus import DataType

        with self._connected() as client:
            if client.has_collection(self._name, timeout=_WRITING):
                return
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("key", DataType.INT64, is_primary=True)
            schema.add_field("sum", DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dim)
            index = client.prepare_index_params()
            if self._graph is None:
                index.add_index("vector", index_type="FLAT", metric_type="IP")
            else:
                built = {"M": self._graph[0], "efConstruction": 200}
                index.add_index("vector", index_type="HNSW", metric_type="IP", params=built)
            client.create_collection(
                self._name, schema=schema, index_params=index, consistency_level="Strong", timeout=_LONG
            )

    def finish(self) -> None:
        with self._connected() as client:
            client.flush(self._name, timeout=_LONG)

    def write(self, keys: Keys, sums: Sums, vectors: Vectors) -> None:
        rows = zip(keys.tolist(), sums.tolist(), vectors, strict=True)
        with self._connected() as client:
            client.upsert(self._name, [{"key": k, "sum": s, "vector": v} for k, s, v in rows], timeout=_WRITING)

    def erase(self, keys: Keys) -> None:
        with self._connected() as client:
            client.delete(self._name, ids=keys.tolist(), timeout=_WRITING)

    def listing(self) -> tuple[Keys, Sums]:
        found: list[tuple[int, int]] = []
        with self._connected() as client:
            pages = client.query_iterator(
                self._name, batch_size=_LISTED, filter="", output_fields=["key", "sum"], timeout=_LONG
            )
            try:
                while page := pages.next():
                    found += [(row["key"], row["sum"]) for row in page]
            finally:
                pages.close()
        rows = np.array(found, np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1]

    def state(self) -> tuple[int, int]:
        with self._connected() as client:
            if not client.has_collection(self._name, timeout=self._timeout):
                return 0, OPEN
            ask = {"consistency_level": "Strong", "timeout": _WRITING}
            count = client.query(self._name, filter="", output_fields=["count(*)"], **ask)[0]["count(*)"]
            seal = client.query(self._name, filter=f"key == {NO_KEY}", output_fields=["sum"], **ask)
        return int(count), int(seal[0]["sum"]) if seal else OPEN

    def nearest(self, queries: Vectors, k: int, among: Keys | None) -> tuple[Keys, Scores]:
        keys, scores = nothing(len(queries), k)[::-1]
        width = {"ef": max(self._graph[1], k)} if self._graph else {}
        with self._connected() as client:
            found = client.search(
                self._name,
                list(queries),
                filter="" if among is None else f"key in {among.tolist()}",
                limit=k,
                output_fields=["key"],
                search_params={"metric_type": "IP", "params": width},
                timeout=self._timeout,
            )
        for i, hits in enumerate(found):
            for j, hit in enumerate(hits):
                keys[i, j], scores[i, j] = hit["key"], hit["distance"]
        return keys, scores

    def drop(self) -> None:
        with self._connected() as client:
            client.drop_collection(self._name, timeout=_WRITING)

    def close(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()
            if self._uri is None:
                self._release()

    # connections

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """The client, which threads share; let go of after an error, so that the next call connects afresh."""
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            with self._connecting:
                if self._client is None:
                    self._client = self._connect()
                    if self._client.has_collection(self._name, timeout=self._timeout):
                        self._client.load_collection(self._name, timeout=_WRITING)
                client = self._client
            yield client
        except (MilvusException, grpc.RpcError) as error:
            self.close()
            told = _told(error)
            if "DEADLINE" in told.upper() or "timeout" in told.lower():
                hint = "search goes on without it"
                raise EngineAway("Milvus gave no answer in time", code="engine/slow", hint=hint) from None
            raise EngineAway(f"Milvus failed: {told}") from None

    def _connect(self) -> Any:
        from pymilvus import MilvusClient

        for name in [name for name in logging.root.manager.loggerDict if name.startswith(("pymilvus", "milvus_lite"))]:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they tell of errors is in ours
        if self._uri is not None:
            return MilvusClient(self._uri, token=os.environ.get(VARIABLE, ""), timeout=self._timeout)
        if self._path is None:
            self._path, self._scratch = Path(tempfile.mkdtemp(prefix="nearsight-")) / _FILE, True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _opening:
            client = MilvusClient(str(self._path))
            _open[str(self._path)] += 1
        return client

    def _release(self) -> None:
        from milvus_lite.server_manager import server_manager_instance

        with _opening:
            _open[str(self._path)] -= 1
            if not _open[str(self._path)]:
                server_manager_instance.release_server(str(self._path))
        if self._scratch and self._path is not None:
            shutil.rmtree(self._path.parent, ignore_errors=True)


def _told(error: Any) -> str:
    """What the server or the transport says, in one line."""
    said = error.details() if hasattr(error, "details") else getattr(error, "message", "") or str(error)
    return " ".join(str(said or type(error).__name__).split())[:200]
