"""A table of vectors in Postgres: rows travel in its binary form, and no call waits for longer than it was allowed."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.arrays import NO_KEY, Keys, Scores, Vectors
from nearsight.core.errors import EngineAway, EngineError
from nearsight.search.engines._kernels import nothing
from nearsight.search.engines._remote import OPEN, Sums

VARIABLE = "NEARSIGHT_PGVECTOR"
_SECRETS = ("password", "sslpassword")
_LONG = 3600.0
"""Seconds for building an index, or listing everything."""
_WRITING = 60.0
_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


def conninfo(dsn: str | None) -> dict[str, str]:
    """What a connection string says; of the environment where it is None. Raises EngineError for no such string (code
    ``engine/option``) or one with a password (``engine/secret``): the message repeats neither."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        told = {name: str(value) for name, value in conninfo_to_dict(dsn or os.environ.get(VARIABLE, "")).items()}
    except psycopg.ProgrammingError:
        what = f"the {'option dsn' if dsn else VARIABLE} is no connection string"
        raise EngineError(what, code="engine/option", hint="postgresql://user@host/db, or service=NAME") from None
    if dsn and any(told.get(name) for name in _SECRETS):
        raise EngineError(
            "the option dsn holds a password, and would be written into the collection",
            code="engine/secret",
            hint=f"leave it to PGPASSWORD, ~/.pgpass or a service file, or put the whole string into {VARIABLE}",
        )
    return told


