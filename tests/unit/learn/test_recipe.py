"""Recipes: every one that comes along can be read and built; what makes no sense is refused."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from nearsight.core import settings
from nearsight.core.errors import InputError, NearsightError, SettingsError, UnknownName
from nearsight.core.registry import Address
from nearsight.encode.encoder import TOWERS
from nearsight.encode.heads import HEADS
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.recipe import Recipe
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS
from nearsight.measure.metrics import METRICS
from nearsight.study import recipes


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_whole(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.name == name
    assert recipe.about.endswith(".")
    assert recipe.data.source
    goal = recipe.objective
    addresses = [(LOSSES, goal.loss), (MINERS, goal.miner), (SAMPLERS, goal.sampler), (METRICS, recipe.loop.measure)]
    addresses += [(TOWERS, recipe.network.tower), (HEADS, recipe.network.head)]
    addresses += [(TARGETS, goal.target)] if goal.target else []
    for catalogue, address in addresses:
        parsed = Address.parse(address)
        allowed = {option.name for option in catalogue.options(parsed.name)}
        assert set(parsed.options) <= allowed, address
    labels = np.repeat(np.arange(8), 40)
    SAMPLERS.build(goal.sampler, labels=labels, batch=recipe.loop.batch, seed=0)
    assert settings.read(settings.write(recipe), Recipe) == recipe


def test_a_recipe_is_found_by_name_by_path_or_not(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text("[loop]\nepochs = 3\n")
    assert recipes.read(str(tmp_path / "mine.toml")).loop.epochs == 3
    assert recipes.read(str(tmp_path / "mine.toml")).name == "mine"
    assert recipes.read(None) == Recipe()
    with pytest.raises(UnknownName, match="report/siames") as caught:
        recipes.read("report/siames")
    assert "report/siamese" in caught.value.hint
    with pytest.raises(InputError) as unreadable:
        recipes.read(str(tmp_path / "none.toml"))
    assert unreadable.value.code == "recipe/unreadable"


def test_an_unknown_setting_is_named_with_the_nearest(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text("[loop]\nepoch = 3\n")
    with pytest.raises(SettingsError, match="epoch") as caught:
        recipes.read(str(tmp_path / "mine.toml"))
    assert "epochs" in caught.value.hint


@pytest.mark.parametrize(
    "assignment",
    [
        "loop.epochs=0", "loop.lr=0.0", "loop.lr=-1.0", "loop.batch=0", "loop.ema=1.0", "loop.clip=-1.0", "seed=-1",
        "data.validation=1.0", "data.test=0.0", "augment.scale=0.0",
        "loop.schedule=linear", "loop.precision=fp16", "loop.step_factor=0.0", "network.whiten_dim=-1",
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(assignment: str) -> None:
    with pytest.raises(NearsightError):
        settings.override(Recipe(), [assignment])


@pytest.mark.parametrize("kind", [type(getattr(Recipe(), f.name)) for f in fields(Recipe)][3:])
def test_every_setting_is_explained(kind: type) -> None:
    told = " ".join((kind.__doc__ or "").replace(",", " ").split()).split()
    for field in fields(kind):
        assert field.name in told, f"{kind.__name__}.{field.name} is not explained"
