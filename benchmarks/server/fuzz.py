"""Requests made from the OpenAPI document, half of them wrong on purpose: what the server answers with 5xx."""

from __future__ import annotations

import tempfile
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks._results import Results, Row
from benchmarks.server._client import HOST
from benchmarks.server._serving import serving
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.search.collection import Collection
from nearsight.search.sync import folder_label

CASES = 20_000
SPARE = 1.1
"""Hypothesis ends early where an operation has few different requests; the others make up for them."""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        items = load("drawn?n=40&size=96", Path(name) / "drawn").items
        with Collection.create(Path(name) / "fuzz.ns", create("colour")) as kept:
            for _ in kept.sync(items[0].path.parents[1], annotate=folder_label):
                pass
        with serving(Path(name) / "fuzz.ns") as (port, process):
            tried, failures = fuzzed(f"http://{HOST}:{port}", cases=400 if quick else CASES)
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=10) as answer:
                alive = answer.status == 200 and process.poll() is None
    statuses = Counter[int]()
    for counted in tried.values():
        statuses += counted
    told = ", ".join(f"{status}: {many:,}" for status, many in sorted(statuses.items()))
    note = f"{len(tried)} operations, half of the requests as the document says, half not; answers {told}"
    results.add(
        Row("fuzz_cases", "requests made from the OpenAPI document", statuses.total(), "cases", ">=20000", note=note)
    )
    why = "; ".join(failures[:3]) or f"503 with Retry-After is an explained one; alive at the end: {alive}"
    results.add(Row("fuzz_5xx", "unexplained 5xx among them", len(failures) + (not alive), "answers", "=0", note=why))


def fuzzed(url: str, *, cases: int) -> tuple[dict[str, Counter[int]], list[str]]:
    """Operation -> status -> how many, and what failed: operation, status and the request that did it."""
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    tried = {operation.label: Counter[int]() for operation in operations}
    failures, missing, round_ = list[str](), cases, 0
    while missing > 0:
        share = int(SPARE * missing / len(operations) / 2) + 1
        for operation in operations:
            for mode in schemathesis.GenerationMode:
                _some(operation, mode, share, round_, tried[operation.label], failures)
        missing, round_ = cases - sum(counted.total() for counted in tried.values()), round_ + 1
    return tried, failures


def _some(operation: Any, mode: Any, many: int, seed: int, tried: Counter[int], failures: list[str]) -> None:
    import hypothesis

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=many, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(timeout=30)
        tried[answer.status_code] += 1
        if answer.status_code >= 500 and not (answer.status_code == 503 and "retry-after" in answer.headers):
            failures.append(f"{operation.label} {answer.status_code}: {case.as_curl_command()[:300]}")

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:
        return  # an operation that takes nothing cannot be asked wrongly
