"""The report's three networks, as it describes them; the two small ones on pictures of a size that a session allows."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.training._rows import QUICK, rows, told

SEEDS = 3
"""Trainings of the two small networks (``--seeds``)."""
SIZE = 96
"""Pixels. At the report's 256 a training of the triplet network takes 40 minutes on 2 cores, times three seeds; the
recipes have 256, and ``nearsight reproduce table1`` trains at that."""
SMALL = (f"network.tower=small_cnn/report?size={SIZE}", "loop.checkpoint_s=300")
ROWS = {
    "report_pretrained_map": ("report/pretrained", "pre-trained", ()),
    "report_siamese_map": ("report/siamese", "siamese", SMALL),
    "report_triplet_map": ("report/triplet", "triplet", SMALL),
}


def measure(results: Results, *, runs: Path, quick: bool, seeds: int = SEEDS) -> None:
    for id_, (recipe, title, changed) in ROWS.items():
        overrides = (*changed, *(QUICK if quick else ()))
        place = runs / f"{SIZE}px" if changed else runs
        found = rows([recipe], place, seeds=range(seeds if changed and not quick else 1), overrides=overrides)
        for protocol, suffix in (("test->train", ""), ("test-loo", "_loo")):
            if (title, protocol) in found:
                cell = found[title, protocol]
                what = f"mAP {protocol}, the report's {title} network"
                note = told(cell) + (f"; at {SIZE} px, where the report's size is 256" if changed else "")
                results.add(Row(id_ + suffix, what, cell.value, "mAP", "none", cell.low, cell.high, note))
