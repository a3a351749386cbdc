"""``nearsight check``: look at every byte of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from nearsight.cli import places, render
from nearsight.cli.options import FindingsOption

if TYPE_CHECKING:
    from nearsight.search.store.check import Finding

EXAMPLES = "nearsight check ~/Pictures"

DAMAGE = 3


def run(
    collection: places.CollectionArgument = None,
    as_json: FindingsOption = False,
) -> int:
    """Look at every byte of a collection and name what is damaged.

    Nothing is written; searching and indexing go on meanwhile. Leaves with 3 where something is damaged.
    """
    from nearsight.search.store.check import Finding
    from nearsight.search.store.check import check as look

    folder = places.find(collection)
    findings: list[Finding] = []
    render.watch(
        render.generator(look(folder)), lambda event: findings.append(event) if isinstance(event, Finding) else None
    )
    tell(findings, as_json)
    harm = sum(not finding.harmless for finding in findings)
    if harm:
        render.note(f"{harm:,} damaged. nearsight repair {render.shown(folder)}")
    else:
        render.note(f"{render.shown(folder)} is as it was written.")
    return DAMAGE if harm else 0


def tell(findings: Sequence[Finding], as_json: bool) -> None:
    """Findings on stdout, those that harm first."""
    ordered = sorted(findings, key=lambda finding: finding.harmless)
    if as_json:
        for finding in ordered:
            render.line(asdict(finding))
        return
    for finding in ordered:
        item = f"item {finding.key}: " if finding.key is not None else ""
        mark = render.paint("harmless" if finding.harmless else "damaged ", "dim" if finding.harmless else "red")
        render.out(f"{mark}  {finding.code}: {item}{render.clean(finding.what)}")
        if finding.repair and finding.harmless:
            render.out(render.paint(f"          {finding.repair}", "dim"))
