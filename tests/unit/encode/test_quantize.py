"""8 bits: another encoder, with ranges of its own pictures, that says what it costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError, InputError, MissingExtra, UnknownName
from nearsight.encode import Encoder, create
from nearsight.encode.golden import COSINE, Golden
from nearsight.encode.ladder import rung_of
from nearsight.encode.network import GOLDEN, GRAPH
from nearsight.encode.quantize import INT8, compared, quantized, stated
from nearsight.encode.runtimes import RUNTIMES

onnx = pytest.importorskip("onnx")
ONNXRUNTIME = RUNTIMES.build("onnxruntime")
WIDTH, SIDE = 8, 6


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    draw = np.random.default_rng(seed)
    return [
        Image.fromarray(draw.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((90, 70), Image.Resampling.BICUBIC)
        for _ in range(count)
    ]


def small(view: bool = True) -> bytes:
    """Pixels, a convolution, relu, the mean of each channel; then, as exporters write it, a view by computed places."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(3)
    tensors = {
        "w": draw.normal(size=(WIDTH, 3, 3, 3)).astype(np.float32),
        "b": draw.normal(size=WIDTH).astype(np.float32),
        "scale": np.float32(1 / 255),
        "space": np.array([2, 3], dtype=np.int64),
        "flatly": np.array([-1], dtype=np.int64),
        "rows": np.array([[-1, WIDTH]], dtype=np.int64)[0],
        "none": np.int64(0), "one": np.int64(1), "width": np.int64(WIDTH),
        "behind": np.array([1], dtype=np.int64),
        "columns": np.arange(WIDTH, dtype=np.int64)[None],
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w", "b"], ["map"], name="conv"),
        helper.make_node("Relu", ["map"], ["lit"], name="relu"),
        helper.make_node("ReduceMean", ["lit", "space"], ["mean"], keepdims=0),
    ]
    if view:
        nodes += [
            helper.make_node("Reshape", ["mean", "flatly"], ["flat"]),
            helper.make_node("Shape", ["pixels"], ["n"], start=0, end=1),
            helper.make_node("Squeeze", ["n"], ["many"]),
            helper.make_node("Range", ["none", "many", "one"], ["row"]),
            helper.make_node("Mul", ["row", "width"], ["begins"]),
            helper.make_node("Unsqueeze", ["begins", "behind"], ["column"]),
            helper.make_node("Add", ["column", "columns"], ["places"]),
            helper.make_node("Gather", ["flat", "places"], ["vectors"]),
        ]
    else:
        nodes.append(helper.make_node("Reshape", ["mean", "rows"], ["vectors"]))
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def batches(seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, 256, (9, SIDE, SIDE, 3), dtype=np.uint8) for _ in range(3)]


def kinds(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


@pytest.fixture(scope="module")
def fitted() -> Encoder:
    return create("int8/bundled").fit(pictures(40))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("view", [True, False], ids=["view", "plain"])
def test_the_convolution_is_in_8_bits_and_every_runtime_gives_nearly_the_same(name: str, view: bool) -> None:
    runtime = RUNTIMES.build(name)
    if why := runtime.available():
        pytest.skip(why)
    graph = small(view)
    made = quantized(graph, batches(1))
    found = kinds(made)
    assert found.count("QuantizeLinear") == 2
    assert {tensor.data_type for tensor in onnx.load_from_string(made).graph.initializer} >= {2, 3}, "uint8 and int8"
    (batch, *_) = batches(2)
    true, answer = ONNXRUNTIME.open(graph)(batch), runtime.open(made)(batch)
    assert not np.array_equal(answer, true)
    assert np.abs(answer - true).max() < 0.02 * np.abs(true).max()


def test_a_view_that_gives_what_it_is_given_is_left_out() -> None:
    assert "Gather" in kinds(small())
    assert not {"Gather", "Range", "Shape"} & set(kinds(quantized(small(), batches(1))))


def test_a_gather_that_changes_something_stays() -> None:
    model = onnx.load_from_string(small())
    for tensor in model.graph.initializer:
        if tensor.name == "columns":
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.arange(WIDTH, dtype=np.int64)[None, ::-1].copy(), "columns")
            )
    turned = bytes(model.SerializeToString())
    made = quantized(turned, batches(1))
    assert "Gather" in kinds(made)
    (batch, *_) = batches(2)
    assert np.abs(ONNXRUNTIME.open(made)(batch) - ONNXRUNTIME.open(turned)(batch)).max() < 0.05


