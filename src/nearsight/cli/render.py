"""How things look: results on stdout; progress, summaries and errors on stderr; colour only where a person looks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from nearsight.core.errors import GrammarError, NearsightError
from nearsight.core.events import Step

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_PLAIN_SECONDS = 5.0
"""Where progress cannot be drawn over itself, it is told this often."""
_AROUND = 40
"""Characters shown before and behind the place of an error."""
_DOING = {
    "walk": "looking at files",
    "encode": "encoding",
    "annotate": "labels",
    "captions": "encoding captions",
    "import": "taking in",
    "drop": "forgetting what is gone",
    "engine": "building the engine",
    "fit": "learning from a sample",
    "queries": "measuring",
    "captions encoded": "encoding captions",
    "queries searched": "searching",
}
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}

T = TypeVar("T")
_SOME = 0.05  # seconds worth a word


@dataclass
class Settings:
    """What the options in front of the verb say."""

    debug: bool = False
    quiet: bool = False

    def reset(self) -> None:
        """Back to the defaults: `main` may be called twice in one process."""
        self.debug = self.quiet = False


settings = Settings()


class Stopped(Exception):
    """Ctrl-C while a watched work was going on; it was closed in order and kept what it had committed."""


class Enough(Exception):
    """Whoever reads our stdout (``head``) has closed it. Not an OSError: Typer would make a failure of it."""


# plain text


def coloured(stream: TextIO) -> bool:
    """Whether a person looks at it who did not refuse colour (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style of `_STYLES` where `stream` (default: stdout) takes colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if coloured(stream or sys.stdout) else text


def aside(text: str) -> str:
    """`text` for stderr, in the background."""
    return paint(text, "dim", sys.stderr)


def shown(path: str | Path, below: Path | None = None) -> str:
    """A path for people: relative to `below` (default: the working folder) where it lies there; bytes that are not
    UTF-8, line breaks and writing-direction marks are escaped."""
    try:
        path = Path(path).relative_to(below or Path.cwd())
    except (ValueError, OSError):
        path = Path(path)
    return clean(os.fsencode(path).decode("utf-8", "backslashreplace"))


def clean(text: str) -> str:
    """`text` without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def out(text: str = "") -> None:
    """One line of result."""
    _write(sys.stdout, text + "\n")


def err(text: str = "") -> None:
    """One line beside the results, whatever `--quiet` says."""
    _write(sys.stderr, text + "\n")


def note(text: str = "") -> None:
    """One line beside the results that `--quiet` silences."""
    if not settings.quiet:
        err(text)


def header(encoder: str, engine: str) -> str:
    """What makes the vectors and what searches them, options at their defaults left out."""
    return f"{brief(encoder)}, {engine}"


def brief(address: str) -> str:
    """An encoder's address without the options that stand at their defaults."""
    from nearsight.encode.encoder import TOWERS

    return " | ".join(map(TOWERS.brief, address.split(" | ")))


def warn(text: str) -> None:
    """Something that a person should see."""
    err(paint(text, "yellow", sys.stderr))


def line(body: Mapping[str, Any]) -> None:
    """One JSON line of result, in ASCII: bytes of a path that are not UTF-8 stand as lone surrogates."""
    out(json.dumps(body))


def raw(content: bytes) -> None:
    """Bytes of result as they are: a path has no encoding."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    except BrokenPipeError as error:
        raise Enough from error


def flush() -> None:
    """Let everything out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise Enough from error


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError as error:
        raise Enough from error


def cells(text: str) -> int:
    """Columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def table(rows: Sequence[Sequence[str]], *, head: bool = True, right: Sequence[int] = (), indent: int = 0) -> list[str]:
    """Rows of equal length as aligned lines, the first one the header; columns in `right` stand to the right."""
    if not rows:
        return []
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        parts = []
        for i, (text, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cells(text))
            parts.append(gap + text if i in right else text + gap)
        whole = " " * indent + "  ".join(parts).rstrip()
        lines.append(paint(whole, "dim") if head and number == 0 else whole)
    return lines


def wrapped(text: str, indent: int) -> list[str]:
    """A docstring, its paragraphs folded for the terminal; what is indented in it stays as it is."""
    import textwrap

    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 110) - indent)
    lines: list[str] = []
    paragraph: list[str] = []
    for line_ in [*text.replace("``", "`").splitlines(), ""]:
        if line_.strip() and not line_.startswith(" "):
            paragraph.append(line_.removesuffix("::") + ":" if line_.endswith("::") else line_)
            continue
        lines += textwrap.wrap(" ".join(paragraph), width, break_long_words=False, break_on_hyphens=False)
        lines.append(line_)
        paragraph = []
    return [(" " * indent + one).rstrip() for one in lines[:-1]]


def size(count: float) -> str:
    """Bytes for people, in units of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


# errors


def error(found: NearsightError) -> None:
    """Message, code, repair; what was written is shown, and where it is not understood."""
    if isinstance(found, GrammarError):
        first, *more = f"not understood at character {found.start + 1}", *_pointed(found)
    else:
        first, *more = found.message.splitlines() or [""]
    err(f"{paint('error:', 'red', sys.stderr)} {clean(first)}  {paint(f'[{found.code}]', 'dim', sys.stderr)}")
    for other in more:
        err(f"       {clean(other)}")
    if found.hint:
        err(f"{paint('repair:', 'green', sys.stderr)} {clean(found.hint)}")


def _pointed(found: GrammarError) -> tuple[str, str]:
    """The text around the place, and below it a caret and what is wrong."""
    start = max(0, found.start - _AROUND)
    before, behind = clean(found.text[start : found.start]), clean(found.text[found.start : found.start + _AROUND])
    ahead = "..." if start else ""
    after = "..." if found.start + _AROUND < len(found.text) else ""
    return ahead + before + behind + after, " " * cells(ahead + before) + f"^ {found.message}"


def usage(found: Any) -> None:
    """A command that was not understood (what Typer raised)."""
    err(f"{paint('error:', 'red', sys.stderr)} {found.format_message()}  {paint('[usage]', 'dim', sys.stderr)}")
    context = getattr(found, "ctx", None)
    if context is not None:
        err(f"{paint('repair:', 'green', sys.stderr)} {context.command_path} --help")


def unexpected(found: BaseException) -> None:
    """An error that nobody foresaw."""
    kind = type(found).__name__
    err(f"{paint('error:', 'red', sys.stderr)} {clean(f'{kind}: {found}')}  {paint('[unexpected]', 'dim', sys.stderr)}")
    err("This is a fault in nearsight: please report it, with what the same command shows under `nearsight --debug`.")


# long work


def generator(work: Iterator[Any]) -> Generator[Any, None, None]:
    """Long work that is annotated as an iterator is a generator all the same: it can be closed."""
    return cast("Generator[Any, None, None]", work)


def watch(work: Generator[Any, None, T], see: Callable[[Any], None] | None = None) -> T:
    """Run `work` to its end, drawing its Steps; every event goes to `see`. Returns what the generator returned.

    The first Ctrl-C closes the work in order at its next event and raises Stopped; a second one interrupts at once.
    """
    with _interruptible() as interrupted, _drawing() as draw, closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                return cast(T, end.value)
            if see is not None:
                see(event)
            if isinstance(event, Step):
                draw(event)
            if interrupted():
                raise Stopped("stopped")


def counted(things: Iterable[T], what: str) -> Iterator[T]:
    """`things` one by one, counted on stderr as `what`."""
    with _drawing() as draw:
        for number, thing in enumerate(things, start=1):
            draw(Step(what, number, None))
            yield thing


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)
        # not through sys.stderr: the signal may have come in the middle of a write to it
        os.write(2, b"\nstopping when the work in hand is committed; Ctrl-C again to stop at once\n")

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _drawing() -> Iterator[Callable[[Step], None]]:
    if settings.quiet:
        yield lambda step: None
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield _Bars(progress)
    else:
        yield _Lines()


