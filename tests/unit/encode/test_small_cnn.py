"""The two small networks: the layers that they are said to have."""

from __future__ import annotations

import pytest

from nearsight.core.errors import InputError, UnknownName
from nearsight.encode import create

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")


def layers(address: str) -> list[str]:
    return [type(layer).__name__ for layer in create(address).tower.module]


def weights(address: str) -> int:
    return sum(p.numel() for p in create(address).tower.module.parameters())


def test_the_report_s_network() -> None:
    conv, linear = ["Conv2d", "ReLU", "MaxPool2d"], ["Linear", "ReLU"]
    assert layers("small_cnn?size=32") == [*conv, *conv, "Flatten", *linear, *linear, "Linear", "Threshold"]
    with torch.device("meta"):  # a quarter of a gigabyte, not needed to count it
        module = torch.nn.Sequential(*_report(256, 10))
    first = next(layer for layer in module if isinstance(layer, torch.nn.Linear))
    assert tuple(first.weight.shape) == (256, 64 * 61 * 61), "61 million"
    counted = (3 * 25 * 32 + 32) + (32 * 25 * 64 + 64) + (64 * 61**2 * 256 + 256) + (256 * 256 + 256) + (2560 + 10)
    assert sum(p.numel() for p in module.parameters()) == counted == 61_087_178


def _report(side: int, dim: int) -> list:
    from nearsight.encode.encoder import TOWERS

    return list(TOWERS.module("small_cnn")._report(torch.nn, side, dim))


def test_its_last_relu_leaves_a_direction() -> None:
    module = torch.nn.Sequential(*_report(16, 5))
    torch.nn.init.constant_(module[-2].bias, -100.0)
    assert torch.equal(module(torch.rand(2, 3, 16, 16)), torch.full((2, 5), 1e-6))


def test_the_modern_network() -> None:
    conv, linear = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"], ["Linear", "BatchNorm1d", "ReLU"]
    assert layers("small_cnn/modern") == [*conv, *conv, "Flatten", *linear, *linear, "Linear"]
    assert layers("small_cnn/modern?dropout=0.2").count("Dropout") == 2
    assert weights("small_cnn/modern?pool=2&size=96") == weights("small_cnn/modern?pool=2&size=64")
    convolutions, norms = 32 * 75 + 64 * 800, 2 * (32 + 64 + 256 + 256)
    assert weights("small_cnn/modern") == convolutions + norms + 256 * 64 * 64 + 256 * 256 + 256 * 10 + 10


def test_weights_from_a_file_are_the_same_network(tmp_path) -> None:
    from safetensors.torch import save_file

    made = create("small_cnn/modern?size=32&seed=5")
    save_file(made.tower.module.state_dict(), tmp_path / "w.safetensors")
    again = create(f"small_cnn/modern?size=32&weights={tmp_path / 'w.safetensors'}")
    assert again.spec.fingerprint == made.spec.fingerprint
    assert create("small_cnn/modern?size=32&seed=6").spec.fingerprint != made.spec.fingerprint


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("small_cnn/large", UnknownName), ("small_cnn?size=15", InputError), ("small_cnn?size=5000", InputError),
        ("small_cnn?dim=0", InputError), ("small_cnn/modern?dropout=1", InputError), ("small_cnn?pool=2", InputError),
        ("small_cnn/report?dropout=0.5", InputError), ("small_cnn/modern?pool=0", InputError),
        ("small_cnn/modern?pool=33", InputError),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(address: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        create(address)
