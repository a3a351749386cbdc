"""Small word vectors of every kind, made here: files of vectors, and transformers with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WORDS = ["a", "two", "dog", "dogs", "cat", "runs", "running", "on", "the", "grass", "beach", "red", "ball", "man", "in"]
WORDS += ["child", "shirt", "snow", "собака", "狗", "🐕", "2", "हिन्दी"]
CAPTIONS = [
    "a dog runs on the grass", "two dogs running on the beach", "the man in a red shirt", "a child in the snow",
    "a cat on the grass", "the dog runs in the snow", "two dogs on the red grass", "a red ball on the beach",
] * 4  # fmt: skip


def numbers(word: str, width: int = 8) -> list[float]:
    """The vector of a word in every file here."""
    draw = np.random.default_rng(sum(word.encode()) * 7 + len(word))
    return [round(float(x), 4) for x in draw.standard_normal(width)]


def text_lines(words: list[str] = WORDS, width: int = 8) -> list[str]:
    """The lines of a GloVe file."""
    return [" ".join([word, *map(str, numbers(word, width))]) for word in words]


def glove(path: Path) -> Path:
    path.write_text("\n".join(text_lines()) + "\n", encoding="utf-8")
    return path


def word2vec(path: Path) -> Path:
    path.write_text("\n".join([f"{len(WORDS)} 8", *text_lines()]) + "\n", encoding="utf-8")
    return path


def word2vec_binary(path: Path) -> Path:
    body = b"".join(w.encode() + b" " + np.array(numbers(w), dtype="<f4").tobytes() + b"\n" for w in WORDS)
    path.write_bytes(f"{len(WORDS)} 8\n".encode() + body)
    return path


def vocabulary() -> list[str]:
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'", *"собакеивджтрл", "狗", "地", "草"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[:15], *letters, *(f"##{c}" for c in letters)]
    return list(dict.fromkeys(words))


def config(kind: str) -> dict[str, Any]:
    """Of a transformer of that kind, tiny."""
    tiny: dict[str, Any] = {
        "model_type": kind, "vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 160, "pad_token_id": 0,
    }  # fmt: skip
    if kind == "distilbert":
        tiny |= {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24}
    if kind in ("electra", "albert"):
        tiny |= {"embedding_size": 16}
    return tiny


def bert_folder(folder: Path, kind: str = "bert") -> Path:
    """config.json and a tokenizer; without weights, as ``pretrained=false`` takes it."""
    import json

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    ids = {word: row for row, word in enumerate(vocabulary())}
    own = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    own.normalizer = normalizers.BertNormalizer(lowercase=True)
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    own.decoder = decoders.WordPiece()
    own.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    own.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    own.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 160, "pad_token": "[PAD]",
            "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps(config(kind)))
    return folder