class _Pace:
    """How fast a kind of work has gone since it was first heard of."""

    def __init__(self, step: Step) -> None:
        self.what, self.first, self.begun = step.what, step.done, time.monotonic()

    def rate(self, done: int) -> float:
        """Units a second; 0 where nobody knows yet."""
        passed = time.monotonic() - self.begun
        return (done - self.first) / passed if passed > 0.5 else 0.0


def told(step: Step, pace: _Pace) -> str:
    """Count, rate and time left of a step in words: ``1,200 of 5,000, 85/s, 45 s left``."""
    parts = [f"{step.done:,}" + (f" of {step.total:,}" if step.total else "")]
    rate = pace.rate(step.done)
    if rate > 0:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        if step.total and step.total > step.done:
            parts.append(f"{duration((step.total - step.done) / rate)} left")
    return ", ".join(parts) + (f" ({shares(step.spent)})" if step.spent else "")


def shares(spent: Mapping[str, float]) -> str:
    """Seconds by part of the work in words: ``decode 12 s, encode 9.1 s``."""
    return ", ".join(f"{part} {duration(seconds)}" for part, seconds in spent.items() if seconds >= _SOME)


class _Lines:
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self.pace: _Pace | None = None
        self.last = time.monotonic()

    def __call__(self, step: Step) -> None:
        if self.pace is None or self.pace.what != step.what:
            self.pace = _Pace(step)
        if time.monotonic() - self.last >= _PLAIN_SECONDS:
            self.last = time.monotonic()
            err(f"{_DOING.get(step.what, step.what)}: {told(step, self.pace)}")


class _Bars:
    """One bar, over itself; gone when the work is."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.pace: _Pace | None = None
        self.task: Any = None

    def __call__(self, step: Step) -> None:
        if self.pace is None or self.pace.what != step.what:
            self.pace = _Pace(step)
            if self.task is not None:
                self.progress.remove_task(self.task)
            self.task = self.progress.add_task(_DOING.get(step.what, step.what), told="")
        words = told(step, self.pace) if step.done or step.total else ""
        self.progress.update(self.task, completed=step.done, total=step.total, told=words)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=28, complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        TextColumn("[dim]{task.fields[told]}"),
    ]
    return Progress(*columns, console=Console(stderr=True), transient=True)
