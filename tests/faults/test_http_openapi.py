"""Requests made up from the OpenAPI document, and against it: what comes back is what it says, and never a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from serving import Served

schemathesis = pytest.importorskip("schemathesis")

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
    asked = 0
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @seed(20)
            @settings(
                max_examples=EACH_ROUTE // 2,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(st.data())
            def shake(data: st.DataObject, operation: Any = operation, mode: Any = mode) -> None:
                nonlocal asked
                case = data.draw(operation.as_strategy(generation_mode=mode))
                if operation.method == "delete" and str(case.path_parameters.get("key", "")) in map(str, range(13)):
                    return
                answer = shaken.ask(operation.method.upper(), **_request(case))
                asked += 1
                assert answer.status_code < 500 or answer.status_code == 503, f"{case}: {answer.text}"
                told = answer.headers.get("content-type", "")
                if answer.status_code >= 400:
                    assert told == "application/problem+json"
                    assert answer.json()["status"] == answer.status_code

            shake()
    assert asked > 200
    assert 'status="500"' not in shaken.get("/metrics").text


def _request(case: Any) -> dict[str, Any]:
    """What a client would send for it."""
    sent = case.as_transport_kwargs(base_url="http://localhost:8000")
    url = sent.pop("url")
    headers = {name: value for name, value in dict(sent.pop("headers", {})).items() if name.lower() != "host"}
    allowed = {
        name: sent[name] for name in ("params", "json", "data", "files", "content") if sent.get(name) is not None
    }
    if isinstance(allowed.get("data"), (bytes, str)):
        allowed["content"] = allowed.pop("data")
    return {"path": url, "headers": headers, **allowed}
