"""What a training remembers of itself, epoch by epoch: for the terminal, the log, the checkpoint and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nearsight.learn.doctor import Finding, Health


@dataclass(frozen=True, slots=True)
class Progress:
    """About every hundredth of a training: optimiser steps done, the last batch's loss, the share of the base rates,
    the gradient's norm before clipping."""

    step: int
    loss: float
    rate: float
    gradient: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch that is over. An event: faces print it as a line.

    epoch       from 1; ``of`` in all
    loss        mean over its steps
    rate        the head's learning rate at its end
    seconds     of training, without the measuring
    pictures    that went through the network
    validation  the chosen measure on the validation split; None where nothing is held out
    best        whether this is the best validation so far
    validation_loss  the loss over what is held out; None where its classes are others than those learned
    """

    epoch: int
    of: int
    loss: float
    rate: float
    seconds: float
    pictures: int
    validation: float | None
    best: bool
    health: Health
    validation_loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` takes it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Epoch:
        """What `to_json` gave."""
        health = dict(body["health"])
        for name in ("norms", "positive", "negative"):
            health[name] = tuple(health[name])
        health["findings"] = tuple(Finding(**finding) for finding in health["findings"])
        return cls(**{**body, "health": Health(**health)})
