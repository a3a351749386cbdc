"""Every runner writes the same shards, tells of each once, and goes on where it was closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import Damaged, InputError, UnknownName
from nearsight.core.events import Done, Encoded, Skipped
from nearsight.encode import create
from nearsight.search.bulk import Options, encode
from nearsight.search.bulk.files import numbers, read_shard
from nearsight.search.bulk.runners import RUNNERS

pytest.importorskip("pyarrow")

NAMES = [pytest.param(name, marks=[pytest.mark.cluster] if name == "ray" else []) for name in RUNNERS.names()]
FOUR = Options(rows=4)


@pytest.fixture(scope="module", params=NAMES)
def runner(request: pytest.FixtureRequest) -> Iterator[str]:
    """A runner's name; Ray is started once for all."""
    if request.param != "ray":
        yield request.param
        return
    ray: Any = pytest.importorskip("ray")
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    yield request.param
    ray.shutdown()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eighteen pictures, and one that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(18):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    (folder / "09.jpg").write_text("no picture")
    return folder


def content(out: Path) -> list[tuple[Any, bytes]]:
    return [
        (one, vector.tobytes())
        for number in numbers(out, "shards")
        for some, vectors in read_shard(out / "shards" / f"{number:06d}.parquet")
        for one, vector in zip(some, vectors, strict=True)
    ]


@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_the_shards_are_the_same_and_told_once(runner: str, pictures: Path, tmp_path: Path) -> None:
    list(encode(str(pictures), create("colour"), tmp_path / "here", FOUR))
    *events, last = encode(str(pictures), create("colour"), tmp_path / "there", FOUR, on=runner)
    assert isinstance(last, Done)
    assert last.counts == {"encoded": 18, "skipped": 1, "kept": 0, "shards": 5}
    assert sorted(event.count for event in events if isinstance(event, Encoded)) == [3, 3, 4, 4, 4]
    assert [event.code for event in events if isinstance(event, Skipped)] == ["picture/not-a-picture"]
    assert content(tmp_path / "there") == content(tmp_path / "here")


@pytest.mark.filterwarnings("ignore")
def test_closed_early_it_goes_on(runner: str, pictures: Path, tmp_path: Path) -> None:
    work = encode(str(pictures), create("colour"), tmp_path / "out", FOUR, on=runner)
    while not isinstance(next(work), Encoded):
        pass
    work.close()
    there = len(content(tmp_path / "out"))
    assert there >= 3
    *_, last = encode(str(pictures), create("colour"), tmp_path / "out", FOUR, on=runner)
    assert isinstance(last, Done)
    assert last.counts["kept"] + last.counts["encoded"] == 18
    assert last.counts["kept"] >= 3
    assert len({one.entry.path for one, _ in content(tmp_path / "out")}) == len(content(tmp_path / "out")) == 18


@pytest.mark.filterwarnings("ignore")
def test_an_error_of_a_shard_is_the_runs(runner: str, pictures: Path, tmp_path: Path) -> None:
    work = encode(str(pictures), create("colour"), tmp_path / "out", FOUR, on=runner)
    while not isinstance(event := next(work), Encoded):
        pass
    assert event.count
    work.close()
    (left, *_) = sorted(set(range(5)) - set(numbers(tmp_path / "out", "shards"))) or [0]
    (tmp_path / "out" / "shards" / f"{left:06d}.parquet").unlink(missing_ok=True)
    (tmp_path / "out" / "plan" / f"{left:06d}.parquet").write_bytes(b"no plan")
    with pytest.raises(Damaged, match=f"{left:06d}"):
        list(encode(str(pictures), create("colour"), tmp_path / "out", FOUR, on=runner))


@pytest.mark.parametrize("name", RUNNERS.names())
def test_it_explains_itself_and_takes_no_unknown_option(name: str) -> None:
    assert RUNNERS.help(name)
    with pytest.raises(UnknownName):
        RUNNERS.build(f"{name}?nonsense=1")


def test_numbers_of_actors_are_not_below_nothing() -> None:
    for option in ("actors", "cpus", "gpus"):
        with pytest.raises(InputError) as caught:
            RUNNERS.build(f"ray?{option}=-1")
        assert caught.value.code == "bulk/options"
