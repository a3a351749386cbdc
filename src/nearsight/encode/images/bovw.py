"""Bag of visual words: how often each typical patch of the training pictures occurs.

Local descriptors, a codebook by k-means, counts weighted by tf-idf (Sivic and Zisserman, ICCV 2003). Variants:
``bovw/sift`` (the default), ``dense`` (SIFT on a grid, for scenes), ``kaze``, ``orb`` and ``akaze`` from OpenCV, and
``surf`` from mahotas. SIFT is square-rooted (RootSIFT: Arandjelovic and Zisserman, CVPR 2012). The bits of ORB and
AKAZE become numbers 0 and 1, so that distances to a word generalise Hamming's to words between patterns.

The codebook is learned by `fit` from the first `pictures` pictures it is given. One more component stands after the
words: it is 1 where a picture has no keypoint (flat, or tiny), and 0 elsewhere, so that such pictures are like one
another and like nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearsight.core.errors import Damaged, EncoderError, InputError, MissingExtra, UnknownName
from nearsight.encode.ladder import Rung

Descriptors = NDArray[np.float32]
"""(n, d), one row a keypoint."""

_FILE = "codebook.safetensors"
_LEAST_SIDE = 16  # below it no detector finds anything, and some read outside the picture
_PER_WORD = 64  # training descriptors a word; faiss asks for 39 at least


@dataclass
class Bovw:
    """`words` of codebook, over pictures whose longer side is brought to `side`; at most `features` keypoints each."""

    variant: str
    words: int
    side: int
    features: int
    pictures: int
    seed: int
    batch: int = 64
    centroids: NDArray[np.float32] | None = None
    """(words, d)"""
    idf: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """(words,)"""

    @property
    def address(self) -> str:
        return (
            f"bovw/{self.variant}?words={self.words}&side={self.side}&features={self.features}"
            f"&pictures={self.pictures}&seed={self.seed}"
        )

    @property
    def loader(self) -> str:
        return self.address

    @property
    def dim(self) -> int:
        return self.words + 1

    @property
    def fitted(self) -> bool:
        return self.centroids is not None

    def identity(self) -> Mapping[str, Any]:
        return {
            "tower": "bovw", "version": 1, "variant": self.variant, "side": self.side, "features": self.features,
            "codebook": hashlib.sha256(self.files()[_FILE]).hexdigest(),
        }  # fmt: skip

    def prepare(self, picture: Image.Image) -> NDArray[np.float32]:
        """Raises EncoderError (code ``encoder/unfitted``) before `fit`."""
        if self.centroids is None:
            raise EncoderError("this bag of words has no codebook yet", code="encoder/unfitted", hint="fit it first")
        out = np.zeros(self.dim, dtype=np.float32)
        found = self._describe(picture)
        if len(found):
            counts = np.bincount(_nearest(found, self.centroids), minlength=self.words)
            out[:-1] = counts / len(found) * self.idf
        else:
            out[-1] = 1.0
        return out

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        return np.stack(prepared)

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        """Learn words and their weights from the first `pictures` of what is given, in bounded memory.

        idf = ln((1 + N) / (1 + pictures with the word)) + 1, which is positive for every word. Raises EncoderError
        (code ``encoder/fit``) where the pictures have fewer keypoints than there are words.
        """
        import faiss

        # half precision: a thousand pictures of a thousand keypoints must fit in memory
        kept = [self._describe(picture).astype(np.float16) for picture in islice(pictures, self.pictures)]
        found_in = [found for found in kept if len(found)]  # one without keypoints has no width either
        sizes = np.array([len(found) for found in found_in], dtype=np.int64)
        if sizes.sum() < self.words:
            raise EncoderError(
                f"{len(kept)} pictures gave {sizes.sum()} keypoints, too few for {self.words} words",
                code="encoder/fit",
                hint="fit on more pictures, or ask for fewer words (?words=...)",
            )
        chosen = np.zeros(sizes.sum(), dtype=np.bool_)
        chosen[np.random.default_rng(self.seed).permutation(chosen.size)[: self.words * _PER_WORD]] = True
        shares = np.split(chosen, np.cumsum(sizes)[:-1])
        sample = np.concatenate([found[share] for found, share in zip(found_in, shares, strict=True)])
        kmeans = faiss.Kmeans(
            sample.shape[1], self.words, niter=20, seed=self.seed, min_points_per_centroid=1,
            max_points_per_centroid=_PER_WORD,
        )  # fmt: skip
        kmeans.train(sample.astype(np.float32))
        self.centroids = np.ascontiguousarray(kmeans.centroids, dtype=np.float32)
        seen = np.zeros(self.words)
        for found in found_in:
            seen[np.unique(_nearest(found.astype(np.float32), self.centroids))] += 1
        self.idf = (np.log((1 + len(kept)) / (1 + seen)) + 1).astype(np.float32)

    def files(self) -> Mapping[str, bytes]:
        if self.centroids is None:
            return {}
        return {_FILE: save({"centroids": self.centroids, "idf": self.idf})}

    def restore(self, folder: Path) -> None:
        """Raises Damaged where the folder holds no codebook of this size."""
        try:
            tensors = load((folder / _FILE).read_bytes())
            centroids, idf = tensors["centroids"], tensors["idf"]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise Damaged(f"the codebook in {folder} cannot be read: {error}") from error
        if centroids.ndim != 2 or len(centroids) != self.words or idf.shape != (self.words,):
            raise Damaged(f"the codebook in {folder} has not {self.words} words")
        self.centroids, self.idf = centroids, idf

    def _describe(self, picture: Image.Image) -> Descriptors:
        """One picture -> its local descriptors, (n, d) and n = 0 where nothing stands out."""
        scale = self.side / max(picture.size)
        wide, tall = (max(1, round(s * scale)) for s in picture.size)
        if min(wide, tall) < _LEAST_SIDE:
            return np.empty((0, 1), np.float32)
        grey = picture.convert("L").resize((wide, tall), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return _DESCRIBE[self.variant](np.asarray(grey), self.features)


def _nearest(found: Descriptors, centroids: NDArray[np.float32]) -> NDArray[np.intp]:
    """The nearest word of each descriptor. For one picture at a time: its words never depend on its batch."""
    nearness = found @ centroids.T - 0.5 * np.einsum("kd,kd->k", centroids, centroids)
    return np.asarray(nearness.argmax(axis=1))


def _root(values: Descriptors) -> Descriptors:
    return np.asarray(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)), dtype=np.float32)


def _detected(detector: Any, grey: NDArray[np.uint8], features: int) -> NDArray[Any]:
    """Descriptors of the strongest keypoints, in the detector's own type."""
    keypoints = sorted(detector.detect(grey, None), key=lambda p: (-p.response, p.pt))[:features]
    _, found = detector.compute(grey, keypoints) if keypoints else ((), None)
    return np.empty((0, 1), np.uint8) if found is None else found


