"""``nearsight show``: what there is to choose from, one component, a collection, or an encoder folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearsight.cli import ladder, places, render
from nearsight.core.errors import InputError, NearsightError, UnknownName

if TYPE_CHECKING:
    from nearsight.core.registry import Catalogue
    from nearsight.encode.ladder import Rung

EXAMPLES = """nearsight show
nearsight show encoders --measure
nearsight show engines faiss
nearsight show ~/Pictures"""

CATALOGUES = {
    "encoders": ("nearsight.encode.encoder", "TOWERS", "what makes vectors of pictures (index --encoder)"),
    "words": ("nearsight.encode.texts", "TEXTS", "what makes vectors of the words of a text (train --words)"),
    "poolings": ("nearsight.encode.pooling", "POOLINGS", "what makes one vector of a feature map, or of any set"),
    "heads": ("nearsight.encode.heads", "HEADS", "what is trained on top of a network, or of frozen features"),
    "runtimes": ("nearsight.encode.runtimes", "RUNTIMES", "what runs a network"),
    "engines": ("nearsight.search.engines", "ENGINES", "what searches vectors (index --engine)"),
    "runners": ("nearsight.search.bulk.runners", "RUNNERS", "who encodes in bulk (encode --on)"),
    "hubness": (
        "nearsight.search.hubness",
        "HUBNESS",
        "what holds back items that too many queries find (eval --hubness)",
    ),
    "metrics": ("nearsight.measure.metrics", "METRICS", "what judges a ranking (eval --metric)"),
    "datasets": ("nearsight.data.datasets", "DATASETS", "pictures with labels or captions (train --data, eval --data)"),
    "losses": ("nearsight.learn.losses", "LOSSES", "what training makes small"),
    "targets": ("nearsight.learn.targets", "TARGETS", "what pictures and captions are scored against"),
    "miners": ("nearsight.learn.miners", "MINERS", "which pairs a loss looks at"),
    "samplers": ("nearsight.learn.samplers", "SAMPLERS", "which pictures and captions make a batch"),
}
"""Word on the command line -> module, name in it, and what its members are for."""
ENCODERS, RECIPES = "encoders", "recipes"


def run(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[CATALOGUE|PATH]",
            help=f"One of {', '.join(CATALOGUES)}, {RECIPES}; or the path of a collection, a folder, an encoder.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="One component of that catalogue; of encoders also a folder.", show_default=False
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            metavar="",
            help="Time the encoders that can be built without a network, a few seconds each, and remember it.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """Show what there is to choose from, or describe a collection.

    Lists the catalogues, explains one component with its options and defaults, or describes what lies at a path: a
    collection, an indexed folder, an encoder folder. Encoders are shown side by side: size, speed, quality, how to get
    them, and whether they work here and now.
    """
    if measure and (what, name) != (ENCODERS, None):
        raise InputError("--measure times encoders", code="show/measure", hint=f"nearsight show {ENCODERS} --measure")
    if what is None:
        bodies = {word: _members(catalogue(word)) for word in CATALOGUES}
        if as_json:
            render.out(json.dumps(bodies, indent=1))
            return
        for number, (word, members) in enumerate(bodies.items()):
            render.out(("\n" if number else "") + render.paint(f"{word}: {CATALOGUES[word][2]}", "bold"))
            _print_members(members)
        render.out()
        render.out(render.paint(f"{RECIPES}: how a network is trained (train)", "bold"))
        _print_members(_recipes())
    elif what == RECIPES:
        if name is not None:
            _recipe(name)
        elif as_json:
            render.out(json.dumps(_recipes(), indent=1))
        else:
            _print_members(_recipes())
    elif what in CATALOGUES:
        if name is not None:
            _explain(catalogue(what), name, as_json, ladder.rungs_named(name) if what == ENCODERS else [])
            return
        if what == ENCODERS:
            ladder.show(as_json=as_json, measure=measure)
            return
        members = _members(catalogue(what))
        if as_json:
            render.out(json.dumps(members, indent=1))
        else:
            _print_members(members)
    elif name is None and Path(what).expanduser().exists():
        _describe(Path(what).expanduser(), as_json)
    else:
        raise UnknownName(
            f"there is no catalogue and no folder '{what}'",
            hint=f"nearsight show {'|'.join(CATALOGUES)}|{RECIPES}|PATH",
        )


def catalogue(word: str) -> Catalogue:
    """The catalogue that a word of `CATALOGUES` means."""
    from importlib import import_module

    module, attribute, _ = CATALOGUES[word]
    found: Catalogue = getattr(import_module(module), attribute)
    return found


def _recipes() -> dict[str, str]:
    """Name -> what it is, up to the first full stop or semicolon."""
    from nearsight.study import recipes

    return {name: re.split(r"[.;](?: |$)", recipes.read(name).about)[0] for name in recipes.names()}


def _recipe(name: str) -> None:
    """All settings of one, as `train` would use them: a file to start from."""
    from nearsight.core.settings import write
    from nearsight.study import recipes

    for text in write(recipes.read(name)).splitlines():
        render.out(text)


def _members(of: Catalogue) -> dict[str, str]:
    """Name -> first line of its help, or why it cannot be looked at."""
    lines = {}
    for name in of.names():
        try:
            lines[name] = (of.help(name).splitlines() or [""])[0].replace("``", "")
        except (NearsightError, ImportError) as error:  # a foreign component must not hide the others
            lines[name] = f"(cannot be loaded: {error})"
    return lines


def _print_members(members: dict[str, str]) -> None:
    for text in render.table([[name, told] for name, told in members.items()], head=False, indent=2):
        render.out(text)


def _explain(of: Catalogue, name: str, as_json: bool, known: Sequence[Rung] = ()) -> None:
    """`known`: the encoders that `name` means, where it means some."""
    rungs = [ladder.facts(rung) for rung in known]
    if Path(name).is_dir() and known:
        for text in [json.dumps({"encoders": rungs}, indent=1)] if as_json else ladder.table_of(known):
            render.out(text)
        return
    told, usage, options = of.help(name), of.usage(name), of.options(name)
    if as_json:
        listed = [{"name": o.name, "kind": o.kind, "default": o.default} for o in options]
        body = {"name": name, "help": told, "usage": usage, "options": listed}
        render.out(json.dumps({**body, "encoders": rungs} if rungs else body, indent=1))
        return
    render.out(render.paint(name, "bold"))
    for text in render.wrapped(told, 2):
        render.out(text)
    if known:
        render.out()
    for text in ladder.table_of(known):
        render.out(text)
    if options:
        render.out()
        rows = [["option", "takes", "default"], *([o.name, o.kind, _default(o.default)] for o in options)]
        for text in render.table(rows, indent=2):
            render.out(text)
        if usage:
            render.out()
            for text in render.wrapped(usage, 2):
                render.out(text)
        given = [f"{o.name}={_default(o.default)}" for o in options if o.default not in (None, "")]
        if example := of.example(name) or (f"{name}?{'&'.join(given[:2])}" if given else ""):
            render.out()
            render.out(render.paint(f"  {example}", "dim"))


def _default(value: object) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or "''"


def _describe(path: Path, as_json: bool) -> None:
    place = places.named(path)
    body = _facts(place)
    if as_json:
        render.out(json.dumps(body))
        return
    rows = [[name, _told(name, value)] for name, value in body.items()]
    for text in render.table(rows, head=False):
        render.out(text)


def _facts(folder: Path) -> dict[str, Any]:
    try:
        body = json.loads((folder / "manifest.json").read_bytes())
        kind = body["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is neither a collection nor an encoder",
            code="show/nothing",
            hint="name a collection, a folder that was indexed, or an encoder folder",
        ) from error
    if kind == "nearsight-collection":
        with places.opened(folder) as kept:
            labels = kept.labels()
            return {"collection": str(folder), **kept.stats(), "labels": labels, "fields": kept.fields()}
    from nearsight.encode.encoder import FORMAT, TEXT, VERSION

    if kind == FORMAT:
        from nearsight.core.artefact import read_artefact

        found = read_artefact(folder, FORMAT, VERSION)
        takes = ["image", "text"] if TEXT in found.files else ["image"]
        return {"encoder": str(folder), "modalities": takes, **found.meta, "files": list(found.files)}
    return {"folder": str(folder), "format": kind, "made by": body.get("made_by", "")}


def _told(name: str, value: Any) -> str:
    if name == "bytes":
        return render.size(value)
    if name == "labels":
        first = ", ".join(f"{label or '(none)'} {count:,}" for label, count in list(value.items())[:12])
        return first + (f" and {len(value) - 12:,} more" if len(value) > 12 else "")
    if name == "modalities":
        return "searched by " + ("pictures and words" if "text" in value else "pictures" if value else "vectors")
    if isinstance(value, list):
        return ", ".join(render.clean(str(v)) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
