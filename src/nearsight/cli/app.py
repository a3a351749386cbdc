"""The verbs together, and what happens to their errors."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import nearsight
from nearsight.cli import (
    backup,
    calibrate,
    check,
    compact,
    compare,
    dedup,
    demo,
    encode,
    eval,
    export,
    imports,
    index,
    migrate,
    render,
    repair,
    reproduce,
    search,
    serve,
    show,
    train,
)
from nearsight.core.errors import Damaged, NearsightError

FINE, ERROR, USAGE, DAMAGE, STOPPED = 0, 1, 2, 3, 130

EXIT_CODES = {
    FINE: "fine",
    ERROR: "an error, named on stderr with its code and its repair",
    USAGE: "the command was not understood",
    DAMAGE: "a collection is damaged",
    STOPPED: "stopped by Ctrl-C; what was committed is kept",
}
"""Exit code -> meaning; docs/cli.md repeats it."""

app = typer.Typer(
    name="nearsight",
    help="Find pictures by looking: index a folder, search it by picture or by words, measure how good the answers "
    "are.",
    epilog="Start with: nearsight index PICTURES, then, in that folder, nearsight search PICTURE. "
    "Or see it work: nearsight demo.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is easier to read in 80 columns, and answers in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        render.out(f"nearsight {nearsight.__version__}")
        raise typer.Exit


def _examples(text: str) -> str:
    """As they are: behind \\b nothing is wrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.splitlines() if line)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar="", help="Print the version and leave."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="NEARSIGHT_DEBUG",
            metavar="",
            help="Show where in the program an error came from.",
            show_default=False,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", metavar="", help="No progress and no summaries on stderr; errors only.")
    ] = False,
) -> None:
    """What every verb takes."""
    render.settings.debug = debug
    render.settings.quiet = quiet


VERBS = {
    "index": index,
    "search": search,
    "serve": serve,
    "calibrate": calibrate,
    "dedup": dedup,
    "eval": eval,
    "train": train,
    "reproduce": reproduce,
    "compare": compare,
    "show": show,
    "check": check,
    "repair": repair,
    "compact": compact,
    "migrate": migrate,
    "backup": backup,
    "export": export,
    "encode": encode,
    "import": imports,
    "demo": demo,
}
for name, module in VERBS.items():
    app.command(name, epilog=_examples(module.EXAMPLES))(module.run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    render.settings.reset()
    try:
        answer = app(args=arguments, prog_name="nearsight", standalone_mode=False)
        render.flush()
    except render.Stopped as stop:
        render.warn(str(stop))
        return STOPPED
    except (KeyboardInterrupt, typer.Abort):
        answer = STOPPED
    except NearsightError as error:
        render.error(error)
        _trace()
        return DAMAGE if isinstance(error, Damaged) else ERROR
    except render.Enough:  # `nearsight search ... | head` has read enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:  # noqa: BLE001 (the last place: whatever it is, people get a sentence)
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # what Typer raises for a usage error
            render.usage(error)
            return USAGE
        render.unexpected(error)
        _trace()
        return ERROR
    if answer == STOPPED:
        render.warn("stopped")
    return answer if isinstance(answer, int) else FINE


def _trace() -> None:
    if render.settings.debug:
        import traceback

        render.err(traceback.format_exc().rstrip())
