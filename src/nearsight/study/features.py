"""Features extracted once: pictures and captions become sets of vectors on disk, for heads to be trained on.

They are kept in the user's cache folder (``NEARSIGHT_CACHE`` names another) under the fingerprint of what makes them
and a hash of each picture's or caption's content: nothing is made twice, a run that was stopped goes on where it was,
and a changed picture, caption or option never meets old vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.events import Encoded, Event, Skipped, Step
from nearsight.core.items import Item
from nearsight.encode.choose import cache_folder
from nearsight.encode.features import PictureSets, fingerprint_of
from nearsight.encode.texts import Words
from nearsight.study.pictures import Pictures, hashing, prepared
from nearsight.study.shards import Sets, Store

PICTURES, TEXTS = 256, 1024
"""Things a shard: what a kill may cost."""

Block = Sequence[int]
Made = tuple[Mapping[int, NDArray[np.float32] | Skipped], bool]
"""What some rows became, and whether that ends their block."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What became of a list of pictures or texts.

    sets     one a row, for those that could be used
    kept     (n,) their places in the list that was given, rising
    skipped  the others, each with its reason
    made     how many were made now; the rest was there
    """

    sets: Sets
    kept: NDArray[np.int64]
    skipped: tuple[Skipped, ...]
    made: int


def picture_features(
    items: Sequence[Item],
    source: PictureSets,
    pictures: Pictures | None = None,
    *,
    folder: Path | None = None,
    threads: int = 2,
) -> Generator[Event, None, Features]:
    """Every picture's set. One that cannot be used becomes a Skipped event and is left out.

    `folder`: where features are kept (default: ``features`` in the cache folder). Decoding overlaps with the network.

    Raises WriteFailed, and EncoderError: code ``encoder/export``, ``features/range``.
    """
    pictures = pictures or Pictures.default()
    with ThreadPoolExecutor(threads) as pool:
        hashes = yield from hashing(items, pictures, pool)
        keys = [None if isinstance(found, Skipped) else found for found in hashes]
        unread = {at: found for at, found in enumerate(hashes) if isinstance(found, Skipped)}
        store = _store(folder, source.fingerprint, source.width, keys)

        def make(blocks: Sequence[Block]) -> Iterator[Made]:
            batches = list(_batches(blocks, source.batch))
            shown = ([(items[at], hashes[at]) for at in rows] for rows, _ in batches)
            chosen = False
            for (rows, last), ready in zip(batches, prepared(shown, source, pictures, pool), strict=True):
                fine = [found for found in ready if not isinstance(found, Skipped)]
                outcome: dict[int, NDArray[np.float32] | Skipped] = {
                    at: found for at, found in zip(rows, ready, strict=True) if isinstance(found, Skipped)
                }
                if fine:
                    if not chosen:
                        source.use(len(items))  # not for what is missing only: a run that goes on is the same run
                        chosen = True
                    vectors, mask = source.forward(fine)
                    good = [at for at in rows if at not in outcome]
                    outcome |= {at: v[m] for at, v, m in zip(good, vectors, mask, strict=True)}
                yield outcome, last

        name = [str(item.path) for item in items]
        return (yield from _filled(store, keys, unread, make, name.__getitem__, PICTURES, "features of pictures"))


def text_features(
    texts: Sequence[str],
    words: Words,
    name: Callable[[int], str],
    *,
    folder: Path | None = None,
) -> Generator[Event, None, Features]:
    """Every text's set of word vectors.

    `name`: place in `texts` -> what to call it (which caption of which picture). A text in which no word is known
    becomes a Skipped event (code ``text/empty``) and is left out. `folder` and errors as `picture_features`.
    """
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
    fingerprint = fingerprint_of(words.identity())
    store = _store(folder, fingerprint, words.width, keys)

    def make(blocks: Sequence[Block]) -> Iterator[Made]:
        for rows, last in _batches(blocks, words.batch):
            found = words.sets([texts[at] for at in rows])
            yield (
                {
                    at: one.vectors if len(one.vectors) else _empty(texts[at], one.unknown)
                    for at, one in zip(rows, found, strict=True)
                },
                last,
            )

    return (yield from _filled(store, keys, {}, make, name, TEXTS, "features of texts"))


def _store(folder: Path | None, fingerprint: str, width: int, keys: Sequence[str | None]) -> Store:
    place = (cache_folder() / "features" if folder is None else folder) / fingerprint[:32]
    return Store(place, fingerprint, width, [key for key in keys if key is not None])


def _filled(
    store: Store,
    keys: Sequence[str | None],
    lost: dict[int, Skipped],
    make: Callable[[Sequence[Block]], Iterable[Made]],
    name: Callable[[int], str],
    size: int,
    what: str,
) -> Generator[Event, None, Features]:
    """Make what `store` lacks, a block of `size` at a time, and commit each; `lost` has no key, by place.

    Blocks are cut from the whole list and not from what is missing: a run that goes on makes the same batches as one
    that was never stopped, and so the same bits.
    """
    first: dict[str, int] = {}
    for at, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, at)
    places = list(first.values())
    blocks = [
        [at for at in places[begin : begin + size] if str(keys[at]) not in store]
        for begin in range(0, len(places), size)
    ]
    total, done, made = sum(map(len, blocks)), 0, 0
    why: dict[str | None, Skipped] = {}
    pending: dict[str, NDArray[np.float32]] = {}
    for outcome, last in make([block for block in blocks if block]):
        for at, found in outcome.items():
            if isinstance(found, Skipped):
                why[keys[at]] = found
            else:
                pending[str(keys[at])] = found
        done += len(outcome)
        if last and pending:
            store.add(pending)
            made += len(pending)
            yield Encoded(len(pending))
            pending = {}
        yield Step(what, done, total)
    skipped: list[Skipped] = []
    for at, key in enumerate(keys):
        if at in lost or key in why:
            skipped.append(replace(lost[at] if at in lost else why[key], path=name(at)))
            yield skipped[-1]
    kept = [at for at, key in enumerate(keys) if at not in lost and key not in why]
    return Features(store.sets([str(keys[at]) for at in kept]), np.array(kept, dtype=np.int64), tuple(skipped), made)


def _batches(blocks: Sequence[Block], size: int) -> Iterator[tuple[Block, bool]]:
    """Blocks in batches of `size`, and whether each ends its block."""
    for block in blocks:
        for begin in range(0, len(block), size):
            yield block[begin : begin + size], begin + size >= len(block)


def _empty(text: str, unknown: Sequence[str]) -> Skipped:
    known = f": {', '.join(unknown[:5])}" if unknown else ""
    why = f"no word of it is known{known}" if text.strip() else "there is no word in it"
    return Skipped("", "text/empty", why, "mend the caption, or take word vectors that know its language")
