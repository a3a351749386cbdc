"""The protocol card: what a number is the number of. Two results are compared only where their cards agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nearsight.core.errors import MeasureError


@dataclass(frozen=True, slots=True)
class Card:
    """The circumstances of a measurement. All fields count in a comparison."""

    dataset: str
    """The data set's name."""
    protocol: str
    """Which queries search which gallery: ``test->train``, ``test-loo``."""
    queries: str
    """sha256 over the queries' keys, pictures and labels (`digest`)."""
    gallery: str
    """The same for the gallery."""
    self_exclusion: str
    """How the query itself is kept out of its answer: ``by key``, or ``not in the gallery``."""
    encoder: str
    """The encoder's fingerprint."""
    engine: str
    """What ranked: the engine's component address with its parameters."""
    metrics: Mapping[str, str]
    """Label -> definition, with its divisor."""
    ties: str = "expected value over the orders of tied items"
    caption_rule: str = ""
    """What counts as found between images and captions; empty where there are none."""
    selection_split: str = ""
    """The split on which an epoch or a setting was chosen; empty where nothing was chosen."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    transductive: tuple[str, ...] = ()
    """Corrections that looked at other test queries."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-able mapping; `from_json` takes it back."""
        return {**asdict(self), "metrics": dict(self.metrics), "transductive": list(self.transductive)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Card:
        """Raises MeasureError (code ``measure/protocol``) for unknown or missing fields."""
        names = {f.name for f in fields(cls)}
        if set(body) != names:
            odd = sorted(set(body) ^ names)
            raise MeasureError(f"not a protocol card of this version: {', '.join(odd)}", code="measure/protocol")
        return cls(**{**body, "transductive": tuple(body["transductive"])})


def differences(a: Card, b: Card) -> dict[str, tuple[Any, Any]]:
    """The fields in which two cards differ: name -> (a's, b's)."""
    one, two = a.to_json(), b.to_json()
    return {name: (one[name], two[name]) for name in one if one[name] != two[name]}


def require_comparable(a: Card, b: Card, *, varying: Iterable[str] = ()) -> None:
    """Raises MeasureError (code ``measure/protocol``) naming every field in which the cards differ.

    `varying` are the fields that the experiment is about and may differ (``encoder`` when two encoders are compared).
    """
    allowed = set(varying)
    unknown = allowed - {f.name for f in fields(Card)}
    if unknown:
        raise MeasureError(f"a card has no field {', '.join(sorted(unknown))}", code="measure/protocol")
    found = {name: pair for name, pair in differences(a, b).items() if name not in allowed}
    if found:
        told = "; ".join(f"{name}: {_short(one)} against {_short(two)}" for name, (one, two) in found.items())
        raise MeasureError(
            f"two measurements of different things: {told}",
            code="measure/protocol",
            hint=f"measure both under one protocol, or say that the comparison is about it: {', '.join(found)}",
        )


def digest(lines: Iterable[str]) -> str:
    """sha256 of lines (key, picture, label of each item), the same in any order."""
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(value: Any) -> str:
    text = str(value) or "nothing"
    return text if len(text) <= 48 else f"{text[:16]}…"
