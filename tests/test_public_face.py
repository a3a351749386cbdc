"""The public face is a list: nothing stands on it by accident, and nothing on it is missing."""

from __future__ import annotations

import subprocess
import sys

import nearsight

FACE = [
    "CaptionMatch",
    "Collection",
    "Encoder",
    "Filter",
    "Hits",
    "Item",
    "Match",
    "NearsightError",
    "Query",
    "Region",
    "Text",
    "__version__",
    "create",
]


def test_the_face_is_the_list() -> None:
    assert nearsight.__all__ == sorted(nearsight.__all__)
    assert nearsight.__all__ == FACE
    assert dir(nearsight) == FACE


def test_every_name_is_there_and_at_home_where_it_is_said() -> None:
    for name in FACE:
        assert getattr(nearsight, name) is not None
    from nearsight.search.collection import Collection

    assert nearsight.Collection is Collection


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(nearsight, "Colection")


def test_importing_costs_nothing() -> None:
    code = "import sys, nearsight; print(*({m.partition('.')[0] for m in sys.modules} & {'numpy', 'faiss', 'PIL'}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == ""
