"""Reports on disk: written, read again, and held against one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nearsight.cli import render
from nearsight.core.errors import FormatError, InputError, WriteFailed

if TYPE_CHECKING:
    from nearsight.study.crossmodal.report import CrossReport
    from nearsight.study.report import Change, Report


def save(file: Path, reports: Sequence[Report | CrossReport]) -> None:
    """The reports as JSON at `file`, an array where there are several; ``-`` is stdout. Raises WriteFailed."""
    from nearsight.study.report import many_to_json

    text = reports[0].to_json() if len(reports) == 1 else many_to_json(reports)
    if str(file) == "-":
        render.out(text.rstrip())
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteFailed(f"could not write {file}: {error.strerror or error}", hint="choose another --json") from error
    render.note(f"Report: {render.shown(file)}")


def load(file: Path) -> Sequence[Report | CrossReport]:
    """What `save` wrote, one report or several of one kind. Raises FormatError."""
    from nearsight.study.crossmodal.report import any_from_json

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{file} is not readable as a report: {error}", hint="give a JSON file that `nearsight eval --json` wrote"
        ) from error
    found = any_from_json(text)
    if not found:
        raise FormatError(f"{file} holds no report", hint="give a JSON file that `nearsight eval --json` wrote")
    return found


def compare(file: Path, after: Sequence[Report | CrossReport], varying: Sequence[str]) -> None:
    """Print what changed since the reports in `file`, one by one. Raises MeasureError for different things."""
    before = load(file)
    if len(before) != len(after):
        raise InputError(
            f"{file} holds {len(before)} reports, and here are {len(after)}",
            code="eval/against",
            hint="measure the same encoders, engines and protocols",
        )
    for old, new in zip(before, after, strict=True):
        head, rows = _changes(old, new, file, varying)
        render.out()
        render.out(f"Against {render.shown(file)}: {head}")
        width = len(rows[0])
        for line in render.table(rows, right=range(width - 5, width - 1), indent=2):
            render.out(line)


def _changes(
    old: Report | CrossReport, new: Report | CrossReport, file: Path, varying: Sequence[str]
) -> tuple[str, list[tuple[str, ...]]]:
    """What is compared, and a table of it."""
    from nearsight.study.crossmodal.report import CrossReport, compare_both
    from nearsight.study.report import Report
    from nearsight.study.report import compare as compare_reports

    titles = ("measure", "before", "now", "difference", "95% interval", "")
    if isinstance(old, CrossReport) and isinstance(new, CrossReport):
        rows = [(way, *_change(change)) for way, change in compare_both(old, new, varying=varying)]
        return f"{old.to_texts.encoder}, {old.to_texts.card.engine}", [("", *titles), *rows]
    if isinstance(old, Report) and isinstance(new, Report):
        changes = compare_reports(old, new, varying=varying)
        return f"{old.encoder}, {old.card.engine}", [titles, *(_change(change) for change in changes)]
    raise InputError(
        f"{file} and what was measured are of two kinds: labels, and captions",
        code="eval/against",
        hint="measure the same protocols",
    )


def _change(change: Change) -> tuple[str, str, str, str, str, str]:
    span = change.difference
    return (
        change.label,
        f"{change.before:.4f}",
        f"{change.after:.4f}",
        f"{span.value:+.4f}",
        f"{span.low:+.4f} .. {span.high:+.4f}",
        "" if change.clear else "the same" if span.low == span.high == 0 else "could be chance",
    )
