"""Milvus (Wang et al., SIGMOD 2021): an embedded Milvus Lite beside the collection, a server or a cluster.

It looks at every row unless it is told to make a graph::

    milvus                                    a file in the collection's own folder; one process at a time opens it
    milvus?uri=http://host:19530              a server or a cluster, every row looked at
    milvus/HNSW?uri=http://host:19530&ef=100  a graph (Malkov and Yashunin, arXiv 1603.09320)

The address is written into the collection, so it holds no password: the environment variable ``MILVUS_TOKEN`` is the
token, or ``user:password``.
"""

from __future__ import annotations

import importlib.util
import re

from nearsight.core.errors import EngineError, MissingExtra
from nearsight.search.engines._milvus_table import MilvusTable
from nearsight.search.engines._remote import Remote

_URI = re.compile(r"(https?|tcp)://[^/?#\s]+(/[\w.-]*)?")


def build(
    variant: str | None = None,
    *,
    dim: int,
    uri: str | None = None,
    ef: int | None = None,
    m: int | None = None,
    timeout: float = 10.0,
) -> Remote:
    """`variant`: FLAT (unless told) or HNSW. `m`, `ef`: of the graph (default 16, and 100 candidates a search).
    `timeout`: seconds after which a search is answered without it.

    Raises EngineError (code ``engine/option``, ``engine/secret`` for a password in the address), MissingExtra.
    """
    for package in ("pymilvus", *([] if uri else ["milvus_lite"])):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra.of(package.replace("_", "-"), "milvus", "the engine 'milvus'")
    kind = variant or "FLAT"
    if kind not in ("FLAT", "HNSW"):
        raise EngineError(f"milvus has no variant '{kind}'", code="engine/option", hint="milvus or milvus/HNSW")
    if uri is None and kind != "FLAT":
        hint = "milvus alone, or a server's uri; for a graph in a file there is faiss/HNSW32"
        raise EngineError("Milvus Lite finds too little by a graph when it filters", code="engine/option", hint=hint)
    if kind == "FLAT" and (ef is not None or m is not None):
        raise EngineError("ef and m are options of milvus/HNSW", code="engine/option")
    degree, width = 16 if m is None else m, 100 if ef is None else ef
    if not (1 <= width <= 32_768 and 2 <= degree <= 2048 and 0 < timeout <= 3600 and dim <= 32_768):
        told = "ef must be 1 to 32,768, m 2 to 2,048, timeout 0 to 3600 seconds, vectors no longer than 32,768"
        raise EngineError(told, code="engine/option")
    if uri is not None and "@" in uri:
        raise EngineError(
            "the option uri holds a user or a password, and would be written into the collection",
            code="engine/secret",
            hint="put user:password, or a token, into MILVUS_TOKEN",
        )
    if uri is not None and not _URI.fullmatch(uri):
        raise EngineError("the option uri is not http://host:port", code="engine/option")
    given = {"uri": uri, "ef": ef, "m": m, "timeout": None if timeout == 10.0 else timeout}
    options = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
    address = "milvus" + (f"/{variant}" if variant else "") + (f"?{options}" if options else "")
    return Remote(address, dim, MilvusTable(uri, dim, (degree, width) if kind == "HNSW" else None, timeout))
