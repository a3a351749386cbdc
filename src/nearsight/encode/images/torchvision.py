"""torchvision's classification networks, named as torchvision names them: ``torchvision/resnet50``.

The vector is what the last linear layer is given: the pooled features, or fc7 of VGG and AlexNet. Weights are
torchvision's own (downloaded once), or a file: ``?weights=PATH`` with the layers' own names; the classifier in it may
have any number of classes. Preprocessing is that of torchvision's weights unless an option says otherwise.
``padding=same`` is TensorFlow's rule for strided convolutions: what an even side lacks is added right and below.

``pool=gem`` puts that pooling (`nearsight show poolings`) in the place of the network's own average; what a network has
behind it stays there. VGG and AlexNet have none: it pools their last feature map, and fc6 and fc7 are left out.
``pool=cells`` keeps the cells of the last feature map as a set, for heads that pool them (``pooled``).
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from functools import partial
from typing import Any

from nearsight.core.errors import EncoderError, InputError, MissingExtra, Unreachable
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of, require_network
from nearsight.encode.pooled import put_behind, put_in_place
from nearsight.encode.preprocess import Preprocess

LADDER = tuple(
    Rung(
        f"torchvision/{name}", dim, told, megabytes=size, packages=("torch", "torchvision"), extra="models",
        weights=f"torch:{name}-*.pth",
    )
    for name, dim, size, told in (
        ("mobilenet_v2", 1280, 14, "photographs, small and fast"),
        ("resnet50", 2048, 103, "photographs of things"),
    )
)  # fmt: skip


def build(
    variant: str | None = None,
    *,
    pretrained: bool = True,
    weights: str = "",
    seed: int = 0,
    padding: str = "own",
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
    torch = need_torch("torchvision/NAME")
    try:
        import torchvision
    except ImportError as error:
        raise MissingExtra.of("torchvision", "models", "torchvision/NAME") from error
    variant = require_network("torchvision", variant, torchvision.models.list_models(module=torchvision.models))
    if padding not in ("own", "same"):
        raise InputError(f"padding is own or same, not {padding!r}")
    default = torchvision.models.get_model_weights(variant).DEFAULT
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GoogLeNet and Inception announce how they draw random weights
        torch.manual_seed(seed)
        try:
            network = torchvision.models.get_model(variant, weights=default if pretrained and not weights else None)
        except OSError as error:
            raise Unreachable(
                f"the weights of torchvision/{variant} cannot be downloaded: {error}",
                hint="give a state dict with ?weights=PATH, or try again with a connection",
            ) from error
    head = _take_head_off(network, torch, variant)
    if weights:
        load_weights(network, weights_path(weights), unused=[head])
    preprocess = preset_of(default.transforms()).changed(
        size=size, resize=resize, fit=fit, interpolation=interpolation, mean=mean, std=std
    )
    if padding == "same":
        pad_like_tensorflow(network, torch, preprocess.size)
    if pool:
        network = _pooled(network, torch, variant, pool, size=preprocess.size, seed=seed)
    options = {"pretrained": pretrained or bool(weights), "weights": weights, "seed": seed, "padding": padding,
               "size": size, "resize": resize, "fit": fit, "interpolation": interpolation, "mean": mean, "std": std,
               "pool": pool, "keep_weights": keep_weights}  # fmt: skip
    return TorchTower(
        address_of("torchvision", variant, build, options),
        network,
        preprocess,
        {"tower": "torchvision", "network": variant, "padding": padding, **({"pool": pool} if pool else {})},
        keep_weights=keep_weights,
    )


def preset_of(preset: Any) -> Preprocess:
    """torchvision's ImageClassification transform as plain data."""
    return Preprocess(
        size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _take_head_off(network: Any, torch: Any, variant: str) -> str:
    """Replace the last linear layer by nothing; its name."""
    linear: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    if not linear:
        raise EncoderError(f"torchvision/{variant} has no linear layer whose input could be the vector")
    network.set_submodule(linear[-1], torch.nn.Identity())
    return linear[-1]


def _pooled(network: Any, torch: Any, variant: str, pool: str, *, size: int, seed: int) -> Any:
    """`network` with the pooling at the address `pool` instead of its own. Raises UnknownName, InputError."""
    own = getattr(network, "avgpool", None)
    if isinstance(own, torch.nn.AdaptiveAvgPool2d) and own.output_size in (1, (1, 1)):
        return put_in_place(network, "avgpool", pool, size=size, seed=seed)
    # the first two average in a function, the last thing they do; the others never
    if variant == "mobilenet_v2" or variant.startswith(("densenet", "vgg", "alexnet")):
        features = network.features
        if variant.startswith("densenet"):
            features = torch.nn.Sequential(OrderedDict(map=features, relu=torch.nn.ReLU()))
        return put_behind(features, pool, size=size, seed=seed)
    raise InputError(
        f"torchvision/{variant} has no global average that another pooling could stand for",
        code="encoder/pool",
        hint="leave out pool=, or take timm/NAME: more of its networks can do it",
    )


def pad_like_tensorflow(network: Any, torch: Any, size: int) -> None:
    """Padding SAME of TensorFlow: k - 2 in all for stride 2 and an even side, the odd one right and below."""
    if size % 32:
        raise InputError(f"padding=same is written for sides that halve five times, and {size} does not")

    def pad(room: tuple[int, int], _layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (torch.nn.functional.pad(inputs[0], (*room, *room)),)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2) and layer.kernel_size[0] > 1:
            lacking = layer.kernel_size[0] - 2
            layer.padding = (0, 0)
            layer.register_forward_pre_hook(partial(pad, (lacking // 2, lacking - lacking // 2)))
