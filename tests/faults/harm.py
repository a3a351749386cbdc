"""What the tests of this folder share."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from nearsight.core.arrays import unit
from nearsight.core.artefact import sha256_of
from nearsight.encode.encoder import EncoderSpec
from nearsight.search.store.check import Finding, check
from nearsight.search.store.store import Record

ROOT = Path(__file__).parents[2]
DIM = 8
SPEC = EncoderSpec("made-up", DIM, ("image",), "cd" * 32, {})


def vectors(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def records(n: int, prefix: str = "p") -> list[Record]:
    return [Record(f"{prefix}{i}".encode(), label=f"l{i % 3}") for i in range(n)]


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)


def picture(content: int) -> bytes:
    """A PNG of its own for each number."""
    out = BytesIO()
    pixels = np.random.default_rng(content).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def harmful(folder: Path) -> list[Finding]:
    return [f for f in check(folder) if isinstance(f, Finding) and not f.harmless]


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_of(p) for p in folder.rglob("*") if p.is_file()}
