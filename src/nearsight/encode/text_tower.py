"""Towers for texts: a set of word vectors, a pooling and a head; a module while it is trained, a graph once saved.

Both kinds look words up in the same way (`nearsight.encode.texts`), so both have one identity: that of the words, and
the module's weights (sha256 over the tensors).
"""

from __future__ import annotations

import copy
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import Damaged, UnknownName
from nearsight.core.registry import Address
from nearsight.encode.encoder import TEXT, TextTower
from nearsight.encode.export import digest_of, graph_of, need_torch, require_same, tensors_of
from nearsight.encode.golden import Golden
from nearsight.encode.graph import require_plain
from nearsight.encode.network import told
from nearsight.encode.runtimes import RUNTIMES
from nearsight.encode.texts import TEXTS, Words, WordSet, nothing_known
from nearsight.encode.whole_text import WHOLE, ExportedTexts

if TYPE_CHECKING:
    from nearsight.encode.runtimes import Runner

SETS = "sets"
"""In TEXT: the kind of tower that this file makes."""
GRAPH, WEIGHTS = "text.onnx", "text.safetensors"


class WordTower(ABC):
    """What both kinds share: texts to sets of words, and a runner on them."""

    address: str
    dim: int
    words: Words

    def forward(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> (n, dim). Raises EncoderError (code ``text/empty``) naming the first text without a known word."""
        runner, parts, step = self._runner(), [np.empty((0, self.dim), np.float32)], self.words.batch
        for start in range(0, len(texts), step):
            sets = self.words.sets(texts[start : start + step])
            for row, found in enumerate(sets, start):
                if not found.words:
                    raise nothing_known(texts, row, found)
            parts.append(runner(marked(sets)))
        return np.concatenate(parts)

    def unknown(self, text: str) -> tuple[str, ...]:
        return self.words.unknown(text)

    @abstractmethod
    def identity(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def files(self) -> Mapping[str, bytes | Path]: ...

    @abstractmethod
    def _runner(self) -> Runner: ...


def marked(sets: Sequence[WordSet]) -> NDArray[np.float32]:
    """Sets of words -> (n, s, width + 1): the longest decides s, and the last channel is 1 where there is a word."""
    width = sets[0].vectors.shape[1]
    given = np.zeros((len(sets), max(len(found.words) for found in sets), width + 1), dtype=np.float32)
    for row, found in zip(given, sets, strict=True):
        row[: len(found.words), :width] = found.vectors
        row[: len(found.words), width] = 1
    return given


def pooled_head(pool: Any, head: Any) -> Any:
    """The module (n, s, width) and a mask (n, s) of bool -> (n, dim): `head` on what `pool` gives.

    Its children ``pool`` and ``head`` are those given, not copies; `dim` is the head's.
    """
    torch = need_torch("a text tower")

    class Pooled(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.head, self.dim = pool, head, head.dim

        def forward(self, members: Any, mask: Any = None) -> Any:
            return self.head(self.pool(members, mask))

    return Pooled()


class SetTower(WordTower):
    """`words` and a torch module (n, s, width) and a mask (n, s) of bool -> (n, dim), as `pooled_head` makes.

    `pool` and `heads`: the addresses of what the module is made of, for people and for training on. `facts`: what else
    belongs to the identity (JSON-able). The module belongs to the tower from here on, in eval mode, on the device where
    it is. `keep_weights`: `files` brings the state dict too.

    Raises EncoderError (code ``encoder/unfitted``) for words that learn and have not.
    """

    def __init__(
        self,
        words: Words,
        module: Any,
        *,
        pool: str,
        heads: Sequence[str] = (),
        facts: Mapping[str, Any] | None = None,
        keep_weights: bool = False,
    ) -> None:
        self.words, self.module, self.pool, self.heads = words, module.eval(), pool, tuple(heads)
        self.address = told(named(words.address), [pool, *heads])
        self._keep_weights = keep_weights
        self._identity = {
            **(facts or {}),
            "words": words.identity(),
            "pool": pool,
            "heads": list(heads),
            "weights": digest_of(module),
        }
        self._device = next((p.device for p in module.parameters()), "cpu")
        self.dim = int(self._run(np.ones((1, 1, words.width + 1), dtype=np.float32)).shape[1])

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        """The exported graph, what surrounds it, and the words. Raises EncoderError (``encoder/export``)."""
        facts = {
            "kind": SETS,
            "address": self.address,
            "dim": self.dim,
            "identity": self._identity,
            "words": self.words.loader,
            "architecture": {"width": self.words.width, "pool": self.pool, "heads": list(self.heads)},
        }
        files = {TEXT: json.dumps(facts, indent=1).encode(), GRAPH: self._graph(), **self.words.files()}
        if self._keep_weights:
            from safetensors.numpy import save

            files[WEIGHTS] = save(tensors_of(self.module))
        return files

    def _graph(self) -> bytes:
        import torch

        module = copy.deepcopy(self.module)
        for name, part in list(module.named_modules()):
            if hasattr(part, "tabled"):
                module.set_submodule(name, part.tabled(self.words.longest))

        class Marked(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.module = module

            def forward(self, members: Any) -> Any:
                return self.module(members[:, :, :-1], members[:, :, -1] > 0.5)

        sets = golden_sets(self.words.width, self.words.longest)
        golden = Golden(marked(sets), self._run(marked(sets)))
        graph = graph_of(Marked().eval(), golden.inputs[-2:], ("n", "s"), "words")
        runner = RUNTIMES.build("onnxruntime").open(graph)
        alone = np.concatenate([runner(marked([one])) for one in sets])  # neither batch nor padding may matter
        require_same(golden, runner(golden.inputs), alone)
        return graph

    def _run(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            members = torch.tensor(given, device=self._device)
            answer = self.module(members[:, :, :-1], members[:, :, -1] > 0.5)
        return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)

    def _runner(self) -> Runner:
        return self._run


def golden_sets(width: int, longest: int) -> list[WordSet]:
    """Sets of 1 to `longest` words, on which a graph is held against its network."""
    draw = np.random.default_rng(2024)
    sizes = sorted({min(size, longest) for size in (1, 2, 3, 5, 8, 13, 21, 34, 55, longest)})
    return [
        WordSet(("",) * size, draw.standard_normal((size, width), dtype=np.float32), ())
        for size in sizes
        for _ in range(2)
    ]


class ExportedSets(WordTower):
    """What a SetTower is once it is saved: words and a graph, without torch. A runtime is opened at the first text."""

    def __init__(self, facts: Mapping[str, Any], folder: Path) -> None:
        self._facts = {TEXT: (folder / TEXT).read_bytes(), GRAPH: (folder / GRAPH).read_bytes()}
        if (folder / WEIGHTS).exists():
            self._facts[WEIGHTS] = (folder / WEIGHTS).read_bytes()
        require_plain(self._facts[GRAPH])
        self.address, self.dim = str(facts["address"]), int(facts["dim"])
        self._identity = dict(facts["identity"])
        self.words = cast(Words, TEXTS.build(str(facts["words"])))
        self.words.restore(folder)
        self._lock = threading.Lock()
        self._opened: Runner | None = None

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        return {**self._facts, **self.words.files()}

    def _runner(self) -> Runner:
        with self._lock:
            if self._opened is None:
                self._opened = RUNTIMES.build("onnxruntime").open(self._facts[GRAPH])
            return self._opened


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Path], TextTower]] = {
    SETS: ExportedSets,
    WHOLE: ExportedTexts,
}


def read_text_tower(folder: Path) -> TextTower:
    """The text tower of an encoder folder, without torch.

    Raises Damaged, MissingExtra, and EncoderError (code ``encoder/graph``) for a graph that is refused.
    """
    try:
        facts = json.loads((folder / TEXT).read_bytes())
        return _KINDS[facts["kind"]](facts, folder)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UnknownName) as error:
        raise Damaged(f"the text tower in {folder} cannot be read: {error}") from error


def named(address: str) -> str:
    """An address for people: of a variant that is a path, the last part only."""
    head, mark, options = address.partition("?")
    variant = Address.parse(head).variant
    return (f"{Address.parse(head).name}/{Path(variant).name}" if variant else head) + mark + options
