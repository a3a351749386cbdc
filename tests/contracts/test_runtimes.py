"""Every file in encode/runtimes, judged on a small network against numpy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import EncoderError
from nearsight.encode.runtimes import RUNTIMES, Runner

onnx = pytest.importorskip("onnx")
WEIGHT = np.random.default_rng(1).normal(0.5, 1, size=(12, 5)).astype(np.float32)
BATCH = np.random.default_rng(2).integers(0, 256, (9, 2, 2, 3), dtype=np.uint8)


def by_numpy(batch: np.ndarray) -> np.ndarray:
    return np.maximum(batch.reshape(len(batch), 12).astype(np.float64) @ WEIGHT, 0)


def graph() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["vectors"]),
    ]
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 2, 2, 3])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def network(takes: str) -> Any:
    if takes == "onnx":
        return graph()
    torch = pytest.importorskip("torch")

    class Small(torch.nn.Module):
        def forward(self, pixels):
            return torch.relu(pixels.float().flatten(1) @ torch.tensor(WEIGHT, device=pixels.device))

    return Small()


@pytest.fixture(params=[*RUNTIMES.names(), "openvino?precision=bf16", "torch?precision=bf16"])
def runner(request: pytest.FixtureRequest) -> Runner:
    runtime = RUNTIMES.build(request.param)
    if why := runtime.available():
        pytest.skip(why)
    assert runtime.versions()
    opened: Runner = runtime.open(network(runtime.takes))
    return opened


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))).min())


def test_agrees_with_numpy(runner: Runner) -> None:
    answer = runner(BATCH)
    assert answer.dtype == np.float32
    assert answer.shape == (9, 5)
    assert cosine(answer, by_numpy(BATCH)) > 0.9999


def test_every_batch_size_gives_the_same(runner: Runner) -> None:
    whole = runner(BATCH)
    for size in (1, 2, 7):
        parts = np.concatenate([runner(BATCH[i : i + size]) for i in range(0, 9, size)])
        assert cosine(parts, whole) > 0.9999


def test_an_answer_is_not_overwritten_by_the_next(runner: Runner) -> None:
    first = runner(BATCH[:3])
    kept = first.copy()
    runner(BATCH[3:6])
    assert np.array_equal(first, kept)


def test_threads_may_call_it_together(runner: Runner) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(runner, [BATCH[i % 9 : i % 9 + 1] for i in range(90)]))
    assert cosine(np.concatenate(answers), np.tile(by_numpy(BATCH), (10, 1))) > 0.9999


@pytest.mark.parametrize("name", RUNTIMES.names())
def test_what_is_no_network_is_refused(name: str) -> None:
    runtime = RUNTIMES.build(name)
    if why := runtime.available():
        pytest.skip(why)
    for junk in (b"", b"\x00\x01not a graph", graph()[:60]):
        with pytest.raises(EncoderError) as caught:
            runtime.open(junk)
        assert caught.value.code == "encoder/graph"
