"""What happens to a collection when everything goes wrong: kills, changed bytes, a full disk."""

from __future__ import annotations

from typing import Any

from benchmarks._faults import alone
from benchmarks._results import Results, Row

_WRITES = ("lost", "phantom", "wrong", "crashed")
_BYTES = ("silent", "unnamed", "crashed")


def measure(results: Results, *, quick: bool) -> None:
    share = 20 if quick else 1
    kills = alone("kills", 300 // share)
    results.add(
        Row("kills", "SIGKILLs during sync, add, replace, delete, compact, engine", kills["trials"], "", ">=300")
    )
    _none(results, "kills_lost", "after them: lost, phantom or wrong items, reopens that fail", kills, _WRITES)
    results.add(Row("kills_acknowledged", "changes that were acknowledged before a kill", kills["acknowledged"]))

    flips = alone("flips", 2000 // share)
    results.add(Row("flips", "single bits flipped, over all files of a collection", flips["trials"], "", ">=2000"))
    _none(results, "flips_silent", "wrong answers, unnamed errors and crashes after them", flips, _BYTES)
    pages = alone("pages", 500 // share)
    results.add(Row("pages_zeroed", "4 KB pages zeroed, over all files", pages["trials"], "", ">=500"))
    _none(results, "pages_silent", "wrong answers, unnamed errors and crashes after them", pages, _BYTES)
    junk = alone("junk", 500 // share)
    results.add(Row("junk", "files cut, emptied, removed, torn, lengthened or filled with noise", junk["trials"]))
    _none(results, "junk_silent", "wrong answers, unnamed errors and crashes after them", junk, _BYTES)

    full = alone("disk_full", 128 // share)
    where = f"on {full['on']}"
    results.add(Row("disk_full_points", "disk full after 0, 4, 8, ... KB", full["refused"], "", ">=100", note=where))
    _none(results, "disk_full_lost", "lost, phantom or wrong items, errors that are not ours", full, _WRITES)
    points = alone("failpoints", share)
    results.add(Row("failpoints", "death, EIO or ENOSPC before and after each call that writes", points["trials"]))
    _none(results, "failpoints_lost", "lost, phantom or wrong items, errors that are not ours", points, _WRITES)


def _none(results: Results, id_: str, what: str, counts: dict[str, Any], names: tuple[str, ...]) -> None:
    shown = ("found", "harmless", *names) if "found" in counts else names
    note = ", ".join(f"{counts[name]} {name}" for name in shown)
    results.add(Row(id_, what, sum(counts[name] for name in names), "", "=0", note=note))
