"""Near-duplicates beside imagededup: the same files, from files to pairs, time and what is found.

A part of the pictures of the section ``dedup``: of all 100,000, imagededup was still comparing hashes after 13 minutes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data
from benchmarks.server._planted import Planted, planted
from benchmarks.server.dedup import ITEMS, PROBE, index, judged, some, told

PEER = "NEARSIGHT_IMAGEDEDUP"
"""Environment variable: a Python that has imagededup."""
_PART = 20_000
_THEIRS = """
import json, sys, time
from imagededup.methods import PHash
begun = time.perf_counter()
hasher = PHash(verbose=False)
codes = hasher.encode_images(image_dir=sys.argv[1], num_enc_workers=2)
encoded = time.perf_counter() - begun
found = hasher.find_duplicates(encoding_map=codes, max_distance_threshold=10, num_dist_workers=2)
seconds = time.perf_counter() - begun
pairs = sorted({tuple(sorted((name, other))) for name, others in found.items() for other in others})
print(json.dumps({"seconds": seconds, "encoded": encoded, "pairs": pairs}))
"""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    photographs, python = data("mit_split"), os.environ.get(PEER, "")
    if not python:
        print(f"left out: imagededup ({PEER} names no Python that has it)", flush=True)
    if not python or photographs is None or data("flickr8k") is None or data("variety") is None:
        return
    folder = runs / "dedup"
    folder.mkdir(parents=True, exist_ok=True)
    there = planted(folder, photographs.parent, 4_000 if quick else ITEMS)
    part = folder / "part"
    shutil.rmtree(part, ignore_errors=True)
    (part / "pictures").mkdir(parents=True)
    names = some((path.name for path in (folder / "pictures").iterdir()), there.copies, 1_000 if quick else _PART)
    for name in names:
        os.link(folder / "pictures" / name, part / "pictures" / name)
        (part / "pictures" / name).read_bytes()  # into the system's cache: nobody is the first to read from disk
    theirs = told(python, _THEIRS, part / "pictures")
    encoding = index(part / "pictures", part / "kept.ns")
    ours = told(sys.executable, PROBE, part / "kept.ns")
    copies = len(names & there.copies.keys())
    note = (
        f"{len(names):,} items, {copies:,} of them copies, both from files to pairs; PHash, 64 bits, at most 10 apart "
        f"(its default): hashing {theirs['encoded']:.0f} s, {_found(there, theirs['pairs'], copies)}; here: indexing "
        f"{encoding:.0f} s, looking {ours['seconds']:.0f} s, {_found(there, ours['pairs'], copies)}; its network's "
        f"vectors would need a matrix of all pairs: {there.items**2 * 4 / 1e9:.0f} GB for {there.items:,}"
    )
    results.add(Row("imagededup_seconds", "imagededup on the same files", theirs["seconds"], "s", note=note))
    both = (encoding + ours["seconds"]) / theirs["seconds"]
    results.add(
        Row("dedup_vs_imagededup", "indexing and dedup / imagededup on the same files", both, "times", note=note)
    )


def _found(there: Planted, pairs: Iterable[tuple[str, str]], copies: int) -> str:
    """How many of the planted copies were found, and how many of the pairs they are."""
    right, _, strangers = judged(there, pairs)
    return (
        f"{right / max(1, copies):.3f} of the copies found, {right / max(1, right + len(strangers)):.3f} of "
        f"{right + len(strangers):,} pairs planted"
    )
