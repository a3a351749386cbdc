"""CLIP and SigLIP of the Hugging Face hub, pictures and words in one space: ``clip/openai/clip-vit-base-patch32``.

The variant is a model of the hub that transformers knows as CLIP or SigLIP (``clip/google/siglip-base-patch16-224``),
downloaded once, or a folder with config.json, preprocessor_config.json, model.safetensors and a tokenizer. Radford et
al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021); Zhai et al., "Sigmoid Loss for
Language Image Pre-Training" (ICCV 2023). The strong choice for people with a network: a collection that it indexed is
searched by words without any training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearsight.core.errors import EncoderError, InputError, MissingExtra, UnknownName
from nearsight.encode.export import need_torch, weights_path
from nearsight.encode.hub import downloading
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of, bare
from nearsight.encode.preprocess import Preprocess
from nearsight.encode.whole_text import TorchTexts, rebuilt

_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_HINT = "or choose an encoder that is trained on your own captions"

LADDER = tuple(
    Rung(
        f"clip/{name}", dim, told, words=True, megabytes=size, packages=("torch", "transformers"), extra="clip",
        weights=f"hub:{name}",
    )
    for name, dim, size, told in (
        ("openai/clip-vit-base-patch32", 512, 605, "pictures and words of any kind"),
        ("google/siglip-base-patch16-224", 768, 813, "the same, finer; wants a GPU"),
    )
)  # fmt: skip


def build(variant: str | None = None, *, pretrained: bool = True, seed: int = 0, revision: str = "main") -> TorchTower:
    """`pretrained=false` takes the folder's config.json and draws weights from `seed`; `revision`: branch, tag or
    commit on the hub.

    Raises UnknownName, MissingExtra, Unreachable (no internet), EncoderError (codes ``encoder/weights``,
    ``encoder/preprocess``, ``encoder/tokenizer``).
    """
    torch = need_torch("clip/NAME")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra.of("transformers", "clip", "clip/NAME") from error
    if not variant:
        raise UnknownName("which CLIP?", hint="for instance clip/openai/clip-vit-base-patch32, or clip/FOLDER")
    source = weights_path(variant)
    name = str(source) if source.is_dir() else variant
    given = {} if source.is_dir() else {"revision": revision}
    loading = {"trust_remote_code": False, **given}
    with torch.random.fork_rng(devices=[]), downloading(f"clip/{variant}", local=source.is_dir(), hint=_HINT):
        torch.manual_seed(seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **loading)
        facts, _ = transformers.ImageProcessingMixin.get_image_processor_dict(name, **given)
        if pretrained:
            model = transformers.AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32, **loading)
        else:
            model = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(name, **loading))
        if not hasattr(tokenizer, "backend_tokenizer"):  # SentencePiece; the same vocabulary lies beside it
            backend = transformers.PreTrainedTokenizerFast.from_pretrained(name, **given).backend_tokenizer
        else:
            backend = tokenizer.backend_tokenizer
    if not hasattr(model, "text_model") or not hasattr(model, "vision_model"):
        raise InputError(f"clip/{variant} is no CLIP and no SigLIP: it has no two towers", code="encoder")
    address = address_of("clip", variant, build, {"pretrained": pretrained, "seed": seed, "revision": revision})
    kind = {"tower": "clip", "network": model.config.model_type}
    context = model.config.text_config.max_position_embeddings

    def own(texts: Any) -> Any:
        return np.array(
            tokenizer(list(texts), padding="max_length", truncation=True, max_length=context)["input_ids"], np.int64
        )

    tokeniser = rebuilt(address, backend.to_str().encode(), pad=tokenizer.pad_token_id, context=context, own=own)
    tower = TorchTower(
        address,
        _half(torch, model.vision_model, getattr(model, "visual_projection", None), "pixel_values"),
        preprocess_of(facts, address),
        kind,
    )
    words = _half(torch, model.text_model, getattr(model, "text_projection", None), "input_ids")
    tower.text = TorchTexts(bare(address), words, tokeniser, context, kind)
    return tower


def _half(torch: Any, network: Any, projection: Any, takes: str) -> Any:
    """One tower of the two, as ``get_image_features`` and ``get_text_features`` compute it."""

    class Half(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.projection = projection if projection is not None else torch.nn.Identity()

        def forward(self, given: Any) -> Any:
            return self.projection(self.network(**{takes: given}).pooler_output)

    return Half().eval()


def preprocess_of(facts: dict[str, Any], name: str) -> Preprocess:
    """What preprocessor_config.json says, as plain data. Raises EncoderError (code ``encoder/preprocess``)."""
    try:
        size, crop = facts["size"], facts.get("crop_size")
        if isinstance(size, int):
            size = {"shortest_edge": size}
        if isinstance(crop, int):
            crop = {"height": crop, "width": crop}
        square: dict[str, int] = (crop or {}) if facts.get("do_center_crop", False) else size
        resize = size.get("shortest_edge", size.get("height"))
        if square["height"] != square["width"] or size.get("width", resize) != resize:
            raise ValueError("pictures that are not square")
        if abs(facts.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
            raise ValueError(f"a scale of {facts['rescale_factor']}")
        return Preprocess(
            size=square["height"],
            resize=resize,
            fit="crop" if "shortest_edge" in size else "squash",
            interpolation=_RESAMPLING[facts.get("resample", 3)],
            mean=tuple(facts["image_mean"]),
            std=tuple(facts["image_std"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise EncoderError(
            f"{name} takes pictures in a way that nearsight does not offer: {error}", code="encoder/preprocess"
        ) from error
