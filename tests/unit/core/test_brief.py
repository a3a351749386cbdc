"""An address for people is the same component."""

from __future__ import annotations

import pytest

from nearsight.encode.encoder import TOWERS


@pytest.mark.parametrize(
    ("address", "brief"),
    [
        ("colour?bins=12&grid=2", "colour"),
        ("colour?bins=8&grid=2", "colour?bins=8"),
        ("colour", "colour"),
        ("timm/resnet50?pretrained=true&seed=1", "timm/resnet50?seed=1"),
        ("from/elsewhere?x=1", "from/elsewhere?x=1"),
        ("not an address", "not an address"),
    ],
)
def test_options_at_their_defaults_are_left_out(address: str, brief: str) -> None:
    assert TOWERS.brief(address) == brief
