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


def clip_folder(folder: Path) -> Path:
    """config.json, preprocessor_config.json and a tokenizer of a CLIP as transformers has it, tiny, without weights."""
    import gzip
    import json

    from nearsight.encode.images.open_clip import byte_pairs

    folder.mkdir(parents=True, exist_ok=True)
    merges = ["d o", "do g</w>", "r u", "ru n", "t h", "th e</w>", "o n</w>", "g r"]
    with gzip.open(folder / "merges.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(["# merges", *merges]))
    content = byte_pairs(folder / "merges.txt.gz")
    (folder / "tokenizer.json").write_bytes(content)
    ids = json.loads(content)["model"]["vocab"]
    end = ids["<end_of_text>"]
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24, "pad_token": "<end_of_text>",
            "eos_token": "<end_of_text>", "bos_token": "<start_of_text>"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    tiny = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": len(ids), "max_position_embeddings": 24, "eos_token_id": end, "bos_token_id": end - 1,
             "pad_token_id": end}  # fmt: skip
    body = {"model_type": "clip", "projection_dim": 12, "text_config": {**tiny, **words},
            "vision_config": {**tiny, "image_size": 32, "patch_size": 8}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(body))
    shown = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True,
             "resample": 3, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    return folder


def siglip_folder(folder: Path) -> Path:
    """The same of a SigLIP, with a vocabulary of whole words."""
    import json

    bert_folder(folder)
    tiny = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    body = {"model_type": "siglip", "text_config": {**tiny, "vocab_size": 200, "max_position_embeddings": 24},
            "vision_config": {**tiny, "image_size": 32, "patch_size": 8}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(body))
    shown = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    return folder


def open_clip_model(folder: Path) -> str:
    """The name of an architecture of open_clip, tiny, that is known from here on."""
    import json

    import open_clip

    tiny = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    }
    (folder / "nearsight-tiny.json").write_text(json.dumps(tiny))
    open_clip.add_model_config(folder / "nearsight-tiny.json")
    return "nearsight-tiny"
