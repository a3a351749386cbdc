"""Captions and pictures of Flickr8k's test split, each finding the other."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.study.crossmodal.run import run
from nearsight.study.run import finish


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root = data("flickr8k")
    if root is None:
        return
    flickr = load("karpathy/flickr8k", root.parent)
    found = finish(run(flickr, create("bundled"), split="val" if quick else "test"))
    for id_, target, (way, measures) in zip(("i2t", "t2i"), (">=42", ">=38"), found.ways, strict=True):
        for row in measures.measures:
            if row.label.startswith("R@"):
                k = row.label.partition("@")[2]
                note = f"{measures.queries:,} queries, chance {100 * row.floor:.1f}"
                results.add(
                    Row(f"f8k_{id_}_r{k}", f"{row.label}, {way}, Flickr8k test", 100 * row.value, "%",
                        target if k == "10" else "none", 100 * row.low, 100 * row.high, note)
                )  # fmt: skip
    results.add(Row("f8k_rsum", "sum of R@1, R@5 and R@10 both ways, Flickr8k test", found.rsum.value, "%",
                    "none", found.rsum.low, found.rsum.high, "no hubness correction"))  # fmt: skip
