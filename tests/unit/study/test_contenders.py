"""Contenders: what is searched of each, and where trials look."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nearsight.core.errors import InputError, MissingExtra, UnknownName
from nearsight.learn.losses import LOSSES
from nearsight.learn.recipe import Goal, Loop, Recipe
from nearsight.study.comparing import contenders
from nearsight.study.comparing.contenders import STARTUP, Contender, Range, Space, place_of, proposed, search_named

RECIPE = Recipe(loop=Loop(lr=1e-3))
ADDRESSES = [name if name != "pml" else "pml/NTXentLoss" for name in LOSSES.names()]


def test_a_contender_is_read_as_it_is_written() -> None:
    found = Contender.parse("pml/TripletMarginLoss?options=margin=0.1,swap=True,miner=semi_hard,sampler=pk?k=2")
    assert found == Contender("pml/TripletMarginLoss?options=margin=0.1,swap=True", "semi_hard", "pk?k=2")
    assert Contender.parse(found.name) == found
    assert Contender.parse("triplet").name == "triplet"
    for odd in ("", "triplet,miner=all,miner=hardest", "miner=all", "loss=triplet"):
        with pytest.raises(InputError) as caught:
            Contender.parse(odd)
        assert caught.value.code == "compare/contender"


def test_a_sampler_that_suits_the_loss() -> None:
    assert Contender("triplet").goal() == Goal("triplet", sampler="pk?k=4")
    assert Contender("proxy_anchor").goal().sampler == "shuffled"
    assert Contender("triplet", target="proxies").goal().sampler == "shuffled"
    assert Contender("supcon", sampler="pk?k=2").goal().sampler == "pk?k=2"
    with pytest.raises(UnknownName):
        Contender("triplet", sampler="pairwise").goal()


@pytest.mark.torch
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_loss_takes_all_that_may_be_tried(address: str) -> None:
    """Both ends of every space, and the defaults: no trial is wasted on what a loss refuses."""
    if address.startswith("pml"):
        pytest.importorskip("pytorch_metric_learning")
    pytest.importorskip("torch")
    contender = Contender(address)
    spaces = contender.spaces(RECIPE)
    assert spaces[0].name == "loop.lr"
    usual = proposed("random", spaces, 0, 0)
    assert contender.tried(RECIPE, usual) == replace(RECIPE, objective=contender.goal())
    for at in (0.0, 0.37, 1 - 1e-12):
        tried = contender.tried(RECIPE, {space.name: space.at(at) for space in spaces})
        LOSSES.build(tried.objective.loss)
        assert RECIPE.loop.lr / 10.001 < tried.loop.lr < RECIPE.loop.lr * 10.001
    numbers = {o.name for o in LOSSES.options(address.partition("/")[0]) if isinstance(o.default, float)}
    assert numbers == {space.name for space in spaces if "." not in space.name}
    for space in spaces:
        assert space.low <= space.default <= space.high
        assert space.at(space.place(space.default)) == pytest.approx(space.default, rel=1e-3)


def test_class_vectors_have_a_rate_of_their_own() -> None:
    loop = Loop(lr=1e-4, head_lr=1e-3)
    contender = Contender("normalised_softmax?temperature=0.1")
    spaces = contender.spaces(Recipe(loop=loop))
    assert [space.name for space in spaces] == ["loop.lr", "loop.target_lr", "smoothing"], "what is given is held"
    assert spaces[1].default == 1e-3
    assert "loop.target_lr" not in [space.name for space in Contender("supcon").spaces(RECIPE)]
    setting = {"loop.lr": 2e-4, "loop.target_lr": 0.01, "smoothing": 0.1}
    tried = contender.tried(Recipe(loop=loop), setting)
    assert (tried.loop.lr, tried.loop.head_lr, tried.loop.target_lr) == (2e-4, 2e-3, 0.01)
    assert tried.objective.loss == "normalised_softmax?temperature=0.1&smoothing=0.1"


def test_words_and_switches_are_searched_where_they_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [space.name for space in Contender("triplet").spaces(RECIPE)]
    assert plain == ["loop.lr", "margin"]
    monkeypatch.setitem(contenders.RANGES, "triplet.soft", Range(words=("false", "true")))
    spaces = Contender("triplet").spaces(RECIPE)
    assert [space.name for space in spaces] == ["loop.lr", "margin", "soft"]
    assert {spaces[2].at(at) for at in (0.0, 0.49, 0.51, 0.999, 1.0)} == {"false", "true"}
    assert Contender("triplet").tried(RECIPE, {"soft": "true"}).objective.loss == "triplet?soft=true"
    assert spaces[2].at(spaces[2].place("true")) == "true"
    assert Contender("contrastive").spaces(RECIPE)[-1].name == "margin"


def test_random_places_are_alike_for_all_and_spread() -> None:
    places = np.array([place_of(trial, 0) for trial in range(1, 65)])
    assert ((places >= 0) & (places < 1)).all()
    for column in places.T:
        counts = np.histogram(column, bins=8, range=(0, 1))[0]
        assert counts.min() >= 3, "a random draw leaves bins of eight near empty"
    among = np.corrcoef(places.T) - np.eye(places.shape[1])
    assert abs(among[:6, :6]).max() < 0.3
    assert place_of(3, 0) == place_of(3, 0) != place_of(3, 1)
    one, other = (Contender(loss).spaces(RECIPE) for loss in ("triplet", "multi_similarity"))
    assert proposed("random", one, 5, 0)["loop.lr"] == proposed("random", other, 5, 0)["loop.lr"]


def test_a_search_by_name() -> None:
    assert search_named("tpe") == "tpe"
    with pytest.raises(UnknownName):
        search_named("grid")


def past(trials: int) -> list[tuple[dict[str, float | str], float | None]]:
    """Trials that score the better the nearer x is to 0.9; the first failed."""
    seen: list[tuple[dict[str, float | str], float | None]] = [({"x": 0.1, "y": 0.5}, None)]
    for trial in range(1, trials):
        x, y = place_of(trial, 0)[:2]
        seen.append(({"x": x, "y": y}, 1 - abs(x - 0.9)))
    return seen


SPACES = (Space("x", 0.0, 1.0, False, 0.1), Space("y", 0.0, 1.0, False, 0.5))


def test_tpe_goes_where_it_was_good() -> None:
    pytest.importorskip("optuna")
    seen = past(20)
    asked = [proposed("tpe", SPACES, trial, 0, seen) for trial in range(20, 32)]
    assert asked[0] == proposed("tpe", SPACES, 20, 0, seen), "it follows from the past and the seed alone"
    assert np.mean([abs(float(one["x"]) - 0.9) for one in asked]) < 0.15, "at random it is 0.41"
    assert proposed("tpe", SPACES, 0, 0) == {"x": 0.1, "y": 0.5}
    for trial in range(1, STARTUP + 1):
        assert proposed("tpe", SPACES, trial, 0, seen) == proposed("random", SPACES, trial, 0)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra) as caught:
        contenders.need_optuna()
    assert "nearsight[search]" in caught.value.hint


def test_listing_what_may_be_searched_needs_no_torch() -> None:
    """The module is imported by the command line before anything heavy is."""
    code = (
        "import sys, nearsight.study.comparing.contenders; sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
