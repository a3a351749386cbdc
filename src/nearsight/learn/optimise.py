"""Who learns how fast: parameter groups, and rates as a function of the step alone: nothing of them is saved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nearsight.core.errors import InputError
from nearsight.learn.recipe import Loop

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer


def freeze(tower: Module, prefixes: Sequence[str]) -> None:
    """Layers whose names begin so learn nothing. Raises InputError (code ``recipe/frozen``) for a name of no layer."""
    names = [name for name, _ in tower.named_parameters()]
    for prefix in prefixes:
        chosen = [name for name in names if name == prefix or name.startswith(f"{prefix}.")]
        if not chosen:
            tops = sorted({".".join(name.split(".")[:2]) for name in names})
            raise InputError(
                f"network.frozen names '{prefix}', and no layer begins so",
                code="recipe/frozen",
                hint=f"layers begin with {', '.join(tops[:12])}",
            )
        for name in chosen:
            tower.get_parameter(name).requires_grad_(False)


def optimiser(network: Module, target: Module, loop: Loop) -> Optimizer:
    """Over a network with children ``tower`` and ``head``, and what the target learns.

    Each group has its ``base`` rate; `set_rates` multiplies it. Vectors (biases, norms) do not decay.
    """
    import torch

    parts = (
        (network.get_submodule("tower"), loop.lr),
        (network.get_submodule("head"), loop.head_lr or loop.lr),
        (target, loop.target_lr or loop.head_lr or loop.lr),
    )
    groups: list[dict[str, Any]] = [group for part, rate in parts for group in groups_of(part, rate, loop.weight_decay)]
    if not groups:
        raise InputError("nothing is left to train", code="recipe/frozen", hint="freeze less, or give it a head")
    fused = all(p.device.type in ("cpu", "cuda") for group in groups for p in group["params"])
    if loop.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=loop.lr, momentum=loop.momentum, nesterov=loop.momentum > 0, fused=fused)
    kind = torch.optim.AdamW if loop.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=loop.lr, fused=fused)


def groups_of(part: Module, rate: float, decay: float) -> Iterator[dict[str, Any]]:
    """The weights of `part` as an optimiser takes them, with their ``base`` rate; vectors do not decay."""
    learning = [p for p in part.parameters() if p.requires_grad]
    for params, weight_decay in (
        ([p for p in learning if p.ndim > 1], decay),
        ([p for p in learning if p.ndim <= 1], 0),
    ):
        if params:
            yield {"params": params, "base": rate, "lr": rate, "weight_decay": weight_decay}


def share_of_rate(step: int, steps: int, epochs: int, loop: Loop) -> float:
    """What every base rate is multiplied with at step 0 .. steps - 1 of the whole training, in (0, 1]."""
    per_epoch = steps / epochs
    warm = min(loop.warmup * per_epoch, steps / 2)
    if step < warm:
        return (step + 1) / (warm + 1)
    if loop.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))
    if loop.schedule == "step":
        return float(loop.step_factor ** (int(step / per_epoch) // loop.step_epochs))
    return 1.0


def set_rates(walk: Optimizer, share: float) -> None:
    """The groups' rates for the next step."""
    for group in walk.param_groups:
        group["lr"] = group["base"] * share


def average_of(network: Module, decay: float) -> Any:
    """The weights' exponential moving average, shorter while training is young: min(decay, (1 + t) / (10 + t))."""
    if not decay:
        return None
    import torch

    def blend(averages: Any, current: Any, count: Any) -> None:
        if torch.is_floating_point(averages[0]):
            now = min(decay, (1 + int(count)) / (10 + int(count)))
            torch._foreach_lerp_(averages, current, 1 - now)
        else:
            for one, other in zip(averages, current, strict=True):
                one.copy_(other)

    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=blend, use_buffers=True)
