"""What a hostile or broken ONNX file may not do."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.errors import EncoderError
from nearsight.encode.graph import require_plain

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def model(*, domain: str = "", imports: str = "", tensor=None, attribute=None, functions=()) -> bytes:
    attributes = {} if attribute is None else {"hidden": attribute}
    node = helper.make_node("Add", ["x", "w"], ["y"], domain=domain, **attributes)
    tensor = tensor or numpy_helper.from_array(np.ones(3, np.float32), "w")
    io = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in "xy"]
    graph = helper.make_graph([node], "g", io[:1], io[1:], [tensor])
    opsets = [helper.make_opsetid("", 18)] + [helper.make_opsetid(imports, 1)] * bool(imports)
    return bytes(helper.make_model(graph, opset_imports=opsets, functions=list(functions)).SerializeToString())


def elsewhere(place: str = "/etc/passwd"):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return tensor


def half_elsewhere(**kept: object):
    """Only one of the two fields that send a runtime to another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], **kept)
    if not kept:
        tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def subgraph(domain: str):
    node = helper.make_node("Evil", ["a"], ["b"], domain=domain)
    return helper.make_graph([node], "inner", [], [])


def test_a_plain_graph_passes() -> None:
    require_plain(model())
    require_plain(model(attribute=subgraph("")))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: model(domain="evil.native"), "evil.native"),
        (lambda: model(imports="com.microsoft"), "com.microsoft"),
        (lambda: model(tensor=elsewhere()), "another file"),
        (lambda: model(tensor=elsewhere("weights.bin")), "another file"),
        (lambda: model(tensor=half_elsewhere()), "another file"),
        (lambda: model(tensor=half_elsewhere(data_location=TensorProto.EXTERNAL)), "another file"),
        (lambda: model(attribute=elsewhere()), "another file"),
        (lambda: model(attribute=subgraph("evil.inner")), "evil.inner"),
        (lambda: model(attribute=[subgraph(""), subgraph("evil.list")]), "evil.list"),
        (
            lambda: model(functions=[helper.make_function("", "F", ["a"], ["b"], [], [helper.make_opsetid("", 18)])]),
            "functions",
        ),
        (lambda: b"", "no ONNX graph"),
        (lambda: b"\x80" * 50, "not an ONNX"),
    ],
)
def test_what_is_refused(content, why: str) -> None:
    with pytest.raises(EncoderError, match=why) as caught:
        require_plain(content())
    assert caught.value.code == "encoder/graph"


def test_deep_nesting_ends() -> None:
    content = b""
    for _ in range(300):
        inner = helper.make_graph([], "g", [], []).SerializeToString()
        content = inner + _field(1, _field(5, _field(6, content)))
    with pytest.raises(EncoderError, match="deeply"):
        require_plain(_field(7, content))


def test_random_damage_is_an_error_or_nothing() -> None:
    whole, draw = model(), np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole[: draw.integers(1, len(whole) + 1)])
        damaged[draw.integers(len(damaged))] = draw.integers(256)
        try:
            require_plain(bytes(damaged))
        except EncoderError as error:
            assert error.code == "encoder/graph"  # noqa: PT017


def _field(number: int, content: bytes) -> bytes:
    size, out = len(content), bytearray([number << 3 | 2])
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes(out) + bytes([size]) + content
