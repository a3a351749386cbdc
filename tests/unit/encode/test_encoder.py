"""Encoder: folders that load as saved or not at all, streaming, and choosing a runtime."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.artefact import MANIFEST, write_artefact
from nearsight.core.errors import Damaged, EncoderError, FormatError, InputError, NotACollection, UnknownName
from nearsight.encode import Encoder, create
from nearsight.encode.encoder import FORMAT, VERSION
from nearsight.encode.golden import Golden, golden_pictures
from nearsight.encode.preprocess import Preprocess

onnx = pytest.importorskip("onnx")
PLAIN = Preprocess(size=4, resize=4, fit="squash")


def red(level: int = 200) -> Image.Image:
    return Image.new("RGB", (20, 10), (level, 10, 10))


def network_files(weight: np.ndarray | None = None) -> dict[str, bytes]:
    """An exported network by hand: 4 x 4 pixels, flattened, times a matrix."""
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32) if weight is None else weight
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["real"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w"], ["vectors"]),
        ],
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 4, 4, 3])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 6])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    inputs = golden_pictures(40)[:, ::10, ::10].copy()
    golden = Golden(inputs, inputs.reshape(len(inputs), -1).astype(np.float32) @ weight)
    facts = {"dim": 6, "identity": {"tower": "hand"}, "preprocess": PLAIN.facts()}
    return {
        "model.onnx": model.SerializeToString(),
        "golden.safetensors": golden.to_bytes(),
        "network.json": json.dumps(facts).encode(),
    }


def write(folder: Path, files: dict[str, bytes], **meta: object) -> Path:
    identity = {"dim": 6, "unit": True, "tower": "hand"}
    fingerprint = sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    write_artefact(folder, FORMAT, VERSION, {"address": "exported", "fingerprint": fingerprint, **meta}, files)
    return folder


def test_an_exported_network_written_by_hand_loads(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32)
    encoder = Encoder.load(write(tmp_path / "e", network_files(weight)), runtime="onnxruntime")
    expected = np.asarray(red().resize((4, 4))).reshape(1, 48).astype(np.float32) @ weight
    assert np.allclose(encoder.encode_images([red()]), expected / np.linalg.norm(expected), atol=1e-5)
    assert create(str(tmp_path / "e")).spec == encoder.spec


@pytest.mark.parametrize("name", ["model.onnx", "golden.safetensors", "network.json", MANIFEST])
def test_damage_is_found_on_loading(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "e", network_files())
    whole = (folder / name).read_bytes()
    for at in np.linspace(0, len(whole) - 2, 25).astype(int):  # a manifest's last newline says nothing
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]):
            (folder / name).write_bytes(content)
            with pytest.raises((Damaged, FormatError)):
                Encoder.load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("network.json", b"{}"),
        ("network.json", b"not json"),
        ("network.json", b'{"dim": "x", "identity": {}, "preprocess": {}}'),
        ("golden.safetensors", b"junk"),
        ("golden.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    ],
)
def test_a_folder_that_is_whole_but_wrong_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(Damaged):
        Encoder.load(write(tmp_path / "e", {**network_files(), name: content}))


@pytest.mark.parametrize(
    "change",
    [{"version": "1"}, {"meta": []}, {"files": {"a": 1}}, {"files": []}, {"meta": {}}, {"meta": {"address": 5}}],
    ids=str,
)
def test_a_manifest_with_a_right_sum_and_wrong_content_is_refused(tmp_path: Path, change: dict) -> None:
    folder = write(tmp_path / "e", network_files())
    body = json.loads((folder / MANIFEST).read_text()) | change
    body.pop("sum")
    body["sum"] = sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(Damaged):
        Encoder.load(folder)


def test_hostile_graphs_and_other_fingerprints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        Encoder.load(write(tmp_path / "a", {**network_files(), "model.onnx": b"junk"}))
    assert caught.value.code == "encoder/graph"
    with pytest.raises(EncoderError) as caught:
        Encoder.load(write(tmp_path / "b", network_files(), fingerprint="0" * 64))
    assert caught.value.code == "encoder/changed"
    with pytest.raises(NotACollection):
        Encoder.load(tmp_path / "nothing")
    with pytest.raises(UnknownName):
        Encoder.load(write(tmp_path / "c", network_files(), address="no_such_tower"))


def test_a_runtime_is_refused_at_once_where_it_cannot_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", network_files())
    with pytest.raises(EncoderError, match="runs module"):
        Encoder.load(folder, runtime="torch")
    with pytest.raises(UnknownName):
        Encoder.load(folder, runtime="cobol")
    assert create("colour").use("auto").spec.dim == 192 * 4, "nothing to choose, nothing refused"


def test_pictures_are_taken_as_they_are_needed() -> None:
    encoder, alive = create("colour"), []

    def pictures():
        for i in range(600):
            alive.append(i)
            yield red(i % 200)
            assert len(alive) - encoded[0] <= encoder.tower.batch

    encoded = [0]
    forward = encoder.tower.forward

    def counting(prepared):
        encoded[0] += len(prepared)
        return forward(prepared)

    encoder.tower.forward = counting  # type: ignore[method-assign]
    assert encoder.encode_images(pictures()).shape == (600, encoder.spec.dim)
    assert encoder.encode_images([]).shape == (0, encoder.spec.dim)


@pytest.mark.parametrize("other", ["colour?bins=8", "colour?grid=3"])
def test_options_change_the_fingerprint(other: str) -> None:
    assert create(other).spec.fingerprint != create("colour").spec.fingerprint
    assert create("colour?bins=12").spec == create("colour").spec


@pytest.mark.parametrize(
    "address",
    ["colour?bins=1", "hog?cell=1000", "bovw?words=1", "bovw?pictures=0"],
)
def test_sizes_that_make_no_sense_are_refused(address: str) -> None:
    with pytest.raises(InputError):
        create(address)
