"""Pictures as sets of raw vectors: what heads are trained on when the network below them stays as it is.

Any image tower gives one vector a picture; ``pool=cells`` of a network gives the cells of its last feature map, and
``faster_rcnn`` the things it sees. The vectors are as the network gives them, not of unit length.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import EncoderError
from nearsight.encode.choose import WORTH_MEASURING
from nearsight.encode.encoder import Encoder, ImageTower, create
from nearsight.encode.export import load_state
from nearsight.encode.heads import HEADS
from nearsight.encode.network import WEIGHTS, TorchTower, compose
from nearsight.encode.pooled import members_of
from nearsight.encode.trainable import trainable

Sets = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Vectors (n, s, width), and (n, s) True where there is one: those of a set come first, and every set has one at
least. What stands where there is none is 0."""

_MANY = 10_000


@runtime_checkable
class GivesSets(Protocol):
    """A tower that sees several things in a picture; its vector is their mean."""

    members: int
    """The most there are in one picture."""

    def sets(self, prepared: Sequence[NDArray[Any]]) -> Sets:
        """n prepared pictures -> their things, `members` places each."""
        ...


class PictureSets:
    """The raw vectors of an image tower, in the two halves that `nearsight.encode.encoder.ImageTower` has.

    address  the tower's
    members  the most vectors a picture has; `width` numbers each
    """

    def __init__(self, tower: ImageTower) -> None:
        """Raises EncoderError (code ``encoder/unfitted``) for a tower that learns from pictures and has not."""
        spec = Encoder(tower).spec
        self.tower = self._runs = tower
        self.address, self.side, self.batch = tower.address, tower.side, tower.batch
        if isinstance(tower, GivesSets):
            self.members, self.width = tower.members, tower.dim
        else:
            self.members = members_of(getattr(tower, "module", None))
            self.width = tower.dim // self.members
        self._identity = {**spec.identity, "members": self.members, "unit": False}

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that determine the vectors."""
        return self._identity

    @property
    def fingerprint(self) -> str:
        """sha256 of the identity: two sources with one fingerprint give the same vectors."""
        return fingerprint_of(self._identity)

    def use(self, expect: int) -> None:
        """`expect` pictures are coming: many are worth exporting a network, once, for this machine's fastest runtime.

        Which one that is does not depend on how many there are, so that lists of one set meet the same. A GPU stays
        with torch. Raises EncoderError (code ``encoder/export``), MissingExtra.
        """
        if self._runs is self.tower and isinstance(self.tower, TorchTower) and expect >= WORTH_MEASURING:
            import torch

            if not torch.cuda.is_available():
                self._runs = Encoder(self.tower).exported(_MANY).tower

    def prepare(self, picture: Image.Image) -> NDArray[Any]:
        """One RGB picture -> whatever `forward` takes. Thread-safe."""
        return self.tower.prepare(picture)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> Sets:
        """n prepared pictures -> their sets, `members` places each."""
        if isinstance(self._runs, GivesSets):
            return self._runs.sets(prepared)
        vectors = self._runs.forward(prepared).reshape(-1, self.members, self.width)
        return vectors, np.ones(vectors.shape[:2], dtype=np.bool_)

    def finished(
        self,
        pool: str,
        pool_state: Mapping[str, Any],
        head: str,
        head_state: Mapping[str, Any],
        *,
        keep_weights: bool = True,
    ) -> TorchTower:
        """The network with what was trained on its vectors behind it: a tower that gives ``head(pool(set))``.

        `pool` and `head` are the addresses of a pooling (nearsight.encode.pooling) and a head, with their state dicts.

        Raises UnknownName, InputError, and EncoderError: code ``encoder/export`` for a tower that does not become a
        graph, ``encoder/weights`` for a state dict of something else.
        """
        if not isinstance(self.tower, TorchTower):
            raise EncoderError(
                f"nothing trained can stand on {self.address} in one network",
                code="encoder/export",
                hint="train on a network of timm or torchvision, pooled or with pool=cells",
            )
        tower = self.tower
        pooled = f"pooled?members={self.members}&pool={pool.replace('&', ';')}"
        for address, state in ((pooled, {f"pool.{k}": v for k, v in pool_state.items()}), (head, head_state)):
            module = HEADS.build(address, width=tower.dim, seed=0)
            load_state(module, state, address)
            tower = compose(tower, module, address, keep_weights=keep_weights)
        return tower


def picture_sets(name: str) -> PictureSets:
    """The raw vectors of the tower at an address, or of an encoder folder's.

    A folder that keeps its weights is taken as a network, which what is trained can stand on. Raises as
    `nearsight.encode.create` and `nearsight.encode.trainable.trainable`.
    """
    if (Path(name) / WEIGHTS).is_file():
        return PictureSets(trainable(name).finish())
    return PictureSets(create(name).tower)


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """sha256, in hex, over JSON-able facts."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
