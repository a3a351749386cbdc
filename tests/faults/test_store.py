"""The rows of the reliability catalogue under "Store", one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from harm import DIM, ROOT, harmful, python, records, tree, vectors

from nearsight.core.errors import (
    Locked,
    ReadOnly,
    StoreError,
    WriteFailed,
)
from nearsight.search.collection import Collection
from nearsight.search.store import disk
from nearsight.search.store.check import Finding, check
from nearsight.search.store.segments import HEADER

# writers and readers


def test_the_second_writer_is_told_who_has_the_lock(store: Collection) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from nearsight.core.errors import Locked
        from nearsight.search.collection import Collection
        try:
            Collection.open(Path(sys.argv[1]))
        except Locked as error:
            print(error.code, error.message)
        with Collection.open(Path(sys.argv[1]), read_only=True) as reader:
            print(len(reader))"""
    done = python(code, store.folder)
    assert done.stdout.splitlines()[0].startswith("store/locked")
    assert f"(pid {os.getpid()})" in done.stdout
    assert done.stdout.splitlines()[1] == "20", done.stderr
    with pytest.raises(Locked):
        Collection.open(store.folder)


def test_a_dead_writers_lock_is_no_lock(store: Collection) -> None:
    store.close()
    (store.folder / "LOCK").write_text("")
    (store.folder / "LOCK.pid").write_text("999999")
    with Collection.open(store.folder) as again:
        again.add(vectors(1, 9), records(1, "new"))
        assert len(again) == 21


