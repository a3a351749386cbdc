"""Ctrl-C keeps what was committed, says so, and the same command goes on from there."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from e2e.command import paint, spawn
from nearsight import Collection
from nearsight.core.errors import NearsightError

SLOWLY = """
import time
from nearsight.encode.images.colour import Colour
fast = Colour.prepare
Colour.batch = property(lambda self: 4, lambda self, value: None)
def prepare(self, picture):
    time.sleep(0.03)
    return fast(self, picture)
Colour.prepare = prepare
"""


def committed(place: Path) -> int:
    try:
        with Collection.open(place, read_only=True) as kept:
            return len(kept)
    except NearsightError:
        return 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_keeps_what_is_committed_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder, total = tmp_path / "pictures", 150
    for number in range(total):
        paint(folder / f"{number:03d}.jpg", (number, 100, 200), number)
    place = folder / ".nearsight"
    with spawn("index", folder, "-e", "colour", "--workers", "1", code=SLOWLY) as process:
        deadline = time.monotonic() + 60
        while committed(place) == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    kept = committed(place)
    assert 0 < kept < total
    assert f"stopped; the collection has {kept} pictures, {kept} of them new" in err.decode()
    assert "Traceback" not in err.decode()
    with spawn("index", folder, "--json") as process:
        out, _ = process.communicate(timeout=60)
    done = json.loads(out)
    assert (done["unchanged"], done["added"], done["items"]) == (kept, total - kept, total)
