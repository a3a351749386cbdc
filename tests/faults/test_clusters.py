"""A cluster that is not there, or does not come up, is said as what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nearsight.core.errors import ClusterError
from nearsight.encode import create
from nearsight.search.bulk import Options, encode

pytestmark = pytest.mark.cluster
pytest.importorskip("pyarrow")


@pytest.fixture
def ray() -> Any:
    return pytest.importorskip("ray")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (40, 48)).save(folder / "black.png")
    return folder


def test_one_that_is_not_there_is_said_at_once(ray: Any, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot be reached"):
        list(encode(str(pictures), create("colour"), tmp_path / "out", Options(), on="ray?address=127.0.0.1:1"))
    assert not ray.is_initialized()


def test_one_that_does_not_come_up_is_said_and_what_came_up_is_ended(
    ray: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")  # what Ray raises, and it is nothing narrower

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(ClusterError, match="timed out during startup") as caught:
        list(encode(str(pictures), create("colour"), tmp_path / "out", Options(), on="ray"))
    assert "--on local" in caught.value.hint
    assert ended == [True]
