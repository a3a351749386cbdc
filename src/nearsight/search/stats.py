"""Counts and sizes of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


def stats(collection: Collection) -> dict[str, Any]:
    """Counts and sizes, for people and programs."""
    snapshot = collection.store.snapshot()
    with collection.store.reading() as catalogue:
        captions = catalogue.one("SELECT sum(json_array_length(captions)) FROM item WHERE captions != '[]'")
    return {
        "items": len(snapshot),
        "dead": int(snapshot.alive.size - len(snapshot)),
        "segments": len(snapshot.parts),
        "generation": snapshot.generation,
        "dim": collection.dim,
        "dtype": collection.store.shape.dtype.name,
        "encoder": collection.store.manifest["encoder"],
        "modalities": list(collection.modalities),
        "captions": captions or 0,
        "calibrated": collection.calibration is not None,
        "fingerprint": collection.fingerprint,
        "engine": collection.engine,
        **({} if collection.engine_choice is None else {"engine chosen": collection.engine_choice.why}),
        "bytes": sum(p.stat().st_size for p in collection.folder.rglob("*") if p.is_file()),
        "roots": [str(root) for root in collection.roots()],
    }
