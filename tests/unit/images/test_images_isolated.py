"""Decoding processes: the same pixels, and nothing that a picture does to them reaches the caller."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from image_files import RGB_FORMATS, gradient, noise, reason, saved
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.data.images import Isolated, Limits, decode

PICTURE = saved(gradient(), "PNG")

# A worker whose decoder does what a broken one does, when the picture's size says so.
PROGRAM = """
import ctypes, os, tempfile, time
from nearsight.data.images import worker
real = worker.decode_sized
def decode_sized(data, *, limits, side):
    picture, size = real(data, limits=limits, side=side)
    match picture.width:
        case 1: time.sleep(1000)
        case 2:
            while True: pass
        case 3: ctypes.string_at(0)
        case 4: os._exit(0)
        case 5: bytearray(4 << 30)
        case 6: os.abort()
        case 7: os.write(1, b'noise'); print('noise', flush=True)
        case 8: raise RecursionError
        case 9:
            with tempfile.TemporaryFile() as file: file.write(b'x' * 100)
    return picture, size
worker.decode_sized = decode_sized
worker.main()
"""


class Broken(Isolated):
    _program = PROGRAM


def sized(width: int) -> bytes:
    return saved(Image.new("RGB", (width, 4)), "PNG")


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    descriptors = psutil.Process().num_fds()
    yield
    assert not children()
    assert psutil.Process().num_fds() <= descriptors


def test_same_pixels_as_here() -> None:
    with Isolated(workers=1) as pool:
        for form in RGB_FORMATS:
            data = saved(noise(90, 60), form)
            assert pool.decode(data) == decode(data)
        large = saved(gradient(800, 600), "JPEG")
        assert pool.decode(large, side=75).size == (200, 150)
        assert pool.decode_sized(large, side=75)[1] == decode(large).size


def test_same_refusals_as_here() -> None:
    with Isolated(workers=1) as pool:
        assert reason(lambda: pool.decode(b"text")) == "not-a-picture"
        assert reason(lambda: pool.decode(b"")) == "empty"
        assert reason(lambda: pool.decode(PICTURE[:-20])) == "truncated"
        assert reason(lambda: pool.decode(PICTURE, limits=Limits(max_side=40))) == "too-long-side"
        assert reason(lambda: pool.decode(PICTURE, limits=Limits(max_bytes=40))) == "too-many-bytes"
        (process,) = children()
        assert pool.decode(PICTURE) == gradient()
        assert children() == [process]  # a refusal costs no process


@pytest.mark.parametrize(
    ("width", "why"),
    [(1, "timeout"), (2, "timeout"), (3, "crashed"), (4, "crashed"), (5, "memory"), (6, "crashed"), (8, "crashed")],
    ids=["sleeps", "spins", "segfault", "exits", "memory", "aborts", "raises"],
)
def test_a_decoder_that_breaks_is_named_and_the_pool_goes_on(width: int, why: str) -> None:
    with Broken(workers=1, seconds=2) as pool:
        assert pool.decode(PICTURE) == gradient()
        start = time.monotonic()
        assert reason(lambda: pool.decode(sized(width))) == why
        assert time.monotonic() - start < 10
        assert pool.decode(PICTURE) == gradient()
        assert len(children()) <= 1


def test_a_decoder_that_prints_does_no_harm() -> None:
    with Broken(workers=1) as pool:
        assert pool.decode(sized(7)).size == (7, 4)
        assert pool.decode(PICTURE) == gradient()


def test_a_decoder_writes_no_files() -> None:
    with Broken(workers=1) as pool:
        assert reason(lambda: pool.decode(sized(9))) == "crashed"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to it")
def test_memory_limit_holds_for_real_pictures() -> None:
    large = saved(Image.new("L", (6000, 6000)), "PNG")
    with Isolated(workers=1, memory_mb=64) as pool:
        assert reason(lambda: pool.decode(large)) == "memory"
        assert pool.decode(PICTURE) == gradient()
    with Isolated(workers=1, memory_mb=512) as pool:
        assert pool.decode(large).size == (6000, 6000)


def test_an_answer_that_is_none() -> None:
    start = "import sys; print('ready', flush=True); sys.stdin.buffer.readline(); print("

    class Liar(Isolated):
        _program = start + """'{"width": 9, "height": 9, "full": [9, 9]}')"""

    class Noise(Isolated):
        _program = start + "'[[[[')"

    class Giant(Isolated):
        _program = start + """'{"width": 9999999, "height": 9999999, "full": [9999999, 9999999]}')"""

    class Missing(Isolated):
        _program = "import no_such_module"

    for kind in (Liar, Noise, Giant, Missing):
        with kind(workers=1, seconds=10) as pool:
            assert reason(lambda pool=pool: pool.decode(PICTURE)) == "crashed"


def test_threads_share_the_pool() -> None:
    pictures = [saved(noise(40, 30, i), "PNG") for i in range(12)]
    with Broken(workers=2, seconds=3) as pool, ThreadPoolExecutor(4) as threads:
        spins = threads.submit(lambda: reason(lambda: pool.decode(sized(2))))
        assert list(threads.map(pool.decode, pictures)) == [decode(p) for p in pictures]
        assert spins.result() == "timeout"
        assert len(children()) <= 2


def test_close_ends_what_is_at_work() -> None:
    pool = Broken(workers=1, seconds=60)
    pool.decode(PICTURE)
    whys: list[str] = []
    thread = threading.Thread(target=lambda: whys.append(reason(lambda: pool.decode(sized(2)))))
    thread.start()
    time.sleep(0.3)
    pool.close()
    thread.join(10)
    assert whys == ["crashed"]
    with pytest.raises(InputError, match="closed"):
        pool.decode(PICTURE)


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys; from nearsight.data.images import Isolated\n"
        "pool = Isolated(workers=1); pool.decode(open(sys.argv[1], 'rb').read())\n"
        "print(pool._all[0]._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "a.png").write_bytes(PICTURE)
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, timeout=30)
    pid = int(out.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_script_without_a_main_guard_can_use_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from nearsight.data.images import Isolated\n"
        f"with Isolated(workers=1) as pool: print(pool.decode({PICTURE!r}).size)\n"
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, cwd=os.getcwd())
    assert out.stdout.splitlines() == ["(48, 32)"], out.stderr


def test_a_pool_needs_workers_time_and_memory() -> None:
    for bad in ({"workers": 0}, {"seconds": 0}, {"memory_mb": 0}):
        with pytest.raises(InputError):
            Isolated(**bad)  # type: ignore[arg-type]
