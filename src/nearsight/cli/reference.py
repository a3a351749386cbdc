"""References written from the program itself: ``python -m nearsight.cli.reference docs/cli.md docs/training.md``.

In docs/cli.md the verbs, below a marker; in docs/training.md the settings of a recipe, between two. The rest is written
by people and stays; tests/test_docs.py holds these parts to the program.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.models import ArgumentInfo, OptionInfo

from nearsight.cli.app import EXIT_CODES, VERBS, options

MARKER = "<!-- From here on written by: python -m nearsight.cli.reference docs/cli.md -->"
SETTINGS = "<!-- settings -->", "<!-- /settings -->"


def reference() -> str:
    """Every verb, argument and option, and the exit codes, as Markdown."""
    lines = [MARKER, "", "## Options before the verb", "", *_table(options), ""]
    for name, module in VERBS.items():
        told = inspect.getdoc(module.run) or ""
        arguments = " ".join(_metavar(info) for _, info, _ in _parameters(module.run) if isinstance(info, ArgumentInfo))
        lines += [f"## nearsight {name}", "", "```", f"nearsight {name} [OPTIONS] {arguments}".rstrip(), "```", ""]
        lines += [told, ""]
        table = _table(module.run)
        lines += [*table, ""] if table else []
        lines += ["```sh", *(line for line in module.EXAMPLES.splitlines() if line), "```", ""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


def _parameters(verb: Callable[..., Any]) -> Iterator[tuple[str, OptionInfo | ArgumentInfo, object]]:
    hints = typing.get_type_hints(verb, include_extras=True)
    for parameter in inspect.signature(verb).parameters.values():
        for info in getattr(hints[parameter.name], "__metadata__", ()):
            if isinstance(info, (OptionInfo, ArgumentInfo)):
                yield parameter.name, info, parameter.default


def _metavar(info: OptionInfo | ArgumentInfo) -> str:
    return info.metavar or ""


def _table(verb: Callable[..., Any]) -> list[str]:
    rows = []
    for name, info, default in _parameters(verb):
        if isinstance(info, OptionInfo):
            # in Annotated, Typer takes the first name for a default until it reads it
            declared = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
            names = "/".join(declared or [f"--{name.replace('_', '-')}"]).split("/")
            head = ", ".join(f"`{text}`" for text in sorted(names, key=len, reverse=True))
            head += f" `{_metavar(info)}`" if info.metavar else ""
        else:
            head = f"`{_metavar(info)}`"
        told = info.help or ""
        if info.envvar:
            told += f" Environment: `{info.envvar}`."
        if isinstance(default, bool) and isinstance(info, OptionInfo) and len(names) > 1 and "/" in "".join(declared):
            told += f" Default: `{declared[0].split('/')[0 if default else 1]}`."
        elif info.show_default and default not in (None, False, inspect.Parameter.empty):
            told += f" Default: `{default.value if isinstance(default, Enum) else default}`."
        rows.append(f"| {head.replace('|', chr(92) + '|')} | {told.replace('|', chr(92) + '|')} |")
    return ["| | |", "|---|---|", *rows] if rows else []


def settings() -> str:
    """Every table of both kinds of recipe with its defaults and what its docstring says, as Markdown."""
    from nearsight.core.settings import write
    from nearsight.learn.recipe import PairRecipe, Plan, Recipe

    kinds: dict[str, Plan] = {"All settings": Recipe(), "All settings of pictures with captions": PairRecipe()}
    lines, told = [SETTINGS[0], ""], set()
    for title, recipe in kinds.items():
        lines += [f"## {title}", ""]
        for block in write(recipe).split("\n\n"):
            table = block.partition("]")[0].removeprefix("[") if block.startswith("[") else ""
            kind = type(getattr(recipe, table)) if table else type(recipe)
            lines += [f"**`[{table}]`**" if table else "**The recipe**", "", "```toml", block.strip(), "```", ""]
            lines += ["As above, with these defaults." if kind in told else f"```\n{inspect.getdoc(kind)}\n```", ""]
            told.add(kind)
    return "\n".join([*lines, SETTINGS[1]])


def rewritten(text: str) -> str:
    """A page with its generated part as the program says it now."""
    if MARKER in text:
        return text.partition(MARKER)[0] + reference()
    before, _, rest = text.partition(SETTINGS[0])
    return before + settings() + rest.partition(SETTINGS[1])[2]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(rewritten(file.read_text(encoding="utf-8")), encoding="utf-8")
