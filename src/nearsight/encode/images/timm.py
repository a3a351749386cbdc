"""The networks of timm, named as timm names them: ``timm/resnet50.a1_in1k``, ``timm/vit_small_patch16_224``.

The vector is the pooled features before the classifier. Weights are timm's own (downloaded once), or a file:
``?weights=PATH`` with the layers' own names. Preprocessing is that of the weights in timm's catalogue unless an option
says otherwise.

``pool=gem`` puts that pooling (`nearsight show poolings`) in the place of the network's own; ``pool=cells`` keeps the
cells of the last feature map, or a transformer's patch tokens, as a set, for heads that pool them (``pooled``).
"""

from __future__ import annotations

import math
from typing import Any

from nearsight.core.errors import EncoderError, InputError, MissingExtra, UnknownName, Unreachable
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of, require_network
from nearsight.encode.pooled import put_behind, put_in_place
from nearsight.encode.preprocess import Preprocess

LADDER = tuple(
    Rung(
        f"timm/{name}",
        dim,
        told,
        megabytes=size,
        weights=f"hub:timm/{name}",
        packages=("torch", "timm"),
        extra="models",
    )
    for name, dim, size, told in (
        ("mobilenetv3_large_100.ra_in1k", 1280, 22, "photographs, fast on a processor"),
        ("resnet50.a1_in1k", 2048, 102, "photographs, the usual yardstick"),
        ("vit_small_patch16_224.dino", 384, 87, "the looks of pictures of any kind"),
    )
)


def build(
    variant: str | None = None,
    *,
    pretrained: bool = True,
    weights: str = "",
    seed: int = 0,
    size: int = 0,
    resize: int = 0,
    fit: str = "",
    interpolation: str = "",
    mean: str = "",
    std: str = "",
    pool: str = "",
    keep_weights: bool = False,
) -> TorchTower:
    """`variant`: the network. `pretrained=false` without `weights` draws random ones from `seed`.

    Raises UnknownName, MissingExtra, Unreachable (no internet), EncoderError (code ``encoder/weights``), InputError.
    """
    torch = need_torch("timm/NAME")
    try:
        import timm
    except ImportError as error:
        raise MissingExtra.of("timm", "models", "timm/NAME") from error
    plain = (variant or "").split(".")[0]
    require_network("timm", plain, timm.list_models())
    variant = variant or plain
    download = pretrained and not weights
    if download and not timm.is_model_pretrained(variant):
        raise UnknownName(
            f"timm has no pretrained weights called '{variant}'",
            hint=f"there are: {', '.join(timm.list_pretrained(plain + '.*')[:8]) or 'none; give ?weights=PATH'}",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = timm.create_model(variant, pretrained=download, num_classes=0, **_sized(plain, size, timm))
        except OSError as error:
            raise Unreachable(
                f"the weights of timm/{variant} cannot be downloaded: {error}",
                hint="give a state dict with ?weights=PATH, or try again with a connection",
            ) from error
        except RuntimeError as error:
            raise UnknownName(f"timm cannot make '{variant}': {error}") from error
    if weights:
        named = network.pretrained_cfg.get("classifier") or ()
        load_weights(network, weights_path(weights), unused=[named] if isinstance(named, str) else named)
    own = preprocess_of(timm.data.resolve_data_config({}, model=network), variant)
    preprocess = own.changed(size=size, resize=resize, fit=fit, interpolation=interpolation, mean=mean, std=std)
    if pool:
        network = _pooled(network, variant, pool, timm, size=preprocess.size, seed=seed)
    options = {"pretrained": pretrained or bool(weights), "weights": weights, "seed": seed, "size": size,
               "resize": resize, "fit": fit, "interpolation": interpolation, "mean": mean, "std": std, "pool": pool,
               "keep_weights": keep_weights}  # fmt: skip
    return TorchTower(
        address_of("timm", variant, build, options),
        network,
        preprocess,
        {"tower": "timm", "network": variant, **({"pool": pool} if pool else {})},
        keep_weights=keep_weights,
    )


def _sized(plain: str, size: int, timm: Any) -> dict[str, int]:
    """Transformers with fixed positions must be told of another size when they are made."""
    cfg = timm.models.get_pretrained_cfg(plain)
    return {"img_size": size} if size and cfg is not None and cfg.fixed_input_size else {}


def _pooled(network: Any, variant: str, pool: str, timm: Any, *, size: int, seed: int) -> Any:
    """`network` with the pooling at the address `pool` instead of its own. Raises UnknownName, InputError."""
    select = timm.layers.SelectAdaptivePool2d
    own = [name for name, layer in network.named_modules() if isinstance(layer, select) and layer.pool_type]
    if len(own) == 1:
        return put_in_place(network, own[0], pool, size=size, seed=seed)
    try:
        network.reset_classifier(0, "")
    except (AssertionError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _no_pooling(variant) from error
    prefix = getattr(network, "num_prefix_tokens", None)
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    if own or (prefix is None and not channels_last):  # tokens of which nobody says which are places
        raise _no_pooling(variant)
    return put_behind(network, pool, size=size, seed=seed, prefix=prefix or 0, channels_last=channels_last)


def _no_pooling(variant: str) -> InputError:
    return InputError(
        f"timm/{variant} does not say what its pooling pools",
        code="encoder/pool",
        hint="leave out pool=, or take a network that does: resnet, convnext, efficientnet, mobilenetv3, swin, vit",
    )


def preprocess_of(config: dict[str, Any], variant: str) -> Preprocess:
    """timm's evaluation transform as plain data (timm.data.transforms_factory.transforms_imagenet_eval)."""
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] not in ("center", "squash"):
        raise EncoderError(
            f"timm/{variant} takes pictures in a way that nearsight does not offer: {config}",
            code="encoder/preprocess",
        )
    return Preprocess(
        size=height,
        resize=max(height, math.floor(height / config["crop_pct"])),
        fit="squash" if config["crop_mode"] == "squash" else "crop",
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
