"""Every file in encode/images, judged. A new tower is found by itself and tried with its defaults; give it a sample
address below if those need a download or a long fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from text_models import clip_folder, open_clip_model

from nearsight.core.errors import EncoderError, MissingExtra
from nearsight.encode import Encoder, create
from nearsight.encode.encoder import TOWERS

SAMPLES: dict[str, list[str]] = {
    "bovw": [
        f"bovw/{variant}?words=24&pictures=12&side=128&features=150"
        for variant in ("sift", "dense", "orb", "akaze", "kaze", "surf")
    ],
    "compact": ["compact?size=64&seed=2", "compact?size=32&seed=3"],
    "clip": ["clip/$NEARSIGHT_TINY/clip?pretrained=false&seed=1"],
    "int8": ["int8/bundled?pictures=10"],
    "faster_rcnn": ["faster_rcnn/resnet50_fpn?pretrained=false&boxes=4&threshold=0&size=32&seed=2"],
    "open_clip": ["open_clip/nearsight-tiny?pretrained=false&seed=1"],
    "small_cnn": ["small_cnn/report?size=32&dim=24&seed=1", "small_cnn/modern?size=40&dim=12&pool=3"],
    "timm": [f"timm/test_resnet?pretrained=false&seed=3&size=64{pool}" for pool in ("", "&pool=gem")],
    "torchvision": ["torchvision/resnet18?pretrained=false&padding=same&size=64&fit=squash"],
}
NEEDS = {"bovw": "cv2", "bovw/surf": "mahotas", "hog": "skimage", "int8": "onnx"}
NEEDS |= {"faster_rcnn": "torchvision", "small_cnn": "torch", "timm": "timm", "torchvision": "torchvision"}
NEEDS |= {"compact": "torch", "clip": "transformers", "open_clip": "open_clip"}
NETWORKS = ("clip", "compact", "faster_rcnn", "open_clip", "small_cnn", "timm", "torchvision")
UNSAVED = ("faster_rcnn",)
"""Those that become no graph, and say so."""
HIDDEN = {
    "hog": "skimage", "bovw": "cv2", "bovw/akaze": "cv2", "bovw/surf": "mahotas",
    "faster_rcnn/resnet50_fpn": "torchvision", "clip/x": "transformers", "open_clip/x": "open_clip",
    "compact": "torch", "small_cnn": "torch", "timm/test_resnet": "timm", "timm/resnet18": "torch",
    "torchvision/resnet18": "torchvision",
}  # fmt: skip


def addresses() -> list[object]:
    cases: list[object] = []
    for name in TOWERS.names():
        for address in SAMPLES.get(name, [name] if name != "exported" else []):
            needed = NEEDS.get(address.split("?")[0], NEEDS.get(name, ""))
            marks = [pytest.mark.torch] if name in NETWORKS else []
            if needed and find_spec(needed) is None:
                marks.append(pytest.mark.skip(reason=f"needs {needed}"))
            cases.append(pytest.param(address, marks=marks, id=address.split("?")[0]))
    return cases


def texture(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (7 + seed % 5, 9, 3), dtype=np.uint8)).resize(size)
    fine = Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(size)
    return Image.blend(coarse, fine, 0.4)


PICTURES = [texture(i) for i in range(12)]


@pytest.fixture(scope="module", autouse=True)
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the addresses of `clip` and `open_clip` name."""
    folder = tmp_path_factory.mktemp("tiny")
    clip_folder(folder / "clip")
    if find_spec("open_clip") is not None:
        open_clip_model(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARSIGHT_TINY", str(folder))
        yield


@cache
def encoder_of(address: str) -> Encoder:
    return create(address).fit(PICTURES)


@cache
def vectors_of(address: str) -> np.ndarray:
    return encoder_of(address).encode_images(PICTURES)


@pytest.fixture(params=addresses())
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory):
    """address -> the folder it was saved to, once."""

    @cache
    def save(address: str) -> Path:
        folder = tmp_path_factory.mktemp("encoders") / "encoder"
        encoder_of(address).save(folder)
        return folder

    return save


