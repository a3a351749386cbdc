"""A data set with captions and an encoder with two towers make a report of both ways: encode, rank, measure."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.core.errors import EncoderError
from nearsight.core.events import Event, Skipped, Step
from nearsight.data.captions import Captioned, captioned
from nearsight.data.datasets import Dataset
from nearsight.data.splits import TEST, TRAIN
from nearsight.encode.encoder import Encoder
from nearsight.measure.intervals import SAMPLES
from nearsight.search.hubness import HUBNESS
from nearsight.study.crossmodal.judge import NONE, Bank, judging
from nearsight.study.crossmodal.report import CrossReport
from nearsight.study.pictures import Pictures, encoding, keep_vectors, load_vectors, vectors_name

NO_VECTOR = "text/empty"
"""Code of an encoder's error about a text without a known word, and of the note on such a caption."""
_TEXTS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What could be encoded of pictures and captions; what could not stands in the relation's ``skipped``."""

    relation: Captioned
    images: Vectors
    texts: Vectors
    hashes: tuple[str, ...]


def run(
    dataset: Dataset,
    encoder: Encoder,
    *,
    split: str | None = None,
    hubness: str = NONE,
    bank: str | None = None,
    folds: int = 1,
    cache_folder: Path | None = None,
    pictures: Pictures | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    threads: int = 2,
) -> Generator[Event, None, CrossReport]:
    """Measure an encoder with two towers both ways. Yields events; the generator's return value is the report.

    `split`: whose pictures and captions; without one, ``test`` where there is one, else all. A `hubness` correction
    takes its bank from the split `bank`; without one, from ``train`` where that is another split, else from the queries
    themselves, and the card says so. Vectors are kept in `cache_folder`. Raises EncoderError (code ``encoder/no-text``)
    for an encoder without words, DatasetError where nothing can be measured, and as `judging`.
    """
    pictures = pictures or Pictures.default()
    chosen = split or (TEST if TEST in dataset.splits else None)
    source = bank or (TRAIN if TRAIN in dataset.splits and chosen not in (None, TRAIN) else None)
    measured = yield from encoding_both(captioned(dataset, chosen), encoder, pictures, cache_folder, threads)
    other = None
    if source is not None and HUBNESS.build(hubness).learns:
        seen = yield from encoding_both(captioned(dataset, source), encoder, pictures, cache_folder, threads)
        other = Bank(seen.relation, seen.images, seen.texts)
    return (
        yield from judging(
            measured.images,
            measured.texts,
            measured.relation,
            encoder=(encoder.spec.address, encoder.spec.fingerprint),
            hubness=hubness,
            bank=other,
            folds=folds,
            hashes=measured.hashes,
            samples=samples,
            seed=seed,
        )
    )


def encoding_both(
    relation: Captioned, encoder: Encoder, pictures: Pictures, cache_folder: Path | None = None, threads: int = 2
) -> Generator[Event, None, Encoded]:
    """The relation's captions and pictures as vectors; what cannot be used becomes a Skipped event and is left out."""
    usable, texts = yield from _encoding_texts(relation.texts, encoder, cache_folder)
    lost = np.flatnonzero(~usable).tolist()
    notes = [_note(relation, row) for row in lost]
    yield from notes
    seen = yield from encoding(relation.pictures, encoder, pictures, cache_folder=cache_folder, threads=threads)
    missing = np.flatnonzero(~np.isin(relation.ids, [item.key for item in seen.items])).tolist()
    left = relation.without(missing, lost, (*notes, *seen.skipped)) if missing or lost else relation
    kept = np.isin(relation.ids, left.ids)
    with_picture = kept[relation.of[usable]]
    among = np.isin([item.key for item in seen.items], left.ids)
    hashes = tuple(sha for sha, there in zip(seen.hashes, among, strict=True) if there)
    return Encoded(left, seen.vectors[among], texts[with_picture], hashes)


def _encoding_texts(
    texts: tuple[str, ...], encoder: Encoder, cache_folder: Path | None
) -> Generator[Event, None, tuple[NDArray[np.bool_], Vectors]]:
    """(m,) which texts have a vector, and their vectors; equal texts are encoded once."""
    distinct = sorted(set(texts))
    fingerprint, place = encoder.spec.fingerprint, None
    known = None
    if cache_folder is not None:
        place = cache_folder / vectors_name(fingerprint, ["texts", json.dumps(distinct)])
        known = load_vectors(place)
    if known is None:
        fine, parts = np.ones(len(distinct), dtype=np.bool_), []
        for begin in range(0, len(distinct), _TEXTS):
            batch = distinct[begin : begin + _TEXTS]
            there, vectors = _encoded(encoder, batch)
            fine[begin : begin + len(batch)] = there
            parts.append(vectors)
            yield Step("captions encoded", begin + len(batch), len(distinct))
        known = fine, np.concatenate(parts)
        if place is not None:
            keep_vectors(place, fingerprint, *known)
    fine, vectors = known
    row = {text: at for at, text in enumerate(np.array(distinct, dtype=object)[fine].tolist())}
    usable = np.array([text in row for text in texts], dtype=np.bool_)
    return usable, vectors[[row[text] for text in texts if text in row]]


def _encoded(encoder: Encoder, texts: list[str]) -> tuple[list[bool], Vectors]:
    """Which of some texts have a vector, and their vectors: in one batch, or one by one where one of them has none."""
    try:
        return [True] * len(texts), encoder.encode_texts(texts)
    except EncoderError as error:
        if error.code != NO_VECTOR:
            raise
        if len(texts) == 1:
            return [False], np.empty((0, encoder.tower.dim), dtype=np.float32)
    alone = [_encoded(encoder, [text]) for text in texts]
    return [there for one, _ in alone for there in one], np.concatenate([vectors for _, vectors in alone])


def _note(relation: Captioned, row: int) -> Skipped:
    text = relation.texts[row]
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    path = str(relation.pictures[int(relation.of[row])].path)
    return Skipped(path, NO_VECTOR, f"the encoder knows no word of its caption {shown!r}", "write it with other words")
