"""``pool=``: a pooling of the catalogue in the place of a network's own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import InputError, UnknownName
from nearsight.encode import create

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")

AVERAGING = [  # the layer is named and flattens; keeps its axes; has layers behind; channels last; is a function
    "timm/test_resnet?size=64", "timm/test_convnext?size=64", "timm/mobilenetv3_small_050?size=64",
    "timm/test_efficientnet?size=64", "timm/swin_s3_tiny_224?size=64", "torchvision/resnet18?size=64",
    "torchvision/mobilenet_v3_small?size=64", "torchvision/mobilenet_v2?size=64&padding=same",
    "torchvision/densenet121?size=64",
]  # fmt: skip


def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((80, 80)) for _ in range(3)]


@pytest.mark.parametrize("address", AVERAGING)
def test_the_mean_is_what_these_networks_do_anyway(address: str) -> None:
    own, mean, largest = (create(f"{address}&pretrained=false{pool}") for pool in ("", "&pool=mean", "&pool=max"))
    vectors = [encoder.encode_images(pictures()) for encoder in (own, mean, largest)]
    assert np.einsum("nd,nd->n", vectors[0], vectors[1]).min() > 0.99999
    assert np.einsum("nd,nd->n", vectors[0], vectors[2]).max() < 0.999
    assert len({encoder.spec.fingerprint for encoder in (own, mean, largest)}) == 3


def test_a_transformer_s_class_token_is_not_pooled() -> None:
    import timm

    encoder = create("timm/test_vit?pretrained=false&pool=mean&seed=2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = timm.create_model("test_vit", num_classes=0).eval()
    shown = torch.from_numpy(np.stack([encoder.prepare(p) for p in pictures()]))
    facts = encoder.tower.preprocess
    pixels = (shown / 255 - torch.tensor(facts.mean)) / torch.tensor(facts.std)
    with torch.inference_mode():
        tokens = network.forward_features(pixels.permute(0, 3, 1, 2).float())
    assert network.num_prefix_tokens == 1
    true = tokens[:, 1:].mean(dim=1).numpy()
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    assert np.einsum("nd,nd->n", encoder.encode_images(pictures()), true).min() > 0.9999


def test_gem_starts_at_three_and_is_trained_with_the_network() -> None:
    module = create("torchvision/resnet18?size=64&pretrained=false&pool=gem").tower.module
    assert module.avgpool.pool.p.item() == 3.0
    module.train()(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert module.avgpool.pool.p.grad.item() != 0
    assert create("timm/test_resnet?size=64&pretrained=false&pool=gem?p=5").tower.module.global_pool.pool.p.item() == 5


def test_training_goes_on_from_a_folder_with_the_pooling(tmp_path) -> None:
    from nearsight.encode import Encoder
    from nearsight.encode.trainable import trainable

    made = trainable("timm/test_resnet?size=64&pretrained=false&pool=gem", "linear?dim=4")
    with torch.no_grad():
        made.module.tower.global_pool.pool.p.fill_(4.5)
    encoder = Encoder(made.finish())
    encoder.save(tmp_path / "e")
    again = trainable(str(tmp_path / "e"))
    assert again.module.tower.global_pool.pool.p.item() == 4.5
    assert Encoder(again.finish()).spec == encoder.spec


def test_weights_are_those_of_the_network_without_the_pooling(tmp_path) -> None:
    from safetensors.torch import save_file

    for address, width in (("torchvision/mobilenet_v2?size=64", 1280), ("timm/test_vit?fit=squash", 64)):
        plain = create(f"{address}&pretrained=false&seed=9").tower.module
        save_file(plain.state_dict(), tmp_path / "w.safetensors")
        given = create(f"{address}&weights={tmp_path / 'w.safetensors'}&pool=max")
        drawn = create(f"{address}&pretrained=false&seed=9&pool=max")
        assert given.spec.fingerprint == drawn.spec.fingerprint
        assert given.spec.dim == width


def test_vgg_has_no_average_and_its_last_map_is_pooled() -> None:
    encoder = create("torchvision/vgg11?size=64&pretrained=false&pool=gem?p=2;learned=false")
    shown = torch.from_numpy(np.stack([encoder.prepare(p) for p in pictures()]))
    plain = create("torchvision/vgg11?size=64&pretrained=false").tower
    assert (encoder.spec.dim, plain.dim) == (512, 4096), "conv5, and fc7"
    facts = encoder.tower.preprocess
    pixels = (shown / 255 - torch.tensor(facts.mean)) / torch.tensor(facts.std)
    with torch.inference_mode():
        cells = plain.module.features(pixels.permute(0, 3, 1, 2).float()).flatten(2)
    true = cells.square().mean(dim=2).sqrt().numpy()
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    assert np.einsum("nd,nd->n", encoder.encode_images(pictures()), true).min() > 0.9999
    assert not encoder.tower.module.pool.pool.p.requires_grad


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("torchvision/shufflenet_v2_x0_5?pool=gem", InputError),
        ("timm/mixer_s16_224?pool=cells", InputError), ("timm/resnet50_clip?pool=gem", InputError),
        ("timm/test_resnet?pool=gems", UnknownName), ("torchvision/resnet18?pool=gem?p=0", InputError),
    ],
)  # fmt: skip
def test_what_has_no_place_for_a_pooling_is_refused(address: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        create(f"{address}&pretrained=false")
