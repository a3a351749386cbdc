"""A short training on real pictures: it must clearly help, and clearly beat the frozen colours and chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nearsight.core.settings import override
from nearsight.study import recipes
from nearsight.study.report import compare

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_small_network_learns_the_mit_split(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs of modern/small: far from its end, and far from where it began."""
    from nearsight.study.training.run import train

    monkeypatch.setenv("NEARSIGHT_DATA", str(data_root))
    recipe = override(recipes.of_pictures(recipes.read("modern/small")), ["loop.epochs=4"])
    work: Any = train(replace(recipe, about=""), tmp_path / "out", maps=False)
    while True:
        try:
            next(work)
        except StopIteration as end:
            done = end.value
            break
    for before, after in zip(done.before, done.after, strict=True):
        change = compare(before, after, varying=("encoder",))[0]
        assert change.label == "mAP"
        assert change.clear
        assert change.after > 0.4 > change.before
    assert not [finding.code for finding in done.history[-1].health.findings]
