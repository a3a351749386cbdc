"""An encoder: preprocessing, a tower and unit length, with a fingerprint that says whether two are the same.

It may have a second tower, for texts, whose vectors lie in the same space: then pictures are found by words.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import Vectors, unit
from nearsight.core.artefact import MANIFEST, read_artefact, write_artefact
from nearsight.core.errors import Damaged, EncoderError
from nearsight.core.registry import Catalogue

FORMAT = "nearsight-encoder"
VERSION = 1
TEXT = "text.json"
"""In an encoder folder: what surrounds its text tower."""
TOWERS = Catalogue("nearsight.encode.images", "image tower")


class ImageTower(Protocol):
    """What a file in `encode/images` builds.

    The work is cut in two so that an index run overlaps them: `prepare` runs in worker threads, one picture at a time
    (decoding is before it), `forward` on batches.
    """

    address: str
    """The component address that builds this tower again, options included (``colour?bins=8``)."""
    loader: str
    """The address of the tower that takes back what `files` gives: its own, or ``exported`` for a network."""
    dim: int
    """Length of the vectors."""
    batch: int
    """A good number of pictures for one `forward`."""
    fitted: bool
    """False where `fit` must be called first (a codebook)."""

    @property
    def side(self) -> int:
        """Pictures larger than this may be decoded at a reduced scale whose shorter side is still >= 2 * side; 0:
        never."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that determine the vector: options, preprocessing, sha256 of weights. Not the runtime."""
        ...

    def prepare(self, picture: Image.Image) -> NDArray[Any]:
        """One RGB picture -> whatever `forward` takes. Thread-safe, deterministic."""
        ...

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """n prepared pictures -> (n, dim), any length; `Encoder` makes them unit. The same for every batch size."""
        ...

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        """Learn what must be learned from pictures (a codebook); a no-op elsewhere."""
        ...

    def files(self) -> Mapping[str, bytes | Path]:
        """Name -> content of what must be stored beside the address to build it again without torch."""
        ...

    def restore(self, folder: Path) -> None:
        """Take back what `files` gave."""
        ...


class TextTower(Protocol):
    """Texts -> vectors beside those of an image tower. `nearsight.encode.text_tower` has those there are."""

    address: str
    """What it was made of, for people."""
    dim: int
    """Length of the vectors: the image tower's."""

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that determine the vector."""
        ...

    def forward(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> (n, dim), any length.

        Raises EncoderError (code ``text/empty``) for a text in which nothing is left to look up.
        """
        ...

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a text that mean nothing to it: `forward` passes them over."""
        ...

    def files(self) -> Mapping[str, bytes | Path]:
        """Name -> content of what an encoder folder must hold to build it again without torch; one is TEXT."""
        ...


@runtime_checkable
class Runnable(Protocol):
    """A tower that a runtime runs."""

    takes: ClassVar[str]
    """What of it: ``module`` of torch, or ``onnx``."""

    @property
    def on_gpu(self) -> bool:
        """Whether that is a GPU here."""
        ...

    def choose_runtime(self, runtime: str, expect: int) -> None:
        """``auto`` or a runtime's address; `expect` pictures are coming."""
        ...

    def expect(self, pictures: int) -> None:
        """So many are coming: what nobody has chosen or used yet is chosen for them."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What an encoder is: the address of its tower, the vectors' length, what it takes, and its fingerprint."""

    address: str
    dim: int
    modalities: tuple[str, ...]
    """``("image",)`` or ``("image", "text")``."""
    fingerprint: str
    identity: Mapping[str, Any]