def test_vectors_have_unit_length_and_differ(address: str) -> None:
    vectors = vectors_of(address)
    assert vectors.shape == (12, encoder_of(address).spec.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.linalg.matrix_rank(vectors.astype(np.float64), tol=1e-6) > 6, "different pictures, different vectors"


def test_the_same_address_gives_the_same_vectors(address: str) -> None:
    again = create(address).fit(PICTURES)
    assert again.spec.fingerprint == encoder_of(address).spec.fingerprint
    assert np.array_equal(again.encode_images(PICTURES), vectors_of(address))


def test_the_tower_s_own_address_builds_it_again(address: str) -> None:
    again = create(encoder_of(address).spec.address).fit(PICTURES)
    assert again.spec == encoder_of(address).spec


def test_batch_size_does_not_matter(address: str) -> None:
    encoder = encoder_of(address)
    prepared = [encoder.prepare(p) for p in PICTURES]
    for size in (1, 5):
        parts = [encoder.encode_prepared(prepared[i : i + size]) for i in range(0, 12, size)]
        assert np.einsum("nd,nd->n", np.concatenate(parts), vectors_of(address)).min() >= 0.9999
    assert encoder.encode_prepared([]).shape == (0, encoder.spec.dim)


def test_preparing_in_threads_changes_nothing(address: str) -> None:
    encoder = encoder_of(address)
    alone = [encoder.prepare(p) for p in PICTURES]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoder.prepare, PICTURES * 3))
    for i, array in enumerate(together):
        assert np.array_equal(array, alone[i % 12])


def test_preparing_leaves_the_picture_alone(address: str) -> None:
    picture = texture(3)
    before = picture.tobytes()
    encoder_of(address).prepare(picture)
    assert picture.tobytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (17, 16), (40, 3000)], ids=str)
def test_any_size_of_picture(address: str, size: tuple[int, int]) -> None:
    vector = encoder_of(address).encode_images([Image.new("RGB", size, (200, 30, 90))])
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255)], ids=["black", "grey", "white"])
def test_flat_pictures(address: str, colour: tuple[int, int, int]) -> None:
    encoder = encoder_of(address)
    other = (45, 35) if address.startswith("faster_rcnn") else (50, 60)  # it keeps proportions, and sees edges
    a, b = encoder.encode_images([Image.new("RGB", (90, 70), colour), Image.new("RGB", other, colour)])
    assert a @ b > 0.999, "flat pictures of one colour are alike"


def test_save_and_load(address: str, saved, tmp_path: Path) -> None:
    encoder = encoder_of(address)
    if address.split("/")[0] in UNSAVED:
        with pytest.raises(EncoderError) as caught:
            encoder.save(tmp_path / "e")
        assert caught.value.code == "encoder/export"
        assert not (tmp_path / "e").exists()
        return
    loaded = Encoder.load(saved(address), expect=1)
    assert loaded.spec.fingerprint == encoder.spec.fingerprint
    assert loaded.spec.identity == encoder.spec.identity
    assert np.einsum("nd,nd->n", loaded.encode_images(PICTURES), vectors_of(address)).min() >= 0.99999
    loaded.save(tmp_path / "again")
    twice = Encoder.load(tmp_path / "again", expect=1)
    assert np.array_equal(twice.encode_images(PICTURES), loaded.encode_images(PICTURES))


def test_loading_and_encoding_need_no_torch(address: str, saved) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None\n"
        "from pathlib import Path; from PIL import Image; from nearsight.encode import Encoder\n"
        "v = Encoder.load(Path(sys.argv[1]), expect=1).encode_images([Image.new('RGB', (50, 40), (9, 99, 200))])\n"
        "assert v.shape[0] == 1\n"
    )
    if address.split("/")[0] in {*NETWORKS, "hog", "int8"}.difference(UNSAVED):
        subprocess.run([sys.executable, "-c", code, str(saved(address))], check=True, timeout=60)


def test_identity_is_plain_data(address: str) -> None:
    spec = encoder_of(address).spec
    assert json.loads(json.dumps(spec.identity)) == spec.identity
    assert spec.modalities == (("image", "text") if "clip" in address or "bundled" in address else ("image",))
    assert len(spec.fingerprint) == 64


def test_declared_facts(address: str) -> None:
    tower = encoder_of(address).tower
    assert tower.side >= 0
    assert 1 <= tower.batch <= 1024
    assert tower.fitted
    assert TOWERS.help(address.split("/")[0].split("?")[0]), "a docstring is the component's help"


@pytest.mark.parametrize("address", HIDDEN)
def test_a_missing_package_is_named_with_its_repair(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = HIDDEN[address]
    for loaded in [m for m in sys.modules if m == package or m.startswith(package + ".")]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as caught:
        create(address)
    assert "pip install 'nearsight[" in caught.value.hint


@pytest.mark.parametrize("name", ["bovw", "exported", "int8"])
def test_unfitted_towers_say_so(name: str) -> None:
    if name == "bovw" and find_spec("cv2") is None:
        pytest.skip("needs cv2")
    with pytest.raises(EncoderError) as caught:
        _ = create(name).spec
    assert caught.value.code == "encoder/unfitted"
