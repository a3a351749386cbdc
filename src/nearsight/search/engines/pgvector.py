"""Postgres with the extension pgvector (0.5 or newer): the vectors in a table that many machines search.

It looks at every row unless it is told to make a graph::

    pgvector?dsn=postgresql://me@host/db      every row is looked at
    pgvector/hnsw?dsn=service=shop&ef=100     a graph (Malkov and Yashunin, arXiv 1603.09320), up to 2,000 numbers

The address is written into the collection, so it holds no password: that comes from ``PGPASSWORD``, ``~/.pgpass`` or a
service file, as for every client of Postgres. Without ``dsn``, the environment variable ``NEARSIGHT_PGVECTOR`` is the
connection string, password and all, or else ``PGHOST``, ``PGDATABASE`` and so on say where.
"""

from __future__ import annotations

from nearsight.core.errors import EngineError, MissingExtra
from nearsight.search.engines._pgvector_table import PgTable, conninfo
from nearsight.search.engines._remote import Remote


def build(
    variant: str | None = None,
    *,
    dim: int,
    dsn: str | None = None,
    ef: int | None = None,
    m: int | None = None,
    timeout: float = 10.0,
) -> Remote:
    """`dsn`: a connection string or URL without a password. `m`, `ef`: of the graph (default 16, and 100 candidates a
    search). `timeout`: seconds after which a search is answered without the database.

    Raises EngineError (code ``engine/option``, ``engine/secret`` for a password in the address), MissingExtra.
    """
    try:
        given = conninfo(dsn)
    except ImportError as error:
        raise MissingExtra.of("psycopg", "pgvector", "the engine 'pgvector'") from error
    if variant not in (None, "hnsw"):
        raise EngineError(
            f"pgvector has no variant '{variant}'", code="engine/option", hint="pgvector or pgvector/hnsw"
        )
    if variant is None and (ef is not None or m is not None):
        raise EngineError("ef and m are options of pgvector/hnsw", code="engine/option")
    degree, width = 16 if m is None else m, 100 if ef is None else ef
    if not (1 <= width <= 1000 and 2 <= degree <= 100 and 0 < timeout <= 3600):
        raise EngineError("ef must be 1 to 1000, m 2 to 100, timeout 0 to 3600 seconds", code="engine/option")
    if dim > (2000 if variant else 16_000):
        raise EngineError(f"pgvector{f'/{variant}' * bool(variant)} takes no {dim} dimensions", code="engine/option")
    told = {"dsn": dsn, "ef": ef, "m": m, "timeout": None if timeout == 10.0 else timeout}
    options = "&".join(f"{name}={value}" for name, value in told.items() if value is not None)
    address = "pgvector" + (f"/{variant}" if variant else "") + (f"?{options}" if options else "")
    return Remote(address, dim, PgTable(given, dim, (degree, width) if variant else None, timeout))
