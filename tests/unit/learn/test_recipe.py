"""Recipes: every one that comes along can be read and built; what makes no sense is refused."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from nearsight.core import settings
from nearsight.core.errors import InputError, NearsightError, SettingsError, UnknownName
from nearsight.core.registry import Address
from nearsight.encode.encoder import TOWERS
from nearsight.encode.heads import HEADS
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.texts import TEXTS
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.recipe import PairRecipe, Recipe
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS
from nearsight.measure.metrics import METRICS
from nearsight.search.hubness import HUBNESS
from nearsight.study import recipes


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_whole(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.name == name
    assert recipe.about.endswith(".")
    assert recipe.data.source
    goal = recipe.objective
    addresses = [(LOSSES, goal.loss), (MINERS, goal.miner), (SAMPLERS, goal.sampler)]
    addresses += [(METRICS, recipe.loop.measure)] if recipe.loop.measure != "rsum" else []
    if isinstance(recipe, Recipe):
        addresses += [(TOWERS, recipe.network.tower), (HEADS, recipe.network.head)]
    else:
        addresses += [(TOWERS, recipe.pictures.tower), (TEXTS, recipe.text.words), (HUBNESS, recipe.hubness)]
        addresses += [(kind, getattr(side, part)) for side in (recipe.pictures, recipe.text)
                      for kind, part in ((POOLINGS, "pool"), (HEADS, "head"))]  # fmt: skip
    addresses += [(TARGETS, goal.target)] if goal.target else []
    for catalogue, address in addresses:
        parsed = Address.parse(address)
        allowed = {option.name for option in catalogue.options(parsed.name)}
        assert set(parsed.options) <= allowed, address
    labels = np.repeat(np.arange(8), 40)
    SAMPLERS.build(goal.sampler, labels=labels, batch=recipe.loop.batch, seed=0)
    assert settings.read(settings.write(recipe), type(recipe)) == recipe


def test_a_recipe_is_found_by_name_by_path_or_not(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text("[loop]\nepochs = 3\n")
    assert recipes.read(str(tmp_path / "mine.toml")).loop.epochs == 3
    assert recipes.read(str(tmp_path / "mine.toml")).name == "mine"
    (tmp_path / "words.toml").write_text("dim = 64\n[text]\npool = 'max'\n")
    words = recipes.read(str(tmp_path / "words.toml"))
    assert isinstance(words, PairRecipe)
    assert (words.dim, words.text.pool, words.loop.measure) == (64, "max", "rsum")
    for wrong, plan in ((recipes.of_pictures, words), (recipes.of_pairs, Recipe())):
        with pytest.raises(InputError) as other:
            wrong(plan)
        assert other.value.code == "recipe/kind"
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


@pytest.mark.parametrize(
    "assignment",
    ["dim=0", "seed=-1", "data.train=", "data.test=train", "objective.mine_from=-1", "objective.prefixes=[0]"],
)
def test_the_same_for_pictures_and_words(assignment: str) -> None:
    with pytest.raises(NearsightError):
        settings.override(PairRecipe(), [assignment])


PARTS = [type(getattr(whole(), f.name)) for whole in (Recipe, PairRecipe) for f in fields(whole)]


@pytest.mark.parametrize("kind", sorted({part for part in PARTS if is_dataclass(part)}, key=lambda part: part.__name__))
def test_every_setting_is_explained(kind: type) -> None:
    told = " ".join((kind.__doc__ or "").replace(",", " ").split()).split()
    for field in fields(kind):
        assert field.name in told, f"{kind.__name__}.{field.name} is not explained"
