"""``nearsight search PICTURE|WORDS...``: find the pictures of a collection, or its captions, that are like these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import answers, examples, places, render
from nearsight.cli.options import NullOption
from nearsight.core.errors import Locked, QueryError, ReadOnly, WriteFailed

if TYPE_CHECKING:
    from nearsight.search.collection import Collection
    from nearsight.search.query import Query

EXAMPLES = """nearsight search cat.jpg
nearsight search "two dogs running on a beach"
nearsight search sea.jpg beach.jpg --minus city.jpg -k 20 --filter label=coast --filter 'year>=2020'
nearsight search sea.jpg "in the evening" --minus people
nearsight search --query 'horse + 2: ./stripes.jpg[10,20,200,180] - "car" | label = zoo and not year < 2020' --fold 0.97
nearsight search cat.jpg --captions
nearsight search cat.jpg -f -0 | xargs -0 ls -l
curl -s https://example.org/cat.jpg | nearsight search - --sheet answer.png"""


def run(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE|WORDS",
            help="What to look for, all of it taken together. The name of a file is a picture, '-' reads one from "
            "stdin; anything else is words, where the collection's encoder has them, and words beside each other are "
            "one text.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            "-t",
            metavar="WORDS",
            help="Words, whatever they look like; repeatable.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="PICTURE", help="A picture, and never words; repeatable.", show_default=False),
    ] = None,
    key: Annotated[
        list[int] | None,
        typer.Option("--key", metavar="N", help="Look for what is like item N of the collection.", show_default=False),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(
            "--minus",
            metavar="PICTURE|WORDS",
            help="Less like this picture, less of this; repeatable.",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            metavar="QUERY",
            help="All of it in one line, in the shell's single quotes: 'horse + 2: ./cat.jpg[10,20,200,180] - \"car\" "
            "+ @123 | year >= 2020; fold=0.97'; see docs/queries.md. What else is given comes to it.",
            show_default=False,
        ),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions", metavar="", help="Find captions of the collection's pictures instead of the pictures."
        ),
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many to find.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only items that meet this: label=coast, label=coast,forest (either), year>=2020, label!=sea, "
            "path~holiday (contains); in parentheses with and, or, not: '(label=coast or not year<2020)'. Repeatable; "
            "all must hold, and k are still found where there are k.",
            show_default=False,
        ),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(
            "--at-least", min=-1.0, max=1.0, metavar="SCORE", help="Only scores from this one up.", show_default=False
        ),
    ] = None,
    fold: Annotated[
        float | None,
        typer.Option(
            "--fold",
            min=0.0,
            max=1.0,
            metavar="COSINE",
            help="Show what is nearly the same once: pictures at least so similar to a better one are counted beside "
            "it (+3), and k others are found. 0.97 is a good start.",
            show_default=False,
        ),
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            metavar="likely|sure",
            help="Only answers that are at least so: nearsight calibrate says what that is here.",
            show_default=False,
        ),
    ] = None,
    up: Annotated[
        list[int] | None,
        typer.Option(
            "--up",
            metavar="N",
            help="Item N was a good answer: more like it; repeatable. From 5 good and 5 bad ones on, a classifier of "
            "them ranks the rest: docs/feedback.md.",
            show_default=False,
        ),
    ] = None,
    down: Annotated[
        list[int] | None,
        typer.Option(
            "--down",
            metavar="N",
            help="Item N was a bad answer: less like it, and not shown again.",
            show_default=False,
        ),
    ] = None,
    unjudged: Annotated[
        bool, typer.Option("--unjudged", metavar="", help="Good answers are not shown again either.")
    ] = False,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", metavar="", help="Keep what was judged in the collection, for nearsight export --feedback."
        ),
    ] = False,
    as_label: Annotated[
        str | None,
        typer.Option("--as-label", metavar="LABEL", help="Give the good answers this label.", show_default=False),
    ] = None,
    with_self: Annotated[
        bool,
        typer.Option(
            "--with-self/--without-self",
            metavar="",
            help="Whether items with exactly the query's content are shown (and marked '=') or left out.",
        ),
    ] = True,
    files: Annotated[bool, typer.Option("-f", "--files", metavar="", help="Print full paths only.")] = False,
    null: NullOption = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object a line.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.png",
            help="Also draw a contact sheet: the query first, then what was found with score and label; green and red "
            "where the query's own label is known.",
            show_default=False,
        ),
    ] = None,
    collection: places.CollectionOption = None,
) -> None:
    """Find the pictures that are like the pictures given, or show what the words say.

    Best first. The score is the cosine of the two vectors: 1 is the same, larger is more similar.
    """
    if null and not files:
        raise QueryError("-0 ends the paths that -f prints", code="query/options", hint="add -f")
    if files and as_json:
        raise QueryError("-f and --json are two ways to print the same", code="query/options", hint="take one")
    if files and captions:
        raise QueryError("-f prints paths, and captions have none", code="query/options", hint="take --json")
    folder = places.find(collection)
    from nearsight.search.examples import unknown_words
    from nearsight.search.query import Filter, Query

    written = None if query is None else Query.parse(query)
    condition = Filter.parse(where or [])
    if written is not None:
        condition &= written.where
        at_least = written.min_score if at_least is None else at_least
        fold = written.fold if fold is None else fold
        verdict = written.verdict if verdict is None else verdict
        up, down = [*written.up, *(up or ())], [*written.down, *(down or ())]
        unjudged = unjudged or written.unjudged
    if (keep or as_label is not None) and not (up or down):
        raise QueryError("no answer was judged", code="query/options", hint="say which: --up N, --down N")
    with places.opened(folder, write=keep or as_label is not None) as kept:
        given = examples.understood(
            kept,
            wanted=wanted or (),
            texts=text or (),
            pictures=like or (),
            keys=key or (),
            minus=minus or (),
            query=written,
            judged=bool(up or down),
        )
        if words := [e for e in given if e.kind == examples.WORDS]:
            render.note(
                render.aside("words: " + "; ".join("less of " * (e.weight < 0) + answers.short(e.name) for e in words))
            )
        known = {twin for e in given if e.weight > 0 and isinstance(e.source, bytes) for twin in kept.twins(e.source)}
        known |= {e.source for e in given if e.weight > 0 and isinstance(e.source, int)}
        if known and not with_self:
            condition &= Filter((("key", "in", tuple(sorted(known))),), "not")
        asked = Query(tuple((e.source, e.weight) for e in given), condition, at_least, fold, verdict)
        asked = replace(asked, up=tuple(up or ()), down=tuple(down or ()), unjudged=unjudged)
        if keep or as_label is not None:
            named = replace(asked, examples=tuple((e.named, e.weight) for e in given))
            _keep(kept, named, keep, as_label)
        if captions:
            _encode_captions(kept)
            found: Sequence[answers.Found] = kept.search_captions(asked, k)
        else:
            found = kept.search(asked, k)
            if kept.engine_state != "ready":
                render.note(render.aside(f"answered without the engine, from every vector: {kept.engine_state}"))
        if unknown := unknown_words(kept, asked):
            told = ", ".join(f"'{answers.short(word)}'" for word in unknown)
            render.note(render.aside(f"passed over, for the encoder does not know them: {told}"))
        if files:
            answers.print_paths(found, b"\0" if null else b"\n")
        elif as_json:
            answers.print_json(found, known, given, asked)
        else:
            answers.print_table(found, known, folding=fold is not None)
            if kept.calibration is not None:
                answers.say_verdict(found, known | {*asked.up}, kept.calibration.stale(len(kept)))
        if sheet is not None:
            shown = given or [examples.Example(str(one), examples.ITEM, one) for one in asked.up]
            answers.save(answers.draw(kept, shown, known | {*asked.up}, found), sheet)


def _keep(kept: Collection, asked: Query, keep: bool, label: str | None) -> None:
    if keep:
        kept.keep_feedback(asked)
        render.note("kept what was judged: nearsight export --feedback FILE.csv")
    if label is not None:
        kept.annotate(asked.up, label=label)
        render.note(f"{len(asked.up)} labelled {render.clean(label)}")


def _encode_captions(kept: Collection) -> None:
    """Make captions searchable that came in otherwise than by `index`, and keep that where the collection allows it."""
    from nearsight.search.collection import Collection

    if "text" in kept.modalities and kept.captions_missing:
        try:
            with Collection.open(kept.folder, encoder=kept.encoder) as writer:
                render.watch(writer.encode_captions())
        except (Locked, ReadOnly, WriteFailed) as error:
            many = kept.captions_missing
            render.note(f"{many:,} caption{'s'[: many > 1]} encoded for this search only: {error.message}")
