"""Two processes make the steps of one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nearsight.core.errors import InputError
from nearsight.core.items import Item

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.torch

CASES = [("supcon", 0), ("normalised_softmax", 0), ("triplet?margin=0.5", 2)]
PROGRAM = (
    f"CASES = {CASES}"
    + """
import hashlib, json, sys
from dataclasses import replace
from pathlib import Path
import torch
from unit.learn.test_fit import DIM, PLAIN, loops, network, source
from unit.learn.conftest import drain
from nearsight.core.items import Item
from nearsight.learn.devices import Devices
from nearsight.learn.fit import fit
from nearsight.learn.pictures import proven
from nearsight.learn.recipe import Goal
items = [Item(n, p, p.name.rstrip("0123456789.png")) for n, p in enumerate(sorted(Path(sys.argv[1]).iterdir()))]
pictures = drain(proven(items, side=16, cache_mb=64, workers=1))
devices = Devices("fp32", "cpu")
mine = {}
for loss, chunk in CASES:
    goal = Goal(loss=loss, sampler="shuffled" if "softmax" in loss else "pk?k=4")
    recipe = loops(replace(PLAIN, objective=goal), epochs=2, batch=11, optimiser="sgd", lr=0.05, chunk=chunk)
    found = drain(fit(network(norm=False), DIM, source(pictures, recipe), recipe, devices=devices))
    mine |= {f"{loss} {name}": tensor.tolist() for name, tensor in found.network.state_dict().items()}
(Path(sys.argv[2]) / f"{devices.fabric.global_rank}.json").write_text(json.dumps([devices.world, mine]))
"""
)


def run(folder: Path, pictures: Path, processes: int) -> list[dict[str, torch.Tensor]]:
    tests = Path(__file__).parents[2]
    folder.mkdir()
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}"]
    arguments = [str(program), str(pictures), str(folder)]
    command = [sys.executable, *(launch if processes > 1 else []), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    found = []
    for rank in range(processes):
        world, weights = json.loads((folder / f"{rank}.json").read_text())
        assert world == processes
        found.append({name: torch.tensor(values) for name, values in weights.items()})
    return found


@pytest.mark.parametrize("device", ["cuda", "gpu7"])
def test_a_device_that_is_not_there_is_refused_with_what_is(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.learn.devices import Devices

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        Devices("fp32", device)
    assert caught.value.code == "training/device"
    assert "auto" in caught.value.hint


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(squares: list[Item], tmp_path: Path) -> None:
    """Batches of 12 and of odd sizes, each cut in two; the loss sees all of it, and the gradient is one's."""
    (one,) = run(tmp_path / "one", squares[0].path.parent, 1)
    two = run(tmp_path / "two", squares[0].path.parent, 2)
    assert len(one) == len(CASES) * 4
    for name, tensor in one.items():
        assert torch.equal(two[0][name], two[1][name]), name
        assert torch.allclose(tensor, two[0][name], atol=1e-5), name
