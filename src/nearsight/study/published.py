"""What tables of published figures share: rows that are asked for, what was changed, who stands in for a row."""

from __future__ import annotations

from collections.abc import Sequence

from nearsight.core.errors import UnknownName, Unreachable
from nearsight.core.events import Skipped


def require_rows(table: str, rows: Sequence[str], only: Sequence[str]) -> None:
    """Raises UnknownName where `only` names a recipe that is none of the table's `rows`."""
    if unknown := sorted(set(only) - set(rows)):
        raise UnknownName(f"{table} has no row {', '.join(unknown)}", hint=f"its rows: {', '.join(rows)}")


def changed(overrides: Sequence[str]) -> tuple[str, ...]:
    """The note that says which assignments all rows were given; none where there are none."""
    return (f"Changed for all rows: {', '.join(overrides)}.",) if overrides else ()


def stand_in(row: str, instead: str, error: Unreachable) -> tuple[str, Skipped]:
    """The note on a row whose weights cannot be had and for which the recipe `instead` is taken, and its event."""
    told = f"{instead} stands in"
    return f"{told}: {error.message}", Skipped(row, error.code, error.message, f"{told} for it")
