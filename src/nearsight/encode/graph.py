"""Is an ONNX file a plain graph? Read without the onnx package, before any runtime sees it.

Refused: operators outside ONNX's own set (a runtime would look for native code), functions, and tensors kept in other
files (a path chosen by whoever wrote the graph). Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError

_STANDARD = {b"", b"ai.onnx"}
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_DOMAIN = {"node": 7, "opset": 1}
_DEEPEST = 32
_GRAPH, _TENSOR = 7, 5
_FLOATS = {1: "<f4", 10: "<f2"}
"""Kind of number -> numpy's."""


def require_plain(graph: bytes) -> None:
    """Raises EncoderError (code ``encoder/graph``) for a graph that is refused or is not ONNX."""
    found = _walk(memoryview(graph), "model", 0)
    if not found:
        raise EncoderError("the file holds no ONNX graph", code="encoder/graph")


def tensors_in(graph: bytes) -> dict[str, NDArray[np.floating]]:
    """The weights of a plain graph by name, float32 or float16. Raises EncoderError (code ``encoder/graph``)."""
    found = {}
    for part in _messages(memoryview(graph), _GRAPH):
        for tensor in _messages(part, _TENSOR):
            name, kind, shape, raw = "", 0, [], memoryview(b"")
            for number, value in _fields(tensor):
                if number == 1:
                    shape += [value] if isinstance(value, int) else _packed(value)
                elif number == 2 and isinstance(value, int):
                    kind = value
                elif number == 8 and not isinstance(value, int):
                    name = bytes(value).decode(errors="replace")
                elif number == 9 and not isinstance(value, int):
                    raw = value
            if kind in _FLOATS and len(raw):
                found[name] = np.frombuffer(raw, dtype=_FLOATS[kind]).reshape(shape)
    return found


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages inside one that stand under the number `wanted`."""
    for number, value in _fields(message):
        if number == wanted and not isinstance(value, int):
            yield value


def _packed(numbers: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(numbers):
        value, at = _varint(numbers, at)
        values.append(value)
    return values


def _walk(message: memoryview, kind: str, depth: int) -> int:
    """How many nodes there are in a message and everything inside it."""
    if depth > _DEEPEST:
        raise EncoderError("the ONNX graph is nested too deeply", code="encoder/graph")
    nodes = int(kind == "node")
    for number, value in _fields(message):
        if kind == "model" and number in (25, 26):  # functions, and configurations naming devices
            raise EncoderError("the ONNX graph brings functions of its own", code="encoder/graph")
        if kind == "tensor" and (number == 13 or (number == 14 and value != 0)):
            raise EncoderError("the ONNX graph keeps tensors in another file", code="encoder/graph")
        if number == _DOMAIN.get(kind) and (isinstance(value, int) or bytes(value) not in _STANDARD):
            name = value if isinstance(value, int) else bytes(value[:60]).decode(errors="replace")
            raise EncoderError(f"the ONNX graph uses operators of the domain {name!r}", code="encoder/graph")
        inner = _INSIDE.get(kind, {}).get(number)
        if inner is not None and not isinstance(value, int):
            nodes += _walk(value, inner, depth + 1)
    return nodes


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one protobuf message: (number, value), a memoryview where it has a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if tag & 7 == 2:
            size, at = _varint(message, at)
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
        else:
            raise EncoderError("not an ONNX file", code="encoder/graph")
        if at + size > len(message):
            raise EncoderError("the ONNX file ends too early", code="encoder/graph")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise EncoderError("the ONNX file ends too early", code="encoder/graph")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise EncoderError("not an ONNX file", code="encoder/graph")
