"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.scale._servers import Milvus, Postgres

    from serving import Served


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: NEARSIGHT_DATA, or `../shared/data` beside the repository. Skips where absent."""
    root = Path(os.environ.get("NEARSIGHT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is not there (set NEARSIGHT_DATA)")
    return root


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres with pgvector, for the engine `pgvector` to find. Skips where there is none to start."""
    pytest.importorskip("psycopg", reason="needs the 'pgvector' extra")
    pytest.importorskip("pgserver", reason="needs the package pgserver: a Postgres to start")
    from benchmarks.scale._servers import Postgres

    server = Postgres()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARSIGHT_PGVECTOR", server.where)
        yield server
    server.stop()


@pytest.fixture(scope="session")
def milvus() -> Iterator[Milvus]:
    """A Milvus server. Skips where there is none to start."""
    pytest.importorskip("pymilvus", reason="needs the 'milvus' extra")
    pytest.importorskip("milvus", reason="needs the package milvus: a server to start")
    from benchmarks.scale._servers import Milvus

    server = Milvus()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shop_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection of `serving.shop`, to be copied."""
    from serving import shop

    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def shop(shop_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of it for one file of tests, whose words are known meanwhile."""
    from fake_words import install

    folder = tmp_path_factory.mktemp("served") / "shop.ns"
    shutil.copytree(shop_made, folder)
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        yield folder


@pytest.fixture(scope="module")
def served(shop: Path) -> Iterator[Served]:
    """The collection `shop`, served."""
    from serving import Served

    with Served([shop]) as running:
        yield running


@pytest.fixture
def mine(shop_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A copy of the shop of one test alone, at ``tmp_path / "mine.ns"``, served, to be changed."""
    from fake_words import install
    from serving import Served

    install(monkeypatch)
    shutil.copytree(shop_made, tmp_path / "mine.ns")
    with Served([tmp_path / "mine.ns"]) as running:
        yield running
