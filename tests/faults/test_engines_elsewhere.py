"""Engines on a server that is down, slow, forgetful or somebody else's: nothing is lost, nothing appears, answers stay
those of brute force, and it is said who gave them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from elsewhere import MODULE, TABLES, Memory
from harm import ROOT, SPEC, records, vectors
from PIL import Image

from nearsight.core.arrays import NO_KEY
from nearsight.core.errors import EngineError, MissingExtra, UnknownName
from nearsight.encode.encoder import create
from nearsight.search import candidates
from nearsight.search.collection import Collection
from nearsight.search.engines import ENGINES, Elsewhere, _remote
from nearsight.search.migration import Migration, forget
from nearsight.search.store.check import Finding, check
from nearsight.study.collection import bytes_a_vector, run_collection

if TYPE_CHECKING:
    from benchmarks.scale._servers import Postgres

N = 500
DATABASES = [
    "memory",
    *(pytest.param(name, marks=pytest.mark.elsewhere) for name in ("pgvector", "pgvector/hnsw", "milvus")),
]


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> type[Memory]:
    """The engine `memory`, all well, and no pause before an engine that was away is asked again."""
    monkeypatch.setitem(ENGINES._modules, "memory", MODULE)
    monkeypatch.setattr(candidates, "_PAUSE", 0.0)
    Memory.down, Memory.twice, Memory.lacks, Memory.breaks_after = False, False, 0, -1
    Memory.writes = Memory.searches = 0
    Memory.connected.clear()
    TABLES.clear()
    return Memory


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("pgvector"):
        request.getfixturevalue("postgres")
    if request.param == "milvus":
        pytest.importorskip("pymilvus", reason="needs the 'milvus' extra")
        pytest.importorskip("milvus_lite", reason="needs the 'milvus' extra")
    return str(request.param)


def filled(folder: Path, engine: str, n: int = N) -> Collection:
    collection = Collection.create(folder, SPEC, engine=engine)
    collection.add(vectors(n), records(n))
    return collection


def right(collection: Collection, k: int = 10) -> bool:
    """Whether a search finds what brute force finds among all items."""
    keys = collection.keys()
    stored, queries = collection.vectors(keys), vectors(5, seed=9)
    found = collection.search_vectors(queries, k)
    for query, row, scores in zip(queries, found.keys, found.scores, strict=True):
        exact = (stored.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((keys, -exact))[:k]
        assert row[: len(order)].tolist() == keys[order].tolist()
        assert np.allclose(scores[: len(order)], exact[order], atol=1e-6)
        assert (row[len(order) :] == NO_KEY).all()
    return True


def table(collection: Collection) -> dict[int, int]:
    """Key -> sum of every row that the database holds; each is there once."""
    engine = collection._looks.searcher._build(collection.engine)
    keys, sums = engine._table.listing()
    engine.close()
    assert len(set(keys.tolist())) == len(keys)
    return {key: total for key, total in zip(keys.tolist(), sums.tolist(), strict=True) if key != NO_KEY}


def told(collection: Collection) -> bool:
    """Whether the database holds the living items, as they are, and nothing else."""
    keys = collection.keys()
    sums = _remote.row_sums(keys, collection.vectors(keys))
    assert table(collection) == dict(zip(keys.tolist(), sums, strict=True))
    return True


def test_it_is_told_every_change_and_answers(tmp_path: Path, engine: str) -> None:
    with filled(tmp_path / "c", engine) as c:
        assert right(c)
        assert c.engine_state != "ready"
        assert c.build_engine()
        assert not c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")
        c.delete(c.keys()[100:140].tolist())
        assert right(c)
        c.store.append(records(30, "new"), vectors(30, seed=3), replacing=c.keys()[:30].tolist())
        c.add(vectors(25, seed=4), records(25, "more"))
        assert right(c)
        assert c.build_engine()
        assert (right(c), told(c)) == (True, True)
        c.delete(c.keys()[:5].tolist())
        assert c.build_engine(), "a deletion alone is told, too"
        assert told(c)
        c.compact()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")
        assert not [f for f in check(c.folder) if isinstance(f, Finding)]
    with Collection.open(tmp_path / "c", read_only=True) as again:
        assert (right(again), again.engine_state, len(again)) == (True, "ready", N - 40 + 25 - 5)
        again._looks.searcher._main.close()


def test_it_is_emptied(tmp_path: Path, engine: str) -> None:
    with filled(tmp_path / "c", engine, 30) as c:
        c.build_engine()
        c.delete(c.keys().tolist())
        assert c.build_engine()
        assert table(c) == {}
        assert right(c)


def test_filters_reach_it(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(tmp_path / "c", engine) as c:
        c.build_engine()
        right(c)
        among, query = c.keys()[3::2], vectors(1, seed=8)
        best = among[np.argsort(-(c.vectors(among) @ query[0]), kind="stable")][:20]
        for few, pushed in (
            (candidates._FEW, 0),
            (0, 1),
            (0, 10**6),
        ):  # looked at here, sent along, looked through here
            monkeypatch.setattr(candidates, "_FEW", few)
            monkeypatch.setattr(_remote, "_PUSHED", pushed or 10**6)
            hits, _ = c.candidates(query[0], 20, among)
            assert hits.keys[0].tolist() == best.tolist()
            assert c.engine_state == "ready"


def test_only_differences_travel(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        assert Memory.writes == N
        c.delete(c.keys()[:250].tolist())
        c.compact()
        assert Memory.writes == N, "compaction moves rows, and changes none"
        c._looks.searcher.forget()
        assert c.build_engine()
        assert Memory.writes == N, "without a receipt the table itself says what it holds"
        c.add(vectors(7, seed=2), records(7, "new"))
        c.build_engine()
        assert Memory.writes == N + 7


def test_broken_off_in_the_middle_it_is_told_the_rest(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory", 3000) as c:
        Memory.breaks_after = 1500
        assert not c.build_engine()
        assert "went down" in c.engine_state
        assert right(c)
        Memory.down, Memory.breaks_after = False, -1
        assert right(c)
        assert c.engine_state != "ready", "nobody trusts a table without its seal"
        assert c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")
        assert Memory.writes == 3000, "what arrived is not sent again"


def test_what_was_told_and_then_deleted_unsaid_leaves_no_phantom(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory", 50) as c:
        Memory.breaks_after = 40
        c.build_engine()
        Memory.down, Memory.breaks_after = False, -1
        c.delete(c.keys()[:45].tolist())
        assert (right(c), c.build_engine(), told(c), right(c)) == (True, True, True, True)


def test_down_from_the_start(tmp_path: Path, memory: type[Memory]) -> None:
    Memory.down = True
    with filled(tmp_path / "c", "memory") as c:
        assert not c.build_engine()
        assert right(c)
        assert "down" in c.engine_state
        assert [f.code for f in check(c.folder) if isinstance(f, Finding)] == []
        Memory.down = False
        assert c.build_engine()
        assert (told(c), c.engine_state) == (True, "ready")
        Memory.down = True
        assert [(f.code, f.harmless) for f in check(c.folder) if isinstance(f, Finding)] == [("engine", True)]


def test_down_in_the_middle_and_back(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        right(c)
        Memory.down = True
        assert right(c)
        assert "down" in c.engine_state
        Memory.down, before = False, Memory.searches
        assert right(c)
        assert (c.engine_state, Memory.searches) == ("ready", before + 1)


def test_it_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_PAUSE", 3600.0)
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        right(c)
        Memory.down = True
        right(c)
        Memory.down, before = False, Memory.searches
        assert right(c)
        assert Memory.searches == before
        assert c.build_engine(), "a writer asks at once"
        assert right(c)
        assert Memory.searches == before + 1


def test_an_answer_in_part_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        Memory.lacks = 20
        assert right(c, k=N)
        assert "found fewer" in c.engine_state
        Memory.lacks = 0
        assert right(c)
        monkeypatch.setattr(candidates, "_FEW", 0)
        Memory.lacks = 400  # of those that a filter leaves
        among, query = c.keys()[:200], vectors(1, seed=8)[0]
        best = among[np.argsort(-(c.vectors(among) @ query), kind="stable")][:20]
        assert c.candidates(query, 20, among)[0].keys[0].tolist() == best.tolist()
        assert c.engine_state == "ready", "a filter that finds too few says nothing of the rest"


def test_a_row_that_is_found_twice_is_one_answer(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        Memory.twice = True
        assert right(c)
        assert "found fewer" in c.engine_state, "half of what it found was the other half again"


def test_more_than_it_gives_at_once_is_answered_without_it(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory", 1200) as c:
        c.build_engine()
        assert right(c, k=1100)
        assert "1,000 at once" in c.engine_state


@pytest.mark.parametrize("harm", ["lost", "stranger", "changed hands"])
def test_a_table_that_was_touched_is_not_trusted_and_mended(tmp_path: Path, harm: str) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        (rows,) = TABLES.values()
        if harm == "lost":
            del rows[7], rows[8]
        elif harm == "stranger":
            rows[10**6] = 1, vectors(1)[0]
        else:
            rows[NO_KEY] = 5, vectors(1)[0]
    with Collection.open(tmp_path / "c") as c:
        assert right(c)
        assert "not as it was left" in c.engine_state
        assert c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")


def test_lost_rows_are_noticed_by_their_count_when_more_is_told(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        (rows,) = TABLES.values()
        del rows[7]
        c.add(vectors(3, seed=4), records(3, "more"))
        assert c.build_engine()
        assert (told(c), c.engine_state) == (True, "ready")


def test_a_copy_takes_the_table_and_the_first_one_notices(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
    shutil.copytree(tmp_path / "c", tmp_path / "copy")
    with Collection.open(tmp_path / "copy") as copy:
        copy.delete(copy.keys()[:100].tolist())
        copy.build_engine()
    with Collection.open(tmp_path / "c", read_only=True) as c:
        assert right(c)
        assert "not as it was left" in c.engine_state
        assert len(c) == N


def test_a_backup_is_a_collection_of_its_own(tmp_path: Path, engine: str) -> None:
    with filled(tmp_path / "c", engine, 60) as c:
        c.build_engine()
        list(c.backup(tmp_path / "b"))
    with Collection.open(tmp_path / "b") as b:
        assert right(b)
        b.build_engine()
        assert (right(b), told(b), b.engine_state) == (True, True, "ready")


def test_an_engine_gives_way_to_another(tmp_path: Path, engine: str) -> None:
    with filled(tmp_path / "c", "faiss/HNSW8", 100) as c:
        c.build_engine()
        with pytest.raises(EngineError):
            c.change_engine("faiss/HNSW8x")
        assert c.engine == "faiss/HNSW8"
        c.change_engine(engine)
        assert right(c)
        assert c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")
    with Collection.open(tmp_path / "c") as c:
        assert c.engine == engine
        c.change_engine("exact")
        assert right(c)
        assert not [f for f in check(c.folder) if isinstance(f, Finding)]
        assert [path.name for path in (c.folder / "engine").iterdir()] == []
        assert TABLES == {}
        c.change_engine(engine)
        assert c.build_engine()
        assert (right(c), told(c)) == (True, True)


def test_an_evaluation_leaves_nothing_behind(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "exact", 60) as c:
        steps = list(run_collection(c, engine="memory", metrics=("precision@1",)))
        assert steps
        assert Memory.searches
        assert bytes_a_vector(c, "memory") > 16
    assert (TABLES, Memory.connected) == ({}, set())


def test_an_engine_that_is_away_gives_way_too(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory", 40) as c:
        c.build_engine()
        Memory.down = True
        c.change_engine("faiss/SQ8")
        c.build_engine()
        assert (right(c), c.engine_state) == (True, "ready")


@pytest.mark.parametrize("why", ["", "down", "refused", "not installed", "unknown"])
def test_what_is_forgotten_leaves_no_table_where_the_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    for shade in range(6):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (40 * shade, 100, 255 - 40 * shade)).save(tmp_path / "pictures" / f"{shade}.png")
    with Collection.create(tmp_path / "c", create("colour?bins=2&grid=1"), engine="memory") as c:
        list(c.sync(tmp_path / "pictures"))
        (before,) = TABLES
    with Migration(tmp_path / "c", create("colour?bins=3&grid=1")) as migration:
        list(migration.encode())
        list(migration.switch())
    assert len(TABLES) == 2
    refusals = {
        "refused": EngineError("no"),
        "not installed": MissingExtra("no"),
        "unknown": UnknownName("no"),
    }

    def refuse(*, dim: int) -> None:
        raise refusals[why]

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "down", why == "down")
        if why in refusals:
            patch.setitem(ENGINES._modules, "memory", SimpleNamespace(build=refuse))
        assert forget(tmp_path / "c").startswith("colour?bins=2")
    assert (before in TABLES, len(TABLES)) == (bool(why), 1 + bool(why))
    with Collection.open(tmp_path / "c") as c:
        assert not c.build_engine()
        assert (told(c), c.engine_state) == (True, "ready")


def test_connections_are_let_go(tmp_path: Path) -> None:
    with filled(tmp_path / "c", "memory") as c:
        c.build_engine()
        right(c)
        Memory.down = True
        right(c)
        Memory.down = False
        right(c)
        assert len(Memory.connected) == 1
    assert not Memory.connected


# with a server


@pytest.mark.elsewhere
def test_postgres_killed_frozen_and_back(tmp_path: Path, postgres: Postgres) -> None:
    with filled(tmp_path / "c", "pgvector?timeout=1") as c:
        c.build_engine()
        right(c)
        assert c.engine_state == "ready"
        postgres.kill()
        try:
            assert right(c)
            assert "Postgres failed" in c.engine_state
            c.add(vectors(40, seed=6), records(40, "meanwhile"))
            assert not c.build_engine()
            assert right(c)
        finally:
            postgres.start()
        assert c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")
        postgres.freeze()
        try:
            began = time.monotonic()
            assert right(c)
            assert time.monotonic() - began < 8
            assert "no answer in 1 s" in c.engine_state
        finally:
            postgres.thaw()
        assert (right(c), right(c), c.engine_state) == (True, True, "ready")


@pytest.mark.elsewhere
def test_a_door_that_opens_on_nothing(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the 'pgvector' extra")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with filled(tmp_path / "c", f"pgvector?timeout=1&dsn=host=127.0.0.1 port={port} user=me") as c:
            began = time.monotonic()
            assert not c.build_engine()
            assert time.monotonic() - began < 8
            assert "Postgres" in c.engine_state
            assert right(c)


@pytest.mark.elsewhere
def test_milvus_lite_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus", reason="needs the 'milvus' extra")
    pytest.importorskip("milvus_lite", reason="needs the 'milvus' extra")
    with filled(tmp_path / "c", "milvus", 50) as c:
        c.build_engine()
    code = (
        "import sys; from pathlib import Path; from nearsight import Collection; import numpy as np\n"
        "c = Collection.open(Path(sys.argv[1]), read_only=True); c.search_vectors(np.eye(1, 8, dtype=np.float32), 1)\n"
        "print(c.engine_state, flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "c")],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "ready"
    with Collection.open(tmp_path / "c") as c:
        assert right(c)
        assert "Milvus" in c.engine_state
        other.send_signal(signal.SIGKILL)
        other.communicate()
        c.add(vectors(10, seed=3), records(10, "more"))
        assert c.build_engine()
        assert (right(c), told(c), c.engine_state) == (True, True, "ready")


# addresses


@pytest.mark.elsewhere
@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("pgvector?dsn=postgresql://me:sesame@host/db", "engine/secret"),
        ("pgvector?dsn=host=h password=sesame", "engine/secret"),
        ("pgvector?dsn=sesame", "engine/option"),
        ("pgvector/tree", "engine/option"),
        ("pgvector?ef=5", "engine/option"),
        ("pgvector/hnsw?ef=0", "engine/option"),
        ("milvus?uri=http://root:sesame@host:19530", "engine/secret"),
        ("milvus?uri=/tmp/sesame.db", "engine/option"),
        ("milvus/HNSW", "engine/option"),
        ("milvus/tree", "engine/option"),
        ("milvus?ef=5", "engine/option"),
        ("milvus?timeout=0", "engine/option"),
    ],
)
def test_addresses_are_refused_before_anything_is_written(tmp_path: Path, address: str, code: str) -> None:
    pytest.importorskip("psycopg" if address.startswith("pg") else "milvus_lite", reason="needs an extra")
    with pytest.raises(EngineError) as refused:
        Collection.create(tmp_path / "c", SPEC, engine=address)
    assert refused.value.code == code
    assert refused.value.hint or code == "engine/option"
    assert "sesame" not in str(refused.value)
    assert not (tmp_path / "c").exists()


@pytest.mark.elsewhere
def test_secrets_of_the_environment_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="needs the 'pgvector' extra")
    monkeypatch.setenv("NEARSIGHT_PGVECTOR", "host=/nowhere user=me password=sesame")
    with filled(tmp_path / "c", "pgvector", 20) as c:
        assert not c.build_engine()
        assert "sesame" not in c.engine_state
        assert c.engine_state != "ready"
    assert not any(b"sesame" in path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file())
    assert json.loads((tmp_path / "c" / "manifest.json").read_text())["meta"]["engine"] == "pgvector"


@pytest.mark.parametrize(("engine", "extra"), [("milvus", "milvus"), ("pgvector", "pgvector")])
def test_what_is_not_installed_says_so(engine: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=rf"nearsight\[{extra}\]"):
        ENGINES.build(engine, dim=8)


def test_what_stands_elsewhere_is_known_by_what_it_can() -> None:
    assert isinstance(ENGINES.build("memory", dim=8), Elsewhere)
    assert not isinstance(ENGINES.build("faiss/Flat", dim=8), Elsewhere)


@pytest.mark.elsewhere
@pytest.mark.slow
@pytest.mark.parametrize("name", ["postgres", "milvus"])
def test_killed_in_mid_write_it_is_told_the_rest(name: str, request: pytest.FixtureRequest) -> None:
    """A few of the kills that `python -m benchmarks.scale` counts."""
    server = request.getfixturevalue(name)
    from benchmarks.scale._kills import kills

    counts = kills(server, "pgvector" if name == "postgres" else f"milvus?uri={server.where}", 2)
    assert [counts[what] for what in ("kills", "lost", "phantom", "duplicates", "wrong")] == [2, 0, 0, 0, 0]
