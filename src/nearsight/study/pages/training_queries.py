"""The parts of a training's page about classes and about single queries: who rose, who fell, what still goes wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nearsight.core.items import Item
from nearsight.study.pages.html import image
from nearsight.study.pages.report import failure_figure
from nearsight.study.pages.sheet import thumbnail
from nearsight.study.pages.svg import change_bar
from nearsight.study.pictures import Pictures
from nearsight.study.verdict import Protocol

CLASSES = 20
"""Classes that are shown; of more, those that changed most."""
QUERIES = 12
"""Queries that are shown of those that fell."""
WORST = 6
"""Worst queries that are shown with their answers, a protocol."""

_SIDE = 112


def classes(protocols: Iterable[Protocol]) -> str:
    """Each protocol's first measure by class, the largest gain first."""
    tables = [table for protocol in protocols if (table := _class_table(protocol))]
    return f'<h2 id="classes">By class</h2>{"".join(tables)}' if tables else ""


def worst(protocols: Sequence[Protocol], pictures: Pictures) -> str:
    """What goes worst after training, with the first places of its answers."""
    parts = []
    for protocol in protocols:
        shown = protocol.after.worst[:WORST]
        if shown:
            label = protocol.first.change.label
            figures = "".join(failure_figure(failure, label, pictures, kind="sheet") for failure in shown)
            parts.append(f"<h3>{escape(protocol.name)}</h3><p>By {escape(label)}, the worst first.</p>{figures}")
    return f'<h2 id="worst">Worst queries after training</h2>{"".join(parts)}' if parts else ""


def fallen(protocols: Sequence[Protocol], queries: Sequence[Item], pictures: Pictures) -> str:
    """The queries that training made worse, the most fallen first."""
    parts = [part for protocol in protocols if (part := _fallen(protocol, queries, pictures))]
    return f'<h2 id="fallen">Queries that became worse</h2>{"".join(parts)}' if parts else ""


def _class_table(protocol: Protocol) -> str:
    first, label = protocol.first, protocol.first.change.label
    upward = first.before.unit != "rank"
    was = {row.name: row for row in protocol.before.classes}
    changes = [
        (row, was[row.name].values[label], row.values[label], row.floors[label])
        for row in protocol.after.classes
        if row.name in was and label in row.values
    ]
    if not changes:
        return ""
    shown = sorted(changes, key=lambda c: -abs(c[2] - c[1]))[:CLASSES]
    shown.sort(key=lambda c: (c[1] - c[2] if upward else c[2] - c[1], c[0].name))
    lines = []
    for row, before, after, floor in shown:
        kind = _kind(after - before, upward)
        bar = change_bar(before, after, kind, floor=floor) if upward else ""
        lines.append(
            f"<tr><td>{escape(row.name)}</td><td>{row.queries}</td><td>{first.show(before)}</td>"
            f'<td><b>{first.show(after)}</b></td><td class="{kind}">{first.signed(after - before)}</td>'
            f"<td>{bar}</td></tr>"
        )
    better = sum(_kind(after - before, upward) == "rose" for _, before, after, _ in changes)
    worse = sum(_kind(after - before, upward) == "fell" for _, before, after, _ in changes)
    told = f"{escape(label)}: {better} of {len(changes)} classes are better, {worse} worse."
    if len(changes) > len(shown):
        told += f" Shown are the {len(shown)} that changed most."
    return (
        f"<h3>{escape(protocol.name)}</h3><p>{told} A class of few queries moves easily.</p>"
        '<div class="wide"><table><tr><th>class</th><th>queries</th><th>before</th><th>after</th><th>difference</th>'
        f"<th></th></tr>{''.join(lines)}</table></div>"
    )


@dataclass(frozen=True, slots=True)
class _Query:
    """One query: by how much it became better, its value before and after."""

    key: int
    better: float
    before: float
    after: float


def _changes(protocol: Protocol) -> list[_Query]:
    label, sign = protocol.first.change.label, -1 if protocol.first.before.unit == "rank" else 1
    was = dict(zip(protocol.before.query_keys, protocol.before.values[label], strict=True))
    return [
        _Query(key, sign * (value - before), before, value)
        for key, value in zip(protocol.after.query_keys, protocol.after.values[label], strict=True)
        if value is not None and (before := was[key]) is not None
    ]


def _fallen(protocol: Protocol, queries: Sequence[Item], pictures: Pictures) -> str:
    changes = _changes(protocol)
    worse = sorted((c for c in changes if c.better < 0), key=lambda c: (c.better, c.key))
    better = sum(c.better > 0 for c in changes)
    if not changes:
        return ""
    told = (
        f"Queries by {escape(protocol.first.change.label)}: {better} better, {len(worse)} worse, "
        f"{len(changes) - better - len(worse)} as before."
    )
    if len(worse) > QUERIES:
        told += f" Shown are the {QUERIES} that fell most."
    known: dict[int, tuple[str, str | None]] = {item.key: (str(item.path), item.label) for item in queries}
    for failure in (*protocol.before.worst, *protocol.after.worst):
        known.setdefault(failure.key, (failure.path, failure.label))
    figures = "".join(_figure(query, known.get(query.key), protocol, pictures) for query in worse[:QUERIES])
    grid = f'<div class="queries">{figures}</div>' if figures else ""
    return f"<h3>{escape(protocol.name)}</h3><p>{told}</p>{grid}"


def _figure(query: _Query, known: tuple[str, str | None] | None, protocol: Protocol, pictures: Pictures) -> str:
    """A query's picture over what became of it; where nothing is known of it but its key, that."""
    first = protocol.first
    moved = f"{first.show(query.before)} → {first.show(query.after)}"
    if known is None:
        return f"<figure><figcaption>query {query.key}<br><b>{moved}</b></figcaption></figure>"
    path, label = known[0], known[1] or "no label"
    picture = thumbnail(pictures.show(Path(path), 2 * _SIDE), 2 * _SIDE)
    return (
        f"<figure>{image(picture, f'{label}, {path}')}<figcaption>{escape(label)}<br>"
        f"<b>{moved}</b><br><small>{escape(Path(path).name)}</small></figcaption></figure>"
    )


def _kind(difference: float, upward: bool) -> str:
    """The style's name for a change."""
    if difference == 0 or difference != difference:
        return "stood"
    return "rose" if (difference > 0) == upward else "fell"
