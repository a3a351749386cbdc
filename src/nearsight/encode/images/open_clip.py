"""The networks of OpenCLIP, pictures and words in one space: ``open_clip/ViT-B-32?pretrained=laion2b_s34b_b79k``.

The variant is an architecture as open_clip names it, ``pretrained`` one of its tags (downloaded once), or a file of
weights: ``?weights=PATH``. Cherti et al., "Reproducible Scaling Laws for Contrastive Language-Image Learning" (CVPR
2023). open_clip mends text that was decoded wrongly before it cuts it; here only quotation marks are made straight.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.errors import EncoderError, MissingExtra, UnknownName
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.hub import downloading
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of, bare, require_network
from nearsight.encode.preprocess import Preprocess
from nearsight.encode.whole_text import TorchTexts, rebuilt

RANDOM = "false"
"""Of `pretrained`: weights are drawn."""
_HINT = "or give a state dict with ?weights=PATH"
_CUT = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_STRAIGHT = (("[\u2018\u2019\u201a\u201b\u02bc]", "'"), ("[\u201c\u201d\u201e\u201f]", '"'))

LADDER = (
    Rung(
        "open_clip/ViT-B-32?pretrained=laion2b_s34b_b79k", 512, "the same, trained on open data", words=True,
        megabytes=605, packages=("torch", "open_clip"), extra="clip",
        weights="hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    ),
)  # fmt: skip


def build(variant: str | None = None, *, pretrained: str = "", weights: str = "", seed: int = 0) -> TorchTower:
    """`pretrained=false` without `weights` draws random ones from `seed`.

    Raises UnknownName, MissingExtra, Unreachable (no internet), EncoderError (codes ``encoder/weights``,
    ``encoder/preprocess``, ``encoder/tokenizer``).
    """
    torch = need_torch("open_clip/NAME")
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtra.of("open_clip_torch", "clip", "open_clip/NAME") from error
    variant = require_network("open_clip", variant, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(variant)
    if not weights and pretrained not in (*tags, RANDOM):
        raise UnknownName(
            f"open_clip/{variant} has no weights called '{pretrained}'" if pretrained else "which weights?",
            hint=f"?pretrained=TAG, one of {', '.join(tags) or 'none'}; or ?weights=PATH",
        )
    tag = None if weights or pretrained == RANDOM else pretrained
    with torch.random.fork_rng(devices=[]), downloading(f"open_clip/{variant}", local=False, hint=_HINT):
        torch.manual_seed(seed)
        model = open_clip.create_model(variant, pretrained=tag, pretrained_text=False, weights_only=True)
        tokenizer = open_clip.get_tokenizer(variant)
    if weights:
        load_weights(model, weights_path(weights))
    address = address_of("open_clip", variant, build, {"pretrained": pretrained, "weights": weights, "seed": seed})
    hugging = getattr(tokenizer, "tokenizer", None)
    content = (
        hugging.backend_tokenizer.to_str().encode() if hugging is not None else byte_pairs(Path(bpe_of(open_clip)))
    )
    context = tokenizer.context_length
    tokeniser = rebuilt(
        address,
        content,
        pad=hugging.pad_token_id if hugging is not None else 0,
        context=context,
        own=lambda texts: np.asarray(tokenizer(list(texts)).numpy(), dtype=np.int64),
    )
    kind = {"tower": "open_clip", "network": variant}
    tower = TorchTower(address, model.visual, preprocess_of(model.visual.preprocess_cfg, address), kind)
    model.visual = None  # the other tower is its own
    tower.text = TorchTexts(bare(address), _words(torch, model), tokeniser, context, kind)
    return tower


def _words(torch: Any, model: Any) -> Any:
    class Words(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model.encode_text(ids)

    return Words().eval()


def preprocess_of(facts: dict[str, Any], name: str) -> Preprocess:
    """open_clip's evaluation transform as plain data. Raises EncoderError (code ``encoder/preprocess``)."""
    size = facts["size"]
    sides = (size, size) if isinstance(size, int) else tuple(size)
    fit = {"shortest": "crop", "squash": "squash"}.get(facts["resize_mode"])
    if sides[0] != sides[1] or fit is None:
        raise EncoderError(
            f"{name} takes pictures in a way that nearsight does not offer: {facts}", code="encoder/preprocess"
        )
    return Preprocess(
        size=sides[0],
        resize=sides[0],
        fit=fit,
        interpolation=facts["interpolation"],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )


def bpe_of(open_clip: Any) -> str:
    """The vocabulary that the package brings."""
    return str(open_clip.tokenizer.default_bpe())


def byte_pairs(path: Path) -> bytes:
    """CLIP's own tokenizer (Sennrich et al., ACL 2016, over bytes) as a ``tokenizer.json``, from its file of merges."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    merges = [line.split() for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = _letters()
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary += ["<start_of_text>", "<end_of_text>"]
    ids = {piece: row for row, piece in enumerate(vocabulary)}
    start, end = "<start_of_text>", "<end_of_text>"
    replaced = [
        {"type": "Replace", "pattern": {"Regex": found}, "content": put} for found, put in (*_STRAIGHT, (r"\s+", " "))
    ]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    facts = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[token], "content": token, **special} for token in (start, end)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, *replaced, {"type": "Lowercase"}]},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _CUT}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": start, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": end, "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (start, end)
            },
        },
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": ids,
            "merges": merges,
        },
    }  # fmt: skip
    return json.dumps(facts, ensure_ascii=False).encode()


def _letters() -> list[str]:
    """The character that stands for each byte: itself where it can be printed, else one beyond Latin-1 (GPT-2's)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in plain] + [chr(256 + at) for at in range(256 - len(plain))]
