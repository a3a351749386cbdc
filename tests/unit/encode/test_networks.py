"""Networks: weights that fit or are refused, identity without paths, export that is proven."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError, InputError, UnknownName, Unreachable
from nearsight.encode import create

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")

TINY = "torchvision/shufflenet_v2_x0_5"
SMALL = "&size=32&fit=squash"


def state(classes: int = 7) -> dict:
    torch.manual_seed(5)
    return torchvision.models.shufflenet_v2_x0_5(num_classes=classes).state_dict()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    from safetensors.torch import save_file

    paths = {name: tmp_path / name for name in ("w.pth", "wrapped.pth", "w.safetensors", "half.pth")}
    torch.save(state(), paths["w.pth"])
    torch.save({"state_dict": {f"module.{k}": v for k, v in state(3).items()}, "epoch": 4}, paths["wrapped.pth"])
    save_file(state(), paths["w.safetensors"])
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state().items()}, paths["half.pth"])
    return paths


def test_weights_make_the_identity_and_their_file_does_not(files: dict[str, Path]) -> None:
    made = {n: create(f"{TINY}?weights={p}{SMALL}").spec for n, p in files.items()}
    same = {made[n].fingerprint for n in ("w.pth", "w.safetensors")}
    assert len(same) == 1
    assert made["half.pth"].fingerprint not in same
    assert str(files["w.pth"].parent) not in str(made["w.pth"].identity)
    assert made["w.pth"].fingerprint != create(f"{TINY}?weights={files['w.pth']}&size=64&fit=squash").spec.fingerprint


def test_loaded_weights_are_used(files: dict[str, Path]) -> None:
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=7)
    network.load_state_dict(state())
    network.fc = torch.nn.Identity()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    shown = torch.tensor(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        true = network.eval()(shown).numpy()
    encoder = create(f"{TINY}?weights={files['w.pth']}{SMALL}")
    assert np.allclose(encoder.encode_images([Image.fromarray(pixels)]), true / np.linalg.norm(true), atol=1e-5)


def broken(kind: str) -> object:
    weights = state()
    if kind == "without":
        del weights["conv5.0.weight"]
    if kind == "unknown":
        weights["extra.weight"] = torch.zeros(1)
    if kind == "of shape":
        weights["conv1.0.weight"] = torch.zeros(1, 2, 3)
    if kind == "not finite":
        weights["conv1.0.weight"][0] = float("nan")
    return {"no state dict": {"a": 1}}.get(kind, weights)


@pytest.mark.parametrize("kind", ["without", "unknown", "of shape", "not finite", "no state dict"])
def test_weights_of_another_network_are_refused(kind: str, tmp_path: Path) -> None:
    torch.save(broken(kind), tmp_path / "w.pth")
    with pytest.raises(EncoderError, match=kind) as caught:
        create(f"{TINY}?weights={tmp_path / 'w.pth'}{SMALL}")
    assert caught.value.code == "encoder/weights"


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self):
        return open, (self.trace, "w")


@pytest.mark.parametrize("kind", ["bomb", "junk.pth", "junk.safetensors", "empty", "missing"])
def test_files_that_are_no_weights_run_no_code(kind: str, tmp_path: Path) -> None:
    path = tmp_path / (kind if "." in kind else "w.pth")
    if kind == "bomb":
        torch.save({"conv1.0.weight": Bomb(tmp_path / "went off")}, path)
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else b"junk" * 50)
    with pytest.raises(EncoderError) as caught:
        create(f"{TINY}?weights={path}{SMALL}")
    assert caught.value.code == "encoder/weights"
    assert not (tmp_path / "went off").exists()


def test_random_weights_are_those_of_the_seed() -> None:
    state_before = torch.random.get_rng_state()
    prints = [create(f"{TINY}?pretrained=false&seed={s}{SMALL}").spec.fingerprint for s in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]
    assert torch.equal(torch.random.get_rng_state(), state_before), "the program's own randomness is left alone"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("timm", UnknownName), ("timm/resnet5O", UnknownName), ("timm/resnet50.no_such_tag", UnknownName),
        ("torchvision/resnet51", UnknownName), ("torchvision/squeezenet1_0?pretrained=false", EncoderError),
        (f"{TINY}?pretrained=false&padding=valid", InputError), (f"{TINY}?pretrained=false&fit=round", InputError),
        (f"{TINY}?pretrained=false&padding=same&size=30", InputError),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(address: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        create(address)


def test_no_internet_is_said_with_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models, "get_model", fail)
    monkeypatch.setattr(timm, "create_model", fail)
    for address in ("torchvision/resnet18", "timm/resnet18"):
        with pytest.raises(Unreachable) as caught:
            create(address)
        assert "weights=PATH" in caught.value.hint


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (5, 8), (7, 12), (2, 6)])
def test_same_padding_is_tensorflow_s(kernel: int, size: int) -> None:
    """By TensorFlow's definition: out = ceil(in / 2), total = (out - 1) * 2 + k - in, the smaller half first."""
    from nearsight.encode.encoder import TOWERS

    conv = torch.nn.Conv2d(2, 3, kernel, stride=2, padding=kernel // 2)
    total = (-(-size // 2) - 1) * 2 + kernel - size
    shown = torch.randn(1, 2, size, size)
    padded = torch.nn.functional.pad(shown, (total // 2, total - total // 2) * 2)
    wanted = torch.nn.functional.conv2d(padded, conv.weight, conv.bias, stride=2)
    TOWERS.module("torchvision").pad_like_tensorflow(torch.nn.Sequential(conv), torch, 32)
    assert torch.allclose(conv(shown), wanted, atol=1e-5)


def test_keeping_weights_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.encode import network

    monkeypatch.setattr(network, "export", lambda *_: b"the graph is judged elsewhere")
    assert "weights.safetensors" not in create(f"{TINY}?pretrained=false{SMALL}").tower.files()
    encoder = create(f"{TINY}?pretrained=false&keep_weights=true{SMALL}")
    content = encoder.tower.files()["weights.safetensors"]
    assert isinstance(content, bytes)
    (tmp_path / "w.safetensors").write_bytes(content)
    again = create(f"{TINY}?weights={tmp_path / 'w.safetensors'}{SMALL}")
    assert again.spec.fingerprint == encoder.spec.fingerprint


def test_a_graph_that_is_not_the_network_is_not_exported() -> None:
    from nearsight.encode.export import export, pixel_network
    from nearsight.encode.golden import Golden, golden_pictures
    from nearsight.encode.preprocess import Preprocess

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 9))
    pixels = pixel_network(module, Preprocess(size=16, resize=16))
    inputs = golden_pictures(16)
    with torch.inference_mode():
        true = pixels(torch.tensor(inputs)).numpy()
    assert len(export(pixels, 16, Golden(inputs, true))) > 1000
    with pytest.raises(EncoderError, match="not the network") as caught:
        export(pixels, 16, Golden(inputs, true + 0.3 * np.roll(true, 1, axis=1)))
    assert caught.value.code == "encoder/export"


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_packed_mobilenet_on_the_mit_split(data_root: Path, tmp_path: Path) -> None:
    """The figures of fp32 torch, by a plain numpy average precision over the full ranking."""
    weights = data_root / "weights" / "mobilenet_v2_imagenet1001_fp16.pth"
    encoder = create(f"torchvision/mobilenet_v2?weights={weights}&padding=same&fit=squash&mean=0.5&std=0.5"
                     "&interpolation=bicubic")  # fmt: skip
    assert encoder.spec.dim == 1280
    encoder.save(tmp_path / "e")
    encoder = create(str(tmp_path / "e"))
    paths = {s: sorted((data_root / "mit_split" / s).rglob("*.jpg")) for s in ("train", "test")}
    vectors = {s: encoder.encode_images(Image.open(p) for p in paths[s]) for s in paths}
    labels = {s: np.array([p.parent.name for p in paths[s]]) for s in paths}
    order = np.argsort(-vectors["test"] @ vectors["train"].T, axis=1, kind="stable")
    right = labels["train"][order] == labels["test"][:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    assert abs(right[:, 0].mean() - 0.903) <= 0.006
    assert abs(((precision * right).sum(1) / right.sum(1)).mean() - 0.6535) <= 0.004


def test_fingerprints_are_written_down() -> None:
    """The fingerprint is sha256 over canonical JSON of the identity: changing that breaks every collection."""
    spec = create("colour").spec
    text = '{"bins":12,"dim":768,"grid":2,"side":128,"tower":"colour","unit":true,"version":1}'
    assert spec.fingerprint == hashlib.sha256(text.encode()).hexdigest()
