"""The encoder that comes along: a packaged folder is what was trained, at half the bytes, and training goes on from it.

Judged on one of random weights, made as the real one is; the real one is a member of the contract tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError
from nearsight.encode import Encoder, create
from nearsight.encode.images import bundled

pytest.importorskip("torch")
pytest.importorskip("onnx")
from training.bundled.package import SENTENCES, image_tower, package, rounded
from training.bundled.words import behind

from nearsight.encode.heads import HEADS
from nearsight.encode.network import compose
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.text_tower import SetTower, pooled_head
from nearsight.encode.texts import TEXTS
from nearsight.encode.trainable import seeded, trainable
from nearsight.learn.recipe import PairRecipe, TextSide

pytestmark = pytest.mark.torch
HEAD = "mlp?dim=16&hidden=8&standardise=true"
PICTURES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((90, 70))
    for seed in range(4)
]


@pytest.fixture(scope="module")
def whole() -> Encoder:
    """Before it is packaged. Statistics of batch norm are not those of a fresh network."""
    import torch

    network = seeded("compact?size=64", 3).module
    draw = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=draw) * 0.1)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=draw) + 0.5)
            layer.bias.data.copy_(torch.randn(layer.num_features, generator=draw) * 0.1)
    head = HEADS.build("whiten?dim=16", width=1280, seed=0)
    head.put(np.random.default_rng(0).standard_normal((16, 1280)).astype(np.float16), np.full(1280, 0.01))
    tower = compose(image_tower(network, 64), rounded(head), "whiten?dim=16", keep_weights=False)
    words = TEXTS.build("ngram?rows=300&dim=12")
    text = pooled_head(POOLINGS.build("mean", width=12, seed=0), HEADS.build(HEAD, width=12, seed=0))
    return Encoder(tower, SetTower(words, rounded(text), pool="mean", heads=[HEAD]))


@pytest.fixture(scope="module")
def folder(whole: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("package") / "_bundled"
    package(whole, place, {"training.json": b"{}"})
    return place


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bundled, "FOLDER", folder)
    return folder


def test_it_gives_what_was_trained_at_half_the_bytes(whole: Encoder, installed: Path, tmp_path: Path) -> None:
    own = create("bundled")
    assert own.spec.modalities == ("image", "text")
    assert own.spec.fingerprint == whole.spec.fingerprint
    assert np.allclose(own.encode_images(PICTURES), whole.encode_images(PICTURES), atol=1e-4)
    assert np.allclose(own.encode_texts(SENTENCES), whole.encode_texts(SENTENCES), atol=1e-4)
    whole.save(tmp_path / "whole")
    sizes = [(place / "model.onnx").stat().st_size for place in (installed, tmp_path / "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    own.save(tmp_path / "again")
    assert Encoder.load(tmp_path / "again").spec.fingerprint == own.spec.fingerprint


def test_a_text_is_nothing_where_pictures_alone_are_compared() -> None:
    import torch

    recipe = PairRecipe(
        dim=16, text=TextSide("ngram?rows=300&dim=12", head="mlp?hidden=8&residual=true&standardise=true")
    )
    head = HEADS.build("mlp?hidden=8&residual=true&standardise=true&dim=16", width=12, seed=5)
    head(torch.randn(64, 12) + 1)  # what it standardises by
    wide, given = behind(3, head, recipe), torch.randn(5, 12)
    found = wide.eval()(given)
    assert found.shape == (5, 19)
    assert not found[:, :3].any()
    assert torch.equal(found[:, 3:], head.eval()(given))


def test_it_needs_no_torch(installed: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "for name in ('torch', 'onnx', 'transformers', 'tokenizers'): sys.modules[name] = None\n"
        "from nearsight import create; from nearsight.encode.images import bundled\n"
        "bundled.FOLDER = Path(sys.argv[1]); encoder = create('bundled')\n"
        "assert encoder.encode_images([Image.new('RGB', (50, 40))]).shape == (1, 16)\n"
        "assert encoder.encode_texts(['a red car']).shape == (1, 16)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(installed)], check=True, timeout=60)


def test_training_goes_on_from_it(whole: Encoder, installed: Path) -> None:
    import torch

    found = trainable("bundled")
    given = torch.randn(2, 3, 64, 64)
    assert torch.equal(found.module.tower(given), whole.tower.module.tower.eval()(given))  # type: ignore[attr-defined]
    assert found.dim == 1280
    assert found.preprocess == whole.tower.preprocess  # type: ignore[attr-defined]
    assert trainable("bundled", "linear?dim=8").dim == 8


def test_where_it_is_missing_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "nothing")
    with pytest.raises(EncoderError) as caught:
        create("bundled")
    assert caught.value.code == "encoder/bundled"
