"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: NEARSIGHT_DATA, or `../shared/data` beside the repository. Skips where absent."""
    root = Path(os.environ.get("NEARSIGHT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is not there (set NEARSIGHT_DATA)")
    return root
