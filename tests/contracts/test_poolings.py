"""Every file in encode/pooling, judged: the contract of its folder's door, and its formula as a loop over members."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import InputError, MissingExtra
from nearsight.encode.pooling import POOLINGS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def gem(column: list[float], p: float = 3.0, eps: float = 1e-6) -> float:
    return (sum(max(x, eps) ** p for x in column) / len(column)) ** (1 / p)


FORMULAS: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": lambda column: sum(column) / len(column),
    "max": max,
    "gem": gem,
    "gem?p=1&learned=false": lambda column: gem(column, 1.0),
    "gem?p=6.5&eps=0.01": lambda column: gem(column, 6.5, 0.01),
}
VARIANTS = {"gem": ["p=1&learned=false", "p=6.5&eps=0.01"], "gpo": ["places=4&hidden=3"]}
ADDRESSES = [
    address
    for name in POOLINGS.names()
    for address in (name, *(f"{name}?{options}" for options in VARIANTS.get(name, [])))
]
LEARNED = {"gpo", "gpo?places=4&hidden=3", "mean_max"}
WIDTH = 5
SIZES = [4, 7, 1, 6]


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(address: str, seed: int = 0) -> Any:
    return POOLINGS.build(address, width=WIDTH, seed=seed)


def drawn(seed: int = 0) -> tuple[Any, Any]:
    """Members (4, 7, WIDTH) and who is there: not the first ones, but any."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(SIZES), max(SIZES), dtype=torch.bool)
    for row, size in enumerate(SIZES):
        mask[row, torch.randperm(max(SIZES), generator=draw)[:size]] = True
    return torch.randn(*mask.shape, WIDTH, generator=draw), mask


@pytest.mark.parametrize("address", FORMULAS)
def test_it_is_its_formula(address: str) -> None:
    members, mask = drawn()
    expected = np.array([
        [FORMULAS[address]([float(x) for x, there in zip(row[:, d], marks, strict=True) if there])
         for d in range(WIDTH)]
        for row, marks in zip(members, mask, strict=True)
    ])  # fmt: skip
    got = made(address)(members, mask).detach().numpy()
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_who_has_no_formula_is_known() -> None:
    assert set(ADDRESSES) - LEARNED == set(FORMULAS), "learned ones are judged by the rest"


def test_what_is_not_there_changes_nothing(address: str) -> None:
    pool, (members, mask) = made(address), drawn()
    expected = pool(members, mask)
    for value in (0.0, 1e30, -1e30, float("nan"), float("inf")):
        assert torch.equal(pool(members.masked_fill(~mask[:, :, None], value), mask), expected), value
    for row, size in enumerate(SIZES):
        alone = pool(members[row, mask[row]][None])
        assert torch.allclose(alone[0], expected[row], atol=1e-6), f"a set of {size} without a mask"
    longer = [torch.cat([x, torch.zeros_like(x)], dim=1) for x in (members, mask)]
    assert torch.allclose(pool(*longer), expected, atol=1e-6)


def test_order_means_nothing(address: str) -> None:
    pool, (members, mask) = made(address), drawn()
    order = torch.randperm(max(SIZES), generator=torch.Generator().manual_seed(5))
    assert torch.allclose(pool(members[:, order], mask[:, order]), pool(members, mask), atol=1e-6)
    assert torch.allclose(pool(members[:, order]), pool(members), atol=1e-6)


def test_sets_are_judged_alone(address: str) -> None:
    pool, (members, mask) = made(address), drawn()
    together = pool(members, mask)
    for row in range(len(SIZES)):
        assert torch.allclose(pool(members[row : row + 1], mask[row : row + 1])[0], together[row], atol=1e-6)
    assert torch.allclose(pool(members, torch.ones_like(mask)), pool(members), atol=1e-6)


def kinds_of_members() -> list[Any]:
    members, _ = drawn(3)
    return [members, torch.zeros_like(members), torch.ones_like(members), members * 1e4, members * 1e-8, -members.abs()]


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_finite_and_reach_who_is_there(address: str, masked: bool) -> None:
    for members in kinds_of_members():
        pool, (_, mask) = made(address), drawn()
        if masked:
            members = members.masked_fill(~mask[:, :, None], float("nan"))
        members.requires_grad_()
        pooled = pool(members, mask if masked else None)
        assert bool(pooled.isfinite().all())
        pooled.square().sum().backward()
        assert bool(members.grad.isfinite().all())
        if masked:
            assert not members.grad[~mask].any()
        for name, parameter in pool.named_parameters():
            if parameter.requires_grad:
                assert bool(parameter.grad.isfinite().all()), name
    members, mask = drawn()
    members.requires_grad_()
    made(address)(members, mask).sum().backward()
    assert bool((members.grad[mask].abs().amax(dim=-1) > 0).float().mean() > 0.4)


