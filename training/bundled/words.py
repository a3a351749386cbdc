"""The text tower: captions of one picture taught to be alike, then to find their pictures.

The image tower stays as it is. Its features become two parts, both linear in the same numbers: their largest
directions, by which pictures find pictures, and a projection that learns beside the captions to be found by words.
A text's vector is 0 in the first part, so that words find pictures by the second alone, and pictures find pictures by
both, as well as before there were words.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nearsight.core import settings
from nearsight.core.events import Encoded, Skipped, Step
from nearsight.core.items import Item
from nearsight.data.captions import Captioned, captioned
from nearsight.data.datasets import load
from nearsight.encode import Encoder
from nearsight.encode.export import load_state
from nearsight.encode.features import PictureSets
from nearsight.encode.heads import HEADS, with_dim
from nearsight.encode.network import TorchTower, compose
from nearsight.encode.texts import TEXTS
from nearsight.encode.whitening import pca
from nearsight.learn.fit import fit
from nearsight.learn.from_ngrams import Bags, NoPictures, ngram_network, text_tower
from nearsight.learn.from_pairs import PICTURES, TEXT, FromPairs, Pooled
from nearsight.learn.history import Epoch
from nearsight.learn.recipe import PairRecipe
from nearsight.measure.crossmodal import BothWays
from nearsight.measure.evaluate import Measures
from nearsight.study.features import picture_features
from training.bundled.package import rounded

HERE = Path(__file__).parent
OTHERS = 4000
"""Pictures besides Flickr8k's on which whitening is fitted."""
STRENGTH, POWER = 0.25, 0.5
"""Chosen on the kinds kept out: whole whitening finds as many first hits and ranks whole classes worse (mAP of scenes
0.85 of the teacher's), none ranks products worse."""
_STIFF = 0.2
"""What the projection's numbers are at first, on average: its length means nothing, and the longer, the slower it
turns."""


@dataclass(frozen=True)
class Spoken:
    """Groups of captions, those of one picture each."""

    texts: tuple[str, ...]
    of: NDArray[np.int64]


def spoken(root: Path) -> Spoken:
    """The training captions of Flickr8k and Flickr30k, without the photographs of Flickr8k's other splits, which
    Flickr30k has too: their names begin with the same number."""
    flickr = load("karpathy/flickr8k", root)
    groups = [item.captions for item in flickr.split("train")]
    known = {item.path.name.partition("_")[0] for item in flickr.items}
    with gzip.open(root / "flickr30k_text" / "dataset_flickr30k.json.gz") as file:
        images = json.load(file)["images"]
    groups += [
        tuple(sentence["raw"] for sentence in image["sentences"])
        for image in images
        if image["split"] == "train" and image["filename"].partition(".")[0] not in known
    ]
    texts = tuple(text for group in groups for text in group)
    return Spoken(texts, np.repeat(np.arange(len(groups)), [len(group) for group in groups]))


