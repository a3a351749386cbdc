"""Towers for texts that are one network from pieces to vector, as those of CLIP are; a fixed number of pieces a text.

A module while it is fresh, an ONNX graph once saved. Both cut texts with one ``tokenizer.json``, which was held against
the model's own tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError
from nearsight.encode.encoder import TEXT
from nearsight.encode.export import digest_of, graph_of, require_same
from nearsight.encode.golden import Golden
from nearsight.encode.graph import require_plain
from nearsight.encode.runtimes import RUNTIMES
from nearsight.encode.texts import WordSet, nothing_known
from nearsight.encode.tokeniser import GOLDEN, Tokeniser, padded

if TYPE_CHECKING:
    from nearsight.encode.runtimes import Runner

WHOLE = "whole"
"""In TEXT: the kind of tower that this file makes."""
GRAPH, TOKENS = "text.onnx", "text-tokenizer.json"
_BATCH = 64


class WholeTower(ABC):
    """What both kinds share: texts to a block of ids, `context` of them each."""

    address: str
    dim: int
    tokeniser: Tokeniser
    context: int

    def forward(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> (n, dim). Raises EncoderError (code ``text/empty``) naming the first text without a known word."""
        runner, parts = self._runner(), [np.empty((0, self.dim), np.float32)]
        cut = self.tokeniser(texts)
        for row, found in enumerate(cut):
            if not found.places:
                raise nothing_known(texts, row, WordSet((), np.empty((0, self.dim), np.float32), found.unknown))
        for start in range(0, len(texts), _BATCH):
            rows = [found.ids for found in cut[start : start + _BATCH]]
            parts.append(runner(padded(rows, self.tokeniser.pad, self.context)))
        return np.concatenate(parts)

    def unknown(self, text: str) -> tuple[str, ...]:
        return self.tokeniser([text])[0].unknown

    @abstractmethod
    def identity(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def files(self) -> Mapping[str, bytes | Path]: ...

    @abstractmethod
    def _runner(self) -> Runner: ...


class TorchTexts(WholeTower):
    """`module`: (n, context) ids -> (n, dim); it belongs to the tower from here on, on the device where it is.

    `facts` (JSON-able) name the network for the identity.
    """

    def __init__(self, address: str, module: Any, tokeniser: Tokeniser, context: int, facts: Mapping[str, Any]) -> None:
        self.address, self.module, self.tokeniser, self.context = address, module.eval(), tokeniser, context
        self._identity = {
            **facts,
            "context": context,
            "weights": digest_of(module),
            "tokenizer": hashlib.sha256(tokeniser.content).hexdigest(),
        }
        self._device = next((p.device for p in module.parameters()), "cpu")
        self.dim = int(self._run(self._golden_ids()[:1]).shape[1])

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        """The exported graph, proven on GOLDEN, and the vocabulary. Raises EncoderError (``encoder/export``)."""
        golden = Golden(self._golden_ids(), self._run(self._golden_ids()))
        graph = graph_of(self.module, golden.inputs[:2], ("n",), "ids")
        runner = RUNTIMES.build("onnxruntime").open(graph)
        alone = np.concatenate([runner(golden.inputs[i : i + 1]) for i in range(len(golden.inputs))])
        require_same(golden, runner(golden.inputs), alone)
        facts = {
            "kind": WHOLE,
            "address": self.address,
            "dim": self.dim,
            "context": self.context,
            "pad": self.tokeniser.pad,
            "identity": self._identity,
        }
        return {TEXT: json.dumps(facts, indent=1).encode(), GRAPH: graph, TOKENS: self.tokeniser.content}

    def _golden_ids(self) -> NDArray[np.int64]:
        return padded([found.ids for found in self.tokeniser(GOLDEN)], self.tokeniser.pad, self.context)

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            answer = self.module(torch.tensor(ids, device=self._device))
        return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)

    def _runner(self) -> Runner:
        return self._run


class ExportedTexts(WholeTower):
    """What `TorchTexts` is once it is saved. A runtime is opened at the first text."""

    def __init__(self, facts: Mapping[str, Any], folder: Path) -> None:
        self._files = {name: (folder / name).read_bytes() for name in (TEXT, GRAPH, TOKENS)}
        require_plain(self._files[GRAPH])
        self.address, self.dim, self.context = str(facts["address"]), int(facts["dim"]), int(facts["context"])
        self._identity = dict(facts["identity"])
        self.tokeniser = tokeniser_of(self._files[TOKENS], pad=int(facts["pad"]), context=self.context)
        self._lock = threading.Lock()
        self._opened: Runner | None = None

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        return dict(self._files)

    def _runner(self) -> Runner:
        with self._lock:
            if self._opened is None:
                self._opened = RUNTIMES.build("onnxruntime").open(self._files[GRAPH])
            return self._opened


def tokeniser_of(content: bytes, *, pad: int, context: int) -> Tokeniser:
    """The tokeniser whose texts have `context` pieces at most, special ones included."""
    around = Tokeniser(content, pad=pad, longest=1).around
    return Tokeniser(content, pad=pad, longest=context - around)


def rebuilt(
    name: str, content: bytes, *, pad: int, context: int, own: Callable[[Sequence[str]], NDArray[np.int64]]
) -> Tokeniser:
    """The ``tokenizer.json`` in `content`, as it is or in front of it lower-casing and leaving out punctuation: the one
    that gives what `own`, the model's own tokenizer, gives for GOLDEN, (n, context).

    Raises EncoderError (code ``encoder/tokenizer``) where neither does.
    """
    wanted = own(GOLDEN)
    for candidate in (content, _canonical(content)):
        tokeniser = tokeniser_of(candidate, pad=pad, context=context)
        got = padded([found.ids for found in tokeniser(GOLDEN)], pad, context)
        if np.array_equal(got, wanted):
            return tokeniser
    raise EncoderError(
        f"{name} cuts texts in a way that cannot be rebuilt without its own package",
        code="encoder/tokenizer",
        hint="take another model; those of openai and laion, and SigLIP, can be",
    )


def _canonical(content: bytes) -> bytes:
    """With what big_vision does to texts before they are cut: SigLIP's models saw no others."""
    facts = json.loads(content)
    steps: list[Any] = [
        {"type": "Replace", "pattern": {"String": "_"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": r"[!-/:-@\[-`{-~]"}, "content": ""},
        {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True},
    ]
    facts["normalizer"] = {"type": "Sequence", "normalizers": steps + [facts["normalizer"]] * bool(facts["normalizer"])}
    return json.dumps(facts, ensure_ascii=False).encode()
