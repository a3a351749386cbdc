"""The command line as a user has it, and tiny pictures for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}
EACH = 4


def paint(file: Path, colour: tuple[int, int, int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + draw.integers(-50, 50, (24, 32, 3)), 0, 255).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((64, 48)).save(file, "JPEG", quality=95)


@dataclass
class Ran:
    """What a command line left behind."""

    code: int
    out: str
    err: str


def spawn(*arguments: object, code: str = "", **given: object) -> subprocess.Popen[bytes]:
    """The command line as a process of its own; `code` runs before it."""
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "NO_COLOR": "1"}
    environment.pop("NEARSIGHT_COLLECTION", None)
    program = f"import sys\n{code}\nfrom nearsight.cli import main\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(os.fspath, map(str_or_bytes, arguments))],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        **given,  # type: ignore[call-overload]
    )


def str_or_bytes(argument: object) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)


def hits(ran: Ran) -> list[dict]:
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def labels(ran: Ran) -> list[str]:
    return [hit["label"] for hit in hits(ran)]
