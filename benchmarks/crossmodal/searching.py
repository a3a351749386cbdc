"""How long words take to find pictures: tower for texts and search together, in one process without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.data.datasets import load
from nearsight.encode import Encoder
from nearsight.encode.encoder import TEXT

PROBE = """
import time
begun = time.perf_counter()
import json, sys
from pathlib import Path
from nearsight import Collection, Text
texts, times = json.load(sys.stdin), []
with Collection.open(Path(sys.argv[1]), read_only=True) as kept:
    count = len(kept)
    for text in texts:
        start = time.perf_counter()
        assert len(kept.search(Text(text), 10)) == 10
        times.append(time.perf_counter() - start)
        first = time.perf_counter() - begun if len(times) == 1 else first
heavy = sorted({"torch", "transformers", "fasttext", "open_clip"} & set(sys.modules))
print(json.dumps({"pictures": count, "first": first, "times": times[1:], "heavy": heavy}))
"""
WORDS = "transformers/all-MiniLM-L6-v2"
QUERIES = 200


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    weights = data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    listing = data("flickr8k", "dataset_flickr8k.json")
    if weights is None or listing is None:
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        trained = sorted(found.parent for found in runs.glob(f"*/encoder/{TEXT}"))
        encoder = trained[0] if trained else untrained(weights, place / "encoder")
        results.add(row(encoder, listing, place, quick=quick))


def row(encoder: Path, listing: Path, place: Path, *, quick: bool = False) -> Row:
    """`text_search_p50_ms` of an encoder folder: captions of the test split against its pictures."""
    nearsight = [sys.executable, "-m", "nearsight", "--quiet"]
    index = ["index", listing.parent / "images", "--labels", listing, "--split", "test"]
    subprocess.run([*nearsight, *map(str, index), "-e", str(encoder), "-c", str(place / "kept")], check=True)
    items = load(f"karpathy/{listing.name}", listing.parent).split("test")
    texts = [item.captions[at % 5] for at, item in enumerate(items[: 20 if quick else QUERIES + 1])]
    command = [sys.executable, "-c", PROBE, str(place / "kept")]
    told = json.loads(subprocess.run(command, input=json.dumps(texts).encode(), check=True, capture_output=True).stdout)
    if told["heavy"]:
        raise RuntimeError(f"searching has imported {', '.join(told['heavy'])}")
    low, median, high = (np.percentile(told["times"], (5, 50, 95)) * 1000).tolist()
    address = Encoder.load(encoder).text.address  # type: ignore[union-attr]
    note = (
        f"{len(told['times'])} captions, one at a time, {told['pictures']:,} pictures, k=10; {address}; 5th to 95th "
        f"percentile; no torch in the process; its first answer {told['first']:.2f} s after its start"
    )
    return Row(
        "text_search_p50_ms", "words to ten pictures: tower for texts and search", median, "ms", "<=30", low, high, note
    )


def untrained(weights: Path, folder: Path) -> Path:
    """An encoder of the shape of the trained ones; weights cost the same whatever they are."""
    from nearsight.encode.heads import HEADS
    from nearsight.encode.pooling import POOLINGS
    from nearsight.encode.text_tower import SetTower, pooled_head
    from nearsight.encode.texts import TEXTS

    pictures, words = mobilenet(weights).tower, TEXTS.build(WORDS)
    head = f"mlp?dim={pictures.dim}&hidden=1024"
    module = pooled_head(POOLINGS.build("gpo", width=words.width, seed=0), HEADS.build(head, width=words.width, seed=0))
    Encoder(pictures, SetTower(words, module, pool="gpo", heads=[head])).save(folder)
    return folder
