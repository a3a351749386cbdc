"""What ``nearsight eval`` does with captions: pictures search them, and they search pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from nearsight.cli import render
from nearsight.core.errors import InputError

if TYPE_CHECKING:
    from nearsight.core.events import Event
    from nearsight.data.datasets import Dataset
    from nearsight.encode.encoder import Encoder
    from nearsight.study.crossmodal.report import CrossReport

PROTOCOLS = ("image->text", "text->image")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of eval that captions have to themselves; None where they were not given."""

    split: str | None
    hubness: str | None
    bank: str | None
    folds: int | None

    def given(self) -> Iterator[tuple[str, object]]:
        """Each option with its value."""
        for one in fields(self):
            yield f"--{one.name}", getattr(self, one.name)

    def asked(self, dataset: Dataset, protocols: Sequence[str]) -> bool:
        """Whether captions are measured, and not labels: the protocol says so, or there is nothing else to measure.

        Raises InputError (code ``eval/what``) for protocols of both kinds, and for these options beside labels.
        """
        mine = [protocol for protocol in protocols if protocol in PROTOCOLS]
        if mine and len(mine) < len(protocols):
            raise InputError(
                f"{', '.join(protocols)}: labels and captions are measured one after the other",
                code="eval/what",
                hint="run eval twice",
            )
        if mine or (not protocols and not dataset.labels and any(item.captions for item in dataset.items)):
            return True
        for option, value in self.given():
            if value is not None:
                raise InputError(
                    f"{option} is for captions, and labels are measured here",
                    code="eval/what",
                    hint=f"leave {option} out, or say --protocol '{PROTOCOLS[0]}'",
                )
        return False

    def measure(self, dataset: Dataset, encoder: Encoder, cache: Path | None) -> Generator[Event, None, CrossReport]:
        """The study, as `render.watch` takes it; its return value is a CrossReport."""
        from nearsight.study.crossmodal.judge import NONE
        from nearsight.study.crossmodal.run import run

        return run(
            dataset,
            encoder,
            split=self.split,
            hubness=self.hubness or NONE,
            bank=self.bank,
            folds=self.folds or 1,
            cache_folder=cache,
        )


def refuse(given: Mapping[str, object]) -> None:
    """Raises InputError (code ``eval/what``) for an option that captions have no use for."""
    for option, value in given.items():
        if value:
            raise InputError(
                f"{option} is for labels, and captions are measured here", code="eval/what", hint=f"leave {option} out"
            )


def tell(reports: Sequence[CrossReport]) -> None:
    """One report whole; several as a table with a row each; of none, nothing."""
    if len(reports) == 1:
        render.out(render.clean(reports[0].summary()))
        render.out()
        for line in render.table(reports[0].table(), right=(2, 3, 4), indent=2):
            render.out(line)
    elif reports:
        for line in _overview(reports):
            render.out(line)
    for stamp in dict.fromkeys(told for report in reports for told in report.to_texts.card.transductive):
        render.out()
        render.out(f"  Transductive: {render.clean(stamp)}")


def _overview(reports: Sequence[CrossReport]) -> list[str]:
    """rSum with its interval and chance, and R@1 both ways."""
    rows = [("encoder", "rSum", "95% interval", "chance", *(f"{way} R@1" for way, _ in reports[0].ways))]
    for report in reports:
        rsum = report.rsum
        first = (f"{one.measures[0].value:.4f}" for _, one in report.ways)
        span = f"{rsum.low:.1f} .. {rsum.high:.1f}"
        rows.append((render.brief(report.to_texts.encoder), f"{rsum.value:.1f}", span, f"{rsum.floor:.1f}", *first))
    return render.table(rows, right=range(1, len(rows[0])))
