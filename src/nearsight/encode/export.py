"""torch modules to ONNX graphs, such as take uint8 pixels; what of torch the towers need, in one place."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError, MissingExtra
from nearsight.encode.golden import Golden
from nearsight.encode.graph import require_plain
from nearsight.encode.preprocess import Preprocess
from nearsight.encode.runtimes import RUNTIMES

OPSET = 18
HALF = ".half"
"""Behind the names of weights that `halved` has halved."""
_WORTH_HALVING = 64
"""Numbers in a tensor."""


def need_torch(purpose: str) -> Any:
    """The package torch. Raises MissingExtra."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra.of("torch", "models", purpose) from error
    return torch


def pixel_network(network: Any, preprocess: Preprocess) -> Any:
    """A module (n, size, size, 3) uint8 -> (n, dim) float32: cast, normalise, transpose, `network`."""
    torch = need_torch("a network")

    class Pixels(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            mean, std = (torch.tensor(v, dtype=torch.float64) for v in (preprocess.mean, preprocess.std))
            self.network = network
            self.register_buffer("scale", (1 / (255 * std)).float().reshape(3, 1, 1))
            self.register_buffer("shift", (-mean / std).float().reshape(3, 1, 1))

        def forward(self, pixels: Any) -> Any:
            return self.network(pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift)

    return Pixels().eval()


def folded(module: Any) -> Any:
    """A copy in eval mode without gradients, each batch norm behind a convolution made part of it."""
    torch = need_torch("a network")
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    module = copy.deepcopy(module).eval()
    for parent in list(module.modules()):
        layers = list(parent.named_children()) if isinstance(parent, torch.nn.Sequential) else []
        for (name, layer), (following, norm) in pairwise(layers):
            if isinstance(layer, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                parent.set_submodule(name, fuse_conv_bn_eval(layer, norm))
                parent.set_submodule(following, torch.nn.Identity())
    return module.requires_grad_(False)


def tensors_of(module: Any) -> dict[str, NDArray[Any]]:
    """The state dict as numpy arrays, without batch norm's counters, which no vector depends on."""
    return {
        # reshaped, because numpy gives what has no axis one
        name: np.ascontiguousarray(tensor.detach().float().cpu().numpy()).reshape(tensor.shape)
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def digest_of(module: Any) -> str:
    """Hex sha256 of what the state dict holds: names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors_of(module).items()):  # a number's shape is (1,), as it always was here
        digest.update(f"{name} {tensor.dtype} {tensor.shape or (1,)}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def weights_path(text: str) -> Path:
    """The file that an address names by ``weights=``: ``~`` and environment variables are filled in here, so that an
    address can be written down and moved. Raises EncoderError (code ``encoder/weights``) for a variable that is not
    set."""
    path = Path(os.path.expandvars(text)).expanduser()
    if not path.exists() and (unset := re.search(r"\$\{?(\w+)\}?", str(path))):
        raise EncoderError(
            f"weights={text} names the environment variable {unset[1]}, which is not set",
            code="encoder/weights",
            hint=f"export {unset[1]}=..., or write the path itself",
        )
    return path


def load_weights(module: Any, path: Path, unused: Iterable[str] = ()) -> None:
    """Put the state dict in `path` (.safetensors, or anything torch loads with weights_only) into `module`.

    Every tensor must be there, of its shape and finite, and nothing else but layers named in `unused` (a classifier
    that was taken off). Raises EncoderError (code ``encoder/weights``).
    """
    load_state(module, _state_dict(path), str(path), unused)


def load_state(module: Any, found: Mapping[str, Any], where: str, unused: Iterable[str] = ()) -> None:
    """Put a state dict that came from `where` into `module`, on the terms of `load_weights`."""
    wanted = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    for prefix in ("module.", "_orig_mod."):  # DataParallel, torch.compile
        if found and all(k.startswith(prefix) for k in found):
            found = {k.removeprefix(prefix): v for k, v in found.items()}
    spare = tuple(f"{layer}." for layer in unused)
    extra = sorted(k for k in found if k not in module.state_dict() and not k.startswith(spare))
    wrong = [f"without {k}" for k in sorted(wanted.keys() - found.keys())] + [f"with an unknown {k}" for k in extra]
    for name in sorted(wanted.keys() & found.keys()):
        if found[name].shape != wanted[name].shape:
            wrong.append(f"with {name} of shape {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}")
        elif found[name].is_floating_point() and not bool(found[name].isfinite().all()):
            wrong.append(f"with {name} not finite")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise EncoderError(
            f"{where} is not this network's state dict: {', '.join(wrong[:5])}{more}",
            code="encoder/weights",
            hint="name the network that the weights were trained with",
        )
    module.load_state_dict({k: found[k] for k in wanted}, strict=False)


def _state_dict(path: Path) -> dict[str, Any]:
    torch = need_torch("loading weights")
    if not path.is_file():
        raise EncoderError(f"there are no weights at {path}", code="encoder/weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                found: Any = load_file(path)
            except SafetensorError as error:
                raise ValueError(str(error)) from error
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, ValueError, RuntimeError, EOFError, KeyError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise EncoderError(
            f"{path} holds no weights that can be loaded without running code: {why}",
            code="encoder/weights",
            hint="save the state dict: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')",
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise EncoderError(f"{path} holds no state dict", code="encoder/weights")
    return dict(found)


def export(pixels: Any, size: int, golden: Golden) -> bytes:
    """A `pixel_network` as an ONNX graph with a free batch size, proven on `golden` before anyone sees it.

    Raises EncoderError (code ``encoder/export``), MissingExtra.
    """
    graph = graph_of(pixels, golden.inputs[:2], ("n",), "pixels")
    runner = RUNTIMES.build("onnxruntime").open(graph)
    alone = [runner(golden.inputs[i : i + 1]) for i in range(len(golden.inputs))]  # the batch size must not matter
    require_same(golden, runner(golden.inputs), np.concatenate(alone))
    return graph


def graph_of(module: Any, example: NDArray[Any], free: Sequence[str], takes: str) -> bytes:
    """`module`, of one input that is called `takes` and one output, as a plain ONNX graph; its first axes, named by
    `free`, may have any length. It is not proven yet. Raises EncoderError (code ``encoder/export``), MissingExtra.
    """
    torch = need_torch("exporting an encoder")
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("onnxscript", "models", "exporting an encoder") from error
    device = next((p.device for p in module.parameters()), "cpu")
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own insides
            program = torch.onnx.export(
                module.eval(),
                (torch.tensor(example, device=device),),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in enumerate(free)},),
                input_names=[takes],
                output_names=["vectors"],
                external_data=False,
                verbose=False,
            )
        graph: bytes = program.model_proto.SerializeToString()
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise EncoderError(f"torch cannot export this network: {error}", code="encoder/export") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    require_plain(graph)
    return graph


def halved(graph: bytes) -> bytes:
    """`graph` with its float32 weights kept in 16 bits, from which a runtime makes 32 again when it opens it: half the
    size on disk, the same arithmetic. Weights that are no float16 are rounded. Raises MissingExtra.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra.of("onnx", "models", "halving a graph") from error
    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= _WORTH_HALVING:
            name, kept = tensor.name, tensor.name + HALF
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), kept))
            casts.append(onnx.helper.make_node("Cast", [kept], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]  # what is known of shapes is found again
    content: bytes = model.SerializeToString()
    require_plain(content)
    return content


def require_same(golden: Golden, *answers: NDArray[np.floating]) -> None:
    """Raises EncoderError (code ``encoder/export``) where an answer of the graph is not the golden one."""
    for answer in answers:
        if why := golden.failure(answer):
            raise EncoderError(f"the exported graph is not the network: {why}", code="encoder/export")
