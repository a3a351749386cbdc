"""Pictures as sets of raw vectors, and what is trained on them put back on the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError, InputError, UnknownName, Unreachable
from nearsight.encode import Encoder, create
from nearsight.encode.features import picture_sets
from nearsight.encode.heads import HEADS
from nearsight.encode.trainable import trainable

NETWORKS = {  # what it averages is a function; has layers behind its average; none at all; tokens; channels last
    "torchvision/mobilenet_v2?size=64&padding=same": (4, 1280, 1280),
    "torchvision/mobilenet_v3_small?size=64": (4, 1024, 1024),
    "torchvision/vgg11?size=64": (4, 512, 4096),
    "timm/test_vit?fit=squash": (100, 64, 64),
    "timm/test_convnext?size=64": (4, 64, 64),
    "timm/test_resnet?size=64": (4, 96, 96),
}


def pictures(n: int = 3) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((80, 80)) for _ in range(n)]


def test_any_tower_gives_sets_of_one() -> None:
    source, tower = picture_sets("colour?bins=4"), create("colour?bins=4").tower
    shown = [source.prepare(p) for p in pictures()]
    vectors, mask = source.forward(shown)
    assert (source.members, source.width, vectors.shape) == (1, tower.dim, (3, 1, tower.dim))
    assert np.array_equal(vectors[:, 0], tower.forward(shown))
    assert mask.all()
    assert source.fingerprint != Encoder(tower).spec.fingerprint, "these are not of unit length"
    assert source.fingerprint == picture_sets("colour?bins=4").fingerprint
    assert source.fingerprint != picture_sets("colour?bins=8").fingerprint
    with pytest.raises(EncoderError) as caught:
        source.finished("mean", {}, "identity", {})
    assert caught.value.code == "encoder/export"
    with pytest.raises(EncoderError) as caught:
        picture_sets("exported")
    assert caught.value.code == "encoder/unfitted"


@pytest.mark.torch
@pytest.mark.parametrize("address", NETWORKS)
def test_cells_of_networks(address: str) -> None:
    pytest.importorskip("torchvision" if address.startswith("torchvision") else "timm")
    members, width, pooled = NETWORKS[address]
    address += "&pretrained=false&seed=5"
    plain, cells = picture_sets(address), picture_sets(f"{address}&pool=cells")
    shown = [cells.prepare(p) for p in pictures()]
    assert plain.forward(shown)[0].shape == (3, 1, pooled)
    vectors, mask = cells.forward(shown)
    assert (vectors.shape, mask.shape) == ((3, members, width), (3, members))
    assert vectors.dtype == np.float32
    assert mask.all()
    alone, _ = cells.forward(shown[1:2])
    assert np.allclose(alone[0], vectors[1], atol=1e-4)
    assert np.array_equal(picture_sets(cells.address).forward(shown)[0], vectors), "the address says it all"
    assert cells.fingerprint != plain.fingerprint


@pytest.mark.torch
def test_cells_lie_row_by_row_and_see_their_own_place() -> None:
    pytest.importorskip("torchvision")
    source = picture_sets("torchvision/alexnet?size=127&pretrained=false&pool=cells&fit=squash")
    assert source.members == 9
    dark = np.zeros((127, 127, 3), dtype=np.uint8)
    right_above, left_below = dark.copy(), dark.copy()
    right_above[:30, -30:] = left_below[-30:, :30] = 255
    before, *after = source.forward([dark, right_above, left_below])[0]
    assert [int(np.linalg.norm(one - before, axis=1).argmax()) for one in after] == [2, 6]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("address", "pool"),
    [
        ("torchvision/mobilenet_v2?size=64&pool=cells", "gpo?places=4&hidden=3"),
        ("timm/test_vit?pool=cells", "gem?p=2&learned=false"),
        ("timm/test_convnext?size=64&pool=cells", "max"),
        ("torchvision/mobilenet_v3_small?size=64", "mean"),
    ],
)
def test_the_finished_tower_gives_the_head_of_the_pooled_set(address: str, pool: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from nearsight.encode.pooling import POOLINGS

    source = picture_sets(f"{address}&pretrained=false&seed=1")
    pooling = POOLINGS.build(pool, width=source.width, seed=2)
    head = HEADS.build("mlp?dim=7&hidden=8", width=source.width, seed=3).eval()
    tower = source.finished(pool, pooling.state_dict(), "mlp?dim=7&hidden=8", head.state_dict())
    shown = [source.prepare(p) for p in pictures()]
    vectors, mask = map(torch.tensor, source.forward(shown))
    with torch.inference_mode():
        wanted = head(pooling(vectors, mask)).numpy()
    assert np.allclose(tower.forward(shown), wanted, atol=1e-5)
    encoder = Encoder(tower)
    encoder.save(tmp_path / "e")
    exported = Encoder.load(tmp_path / "e", expect=1)
    assert exported.spec.fingerprint == encoder.spec.fingerprint
    assert np.einsum("nd,nd->n", exported.encode_images(pictures()), encoder.encode_images(pictures())).min() > 0.9999
    again = trainable(str(tmp_path / "e")).finish()
    assert Encoder(again).spec == encoder.spec, "training can go on from the folder"


@pytest.mark.torch
@pytest.mark.parametrize("keep_weights", [True, False])
def test_a_folder_with_its_weights_is_a_network_that_heads_can_stand_on(keep_weights: bool, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    trained = trainable("small_cnn/modern?size=32", "linear?dim=8").finish(keep_weights=keep_weights)
    Encoder(trained).save(tmp_path / "encoder")
    source = picture_sets(str(tmp_path / "encoder"))
    shown = [source.prepare(p) for p in pictures()]
    assert np.allclose(source.forward(shown)[0][:, 0], trained.forward(shown), atol=1e-3)
    head = HEADS.build("linear?dim=4", width=8, seed=1)
    if keep_weights:
        tower = source.finished("mean", {}, "linear?dim=4", head.state_dict())
        assert tower.forward(shown).shape == (3, 4)
        return
    with pytest.raises(EncoderError) as caught:
        source.finished("mean", {}, "linear?dim=4", head.state_dict())
    assert caught.value.code == "encoder/export"


@pytest.mark.torch
def test_weights_of_something_else_are_refused() -> None:
    pytest.importorskip("timm")
    from nearsight.encode.heads import HEADS

    source = picture_sets("timm/test_resnet?size=64&pretrained=false&pool=cells")
    head = HEADS.build("linear?dim=3", width=9, seed=0).state_dict()
    with pytest.raises(EncoderError, match="linear") as caught:
        source.finished("mean", {}, "linear?dim=3", head)
    assert caught.value.code == "encoder/weights"
    with pytest.raises(EncoderError, match="without pool") as caught:
        source.finished("gem", {}, "identity", {})
    assert caught.value.code == "encoder/weights"


def test_members_that_do_not_share_a_vector_are_refused() -> None:
    pytest.importorskip("torch")
    from nearsight.encode.heads import HEADS

    for members in (0, 2, -3):
        with pytest.raises(InputError):
            HEADS.build(f"pooled?members={members}", width=9, seed=0)


@pytest.mark.torch
def test_many_pictures_are_worth_an_export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path))
    source = picture_sets("timm/test_resnet?size=64&pretrained=false&pool=cells")
    shown = [source.prepare(p) for p in pictures()]
    before, _ = source.forward(shown)
    source.use(10)
    assert not (tmp_path / "runtimes.json").exists()
    source.use(5000)
    after, mask = source.forward(shown)
    chosen = source._runs
    source.use(600)
    assert source._runs is chosen, "one runtime for all that a source makes"
    assert (tmp_path / "runtimes.json").exists(), "the fastest was measured"
    assert (after.shape, mask.shape) == (before.shape, (3, 4))
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()


# -- faster_rcnn -------------------------------------------------------------------------------------------------------
DETECTORS = ["resnet50_fpn", "resnet50_fpn_v2", "mobilenet_v3_large_320_fpn"]
SMALL = "pretrained=false&size=64&boxes=5&seed=1"


@pytest.mark.torch
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_s_boxes_are_a_set_and_their_mean_a_vector(name: str) -> None:
    pytest.importorskip("torchvision")
    source = picture_sets(f"faster_rcnn/{name}?{SMALL}&threshold=0")
    shown = [source.prepare(p.resize((80 + 30 * i, 80))) for i, p in enumerate(pictures())]
    assert [array.shape for array in shown] == [(64, 64, 3), (64, 88, 3), (61, 107, 3)]
    vectors, mask = source.forward(shown)
    assert (source.members, source.width, vectors.shape) == (5, 1024, (3, 5, 1024))
    assert mask.all(), "with a threshold of 0 there is always something"
    alone, _ = source.forward(shown[1:2])
    assert np.array_equal(alone[0], vectors[1])
    assert np.allclose(source.tower.forward(shown), vectors.mean(axis=1), atol=1e-6)
    again = picture_sets(source.address)
    assert np.array_equal(again.forward(shown)[0], vectors)
    assert again.fingerprint == source.fingerprint
    other = picture_sets(f"faster_rcnn/{name}?{SMALL}&threshold=0.01")
    assert other.fingerprint != source.fingerprint


@pytest.mark.torch
def test_boxes_come_surest_first_and_fewer_are_a_mask() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    few, many = (
        picture_sets(f"faster_rcnn/{DETECTORS[0]}?{SMALL.replace('boxes=5', f'boxes={boxes}')}&threshold=0")
        for boxes in (2, 5)
    )
    shown = [few.prepare(p) for p in pictures()]
    assert np.allclose(few.forward(shown)[0], many.forward(shown)[0][:, :2], atol=1e-4)
    assert not np.allclose(few.forward(shown)[0], many.forward(shown)[0][:, 1:3], atol=1e-2)
    nothing = picture_sets(f"faster_rcnn/{DETECTORS[0]}?{SMALL}&threshold=0.9")
    vectors, mask = nothing.forward(shown)
    assert mask.tolist() == [[True, False, False, False, False]] * 3
    assert not vectors[:, 1:].any()
    whole = np.abs(vectors[:, 0])
    assert whole.max() > 0, "the whole picture"
    assert np.allclose(nothing.tower.forward(shown), vectors[:, 0])
    scores = []
    heads = nothing.tower._network.roi_heads
    heads.score_thresh = 0.0
    heads.register_forward_hook(lambda _module, _given, gives: scores.append(gives[0][0]["scores"]))
    nothing.forward(shown)
    assert all(bool((torch.diff(one) <= 0).all()) and len(one) == 5 for one in scores)


@pytest.mark.torch
def test_what_a_detector_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    import torch

    from nearsight.encode.trainable import trainable

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route")

    with pytest.raises(UnknownName, match="resnet50"):
        picture_sets("faster_rcnn/resnet5_fpn")
    with pytest.raises(InputError):
        picture_sets(f"faster_rcnn/{DETECTORS[2]}?boxes=0&pretrained=false")
    with pytest.raises(EncoderError) as caught:
        trainable(f"faster_rcnn/{DETECTORS[2]}?{SMALL}")
    assert caught.value.code == "encoder/untrainable"
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unreachable) as unreachable:
        picture_sets("faster_rcnn/resnet50_fpn")
    assert "weights=PATH" in unreachable.value.hint
