"""Near-duplicates: how many planted copies are found among how many pictures, what else is, memory and time."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data
from benchmarks.server._geometry import one_scene
from benchmarks.server._planted import KINDS, Planted, planted

ITEMS = 100_000
ENCODER = "colour"
PROBE = """
import json, resource, sys, time
from pathlib import Path
from nearsight import Collection
from nearsight.core.events import Skipped, Step, outcome
begun = time.perf_counter()
spent, skipped, last = {}, 0, [begun]
def see(event):
    global skipped
    now = time.perf_counter()
    if isinstance(event, Step):
        spent[event.what] = spent.get(event.what, 0) + now - last[0]
    skipped += isinstance(event, Skipped)
    last[0] = now
with Collection.open(Path(sys.argv[1])) as kept:
    groups = outcome(kept.duplicates(), see)
    names = {item.key: item.path.name for item in kept.items()}
seconds = time.perf_counter() - begun
pairs = [(names[group.keep], names[copy.key]) for group in groups for copy in group.others]
heavy = sorted({"torch", "torchvision", "timm"} & set(sys.modules))
print(json.dumps({"seconds": seconds, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "pairs": pairs,
                  "spent": spent, "skipped": skipped, "heavy": heavy}))
"""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    photographs = data("mit_split")
    if photographs is None or data("flickr8k") is None or data("variety") is None:
        return
    folder = runs / "dedup"
    folder.mkdir(parents=True, exist_ok=True)
    there = planted(folder, photographs.parent, 4_000 if quick else ITEMS)
    collection = folder / "kept.ns"
    encoding = index(folder / "pictures", collection)
    shutil.rmtree(collection / "signatures", ignore_errors=True)
    first = told(sys.executable, PROBE, collection)
    again = told(sys.executable, PROBE, collection)
    (folder / "found.json").write_text(json.dumps(first))
    if first["heavy"]:
        raise RuntimeError(f"looking for near-duplicates has imported {', '.join(first['heavy'])}")
    quality(results, there, first["pairs"], folder / "pictures")
    cost(results, there, first, again, encoding)


def index(pictures: Path, collection: Path) -> float:
    """Seconds; 0 where it was done before."""
    begun = time.perf_counter()
    fresh = not collection.exists()
    command = ["-m", "nearsight", "--quiet", "index", str(pictures), "-c", str(collection), "-e", ENCODER]
    subprocess.run([sys.executable, *command, "--labels", "none"], check=True)
    return time.perf_counter() - begun if fresh else 0.0


def told(python: str, code: str, where: Path) -> dict:
    """What a program of its own prints last, as JSON."""
    done = subprocess.run([python, "-c", code, str(where)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def quality(results: Results, there: Planted, pairs: Iterable[tuple[str, str]], pictures: Path) -> None:
    right, kinds, strangers = judged(there, pairs)
    total = Counter(kind for _, kind in there.copies.values())
    by_kind = ", ".join(f"{kind} {kinds[kind] / max(1, total[kind]):.3f}" for kind in KINDS)
    made = ", ".join(f"{count:,} {sort}" for sort, count in there.counts.items())
    low, high = interval(right, len(there.copies))
    note = (
        f"{there.items:,} items: {made}, and {len(there.copies):,} copies: {by_kind}; resized to 50-90% of the sides, "
        "JPEG quality 30-70, or cut to 90% of both sides anywhere; encoder "
        f"{ENCODER}, the measured threshold; Wilson's interval"
    )
    results.add(Row("dedup_recall", "planted copies paired with their originals", right / len(there.copies), "",
                    ">=0.95", low, high, note))  # fmt: skip
    seen = [one_scene(pictures / one, pictures / other) for one, other in strangers]
    own, wrong = sum(one is True for one in seen), sum(one is not True for one in seen)
    low, high = interval(right, right + wrong)
    note = (
        f"of {right + len(strangers):,} pairs {right:,} were planted; {own:,} were not, and count as neither "
        "right nor wrong since both show one scene: shots of a series, pictures that the sets have twice (15 SIFT "
        f"keypoints under one similarity); {wrong:,} are wrong. With those {own:,} as wrong: "
        f"{right / max(1, right + len(strangers)):.3f}"
    )
    results.add(Row("dedup_precision", "pairs of groups that are right", right / max(1, right + wrong), "",
                    ">=0.95", low, high, note))  # fmt: skip


def judged(there: Planted, pairs: Iterable[tuple[str, str]]) -> tuple[int, Counter[str], list[tuple[str, str]]]:
    """Planted copies that stand in one pair with their original, by kind too, and the pairs that nobody planted."""
    right, kinds, strangers = 0, Counter[str](), []
    for one, other in pairs:
        copy = next(
            (name for name, source in ((one, other), (other, one)) if there.copies.get(name, ("",))[0] == source), ""
        )
        if copy:
            right += 1
            kinds[there.copies[copy][1]] += 1
        else:
            strangers.append((one, other))
    return right, kinds, strangers


def cost(results: Results, there: Planted, first: dict, again: dict, encoding: float) -> None:
    parts = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in first["spent"].items())
    encoded = f"; indexing them took {encoding:.0f} s before" if encoding else ""
    note = f"peak resident memory of the process that looks, mapped vectors and pictures in it; {there.items:,} items"
    results.add(
        Row("dedup_rss_mb", "memory of dedup", max(first["rss"], again["rss"]) / 1e6, "MB", "<=1024", note=note)
    )
    note = f"{there.items:,} items: {parts}{encoded}; again, with the signatures kept: {again['seconds']:.0f} s"
    results.add(Row("dedup_seconds", "dedup of an indexed collection", first["seconds"], "s", note=note))


def some(names: Iterable[str], copies: Mapping[str, tuple[str, str]], n: int) -> set[str]:
    """About n of the pictures: originals drawn by lot, each with its planted copies."""
    everything = set(names)
    originals = sorted(everything - copies.keys())
    kept = set(random.Random(0).sample(originals, round(n * len(originals) / len(everything))))
    return kept | {copy for copy, (original, _) in copies.items() if original in kept}


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's, 95%."""
    if not count:
        return 0.0, 1.0
    share, z = right / count, 1.96
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - reach) / (1 + z * z / count), (middle + reach) / (1 + z * z / count)
