"""The report's three networks, as it describes them."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.training._rows import QUICK, rows, told

SEEDS = (0, 1, 2)
ROWS = {
    "report_pretrained_map": ("report/pretrained", "pre-trained", (0,)),
    "report_siamese_map": ("report/siamese", "siamese", SEEDS),
    "report_triplet_map": ("report/triplet", "triplet", SEEDS),
}


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    for id_, (recipe, title, seeds) in ROWS.items():
        found = rows([recipe], runs, seeds=seeds[:1] if quick else seeds, overrides=QUICK if quick else ())
        for protocol, suffix in (("test->train", ""), ("test-loo", "_loo")):
            if (title, protocol) in found:
                cell = found[title, protocol]
                what = f"mAP {protocol}, the report's {title} network"
                results.add(Row(id_ + suffix, what, cell.value, "mAP", "none", cell.low, cell.high, told(cell)))
