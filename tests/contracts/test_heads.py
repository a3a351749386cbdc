"""Every file in encode/heads, judged: the contract of its folder's door."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import InputError, MissingExtra
from nearsight.core.registry import Address
from nearsight.encode import Encoder
from nearsight.encode.heads import HEADS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

VARIANTS = {
    "linear": ["dim=7&bias=false"],
    "mlp": ["dim=7&hidden=11&residual=true", "dim=9&layers=3&activation=relu&norm=false&last=true&dropout=0.5",
            "dim=9&layers=1", "dim=7&power=0.5&standardise=true&input_dropout=0.3&residual=true"],
    "pooled": ["members=3&pool=max", "members=9", "members=3&pool=gpo"],
    "whiten": ["dim=4"],
}  # fmt: skip
ADDRESSES = [
    address
    for name in HEADS.names()
    for address in (name, *(f"{name}?{options}" for options in VARIANTS.get(name, [])))
]
WIDTH = 9


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(address: str, seed: int = 0) -> Any:
    return HEADS.build(address, width=WIDTH, seed=seed)


def drawn(rows: int) -> Any:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(rows))


def test_it_says_how_many_dimensions_it_gives(address: str) -> None:
    head = made(address).eval()
    assert head(drawn(5)).shape == (5, head.dim)
    options = Address.parse(address).options
    usual = HEADS.module(address.partition("?")[0]).build(width=WIDTH, seed=0).dim
    assert head.dim == int(options.get("dim", usual)) // int(options.get("members", 1))


def test_the_seed_decides_and_the_program_s_randomness_is_left_alone(address: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (made(address, seed).eval()(drawn(4)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    learned = list(made(address).parameters())
    assert torch.equal(first, other) != bool(learned), "what starts at random starts from the seed"


def test_rows_are_judged_alone(address: str) -> None:
    head = made(address)
    for _ in range(3):
        head.train()(drawn(8))  # batch norm has seen something
    head.eval()
    rows = drawn(6)
    alone = torch.cat([head(row[None]) for row in rows])
    assert torch.allclose(head(rows), alone, atol=1e-6)


def test_gradients_reach_everything(address: str) -> None:
    head, rows = made(address).train(), drawn(16).requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # for dropout
        vectors = head(rows)
    (vectors * torch.arange(1.0, head.dim + 1)).square().sum().backward()
    assert bool(rows.grad.isfinite().all())
    assert (rows.grad.abs().sum(dim=1) > 0).sum() > 8, "a ReLU with dropout may leave some rows dead"
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_a_state_dict_carries_it(address: str) -> None:
    one, two = made(address, 1).eval(), made(address, 2).eval()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(drawn(4)), two(drawn(4)))


def test_it_becomes_a_graph_that_needs_no_torch(address: str, tmp_path: Path) -> None:
    from nearsight.encode.network import TorchTower, compose
    from nearsight.encode.preprocess import Preprocess

    torch.manual_seed(0)
    small = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, WIDTH))
    tower = TorchTower("hand", small, Preprocess(16, 16, fit="squash"), {"tower": "hand"})
    encoder = Encoder(compose(tower, made(address), address))
    pictures = [Image.effect_noise((20 + i, 30), 80).convert("RGB") for i in range(6)]
    encoder.save(tmp_path / "e")
    loaded = Encoder.load(tmp_path / "e", expect=1)
    assert loaded.spec.fingerprint == encoder.spec.fingerprint
    same = np.einsum("nd,nd->n", loaded.encode_images(pictures), encoder.encode_images(pictures))
    assert same.min() > 0.99999


@pytest.mark.parametrize(
    "address",
    [
        "linear?dim=0",
        "whiten?dim=10",
        "whiten?dim=-1",
        "linear?dim=70000",
        "mlp?dim=0",
        "mlp?layers=0",
        "mlp?dropout=1",
        "mlp?activation=tanh",
    ],
)
def test_what_makes_no_head_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        made(address)
    assert caught.value.code == "head"


def test_without_torch_the_repair_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="torch"):
        made(address)


def test_mlp_is_the_layers_that_it_names() -> None:
    def layers(options: str) -> list[str]:
        return [type(layer).__name__ for layer in made(f"mlp?{options}")]

    assert layers("dropout=0.1") == ["Linear", "BatchNorm1d", "GELU", "Dropout", "Linear"]
    assert layers("layers=3&activation=relu&norm=false&last=true") == ["Linear", "ReLU"] * 2 + ["Linear", "Threshold"]
    head, rows = made("mlp?dim=4&residual=true").eval(), drawn(3)
    assert torch.allclose(head(rows), head.layers(rows) + rows @ head.past.weight.T)
    square = made(f"mlp?dim={WIDTH}&residual=true").eval()
    assert torch.equal(square(rows), square.layers(rows) + rows), "nothing to project where the width stays"
    last = made("mlp?dim=50&layers=1&activation=relu&last=true").eval()
    assert torch.allclose(last(rows), last[0](rows).clamp(min=1e-6))
