"""Which runtime? Nobody's wins everywhere, so `auto` measures once for an encoder on a machine, and remembers.

A candidate must give the golden vectors before it may be chosen. What was measured is kept in ``runtimes.json`` in the
user's cache folder (``NEARSIGHT_CACHE`` names another), by encoder fingerprint, machine and library versions.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from platformdirs import user_cache_path

from nearsight.core.artefact import replace_file
from nearsight.core.errors import EncoderError, NearsightError, WriteFailed
from nearsight.encode.golden import COSINE, Golden
from nearsight.encode.runtimes import RUNTIMES, Runner, Runtime

CANDIDATES: Mapping[str, Sequence[str]] = {
    "onnx": ("onnxruntime", "openvino", "openvino?precision=bf16"),
    "module": ("torch", "torch?precision=bf16"),
}
"""By what is to be run. The first is the one that starts soonest: a short job takes it without measuring."""

WORTH_MEASURING = 500
"""Pictures; measuring costs a few seconds."""
_SECONDS = 0.5


def open_network(name: str, network: Any, takes: str, fingerprint: str, golden: Golden, expect: int) -> Runner:
    """`network` (onnx bytes, or a module) on the runtime `name`, or on the best one for `expect` pictures if ``auto``.

    The best takes the least time in all: seconds to load + expect / (pictures a second). Without a measurement, and
    for fewer than WORTH_MEASURING pictures, it is the first candidate at once.

    Raises UnknownName; EncoderError (code ``encoder/runtime``) where the named runtime cannot run here or does not give
    the golden vectors.
    """
    if name != "auto":
        runner = require_runtime(name, takes).open(network)
        # fp32 was held to the golden set when the encoder was saved; fewer bits are held to it here.
        if ("precision" in name or golden.cosine < COSINE) and (why := golden.failure(runner(golden.inputs))):
            raise _refused(name, takes, f"not the golden vectors: {why}")
        return runner
    runtimes = {name: cast(Runtime, RUNTIMES.build(name)) for name in CANDIDATES[takes]}
    first, key = next(iter(runtimes.values())), _key(fingerprint, runtimes.values())
    table = _remembered().get(key, {})
    if not table or not set(table) <= set(runtimes):
        if expect < WORTH_MEASURING and not first.available():
            return first.open(network)  # the others are not even imported
        table = {n: _measure(r, network, golden) for n, r in runtimes.items() if not r.available()}
        if not table:
            raise EncoderError(f"no runtime for {takes} is installed", code="encoder/runtime")
        _remember(key, table)
    sound = {n: facts["load_s"] + expect / facts["rate"] for n, facts in table.items() if "failure" not in facts}
    if not sound:
        failures = "; ".join(f"{n}: {facts['failure']}" for n, facts in table.items())
        raise EncoderError(f"no runtime gives this encoder's golden vectors ({failures})", code="encoder/runtime")
    return runtimes[min(sound, key=lambda n: sound[n])].open(network)


def require_runtime(name: str, takes: str) -> Runtime:
    """The runtime `name`, if it can run `takes` (``onnx`` or ``module``) here. Raises as `open_network`."""
    runtime = cast(Runtime, RUNTIMES.build(name))
    why = f"it runs {runtime.takes}, not {takes}" if runtime.takes != takes else runtime.available()
    if why:
        raise _refused(name, takes, why)
    return runtime


def _refused(name: str, takes: str, why: str) -> EncoderError:
    return EncoderError(
        f"the runtime {name} cannot run this encoder: {why}",
        code="encoder/runtime",
        hint=f"choose auto or one of {', '.join(CANDIDATES[takes])}",
    )


def _measure(runtime: Runtime, network: Any, golden: Golden) -> dict[str, Any]:
    """{load_s, rate} of one candidate, or {failure}."""
    start = time.perf_counter()
    try:
        runner = runtime.open(network)
        answer = runner(golden.inputs)
    except NearsightError as error:
        return {"failure": error.message}
    load_s = time.perf_counter() - start
    if why := golden.failure(answer):
        return {"failure": why}
    best, end = np.inf, time.perf_counter() + _SECONDS
    while time.perf_counter() < end or best == np.inf:
        start = time.perf_counter()
        runner(golden.inputs)
        best = min(best, time.perf_counter() - start)
    return {"load_s": round(load_s, 4), "rate": round(len(golden.inputs) / best, 2)}


def _key(fingerprint: str, runtimes: Iterable[Runtime]) -> str:
    versions = sorted({version for runtime in runtimes if (version := runtime.versions())})
    return " | ".join([fingerprint, machine(), *versions])


def machine() -> str:
    """What figures of speed hold for: the processor and how many cores it has."""
    return f"{_processor()} | {os.cpu_count()} cores"


def _processor() -> str:
    """The processor's model and what it can compute: two machines behind one home directory must not share figures."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return f"{platform.machine()} {platform.processor()}"
    lines = dict(line.split(":", 1) for line in reversed(cpuinfo.read_text().splitlines()) if ":" in line)
    facts = {k.strip(): v.strip() for k, v in lines.items()}
    wide = sorted({"amx_bf16", "avx512_bf16", "avx512f", "avx2"} & set(facts.get("flags", "").split()))
    return " ".join([platform.machine(), facts.get("model name", ""), *wide])


def cache_folder() -> Path:
    """What may be lost and is made again lies here: ``NEARSIGHT_CACHE``, else the user's cache folder."""
    named = os.environ.get("NEARSIGHT_CACHE")
    return Path(named) if named else user_cache_path("nearsight")


def _cache() -> Path:
    return cache_folder() / "runtimes.json"


def _remembered() -> dict[str, dict[str, dict[str, Any]]]:
    """What was measured; nothing where the file is missing or not ours: a cache may always be lost."""
    try:
        found = json.loads(_cache().read_bytes())
        return {
            key: table
            for key, table in found.items()
            if all("failure" in f or (f["load_s"] >= 0 and f["rate"] > 0) for f in table.values())
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return {}


def _remember(key: str, table: Mapping[str, Any]) -> None:
    try:
        _cache().parent.mkdir(parents=True, exist_ok=True)
        content = {**_remembered(), key: table}
        replace_file(_cache(), (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    except (OSError, WriteFailed):
        return  # a folder that cannot be written: the next run measures again
