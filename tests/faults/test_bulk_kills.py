"""Those who encode are killed in mid-shard: no picture is lost, none is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.scale._encoding import killed

pytest.importorskip("pyarrow")
pytest.importorskip("psutil")


def test_a_process_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    told = killed(tmp_path, 3, pictures=400, rows=50, on="local")
    assert (told.kills, told.lost, told.doubled, told.wrong) == (3, 0, 0, 0)
    assert told.runs >= 3


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_an_actor_of_ray_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    told = killed(tmp_path, 3, pictures=600, rows=50)
    assert (told.kills, told.lost, told.doubled, told.wrong) == (3, 0, 0, 0)
    assert told.runs == 1