def words(
    tower: TorchTower, teaching: list[tuple[str, Path]], root: Path, out: Path, say: Callable[[str], None]
) -> Encoder:
    """Both towers in one space: `tower`, whitened, and the texts that were taught beside it; kept in `out`, each
    training under what it is of."""
    alone, beside = (settings.read((HERE / name).read_text(), PairRecipe) for name in ("texts.toml", "words.toml"))
    marks = [hashlib.sha256(settings.write(recipe).encode()).hexdigest()[:12] for recipe in (alone, beside)]
    fingerprint = Encoder(tower).spec.fingerprint[:12]
    flickr = load("karpathy/flickr8k", root)
    splits = {name: captioned(flickr, name) for name in ("train", "val")}
    others = [path for name, path in teaching if not name.startswith("flickr8k/")]
    chosen = np.random.default_rng(0).choice(len(others), min(OTHERS, len(others)), replace=False)
    seen = {name: _features(relation.pictures, tower, out, say) for name, relation in splits.items()}
    more = _features([Item(int(at), others[at], None) for at in np.sort(chosen)], tower, out, say)
    whole, plain = np.concatenate([seen["train"], more]), beside.dim
    white = pca(whole, plain, strength=STRENGTH, power=POWER)
    known = TEXTS.build(beside.text.words)
    told = spoken(root)
    say(f"{len(told.texts)} captions of {told.of[-1] + 1} pictures")
    texts = FromPairs(NoPictures(plain), Bags.of(told.texts, known), told.of)
    learned = _fitted(ngram_network(alone, plain, known), alone, texts, None, out / f"texts-{marks[0]}", say)
    network = ngram_network(beside, len(white.mean), known)
    network.head[TEXT].load_state_dict(learned.head[TEXT].state_dict())
    first = white.projection / np.sqrt(np.mean(white.projection**2))
    load_state(network.head[PICTURES].head, {"weight": torch.tensor(_STIFF * first).float()}, "the first projection")
    source, held = (
        _beside(splits[name], white.centred(seen[name]).astype(np.float32), known) for name in ("train", "val")
    )
    network = _fitted(network, beside, source, held, out / f"pairs-{fingerprint}-{marks[0]}-{marks[1]}", say)
    turned = network.head[PICTURES].head.weight.detach().double().numpy()
    parts = [one / np.linalg.norm(white.centred(whole) @ one.T, axis=1).mean() for one in (white.projection, turned)]
    joined = np.concatenate(parts)
    white = white._replace(projection=joined / np.abs(joined).max())  # within float16's range
    tower = compose(tower, rounded(white.head()), white.address, keep_weights=False)
    side = network.head[TEXT]
    side.head = rounded(behind(plain, side.head, beside))
    encoder = Encoder(tower, text_tower(replace(beside, dim=tower.dim), network, known))
    found = held.both_ways(np.concatenate([white(seen["val"]), encoder.encode_texts(splits["val"].texts)]))
    say(f"Flickr8k validation: {_told(found)}")
    return encoder


def behind(zeros: int, head: Any, recipe: PairRecipe) -> Any:
    """A text's head that gives so many zeros, and then what `head` gives."""
    dim = zeros + head.dim
    wide = HEADS.build(with_dim(recipe.text.head, dim), width=TEXTS.build(recipe.text.words).width, seed=0)
    shapes = {name: tensor.shape for name, tensor in wide.state_dict().items()}
    state = {
        name: torch.cat([tensor.new_zeros(shapes[name][0] - len(tensor), *tensor.shape[1:]), tensor])
        if tensor.ndim and len(tensor) != shapes[name][0]
        else tensor
        for name, tensor in head.state_dict().items()
    }
    load_state(wide, state, "the text's head")
    return wide


def _beside(relation: Captioned, vectors: NDArray[np.float32], known: Any) -> FromPairs:
    return FromPairs(Pooled(vectors, relation.digest), Bags.of(relation.texts, known), relation.of)


def _features(items: Any, tower: TorchTower, out: Path, say: Callable[[str], None]) -> NDArray[np.float32]:
    """(n, dim) raw vectors of pictures, made once."""
    found = _run(picture_features(items, PictureSets(tower), folder=out / "features", threads=1), say)
    if found.skipped:
        raise ValueError(f"{len(found.skipped)} pictures cannot be used")
    return found.sets.rows(np.arange(len(items)))[0][:, 0]


def _fitted(network: Any, recipe: PairRecipe, source: FromPairs, held: Any, folder: Path, say: Any) -> Any:
    return _run(fit(network, recipe.dim, source, recipe, folder=folder, held_out=held), say).network


def _run(work: Generator[Any, None, Any], say: Callable[[str], None]) -> Any:
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return end.value
        if isinstance(event, Epoch):
            rsum = f", validation rSum {event.validation:.1f}" if event.validation is not None else ""
            say(f"epoch {event.epoch} of {event.of}, loss {event.loss:.4f}{rsum}, {event.seconds:.0f} s")
        elif isinstance(event, Skipped):
            say(f"left out: {event.path}: {event.why}")
        elif isinstance(event, Encoded | Step):
            continue


def _told(found: BothWays) -> str:
    def row(way: str, one: Measures) -> str:
        return f"{way} " + " ".join(f"{r.metric.label} {100 * r.interval.value:.1f}" for r in one.rows)

    ways = row("image to text", found.to_texts), row("text to image", found.to_images)
    return "; ".join([*ways, f"rSum {found.rsum.value:.1f}"])
