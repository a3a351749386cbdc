"""A network whose convolutions compute in 8 bits, and what that costs.

Weights become int8 with a scale for each channel that they make, and what goes into a convolution becomes uint8 within
the range that it had on pictures (Jacob et al., CVPR 2018, without training); the rest stays float32. The graph says so
in ONNX's own words, QuantizeLinear and DequantizeLinear, and every runtime makes of it what its processor can do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import unit
from nearsight.core.errors import EncoderError, MissingExtra
from nearsight.encode.export import HALF
from nearsight.encode.graph import require_plain
from nearsight.encode.runtimes import RUNTIMES, Runner

INT8 = "int8"
"""In the identity of an encoder that computes in 8 bits: what `compared` found, and the graph's sha256."""
_QUANTIZED = ("Conv", "Clip", "Relu")
"""Activations are there because one behind a convolution becomes the range of its answer. Sums and what follows the
last map stay: a whitened vector makes much of little."""
_TOP = 10


def quantized(graph: bytes, batches: Sequence[NDArray[Any]]) -> bytes:
    """`graph` in 8 bits, its ranges seen on `batches` of its inputs.

    Raises MissingExtra, EncoderError (code ``encoder/int8``) for a graph that has no convolution or cannot be read.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra.of("onnx", "int8", "computing in 8 bits") from error
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    model = _plainly(onnx.load_from_string(graph), batches[0])
    if not any(node.op_type == "Conv" for node in model.graph.node):
        raise EncoderError("this network has no convolutions, which 8 bits are for", code="encoder/int8")
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # else it warns
    name = model.graph.input[0].name

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.coming: Iterator[NDArray[Any]] = iter(batches)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            batch = next(self.coming, None)
            return None if batch is None else {name: batch}

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                made,
                Batches(),
                op_types_to_quantize=list(_QUANTIZED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except (ValueError, RuntimeError) as error:
            raise EncoderError(f"this network does not become one of 8 bits: {error}", code="encoder/int8") from error
        content = made.read_bytes()
    require_plain(content)
    return content


def compared(graph: bytes, small: bytes, batches: Sequence[NDArray[Any]]) -> dict[str, float]:
    """What the vectors of `small` are beside those of `graph`, on pictures that it was not calibrated on.

    pictures   how many
    cosine     of a picture's two vectors, the mean; ``least`` is the least
    agreement  share of each picture's nearest neighbours among the others that are the same; ``top`` is how many of
               them, 10 at most
    """
    true, found = (unit(np.concatenate([run(batch) for batch in batches])) for run in (_runner(graph), _runner(small)))
    cosines = np.einsum("nd,nd->n", true, found)
    top = min(_TOP, len(true) - 1)
    same = [len(np.intersect1d(a, b)) / top for a, b in zip(_nearest(true, top), _nearest(found, top), strict=True)]
    return {
        "pictures": len(true),
        "cosine": round(float(cosines.mean()), 5),
        "least": round(float(cosines.min()), 5),
        "top": top,
        "agreement": round(float(np.mean(same)), 4),
    }


def stated(identity: Mapping[str, Any]) -> str:
    """What 8 bits cost an encoder, for people; "" for one that computes in more."""
    told = identity.get(INT8)
    return (
        f"8 bits: on {told['pictures']:,} other pictures, cosine to the vectors of 32 bits {told['cosine']:.4f} (least "
        f"{told['least']:.4f}), {told['agreement']:.1%} of the {told['top']} nearest the same"
        if told
        else ""
    )


def _nearest(vectors: NDArray[np.float32], top: int) -> NDArray[np.intp]:
    """(n, top) rows that are nearest to each, without itself."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    nearest: NDArray[np.intp] = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return nearest


def _runner(graph: bytes) -> Runner:
    runner: Runner = RUNTIMES.build("onnxruntime").open(graph)
    return runner


def _plainly(model: Any, batch: NDArray[Any]) -> Any:
    """`model` with its weights in float32, and without views that give what they are given.

    Exporters write a view as a gather over places that are computed, and beside 8 bits OpenVINO takes others there.
    """
    import onnx

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0].endswith(HALF) and node.input[0] in weights:
            tensor = weights[node.input[0]]
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    given = _views(model, nodes, batch)
    needed, kept = {output.name for output in model.graph.output}, []
    for node in reversed(nodes):
        if node.output[0] in given:
            node = onnx.helper.make_node("Identity", [given[node.output[0]]], node.output)
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(tensors)
    return model


def _views(model: Any, nodes: Sequence[Any], batch: NDArray[Any]) -> dict[str, str]:
    """Answers of gathers over a flattened tensor that are the tensor itself, seen on `batch`: name -> the tensor's."""
    import onnx
    import onnxruntime

    makes = {name: node for node in nodes for name in node.output}
    flat = {
        node.output[0]: makes[node.input[0]].input[0]
        for node in nodes
        if node.op_type == "Gather" and getattr(makes.get(node.input[0]), "op_type", "") == "Reshape"
    }
    if not flat:
        return {}
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    del seen.graph.node[:]
    seen.graph.node.extend(nodes)
    names = sorted({*flat, *flat.values()})
    seen.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(seen.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(names, {model.graph.input[0].name: batch}), strict=True))
    return {view: source for view, source in flat.items() if np.array_equal(found[view], found[source])}