# A detector is made for each picture: they are cheap, and OpenCV's are not for several threads at once. OpenCV's own
# number of threads is a setting of the whole process, so it is left alone.
def _sift(grey: NDArray[np.uint8], features: int) -> Descriptors:
    return _root(_detected(_cv2().SIFT_create(), grey, features).astype(np.float32))


def _dense(grey: NDArray[np.uint8], features: int) -> Descriptors:
    cv2 = _cv2()
    step = max(4.0, (grey.shape[0] * grey.shape[1] * 2 / features) ** 0.5)
    places = [
        cv2.KeyPoint(x, y, size)
        for size in (8 / 3, 16 / 3)  # OpenCV's descriptor has 4 x 4 bins of 1.5 sizes: 4 and 8 pixels
        for y in np.arange(step / 2, grey.shape[0], step).tolist()
        for x in np.arange(step / 2, grey.shape[1], step).tolist()
    ]
    _, found = cv2.SIFT_create().compute(grey, places)
    found = found[found.any(axis=1)]  # a flat patch has no gradient to describe
    return _root(found.astype(np.float32))


def _orb(grey: NDArray[np.uint8], features: int) -> Descriptors:
    return _bits(_detected(_cv2().ORB_create(nfeatures=features, fastThreshold=10), grey, features))


def _akaze(grey: NDArray[np.uint8], features: int) -> Descriptors:
    return _bits(_detected(_moved("AKAZE_create")(), grey, features))


def _kaze(grey: NDArray[np.uint8], features: int) -> Descriptors:
    return _detected(_moved("KAZE_create")(), grey, features).astype(np.float32)


def _surf(grey: NDArray[np.uint8], features: int) -> Descriptors:
    from mahotas.features import surf

    found = surf.surf(grey, max_points=features, descriptor_only=True)
    found = found[np.isfinite(found).all(axis=1)] if len(found) else np.empty((0, 64))
    return np.asarray(found, dtype=np.float32)


def _bits(packed: NDArray[np.uint8]) -> Descriptors:
    return np.unpackbits(packed, axis=1).astype(np.float32)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra.of("opencv-contrib-python-headless", "classic", "the encoder bovw") from error
    return cv2


def _moved(name: str) -> Callable[[], Any]:
    """KAZE and AKAZE: in cv2 itself up to version 4, in its contributed modules since version 5."""
    cv2 = _cv2()
    found = getattr(cv2, name, None) or getattr(getattr(cv2, "xfeatures2d", None), name, None)
    if found is None:
        raise MissingExtra.of("opencv-contrib-python-headless", "classic", f"cv2.{name}")
    make: Callable[[], Any] = found
    return make


_DESCRIBE: dict[str, Callable[[NDArray[np.uint8], int], Descriptors]] = {
    "sift": _sift, "dense": _dense, "orb": _orb, "akaze": _akaze, "kaze": _kaze, "surf": _surf
}  # fmt: skip

LADDER = (
    Rung(
        "bovw", 1001, "patches that recur; learns yours", packages=("cv2",), extra="classic",
        measured=0.3200, row="foundation:map_bovw_exact",
    ),
)  # fmt: skip


def build(
    variant: str = "sift",
    *,
    words: int = 1000,
    side: int = 320,
    features: int = 800,
    pictures: int = 1000,
    seed: int = 0,
) -> Bovw:
    """`variant`: which local descriptors. `pictures`: how many `fit` looks at.

    Raises UnknownName, InputError for sizes that make no codebook, MissingExtra.
    """
    if variant not in _DESCRIBE:
        raise UnknownName(f"bovw has no variant '{variant}'", hint=f"there are: {', '.join(_DESCRIBE)}")
    if not (2 <= words <= 65536 and 32 <= side <= 2048 and 1 <= features <= 20000 and 1 <= pictures <= 1_000_000):
        raise InputError("bovw takes 2..65536 words, a side of 32..2048, 1..20000 features and at least one picture")
    if variant == "surf":
        try:
            import mahotas.features  # noqa: F401
        except ImportError as error:
            raise MissingExtra.of("mahotas", "all", "the encoder bovw/surf") from error
    elif variant in ("akaze", "kaze"):
        _moved(f"{variant.upper()}_create")
    else:
        _cv2()
    return Bovw(variant, words, side, features, pictures, seed)
