"""``torchrun --nproc-per-node 2 -m nearsight train``: the training of one process, by two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from e2e.command import COLOURS, paint
from nearsight import Encoder
from nearsight.data.images import decode

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]

# no batch norm: each process has the statistics of its part
QUICK = ["--tower", "small_cnn/report?size=16&dim=16", "--loss", "supcon", "--sampler", "pk?k=3", "--batch", "9"]
QUICK += ["--epochs", "2", "--lr", "0.01", "--set", "loop.precision=fp32", "--no-maps", "--device", "cpu"]
SEVERAL = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--redirects", "3", "--log-dir"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


def said(logs: Path, rank: int) -> str:
    """What a process wrote to stdout and stderr."""
    found = sorted(path for name in ("stdout", "stderr") for path in logs.rglob(f"{rank}/{name}.log"))
    assert len(found) == 2
    return "".join(path.read_text() for path in found)


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    for at, (name, colour) in enumerate(COLOURS.items()):
        for number in range(8):
            paint(tmp_path / "pictures" / name / f"{name}_{number}.jpg", colour, 100 * at + number)
    command = ["-m", "nearsight", "train", "--data", tmp_path / "pictures", *QUICK, "-o"]
    run(*command, tmp_path / "one")
    run(*SEVERAL, tmp_path / "logs", *command, tmp_path / "two")

    one, two = (
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [epoch["loss"] for epoch in two] == pytest.approx([epoch["loss"] for epoch in one], rel=1e-5)
    assert [epoch["pictures"] for epoch in two] == [epoch["pictures"] for epoch in one]
    assert one[0]["loss"] != pytest.approx(one[1]["loss"], rel=1e-3), "something was learned"

    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )
    picture = decode((tmp_path / "pictures" / "red" / "red_0.jpg").read_bytes())
    vectors = [Encoder.load(tmp_path / name / "encoder").encode_images([picture])[0] for name in ("one", "two")]
    assert float(np.dot(*vectors)) > 0.9999

    first = said(tmp_path / "logs", 0)
    assert first.count("epoch ") == 2
    assert "nearsight index FOLDER" in first
    assert said(tmp_path / "logs", 1) == ""

    before = (tmp_path / "two" / "encoder" / "manifest.json").stat().st_mtime_ns
    run(*SEVERAL, tmp_path / "again", *command, tmp_path / "two")
    assert said(tmp_path / "again", 0).count("epoch ") == 0, "it goes on from the checkpoint, where it was over"
    assert (tmp_path / "two" / "encoder" / "manifest.json").stat().st_mtime_ns > before
    assert said(tmp_path / "again", 1) == ""
