"""Networks to be trained: from an address, or from the folder of an encoder whose training goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from nearsight.core.artefact import read_artefact
from nearsight.core.errors import Damaged, EncoderError, InputError, NearsightError, UnknownName
from nearsight.core.registry import Address
from nearsight.encode.encoder import FORMAT, TOWERS, VERSION
from nearsight.encode.export import load_weights
from nearsight.encode.heads import HEADS
from nearsight.encode.network import FACTS, WEIGHTS, TorchTower, bare, stacked
from nearsight.encode.preprocess import Preprocess

PLAIN = "identity"
"""The head of a network without one."""


@runtime_checkable
class HasNetwork(Protocol):
    """A tower that is a graph and can give the network that it was made of."""

    def network(self) -> TorchTower: ...


class Trainable(NamedTuple):
    """A network while it is trained: `module` has the children ``tower`` and ``head``.

    preprocess  what a picture becomes before `module`; normalising is not in the module
    facts       {base, heads, facts}: what builds it again, by address
    dim         length of the vectors
    """

    module: Any
    preprocess: Preprocess
    facts: Mapping[str, Any]
    dim: int

    def finish(self, *, keep_weights: bool = True) -> TorchTower:
        """The tower of the weights as they are now; it shares them, and puts the module into eval mode."""
        return TorchTower(
            self.facts["base"],
            self.module,
            self.preprocess,
            self.facts["facts"],
            heads=self.facts["heads"],
            keep_weights=keep_weights,
        )


def trainable(start: str, head: str = "", seed: int = 0) -> Trainable:
    """The network that `start` names (a tower's address, or an encoder folder) with the head at the address `head`.

    A folder gives its tower's weights, and its heads' up to the last one called `head`, or all where it is "";
    nothing is downloaded. Of an address, "" means the tower's vectors as they are. `seed` draws what starts at random.

    Raises UnknownName, MissingExtra, InputError, what reading an encoder folder raises, and EncoderError: code
    ``encoder/untrainable`` for towers without gradients and folders without weights, ``encoder/weights``.
    """
    if Path(start).is_dir():
        return _from_folder(Path(start), head, seed)
    tower = seeded(start, seed)
    if isinstance(tower, HasNetwork):
        tower = tower.network()
    if not isinstance(tower, TorchTower):
        raise EncoderError(
            f"'{start}' has nothing that gradients could train",
            code="encoder/untrainable",
            hint="timm/NAME, torchvision/NAME, small_cnn/report, small_cnn/modern, or the folder of a trained encoder",
        )
    return _headed(tower, tower.module, tower.preprocess, head or PLAIN, seed)


def seeded(address: str, seed: int) -> Any:
    """The tower at `address`; what is random in it follows from `seed` unless the address says its own."""
    parsed = Address.parse(address)
    has = any(option.name == "seed" for option in TOWERS.options(parsed.name)) and "seed" not in parsed.options
    return TOWERS.build(address, **({"seed": seed} if has else {}))


def _headed(tower: TorchTower, module: Any, preprocess: Preprocess, head: str, seed: int) -> Trainable:
    top = HEADS.build(head, width=tower.dim, seed=seed)
    facts = {"base": tower.base, "heads": [head], "facts": tower.facts}
    return Trainable(stacked(module, top), preprocess, facts, top.dim)


def _from_folder(folder: Path, head: str, seed: int) -> Trainable:
    kept = read_artefact(folder, FORMAT, VERSION)
    if WEIGHTS not in kept.files or FACTS not in kept.files:
        raise EncoderError(
            f"the encoder in {folder} cannot be trained on: it keeps no weights, only what computes its vectors",
            code="encoder/untrainable",
            hint="start from the network that it was made from; option keep_weights=true keeps them",
        )
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        base, heads = bare(str(facts["architecture"]["tower"])), [str(h) for h in facts["architecture"]["heads"]]
        preprocess = Preprocess.of(facts["preprocess"])
        tower = _untrained(base)
        module, dim = tower.module, tower.dim
        for address in heads:
            top = HEADS.build(address, width=dim, seed=seed)
            module, dim = stacked(module, top), top.dim
    except (KeyError, TypeError, ValueError, RecursionError, UnknownName, InputError) as error:
        why = error.message if isinstance(error, NearsightError) else repr(error)
        raise Damaged(f"the network of the encoder in {folder} cannot be built again: {why}") from error
    load_weights(module, folder / WEIGHTS)
    while heads and head not in ("", heads[-1]):
        module, heads = module.tower, heads[:-1]
    if not heads:
        return _headed(tower, module, preprocess, head or PLAIN, seed)
    return Trainable(module, preprocess, {"base": base, "heads": heads, "facts": tower.facts}, module.head.dim)


def _untrained(base: str) -> TorchTower:
    """The architecture with random weights: what a folder says must neither download nor open anything."""
    names = {option.name for option in TOWERS.options(Address.parse(base).name)}
    tower = TOWERS.build(base, **({"pretrained": False} if "pretrained" in names else {}))
    if not isinstance(tower, TorchTower):
        raise UnknownName(f"'{base}' is not a network")
    return tower
