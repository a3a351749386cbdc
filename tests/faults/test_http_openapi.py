"""Requests made up from the OpenAPI document, and against it: what comes back is what it says, and never a fault."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from serving import Served

schemathesis = pytest.importorskip("schemathesis")
requests = pytest.importorskip("requests")  # schemathesis brings it

EACH_ROUTE = 30
"""Requests made up for each route, half of them against the document."""


@pytest.fixture(scope="module")
def shaken(shop: Path):
    """Small limits, so that they are met."""
    with Served([shop], searches=4, waiting=64) as running:
        yield running


def test_made_up_requests_are_no_faults(shaken: Served) -> None:
    schema = schemathesis.openapi.from_dict(shaken.app.api.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    asked: list[int] = []
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with contextlib.suppress(Unsatisfiable):  # a route that takes nothing can be given nothing wrong
                _shaking(shaken, operation, mode, asked)()
    assert len(asked) > 200
    assert {200, 400, 404} <= set(asked)
    assert 'status="500"' not in shaken.get("/metrics").text


def _shaking(served: Served, operation: Any, mode: Any, asked: list[int]) -> Callable[[], None]:
    @seed(20)
    @settings(
        max_examples=EACH_ROUTE // 2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def shake(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = served.ask(operation.method.upper(), **_request(case))
        asked.append(answer.status_code)
        assert answer.status_code < 500 or answer.status_code == 503, f"{case}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code

    return shake


def _request(case: Any) -> dict[str, Any]:
    """What a client would send for it."""
    kinds = ("method", "url", "headers", "params", "json", "data", "files", "cookies")
    sent = case.as_transport_kwargs(base_url="http://localhost:8000")
    whole = requests.Request(**{name: sent[name] for name in kinds if sent.get(name) is not None}).prepare()
    headers = {name: value for name, value in whole.headers.items() if name.lower() != "content-length"}
    return {"path": whole.url, "headers": headers, "content": whole.body}