class Encoder:
    """Pictures -> unit vectors (n, dim) float32; two encoders with one fingerprint give the same vectors.

    `text`: the tower for texts; without one given, the one that the image tower brings (CLIP), or none.
    """

    def __init__(self, tower: ImageTower, text: TextTower | None = None) -> None:
        self.tower = tower
        self.text: TextTower | None = text or getattr(tower, "text", None)
        if self.text is not None and self.text.dim != tower.dim:
            raise EncoderError(
                f"pictures become {tower.dim} numbers and texts {self.text.dim}: two spaces", code="encoder/text"
            )

    @property
    def spec(self) -> EncoderSpec:
        """Raises EncoderError (code ``encoder/unfitted``) before a tower that learns was fitted."""
        if not self.tower.fitted:
            raise EncoderError(
                f"{self.tower.address} learns from pictures and has not seen any",
                code="encoder/unfitted",
                hint="call encoder.fit(pictures), or let `nearsight index` fit it on the collection",
            )
        identity = {"dim": self.tower.dim, "unit": True, **self.tower.identity()}
        address, modalities = self.tower.address, ("image",) if self.text is None else ("image", "text")
        if self.text is not None:
            identity["text"] = dict(self.text.identity())
            if self.text is not getattr(self.tower, "text", None) and self.text.address != address:
                address = f"{address} | {self.text.address}"
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return EncoderSpec(address, self.tower.dim, modalities, hashlib.sha256(text.encode()).hexdigest(), identity)

    def fit(self, pictures: Iterable[Image.Image]) -> Self:
        """Let the tower learn from pictures where it has something to learn.

        It reads no more of them than it needs, so give them in random order, decoded as they are asked for.
        """
        self.tower.fit(pictures)
        return self

    def use(self, runtime: str = "auto", *, expect: int = 1000) -> Self:
        """Choose what runs a network, for `expect` pictures to come; nothing to choose for other towers.

        ``auto`` measures once for this encoder on this machine if the work is worth it, and remembers.
        """
        if isinstance(self.tower, Runnable):
            self.tower.choose_runtime(runtime, expect)
        return self

    def expecting(self, pictures: int) -> Self:
        """So many are coming: a runtime that nobody has chosen or used yet is chosen for them."""
        if isinstance(self.tower, Runnable):
            self.tower.expect(pictures)
        return self

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU computes its vectors: then two batches at a time, one copied while the other is computed."""
        return isinstance(self.tower, Runnable) and self.tower.on_gpu

    @property
    def faster_saved(self) -> bool:
        """Whether what `save` writes encodes faster: the graph of what is still a module does on a processor."""
        return isinstance(self.tower, Runnable) and self.tower.takes == "module" and not self.on_gpu

    def prepare(self, picture: Image.Image) -> NDArray[Any]:
        """The per-picture half of encoding; thread-safe."""
        return self.tower.prepare(picture)

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> Vectors:
        """The batch half: n prepared pictures -> (n, dim) unit vectors."""
        if not prepared:
            return np.empty((0, self.tower.dim), dtype=np.float32)
        return unit(self.tower.forward(prepared))

    def encode_images(self, images: Iterable[Image.Image]) -> Vectors:
        """RGB pictures -> (n, dim) unit vectors, in batches of the tower's own size."""
        coming, parts = iter(images), []
        while batch := [self.prepare(picture) for picture in islice(coming, self.tower.batch)]:
            parts.append(self.encode_prepared(batch))
        return np.concatenate(parts) if parts else np.empty((0, self.tower.dim), dtype=np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """n texts -> (n, dim) unit vectors beside those of pictures.

        Raises EncoderError: code ``encoder/no-text`` where this encoder has no words, ``text/empty`` for a text in
        which nothing is left to look up.
        """
        if self.text is None:
            raise EncoderError(
                f"{self.tower.address} knows pictures and no words",
                code="encoder/no-text",
                hint="search by picture, or index with an encoder that was trained with captions",
            )
        if not texts:
            return np.empty((0, self.tower.dim), dtype=np.float32)
        return unit(self.text.forward(texts))

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of a text that `encode_texts` passes over, as they come; none without a tower for texts."""
        return self.text.unknown(text) if self.text is not None else ()

    def save(self, folder: Path, also: Mapping[str, bytes] | None = None) -> None:
        """Write an encoder folder: manifest (address, identity, fingerprint) and files; it loads without torch.

        `also`: name -> content of further files to lie in it, under the same checksums (a recipe, a report); loading
        does not read them. Raises WriteFailed, and EncoderError: code ``encoder/export`` for a network that does not
        become a graph, ``encoder/files`` for a name in `also` that is taken or is not a plain file name.
        """
        spec = self.spec
        meta = {
            "address": self.tower.loader,
            "dim": spec.dim,
            "fingerprint": spec.fingerprint,
            "identity": spec.identity,
        }
        also = also or {}
        for name in also:
            if not name.strip(".") or name != Path(name).name or set(name) & set("\\/:\0"):
                raise EncoderError(f"'{name}' is not the name of a file in a folder", code="encoder/files")
        files = {**self.tower.files(), **(self.text.files() if self.text is not None else {})}
        if taken := sorted(also.keys() & {*files, MANIFEST}):
            raise EncoderError(
                f"an encoder folder has its own {', '.join(taken)}", code="encoder/files", hint="choose other names"
            )
        write_artefact(folder, FORMAT, VERSION, meta, {**files, **also})

    def exported(self, expect: int, *, within: Path | None = None) -> Encoder:
        """This encoder as it is once saved: without torch, on the runtime that is best for `expect` pictures.

        `within`: the folder for what is written in passing (default: the system's own). Raises as `save`.
        """
        with tempfile.TemporaryDirectory(dir=within) as folder:
            self.save(Path(folder) / "encoder")
            return Encoder.load(Path(folder) / "encoder", expect=expect)

    @classmethod
    def load(cls, folder: Path, *, runtime: str = "auto", expect: int = 1000) -> Encoder:
        """Read what `save` wrote. `runtime` and `expect` (how many pictures are coming) choose what runs a network.

        Raises NotACollection, FormatError, Damaged, and EncoderError where the fingerprint is not the stored one.
        """
        found = read_artefact(folder, FORMAT, VERSION)
        address, fingerprint = (found.meta.get(name) for name in ("address", "fingerprint"))
        if not isinstance(address, str) or not isinstance(fingerprint, str):
            raise Damaged(f"the manifest in {folder} does not say which encoder this is")
        tower = cast(ImageTower, TOWERS.build(address))
        tower.restore(folder)
        text = None
        if TEXT in found.files:
            from nearsight.encode.text_tower import read_text_tower

            text = read_text_tower(folder)
        encoder = cls(tower, text).use(runtime, expect=expect)
        if encoder.spec.fingerprint != fingerprint:
            raise EncoderError(f"the encoder in {folder} gives other vectors than when saved", code="encoder/changed")
        return encoder


def create(name: str, **given: Any) -> Encoder:
    """An encoder by component address (``colour``, ``timm/resnet50``, ``bovw?words=500``) or by encoder folder."""
    if Path(name).is_dir():
        return Encoder.load(Path(name))
    return Encoder(cast(ImageTower, TOWERS.build(name, **given)))