def test_the_same_pictures_give_the_same_graph() -> None:
    assert quantized(small(), batches(1)) == quantized(small(), batches(1))
    assert quantized(small(), batches(1)) != quantized(small(), [batches(1)[0] // 2])


def test_a_network_without_convolutions_is_refused() -> None:
    model = onnx.load_from_string(small(view=False))
    del model.graph.node[3:5]
    model.graph.node[3].input[0] = "scaled"
    with pytest.raises(EncoderError) as caught:
        quantized(bytes(model.SerializeToString()), batches(1))
    assert caught.value.code == "encoder/int8"


def test_what_is_compared() -> None:
    graph = small(view=False)
    own = compared(graph, graph, batches(4))
    assert own == {"pictures": 27, "cosine": 1.0, "least": 1.0, "top": 10, "agreement": 1.0}
    told = compared(graph, quantized(graph, batches(1)), batches(4))
    assert 0.99 < told["least"] <= told["cosine"] < 1
    assert 0.5 < told["agreement"] < 1
    assert compared(graph, graph, [batches(4)[0][:3]])["top"] == 2


def test_it_is_an_encoder_of_its_own_that_says_what_it_costs(fitted: Encoder, tmp_path: Path) -> None:
    plain = create("bundled")
    assert fitted.spec.fingerprint != plain.spec.fingerprint
    told = fitted.spec.identity[INT8]
    assert told["pictures"] == 20
    assert 0.98 < told["least"] <= told["cosine"] < 1
    fitted.save(tmp_path / "e")
    manifest = json.loads((tmp_path / "e" / "manifest.json").read_text())
    assert manifest["meta"]["identity"][INT8] == told
    assert rung_of(tmp_path / "e").told == stated(fitted.spec.identity)
    assert f"cosine to the vectors of 32 bits {told['cosine']:.4f}" in stated(fitted.spec.identity)
    assert stated(plain.spec.identity) == ""
    assert Encoder.load(tmp_path / "e").spec.address.startswith("int8/bundled")


def test_words_stay_as_they_are(fitted: Encoder, tmp_path: Path) -> None:
    fitted.save(tmp_path / "e")
    texts = ["two dogs on a beach", "a red car"]
    assert np.array_equal(Encoder.load(tmp_path / "e").encode_texts(texts), create("bundled").encode_texts(texts))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "auto"])
def test_saved_it_runs_where_32_bits_do(fitted: Encoder, tmp_path: Path, name: str, monkeypatch) -> None:
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    if name == "openvino" and (why := RUNTIMES.build(name).available()):
        pytest.skip(why)
    fitted.save(tmp_path / "e")
    shown = pictures(12, seed=9)
    found = Encoder.load(tmp_path / "e", runtime=name).encode_images(shown)
    true = create("bundled").use("onnxruntime").encode_images(shown)
    cosines = np.einsum("nd,nd->n", found, true)
    assert cosines.min() > 0.98
    assert cosines.max() < 0.99999, "these are other vectors"


def test_a_runtime_that_is_further_off_than_it_was_is_refused(fitted: Encoder, tmp_path: Path) -> None:
    golden = Golden.from_bytes(fitted.tower.files()[GOLDEN])  # type: ignore[arg-type]
    assert 0.95 < golden.cosine < COSINE
    own = ONNXRUNTIME.open(fitted.tower.files()[GRAPH])(golden.inputs)
    assert golden.failure(own) == ""
    assert "cosine" in golden.failure(own + 0.3 * np.roll(own, 1, axis=1))
    assert Golden.from_bytes(golden.to_bytes()).cosine == golden.cosine
    nowhere = Golden(golden.inputs, golden.vectors, float("nan"))
    assert nowhere.failure(own) != ""
    for name in ("onnxruntime", "auto"):
        strict = Golden(golden.inputs, np.roll(golden.vectors, 2, axis=0), golden.cosine)
        fitted.tower._files[GOLDEN] = strict.to_bytes()  # type: ignore[attr-defined]
        try:
            with pytest.raises(EncoderError) as caught:
                fitted.use(name, expect=10_000).encode_images(pictures(1))
            assert caught.value.code == "encoder/runtime"
        finally:
            fitted.tower._files[GOLDEN] = golden.to_bytes()  # type: ignore[attr-defined]
            fitted.use("onnxruntime")


def test_it_reads_no_more_pictures_than_it_was_told() -> None:
    coming = iter(pictures(9))
    create("int8/bundled?pictures=6").fit(coming)
    assert len(list(coming)) == 3


def test_a_folder_is_named_as_one_names_an_encoder(tmp_path: Path) -> None:
    create("bundled").save(tmp_path / "own")
    made = create(f"int8/{tmp_path / 'own'}").fit(pictures(8))
    assert made.spec.modalities == ("image", "text")
    again = create("int8/bundled").fit(pictures(8))
    assert again.tower.files()[GRAPH] == made.tower.files()[GRAPH]


@pytest.mark.parametrize(
    ("address", "error"),
    [("int8/colour", EncoderError), ("int8/none", UnknownName), ("int8/bundled?pictures=3", InputError)],
)
def test_what_cannot_be_is_refused_at_once(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        create(address)


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(EncoderError) as caught:
        create("int8/bundled").fit(pictures(3))
    assert caught.value.code == "encoder/fit"


def test_without_onnx_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra) as caught:
        create("int8/bundled").fit(pictures(8))
    assert "nearsight[int8]" in caught.value.hint


def test_what_it_costs_is_told_on_pictures_that_it_did_not_learn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.encode.images import int8

    seen: dict[str, np.ndarray] = {}

    def learning(graph: bytes, batches: list[np.ndarray]) -> bytes:
        seen["learned"] = np.concatenate(batches)
        return quantized(graph, batches)

    def comparing(graph: bytes, made: bytes, batches: list[np.ndarray]) -> dict[str, float]:
        seen["compared"] = np.concatenate(batches)
        return compared(graph, made, batches)

    monkeypatch.setattr(int8, "quantized", learning)
    monkeypatch.setattr(int8, "compared", comparing)
    create("int8/bundled").fit(pictures(12))
    assert (len(seen["learned"]), len(seen["compared"])) == (6, 6)
    assert not any((one == other).all() for one in seen["learned"] for other in seen["compared"])


def test_nobody_is_its_own_neighbour() -> None:
    from nearsight.encode.quantize import _nearest

    found = _nearest(np.eye(5, dtype=np.float32), 4)
    assert all(sorted(row) == [i for i in range(5) if i != own] for own, row in enumerate(found.tolist()))