class PgTable:
    """See `nearsight.search.engines._remote.Table`. `graph`: m and ef of its HNSW index, or None."""

    most = 1_000_000

    def __init__(self, given: dict[str, str], dim: int, graph: tuple[int, int] | None, timeout: float) -> None:
        self._given = given
        self._dim = dim
        self._graph = graph
        self._timeout = timeout
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        self._name = ""
        self._row = np.dtype(
            [
                ("fields", ">i2"), ("n1", ">i4"), ("key", ">i8"), ("n2", ">i4"), ("sum", ">i8"), ("n3", ">i4"),
                ("dim", ">i2"), ("unused", ">i2"), ("vector", ">f4", (dim,)),
            ]
        )  # fmt: skip

    def settle(self, folder: Path | None, name: str) -> None:
        self._name = name

    # the calls

    def make(self) -> None:
        with self._connected(_WRITING) as db:
            if db.execute("SELECT to_regtype('vector')").fetchone()[0] is None:
                db.execute("CREATE EXTENSION IF NOT EXISTS vector")
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {self._name} "
                f"(key bigint PRIMARY KEY, sum bigint NOT NULL, vector vector({self._dim}) NOT NULL)"
            )

    def finish(self) -> None:
        with self._connected(_LONG) as db:
            if self._graph:
                db.execute(
                    f"CREATE INDEX IF NOT EXISTS {self._name}_hnsw ON {self._name} "
                    f"USING hnsw (vector vector_ip_ops) WITH (m = {self._graph[0]})"
                )
            db.execute(f"ANALYZE {self._name}")

    def write(self, keys: Keys, sums: Sums, vectors: Vectors) -> None:
        rows = np.zeros(len(keys), self._row)
        rows["fields"], rows["n1"], rows["n2"], rows["n3"] = 3, 8, 8, 4 + 4 * self._dim
        rows["key"], rows["sum"], rows["dim"], rows["vector"] = keys, sums, self._dim, vectors
        with self._connected(_WRITING) as db, db.transaction():
            db.execute(f"CREATE TEMP TABLE told (LIKE {self._name}) ON COMMIT DROP")
            with db.cursor().copy("COPY told FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(_HEAD + rows.tobytes() + _TAIL)
            db.execute(
                f"INSERT INTO {self._name} SELECT * FROM told "
                "ON CONFLICT (key) DO UPDATE SET sum = excluded.sum, vector = excluded.vector"
            )

    def erase(self, keys: Keys) -> None:
        with self._connected(_WRITING) as db:
            db.execute(f"DELETE FROM {self._name} WHERE key = ANY(%s)", [keys.tolist()], binary=True)

    def listing(self) -> tuple[Keys, Sums]:
        with (
            self._connected(_LONG) as db,
            db.cursor().copy(f"COPY (SELECT key, sum FROM {self._name}) TO STDOUT (FORMAT BINARY)") as copy,
        ):
            content = b"".join(bytes(part) for part in copy)
        kind = np.dtype([("fields", ">i2"), ("n1", ">i4"), ("key", ">i8"), ("n2", ">i4"), ("sum", ">i8")])
        rows = np.frombuffer(content[len(_HEAD) : -len(_TAIL)], kind)
        return rows["key"].astype(np.int64), rows["sum"].astype(np.int64)

    def state(self) -> tuple[int, int]:
        with self._connected(_WRITING) as db:
            if db.execute("SELECT to_regclass(%s)", [self._name]).fetchone()[0] is None:
                return 0, OPEN
            found = db.execute(f"SELECT count(*), max(sum) FILTER (WHERE key = {NO_KEY}) FROM {self._name}").fetchone()
        return int(found[0]), OPEN if found[1] is None else int(found[1])

    def nearest(self, queries: Vectors, k: int, among: Keys | None) -> tuple[Keys, Scores]:
        keys, scores = nothing(len(queries), k)[::-1]
        where = "" if among is None else "WHERE key = ANY(%(among)s)"
        given = {} if among is None else {"among": among.tolist()}
        with self._connected(self._timeout) as db, db.transaction():
            if self._graph and among is None:
                db.execute(f"SET LOCAL hnsw.ef_search = {min(max(self._graph[1], k), 1000)}")
            if among is not None or k > 1000:  # a graph would find these among all, and few of them
                db.execute("SET LOCAL enable_indexscan = off")
            for i, query in enumerate(queries):
                given["query"] = f"[{','.join(map(repr, query.tolist()))}]"
                found = db.execute(
                    f"SELECT key, vector <#> %(query)s::vector AS away FROM {self._name} {where} "
                    f"ORDER BY away LIMIT {k}",
                    given,
                    binary=True,
                ).fetchall()
                for j, (key, away) in enumerate(found):
                    keys[i, j], scores[i, j] = key, -away
        return keys, scores

    def drop(self) -> None:
        with self._connected(_WRITING) as db:
            db.execute(f"DROP TABLE IF EXISTS {self._name}")

    def close(self) -> None:
        while True:
            try:
                self._free.get_nowait().close()
            except queue.Empty:
                return

    # connections

    @contextlib.contextmanager
    def _connected(self, seconds: float) -> Iterator[Any]:
        """A connection for one call, which ends when the time is over, whatever the server does."""
        import psycopg

        late = threading.Event()
        try:
            try:
                db = self._free.get_nowait()
            except queue.Empty:
                db = self._connect()
            handle = socket.socket(fileno=os.dup(db.fileno()))

            def cut() -> None:
                late.set()
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

            watch = threading.Timer(seconds, cut)
            watch.daemon = True
            watch.start()
            try:
                yield db
            except BaseException:
                db.close()
                raise
            finally:
                watch.cancel()
                watch.join()
                handle.close()
            self._free.put(db)
        except psycopg.Error as error:
            if late.is_set():
                what = f"Postgres gave no answer in {seconds:g} s"
                raise EngineAway(what, code="engine/slow", hint="search goes on without it") from None
            raise EngineAway(f"Postgres failed: {_told(error)}") from None

    def _connect(self) -> Any:
        import psycopg

        logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # what it tells of errors is in ours
        patience = {"connect_timeout": str(max(2, round(self._timeout))), "application_name": "nearsight"}
        return psycopg.connect(autocommit=True, **(patience | self._given))


def _told(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