def test_gradients_are_what_finite_differences_say(address: str) -> None:
    pool, (members, mask) = made(address).double(), drawn()
    members = members.double().abs() + 0.1
    assert torch.autograd.gradcheck(lambda x: pool(x, mask), members.requires_grad_())


def test_the_seed_decides_and_the_program_s_randomness_is_left_alone(address: str) -> None:
    before, (members, mask) = torch.random.get_rng_state(), drawn()
    first, again = made(address, 1)(members, mask), made(address, 1)(members, mask)
    other = made(address, 2)(members, mask)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert torch.equal(first, other) != (address in LEARNED)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_taken(address: str, dtype: str) -> None:
    members, mask = drawn()
    with torch.autocast("cpu", torch.bfloat16):
        got = made(address)(members.to(getattr(torch, dtype)), mask)
    assert torch.allclose(got.float(), made(address)(members, mask), atol=0.08, rtol=0.02)


def test_a_state_dict_carries_it(address: str) -> None:
    one, two, (members, mask) = made(address, 1), made(address, 2), drawn()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(members, mask), two(members, mask))


@pytest.mark.parametrize("address", POOLINGS.names())
def test_on_a_feature_map_it_becomes_a_graph(address: str) -> None:
    from nearsight.encode.export import export, pixel_network
    from nearsight.encode.golden import Golden, golden_pictures
    from nearsight.encode.pooled import put_behind
    from nearsight.encode.preprocess import Preprocess

    torch.manual_seed(0)
    cells = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.ReLU())
    pixels = pixel_network(put_behind(cells, address, size=16, seed=0), Preprocess(16, 16))
    inputs = golden_pictures(40)[:, ::2, ::2][:, :16, :16].copy()
    with torch.inference_mode():
        vectors = pixels(torch.tensor(inputs)).numpy()
    export(pixels, 16, Golden(inputs, vectors))  # which proves it, for one picture and for several


@pytest.mark.parametrize("wrong", ["two axes", "short mask", "numbers"])
def test_what_is_no_set_is_refused(address: str, wrong: str) -> None:
    members, mask = drawn()
    given = {"two axes": (members[0], None), "short mask": (members, mask[:, 1:]), "numbers": (members, mask.float())}
    with pytest.raises(InputError) as caught:
        made(address)(*given[wrong])
    assert caught.value.code == "pooling"


@pytest.mark.parametrize("address", ["gem?p=0", "gem?p=-2", "gem?eps=0", "gpo?places=3", "gpo?hidden=0"])
def test_options_that_make_no_pooling_are_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        made(address)
    assert caught.value.code == "pooling"


def test_without_torch_the_repair_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="torch"):
        made(address)


def test_gem_goes_from_the_mean_to_the_maximum_and_learns() -> None:
    members = drawn()[0].abs() + 0.01
    assert torch.allclose(made("gem?p=1")(members), members.mean(dim=1), atol=1e-6)
    assert torch.allclose(made("gem?p=500")(members), members.amax(dim=1), rtol=0.01)
    assert [p.requires_grad for p in made("gem").parameters()] == [True]
    assert [p.requires_grad for p in made("gem?learned=false").parameters()] == [False]


def test_gpo_weighs_places_and_can_be_the_maximum() -> None:
    pool, (members, mask) = made("gpo"), drawn()
    flat = torch.ones_like(members)
    assert torch.allclose(pool(flat, mask), torch.ones(len(SIZES), WIDTH)), "the weights of a set sum to 1"
    optimiser = torch.optim.Adam(pool.parameters(), lr=0.02)
    wanted = POOLINGS.build("max", width=WIDTH, seed=0)(members, mask)
    first = last = (pool(members, mask) - wanted).square().mean().item()
    for _ in range(60):
        loss = (pool(members, mask) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = loss.item()
    assert last < 0.1 * first
