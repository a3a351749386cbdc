"""Towers that are networks: a module while it is trained, an ONNX graph once it is saved.

Both show the network the same pixels, so both have one identity: the network's name, its weights (sha256 over the
tensors, wherever they came from) and its preprocessing.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import EncoderError, UnknownName
from nearsight.encode.choose import open_network, require_runtime
from nearsight.encode.export import digest_of, export, pixel_network, tensors_of
from nearsight.encode.golden import Golden, golden_pictures
from nearsight.encode.preprocess import Preprocess

if TYPE_CHECKING:
    from nearsight.encode.encoder import TextTower
    from nearsight.encode.runtimes import Runner

GRAPH, GOLDEN, FACTS, WEIGHTS = "model.onnx", "golden.safetensors", "network.json", "weights.safetensors"

_GPU_BATCH = 128
"""Pictures; as many as keep a large GPU busy."""
_CHOOSES_WEIGHTS = ("pretrained", "weights", "seed", "keep_weights")


class NetworkTower(ABC):
    """What both kinds share. A runtime is opened at the first `forward`: opening an encoder costs nothing."""

    loader = "exported"
    takes: ClassVar[str]
    batch = 16
    """Larger batches gained nothing on a processor, and smaller ones commit sooner."""
    address: str
    dim: int
    preprocess: Preprocess

    def __init__(self, runtime: str) -> None:
        self._runtime, self._expect = runtime, 1
        self._runner: Runner | None = None
        self._lock = threading.Lock()

    @property
    def side(self) -> int:
        return self.preprocess.resize

    @property
    def on_gpu(self) -> bool:
        return False

    def choose_runtime(self, runtime: str, expect: int) -> None:
        """``auto`` or a runtime's address, and how many pictures are coming; takes effect at the next `forward`.

        Raises UnknownName, and EncoderError (code ``encoder/runtime``) for a runtime that cannot run this here.
        """
        if runtime != "auto":
            require_runtime(runtime, self.takes)
        self._runtime, self._expect, self._runner = runtime, expect, None

    def expect(self, pictures: int) -> None:
        with self._lock:
            if self._runtime == "auto" and self._runner is None:
                self._expect = max(self._expect, pictures)

    def prepare(self, picture: Image.Image) -> NDArray[np.uint8]:
        return self.preprocess(picture)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        with self._lock:
            if self._runner is None:
                mark = hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()
                self._runner = open_network(
                    self._runtime, self._network(), self.takes, mark, self._golden(), self._expect
                )
            runner = self._runner
        return runner(np.stack(prepared))

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        return None

    @abstractmethod
    def identity(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def _network(self) -> Any: ...

    @abstractmethod
    def _golden(self) -> Golden: ...


class TorchTower(NetworkTower):
    """A torch module, (n, 3, size, size) normalised pixels -> (n, dim), with its preprocessing.

    `facts` (JSON-able) name the network for people and for the identity. `module` belongs to the tower from here on,
    in eval mode, on the device where it is; who trains it makes a new tower afterwards, because an identity does not
    change. `heads`: the addresses of what `compose` put on it; `address` is that of the tower below them.
    `keep_weights`: `files` brings the state dict too, for training to go on from the folder.
    """

    takes = "module"
    fitted = True
    text: TextTower | None = None
    """The tower for texts that the network brings (CLIP)."""

    def __init__(
        self,
        address: str,
        module: Any,
        preprocess: Preprocess,
        facts: Mapping[str, Any],
        *,
        heads: Sequence[str] = (),
        keep_weights: bool = False,
    ) -> None:
        super().__init__("torch")
        self.base, self.heads, self.facts = address, tuple(heads), facts
        self.address = told(address, heads) if heads else address
        self.module, self.preprocess, self._keep_weights = module.eval(), preprocess, keep_weights
        headed = {"heads": list(heads)} if heads else {}
        self._identity = {**facts, **headed, "weights": digest_of(module), "preprocess": preprocess.facts()}
        device = next((p.device for p in module.parameters()), "cpu")
        self._pixels = pixel_network(module, preprocess).to(device)
        self._reference: Golden | None = None
        if self.on_gpu:
            self.batch = _GPU_BATCH
        import torch

        with torch.inference_mode():
            black = torch.zeros((1, preprocess.size, preprocess.size, 3), dtype=torch.uint8, device=device)
            answer = self._pixels(black)
        if answer.ndim != 2:
            raise EncoderError(f"{address} gives {tuple(answer.shape)} for one picture, not (1, dim)", code="encoder")
        self.dim = int(answer.shape[1])

    @property
    def on_gpu(self) -> bool:
        import torch

        return bool(torch.cuda.is_available())

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        """The exported graph, what it must answer, and what surrounds it. Raises EncoderError (``encoder/export``)."""
        graph = export(self._pixels, self.preprocess.size, self._golden())
        facts = {
            "dim": self.dim,
            "identity": self._identity,
            "preprocess": self.preprocess.facts(),
            "architecture": {"tower": bare(self.base), "heads": list(self.heads)},
        }
        files = {GRAPH: graph, GOLDEN: self._golden().to_bytes(), FACTS: json.dumps(facts, indent=1).encode()}
        if self._keep_weights:
            from safetensors.numpy import save

            files[WEIGHTS] = save(tensors_of(self.module))
        return files

    def restore(self, folder: Path) -> None:
        raise EncoderError(f"{self.address} is made from weights, not restored from an encoder folder")

    def _network(self) -> Any:
        return self._pixels

    def _golden(self) -> Golden:
        if self._reference is None:
            import torch

            inputs = golden_pictures(self.preprocess.size)
            device = next((p.device for p in self._pixels.parameters()), "cpu")
            with torch.inference_mode():
                answer = self._pixels(torch.tensor(inputs, device=device)).float().cpu().numpy()
            self._reference = Golden(inputs, answer)
        return self._reference


def compose(tower: TorchTower, head: Any, address: str, *, keep_weights: bool = True) -> TorchTower:
    """`tower` with `head`, a module (n, tower.dim) -> (n, dim) that `address` built, on top: a new tower.

    Its module has the children ``tower`` and ``head``, which are those given, not copies.
    """
    return TorchTower(
        tower.base,
        stacked(tower.module, head),
        tower.preprocess,
        tower.facts,
        heads=[*tower.heads, address],
        keep_weights=keep_weights,
    )


def told(tower: str, heads: Sequence[str]) -> str:
    """A network in words: ``torchvision/mobilenet_v2?size=160 + linear?dim=64``."""
    return " + ".join([bare(tower), *(head for head in heads if head != "identity")])


def stacked(tower: Any, head: Any) -> Any:
    """The module whose children are ``tower`` and ``head``."""
    import torch

    return torch.nn.Sequential(OrderedDict(tower=tower, head=head))


def bare(address: str) -> str:
    """`address` without the options that choose weights: what builds the architecture, and names nobody's files."""
    head, _, options = address.partition("?")
    kept = [pair for pair in options.split("&") if pair and pair.partition("=")[0] not in _CHOOSES_WEIGHTS]
    return head + (f"?{'&'.join(kept)}" if kept else "")


def require_network(library: str, name: str | None, names: Sequence[str]) -> str:
    """`name` where the library has it. Raises UnknownName with the nearest ones."""
    if name and name in names:
        return name
    near = difflib.get_close_matches(name or "", names, 3) or list(names[:3])
    said = f"{library} has no network called '{name}'" if name else f"which of {library}'s networks?"
    raise UnknownName(said, hint=f"for instance {', '.join(f'{library}/{n}' for n in near)}")


def address_of(library: str, variant: str, build: Callable[..., Any], options: Mapping[str, Any]) -> str:
    """The address that gives `options` to `build` again, defaults left out."""
    usual = inspect.signature(build).parameters
    said = [f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in options.items() if v != usual[k].default]
    return (f"{library}/{variant}" if variant else library) + (f"?{'&'.join(said)}" if said else "")
