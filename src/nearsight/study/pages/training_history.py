"""The part of a training's page that is told by epochs: its curves, and what the doctor saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from nearsight.learn.history import Epoch
from nearsight.study.pages.html import plain_table
from nearsight.study.pages.svg import curve
from nearsight.study.report import share


def chosen_epoch(history: Sequence[Epoch]) -> int | None:
    """The number of the epoch with the best validation; None where nothing was held out."""
    return next((e.epoch for e in reversed(history) if e.best and e.validation is not None), None)


def curves(history: Sequence[Epoch]) -> str:
    """Loss, validation and learning rate, and a table of every epoch."""
    if not history:
        return ""
    epochs, chosen = [e.epoch for e in history], chosen_epoch(history)
    floor = next((e.health.floor for e in reversed(history) if e.health.floor is not None), None)
    figures = [
        curve(
            "Loss",
            epochs,
            [e.loss for e in history],
            mark=None if floor is None else ("if collapsed", floor),
            chosen=chosen,
            beside=("held out", [e.validation_loss for e in history]),
        )
    ]
    if any(e.validation is not None for e in history):
        figures.append(curve("Validation", epochs, [e.validation for e in history], show=share, chosen=chosen))
    else:
        figures.append(curve("Gradient norm", epochs, [e.health.gradient for e in history], within=(0, 0)))
    figures.append(curve("Learning rate", epochs, [e.rate for e in history], show=lambda v: f"{v:.3g}"))
    told = f"<p>{escape(' '.join(_told(history, chosen)))}</p>"
    return f'<h2 id="curves">Training</h2>{told}<div class="charts">{"".join(figures)}</div>{_every_epoch(history)}'


def doctor(history: Sequence[Epoch]) -> str:
    """Whether the network was alive, and what to do where it was not."""
    if not history:
        return ""
    epochs, health = [e.epoch for e in history], [e.health for e in history]
    dim = health[-1].dim
    told = "Effective rank: over how many directions the vectors spread. Dead dimensions do not vary."
    figures = [
        curve(f"Effective rank of {dim}", epochs, [h.rank for h in health], show=lambda v: f"{v:.1f}", within=(0, 0)),
        curve(f"Dead dimensions of {dim}", epochs, [h.dead for h in health], show=lambda v: f"{v:.0f}", within=(0, 1)),
    ]
    if any(h.active is not None for h in health):
        active = [h.active for h in health]
        told += " Active triplets are those that the loss still pushes."
        figures.append(curve("Active triplets", epochs, active, show=lambda v: f"{v:.3f}", within=(0, 0)))
    return (
        f'<h2 id="doctor">Doctor</h2><p>{told}</p>'
        f'{_findings(history)}<div class="charts{" two" if len(figures) == 2 else ""}">{"".join(figures)}</div>'
    )


def has_findings(history: Sequence[Epoch]) -> bool:
    """Whether the doctor saw anything in any epoch."""
    return any(e.health.findings for e in history)


def _told(history: Sequence[Epoch], chosen: int | None) -> list[str]:
    """What the curves say, in sentences."""
    last, seconds, pictures = history[-1], sum(e.seconds for e in history), sum(e.pictures for e in history)
    pace = f", {pictures / seconds:,.0f} a second" if seconds > 0 else ""
    lines = [
        f"{len(history)} {'epoch' if len(history) == 1 else 'epochs'} in {_duration(seconds)}; {pictures:,} pictures "
        f"went through the network{pace}."
    ]
    if last.epoch < last.of:
        lines.append(f"It ended after epoch {last.epoch} of {last.of}.")
    if chosen is None:
        lines.append("Nothing was held out for validation: no epoch could be preferred to another.")
    elif chosen == last.epoch and len(history) > 2:
        lines.append(f"Epoch {chosen}, the last, was best on what was held out: more epochs may help.")
    else:
        lines.append(f"Epoch {chosen} was best on what was held out.")
    return lines


def _findings(history: Sequence[Epoch]) -> str:
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for epoch in history:
        for finding in epoch.health.findings:
            found.setdefault((finding.code, finding.repair), []).append((epoch.epoch, finding.what))
    if not found:
        return "<p>Nothing was found wrong in any epoch.</p>"
    items = "".join(
        f"<li><b>{escape(seen[-1][1])}</b> <span>{escape(code)}, {_ranges([number for number, _ in seen])}</span>"
        f"<br>{escape(repair)}</li>"
        for (code, repair), seen in found.items()
    )
    return f'<ul class="findings">{items}</ul>'


def _every_epoch(history: Sequence[Epoch]) -> str:
    columns: list[tuple[str, Callable[[Epoch], str]]] = [
        ("epoch", lambda e: str(e.epoch)),
        ("loss", lambda e: f"{e.loss:.4f}"),
        ("validation", lambda e: "–" if e.validation is None else share(e.validation) + (" best" if e.best else "")),
        ("held-out loss", lambda e: "–" if e.validation_loss is None else f"{e.validation_loss:.4f}"),
        ("rate", lambda e: f"{e.rate:.3g}"),
        ("rank", lambda e: f"{e.health.rank:.1f}"),
        ("dead", lambda e: str(e.health.dead)),
        ("active", lambda e: "–" if e.health.active is None else f"{e.health.active:.3f}"),
        ("length", lambda e: f"{e.health.norms[1]:.3g}"),
        ("gradient", lambda e: f"{e.health.gradient:.3g}"),
        ("seconds", lambda e: f"{e.seconds:.1f}"),
    ]
    rows = [[show(e) for _, show in columns] for e in history]
    return f"<details><summary>Every epoch</summary>{plain_table([name for name, _ in columns], rows)}</details>"


def _ranges(numbers: Sequence[int]) -> str:
    """``epochs 1–3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)
    return f"{'epoch' if told.isdigit() else 'epochs'} {told}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