def test_a_killed_writer_leaves_no_lock(store: Collection) -> None:
    store.close()
    code = """if True:
        import sys, time
        from pathlib import Path
        from nearsight.search.collection import Collection
        c = Collection.open(Path(sys.argv[1]))
        print("open", flush=True)
        time.sleep(60)"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(Locked, match=str(writer.pid)):
            Collection.open(store.folder)
        writer.kill()
    Collection.open(store.folder).close()


def test_after_a_fork_the_child_is_refused_and_the_parent_keeps_its_lock(store: Collection) -> None:
    store.close()
    code = """if True:
        import os, sys
        from pathlib import Path
        from nearsight.core.errors import StoreError
        from nearsight.search.collection import Collection
        c = Collection.open(Path(sys.argv[1]))
        child = os.fork()
        if not child:
            for use in (lambda: len(c), lambda: c.delete([1]), lambda: c.item(1)):
                try:
                    use()
                except StoreError as error:
                    assert error.code == "store/forked"
                else:
                    os._exit(3)
            c.close()
            del c
            sys.exit(0)  # with everything that Python does at an end
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        second = os.fork()
        if not second:
            try:
                Collection.open(Path(sys.argv[1]))
            except StoreError as error:
                os._exit(0 if error.code == "store/locked" else 4)
            os._exit(5)
        print("second", os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]), c.delete([1]))"""
    done = python(code, store.folder)
    assert done.stdout.strip() == "second 0 1", done.stderr


READER = """if True:
    import sys
    from pathlib import Path
    import numpy as np
    from nearsight.core.arrays import unit
    from nearsight.search.collection import Collection
    query = unit(np.random.default_rng(7).standard_normal((1, int(sys.argv[2]))))
    print("ready", flush=True)
    looks = 0
    while not Path(sys.argv[3]).exists():
        with Collection.open(Path(sys.argv[1]), read_only=True) as reader:
            for _ in range(5):
                snapshot = reader.store.verified()
                hits = reader._looks.searcher.search(snapshot, query, 1000)
                keys = snapshot.living()
                scores = (snapshot.vectors(snapshot.rows_of(keys)).astype(np.float64) @ query[0].astype(np.float64))
                order = np.lexsort((keys, -scores.astype(np.float32)))
                assert hits.keys[0, : len(keys)].tolist() == keys[order].tolist()
                looks += 1
    print(looks)"""


def test_readers_in_threads_and_processes_see_whole_generations(store: Collection, tmp_path: Path) -> None:
    # Every change is announced before it is made: whatever a reader sees must be one of the announced states.
    generations, stop, failures, looks = [set(range(1, 21))], threading.Event(), [], []
    truth = dict(zip(range(1, 21), vectors(20), strict=True))
    query = vectors(1, 77)

    def look() -> None:
        try:
            with Collection.open(store.folder, read_only=True) as reader:
                while not stop.is_set():
                    hits = reader.search_vectors(query, 1000)
                    found = [int(k) for k in hits.keys[0] if k >= 0]
                    assert set(found) in generations, found
                    scores = [float(truth[k].astype(np.float64) @ query[0].astype(np.float64)) for k in found]
                    assert scores == sorted(scores, reverse=True)
                    assert np.allclose(scores, hits.scores[0, : len(found)], atol=1e-6)
                    looks.append(len(found))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    other = subprocess.Popen(
        [sys.executable, "-c", READER, str(store.folder), str(DIM), str(tmp_path / "stop")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    other.stdout.readline()
    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    last = 20
    for turn in range(12):
        fresh = vectors(5, turn)
        added = list(range(last + 1, last + 6))
        truth.update(zip(added, fresh, strict=True))
        generations.append(generations[-1] | set(added))
        assert store.add(fresh, records(5, f"t{turn} ")).tolist() == added
        last += 5
        gone = sorted(generations[-1])[:3]
        generations.append(generations[-1] - set(gone))
        store.delete(gone)
        if turn % 3 == 2:
            store.compact()
    stop.set()
    (tmp_path / "stop").touch()
    for thread in threads:
        thread.join()
    out, err = other.communicate(timeout=60)
    assert not failures, failures
    assert other.returncode == 0, err
    assert int(out) > 0
    assert len(set(looks)) > 1, "the readers saw no change"
    assert not harmful(store.folder)


def test_compaction_refuses_when_the_lock_was_taken_away(store: Collection) -> None:
    store.delete([1])
    stale = store.store.snapshot()
    (store.folder / "LOCK").unlink()
    with Collection.open(store.folder) as second:  # what somebody who removes lock files brings about
        second.add(vectors(2, 3), records(2, "second"))
        store.store.snapshot = lambda: stale  # type: ignore[method-assign]
        with pytest.raises(Locked):
            store.compact()
        assert len(second) == 21


# writes


def test_rows_are_on_the_medium_before_the_commit(store: Collection) -> None:
    points: list[str] = []
    disk.fault = points.append
    store.add(vectors(3, 1), records(3, "new"))
    disk.fault = None
    commit = points.index("commit:before")
    written = [i for i, point in enumerate(points) if point == "write:after" and i < commit]
    assert len(written) == 2  # vectors and keys
    for write in written:
        assert "sync:after" in points[write:commit]


@pytest.mark.parametrize("how", ["noise", "dropped", "torn"])
def test_what_was_not_committed_may_be_anything(store: Collection, how: str) -> None:
    disk.fault = lambda point: _raise(point, "commit:before")
    with pytest.raises(WriteFailed):
        store.add(vectors(5, 1), records(5, "half"))
    disk.fault = None
    store.close()
    for suffix, width in (("vec", DIM * 4), ("key", 8)):
        path = store.folder / "segments" / f"000001.{suffix}"
        end = HEADER + 20 * width
        tail = {"noise": os.urandom(999), "dropped": b"", "torn": path.read_bytes()[end : end + 11]}[how]
        path.write_bytes(path.read_bytes()[:end] + tail)
    with Collection.open(store.folder) as again:
        assert len(again) == 20
        assert not harmful(store.folder)
        assert again.add(vectors(5, 2), records(5, "next")).tolist() == [21, 22, 23, 24, 25]
        assert not harmful(store.folder)


def _raise(point: str, wanted: str) -> None:
    if point == wanted:
        raise OSError(5, "Input/output error")


def test_a_failed_sync_is_never_tried_again(store: Collection) -> None:
    points: list[str] = []

    def fault(point: str) -> None:
        points.append(point)
        _raise(point, "sync:before")

    disk.fault = fault
    with pytest.raises(WriteFailed):
        store.add(vectors(1, 1), records(1, "new"))
    assert points.count("sync:before") == 1
    before = len(points)
    for change in (
        lambda: store.add(vectors(1, 1), records(1, "new")),
        lambda: store.delete([1]),
        lambda: store.annotate(2, label="x"),
    ):
        with pytest.raises(WriteFailed, match="nothing more is written"):
            change()
    assert len(points) == before, "not one more system call"
    assert len(store.search(1, 5)) == 5, "reading goes on"
    disk.fault = None
    store.close()
    with Collection.open(store.folder) as again:
        assert len(again) == 20
        assert again.add(vectors(1, 1), records(1, "new")).tolist() == [21]


def test_a_seal_that_cannot_be_written_costs_nothing_but_time(store: Collection) -> None:
    def fault(point: str) -> None:
        if point == "commit:after":
            disk.fault = lambda later: _raise(later, "write:before")

    disk.fault = fault
    assert store.add(vectors(1, 1), records(1, "new")).tolist() == [21]
    disk.fault = None
    store.close()
    assert [f.code for f in check(store.folder) if isinstance(f, Finding)] == ["seal"]
    Collection.open(store.folder).close()
    assert not [f for f in check(store.folder) if isinstance(f, Finding)], "a writer seals again"


# media


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """The folder as a medium that cannot be written."""
    bind = ["mount", "--bind", str(folder), str(folder)]
    if os.name == "nt" or subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_medium_is_searched_checked_and_not_written(store: Collection) -> None:
    store.close()
    before = tree(store.folder)
    with frozen(store.folder):
        with Collection.open(store.folder, read_only=True) as reader:
            assert len(reader.search(3, 5)) == 5
            assert not harmful(store.folder)
            with pytest.raises(ReadOnly):
                reader.delete([1])
        with pytest.raises(ReadOnly):
            Collection.open(store.folder)
    assert tree(store.folder) == before


def test_a_half_written_commit_on_a_read_only_medium_is_refused_then_recovered(store: Collection) -> None:
    store.close()
    code = """if True:
        import os, sys
        from pathlib import Path
        from nearsight.search.collection import Collection
        c = Collection.open(Path(sys.argv[1]))
        c.store.catalogue.db.execute("PRAGMA cache_size=1")
        c.store.catalogue.db.execute("PRAGMA cache_spill=1")
        c.store.catalogue.db.execute("BEGIN IMMEDIATE")
        c.store.catalogue.db.execute("UPDATE item SET captions=hex(randomblob(9000))")
        os._exit(0)"""
    python(code, store.folder)
    assert (store.folder / "catalogue.sqlite-journal").stat().st_size, "the journal is hot"
    with frozen(store.folder), pytest.raises(ReadOnly, match="middle of a write"):
        Collection.open(store.folder, read_only=True)
    with Collection.open(store.folder, read_only=True) as reader:
        assert [item.captions for item in reader.items()] == [()] * 20
    assert not harmful(store.folder)


def test_a_copy_taken_while_it_is_written_opens_as_a_generation_or_says_no(store: Collection, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            store.add(vectors(5, turn), [*records(5, f"t{turn} ")])
            store.delete([int(store.store.snapshot().living()[0])])
            turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = []
        for number in range(15):
            copy = tmp_path / f"copy{number}"
            with suppress(shutil.Error, FileNotFoundError):
                shutil.copytree(store.folder, copy, ignore=shutil.ignore_patterns("LOCK*"))
            try:
                with Collection.open(copy) as again:
                    hits = again.search_vectors(vectors(1, 5), 10_000)
                    living = [int(k) for k in hits.keys[0] if k >= 0]
                    assert sorted(living) == again.keys().tolist()
                    assert not harmful(copy)
                    outcomes.append("opened")
            except StoreError:
                outcomes.append("refused")
    finally:
        stop.set()
        writer.join()
    assert len(outcomes) == 15


def test_a_clock_that_was_set_back_changes_nothing(store: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    for path in store.folder.rglob("*"):
        os.utime(path, (0, 0))
    store.add(vectors(1, 1), records(1, "new"))
    store.close()
    with Collection.open(store.folder) as again:
        assert len(again) == 21
    assert not harmful(store.folder)
