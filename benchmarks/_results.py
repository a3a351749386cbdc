"""How figures are written down: docs/results/NAME.json, and NAME.md made from it.

A row: id, what, value (a number, or a list for a curve), low and high (an interval or the spread over repeats), unit,
target (``>=x``, ``<=x``, ``x..y``, ``=x`` or ``none``), meets, note. `meets` follows from value and target.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
PACKAGES = ("numpy", "pillow", "faiss-cpu", "onnxruntime", "openvino", "torch", "torchvision", "scikit-image")


@dataclass(frozen=True)
class Row:
    """One figure."""

    id: str
    what: str
    value: float | list[float]
    unit: str = ""
    target: str = "none"
    low: float | None = None
    high: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """With `meets`."""
        return asdict(self) | {"meets": meets(self.value, self.target)}


def meets(value: float | list[float], target: str) -> bool:
    """Whether a value is inside its target; a curve has none."""
    if target == "none":
        return True
    number = float(value)  # type: ignore[arg-type]
    if target.startswith(">="):
        return number >= float(target[2:])
    if target.startswith("<="):
        return number <= float(target[2:])
    if target.startswith("="):
        return number == float(target[1:])
    low, high = target.split("..")
    return float(low) <= number <= float(high)


class Results:
    """Collects rows, prints each as it comes, writes after each: a run that is cut keeps what it had."""

    def __init__(self, name: str, *, keep: bool, write: bool = True) -> None:
        """`keep`: rows of an earlier run that this one does not measure again stay (``--only``)."""
        self.name, self._keep, self._writes = name, keep, write
        self.path = RESULTS / f"{name}.json"
        old = json.loads(self.path.read_text()) if keep and self.path.exists() else {"rows": []}
        self.rows: dict[str, dict[str, Any]] = {row["id"]: row for row in old["rows"]}

    def add(self, row: Row) -> None:
        """Record one figure."""
        facts = row.as_json()
        self.rows[row.id] = facts
        shown = f"{row.value:.4g}" if isinstance(row.value, (int, float)) else f"{len(row.value)} points"
        span = f" [{row.low:.4g}, {row.high:.4g}]" if row.low is not None and row.high is not None else ""
        verdict = "" if row.target == "none" else ("  ok " if facts["meets"] else "  SHORT OF ") + row.target
        print(f"{row.id:28} {shown:>10} {row.unit:12}{span}{verdict}  {row.note}", flush=True)
        self.write()

    def write(self) -> None:
        """JSON, and the page made from it."""
        if not self._writes:
            return
        RESULTS.mkdir(parents=True, exist_ok=True)
        body = {
            "name": self.name,
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "commit": commit(),
            "machine": machine(),
            "command": f"python -m benchmarks.{self.name}" + " (in sections, with --only)" * self._keep,
            "versions": dict(installed(PACKAGES)),
            "rows": list(self.rows.values()),
        }
        self.path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
        self.path.with_suffix(".md").write_text(page(body))


def page(body: dict[str, Any]) -> str:
    """The Markdown of a results file."""
    lines = [
        f"# Results: {body['name']}",
        "",
        f"`{body['command']}`, {body['date']}, commit {body['commit']}, {body['machine']}.",
        "Made from the JSON beside it. " + ", ".join(f"{k} {v}" for k, v in body["versions"].items()) + ".",
        "",
        "| figure | value | interval or spread | target | met | note |",
        "|---|---|---|---|---|---|",
    ]
    for row in body["rows"]:
        span = f"{row['low']:.4g} .. {row['high']:.4g}" if row["low"] is not None else ""
        met = "" if row["target"] == "none" else ("yes" if row["meets"] else "**no**")
        lines.append(
            f"| {row['what']} (`{row['id']}`) | {number(row['value'])} {row['unit']} | {span} | "
            f"{'' if row['target'] == 'none' else row['target']} | {met} | {row['note']} |"
        )
    return "\n".join(lines) + "\n"


def number(value: float | list[float]) -> str:
    """A figure for people: four digits that mean something."""
    return " ".join(f"{v:.4g}" for v in value) if isinstance(value, list) else f"{value:.4g}"


def commit() -> str:
    """Short hash of the checkout, with a + where something besides results and README has changed."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        paths = ["--", ".", ":!docs/results", ":!README.md"]
        changed = subprocess.run([*git, "status", "--porcelain", *paths], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> str:
    """Cores, memory, and what makes the processor fast at networks."""
    memory = ""
    with_flags: list[str] = []
    if Path("/proc/cpuinfo").exists():
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        names = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
        with_flags = [label for flag, label in names.items() if flags and f" {flag} " in flags[1] + " "][:1]
        total = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
        memory = f"{round(int(total[1]) / 2**20)} GiB" if total else ""
    return ", ".join([f"{os.cpu_count()} cores", *filter(None, [memory, *with_flags]), platform.system()])


def installed(names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Versions of the packages that are there."""
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
