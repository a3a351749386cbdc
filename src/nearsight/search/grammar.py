"""Queries as people write them, in one line: ``horse + 2: ./beach.jpg[10,20,200,180] - "car" | year >= 2020``.

::

    query     = [ terms ] [ "|" filter ] { ";" setting }   without terms, there is up or down
    terms     = [ sign ] term { sign term }            a sign stands at the beginning, or behind a space, a quotation
    sign      = "+" | "-"                              mark, a key or a box: t-shirt is one word
    term      = [ number ":" ] ( words | picture [ box ] | item [ box ] )
    words     = word { word } | quoted
    picture   = word | quoted                          that begins with ./ ../ ~/ or /, or ends as pictures do (.jpg)
    item      = "@" digits                             its key
    box       = "[" left "," top "," right "," bottom "]"
    setting   = ( "min_score" | "fold" ) "=" number | "verdict" "=" ( "likely" | "sure" )
              | ( "up" | "down" ) "=" item { "," item } | "unjudged" "=" "yes"

    filter    = all { "or" all }
    all       = one { "and" one }
    one       = { "not" } ( condition | "(" filter ")" )
    condition = name operator value | name "=" value { "," value } | name "in" "(" [ value { "," value } ] ")"
    operator  = "=" | "!=" | ">" | ">=" | "<" | "<=" | "~"

    quoted    = '"' { any character, or one behind a backslash } '"'

In quotes, a backslash before a dot or a stroke says that these are words: ``"cat\\.jpg"``. Reading takes time in
proportion to the length, which is bounded; nothing is looked up and nothing is opened.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NoReturn

from nearsight.core.errors import GrammarError, QueryError
from nearsight.search.filters import LEVELS, SIGNS, Condition, Filter, joined, too_much, typed, whole
from nearsight.search.query import Query, Region, Source, Text
from nearsight.search.settings import SETTINGS, number

LONGEST = 20_000
"""Characters of a written query."""
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".bmp",
    ".avif",
    ".heic",
    ".heif",
)
_STARTS = ("./", "../", "~/", "/")

_SPACE = re.compile(r"\s*+")
_SIGN = re.compile(r"[+-]")
_WORD = re.compile(r'[^\s"|;\[\]<>]++')
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_KEY = re.compile(r"@(-?[0-9]{1,30})(?![0-9])")
_WEIGHT = re.compile(r"((?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+)\s*+:")
_BOX = re.compile(r"\[" + ",".join([r"\s*+(-?[0-9]{1,9}+)\s*+"] * 4) + r"\]")
_NAME = re.compile(r'[^\s"(),;|=!<>~]++')
_OPERATOR = re.compile(r"!=|>=|<=|==|=|>|<|~")
_VALUE = re.compile(r'[^\s"(),;|<>][^\s"(),;|]*+')
_PLAIN = re.compile(r'[^\s"(),;|=!<>~\\]++')
_KEYWORDS = {word: re.compile(word + r'(?=[\s()";|,]|$)', re.IGNORECASE) for word in ("and", "or", "not", "in")}

_MISSING = "words or a picture are missing here"
_QUOTE = 'words with signs stand in quotes: "t-shirt - new"'


def parse(text: str) -> Query:
    """A written query. Raises GrammarError, which says where, and QueryError as `Query`, `Text` and `Filter` do."""
    scan = _Scanner(text)
    begun, judged = scan.at, text[scan.at : scan.at + 1] in (";", "|")
    examples = () if judged else _terms(scan)
    where = Filter()
    if scan.take("|"):
        where = whole(_any(scan, LEVELS))
    settings: dict[str, Any] = {}
    while scan.take(";"):
        start, name = scan.at, scan.match(_NAME)
        if name not in SETTINGS or name in settings:
            *others, last = (f"{each}={setting.takes}" for each, setting in SETTINGS.items())
            scan.fail(f"{', '.join(others)} or {last} is missing here, each once", start=start)
        if not scan.take("="):
            scan.fail("= is missing here")
        value = scan.match(SETTINGS[name].pattern)
        if value is None:
            scan.fail(f"{SETTINGS[name].told} is missing here")
        settings[name] = SETTINGS[name].read(value)
    scan.end("this is not understood")
    if judged and not settings.keys() & {"up", "down"}:
        scan.fail(_MISSING, start=begun, hint=_QUOTE)
    return Query(examples, where, **settings)


def parse_filter(text: str) -> Filter:
    """A written filter alone, without the bar before it. Raises as `parse`."""
    scan = _Scanner(text)
    found = whole(_any(scan, LEVELS))
    scan.end("and, or is missing here", "values with spaces stand in quotes")
    return found


def looks_like_a_picture(text: str) -> bool:
    """Whether a text is taken for the path of a picture, without looking whether it is there."""
    return text.startswith(_STARTS) or text.lower().endswith(SUFFIXES)


class _Scanner:
    """A place in a text."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.behind = text, 0, 0
        """`behind`: where what was read last ends; its end, and not that of the space after it, is where it counts."""
        if len(text) > LONGEST:
            self.at = LONGEST
            self.fail(f"a query has at most {LONGEST:,} characters, not {len(text):,}")
        self.space()

    def space(self) -> None:
        self.behind = self.at
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches nothing too

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """What matches here, and the space behind it is passed; None where nothing does."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        self.space()
        return found[found.re.groups and 1]

    def take(self, sign: str) -> bool:
        """Whether that sign stood here; it is passed."""
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        self.space()
        return True

    def keyword(self, word: str) -> bool:
        return self.match(_KEYWORDS[word]) is not None

    def quoted(self) -> tuple[str, bool] | None:
        """What stands in quotes here, and whether a backslash keeps it from being a path."""
        start = self.at
        if not self.text.startswith('"', start):
            return None
        raw = self.match(_QUOTED)
        if raw is None:
            self.fail("this quotation mark is never closed", end=len(self.text))
        literal = any(found[1] not in '"\\' for found in _ESCAPED.finditer(raw))
        return _ESCAPED.sub(r"\1", raw), literal

    def end(self, message: str, hint: str = "") -> None:
        if self.at < len(self.text):
            self.fail(message, hint=hint)

    def fail(self, message: str, *, start: int | None = None, end: int | None = None, hint: str = "") -> NoReturn:
        at = self.at if start is None else start
        raise GrammarError(message, text=self.text, start=at, end=max(at + 1, end or 0), hint=hint)


def _terms(scan: _Scanner) -> tuple[tuple[Source, float], ...]:
    examples: list[tuple[Source, float]] = []
    sign = scan.match(_SIGN)
    while True:
        start = scan.at
        written = scan.match(_WEIGHT)
        weight = 1.0 if written is None else float(written)
        if not math.isfinite(weight):
            scan.fail("this weight is too large", start=start, end=scan.behind)
        examples.append((_example(scan), -weight if sign == "-" else weight))
        if scan.at == len(scan.text) or scan.text[scan.at] in "|;":
            return tuple(examples)
        sign = scan.match(_SIGN)
        if sign is None:
            scan.fail("+ or - is missing here", hint=_QUOTE)


def _example(scan: _Scanner) -> Source:
    start = scan.at
    key = scan.match(_KEY)
    quoted = scan.quoted() if key is None else None
    source: Path | int | None = None
    if key is not None:
        source = int(key)
    elif quoted is None:
        words = _words(scan)
        if looks_like_a_picture(words):
            source = Path(words)
    else:
        words, literal = quoted
        if looks_like_a_picture(words) and not literal:
            source = Path(words)
    if isinstance(source, Path) and "\0" in str(source):
        scan.fail("a path has no NUL in it", start=start, end=scan.behind)
    if scan.text.startswith("[", scan.at):
        return _region(scan, source)
    if source is not None:
        return source
    try:
        return Text(words)
    except QueryError as error:
        scan.fail(error.message, start=start, end=scan.behind, hint=error.hint)


def _words(scan: _Scanner) -> str:
    """One path, or words up to what is none: they are one text, as they are written."""
    start = scan.at
    if scan.text[start : start + 1] in ("+", "-", "") or (first := scan.match(_WORD)) is None:
        scan.fail(_MISSING, hint=_QUOTE)
    if first.startswith("@"):
        scan.fail(
            "the key of an item is missing here", start=start, end=scan.behind, hint=f"@123 is item 123; {_QUOTE}"
        )
    end = scan.behind
    while not looks_like_a_picture(first):
        more = _WORD.match(scan.text, scan.at)
        if more is None or scan.at == end or more[0][0] in "+-@" or looks_like_a_picture(more[0]):
            break
        scan.match(_WORD)
        end = scan.behind
    return scan.text[start:end]


def _region(scan: _Scanner, source: Path | int | None) -> Region:
    start = scan.at
    found = _BOX.match(scan.text, start)
    if source is None or found is None:
        what = "a box stands behind a picture or an item" if source is None else "a box is [left,top,right,bottom]"
        scan.fail(what, hint="a path with brackets stands in quotes; pixels are whole numbers")
    scan.match(_BOX)
    left, top, right, bottom = map(int, found.groups())
    try:
        return Region(source, (left, top, right, bottom))
    except QueryError as error:
        scan.fail(error.message, start=start, end=scan.behind, hint=error.hint)


# filters


def _any(scan: _Scanner, room: int) -> Condition | Filter:
    if not room:
        raise too_much()
    parts = [_all(scan, room)]
    while scan.keyword("or"):
        parts.append(_all(scan, room))
    return joined("any", parts)


def _all(scan: _Scanner, room: int) -> Condition | Filter:
    parts = [_one(scan, room)]
    while scan.keyword("and"):
        parts.append(_one(scan, room))
    return joined("all", parts)


def _one(scan: _Scanner, room: int) -> Condition | Filter:
    negated = False
    while scan.keyword("not"):
        negated = not negated
    start = scan.at
    if scan.take("("):
        part = _any(scan, room - 1)
        if not scan.take(")"):
            if scan.at == len(scan.text):
                scan.fail("this parenthesis is never closed", start=start)
            scan.fail("and, or, ) is missing here", hint="values with spaces stand in quotes")
    else:
        part = _condition(scan)
    return joined("not", [part]) if negated else part


def _condition(scan: _Scanner) -> Condition:
    quoted = scan.quoted()
    field = scan.match(_NAME) if quoted is None else quoted[0]
    if field is None:
        scan.fail("a condition is missing here", hint="label=coast, year>=2020, path~holiday")
    if scan.keyword("in"):
        return field, "in", _values(scan, field)
    sign = scan.match(_OPERATOR)
    if sign is None:
        scan.fail("an operator is missing here", hint=f"one of {' '.join(SIGNS)}; names with spaces stand in quotes")
    operator = SIGNS[sign]
    values = [_value(scan, field, operator)]
    while operator == "eq" and scan.take(","):
        values.append(_value(scan, field, operator))
    return (field, operator, values[0]) if len(values) == 1 else (field, "in", tuple(values))


def _values(scan: _Scanner, field: str) -> tuple[Any, ...]:
    """What stands in parentheses behind ``in``; nothing may."""
    start, values = scan.at, list[Any]()
    if not scan.take("("):
        scan.fail("( is missing here", hint="label in (coast, forest)")
    if scan.take(")"):
        return ()
    while not values or scan.take(","):
        values.append(_value(scan, field, "in"))
    if not scan.take(")"):
        scan.fail("this parenthesis is never closed", start=start)
    return tuple(values)


def _value(scan: _Scanner, field: str, operator: str) -> Any:
    quoted = scan.quoted()
    if quoted is not None:
        return quoted[0]
    raw = scan.match(_VALUE)
    if raw is None:
        scan.fail("a value is missing here", hint='text with signs or spaces stands in quotes: label = "old town"')
    return raw if operator == "contains" else typed(field, raw)


# writing


def write(query: Query) -> str:
    """What `parse` reads as the same query; ``<picture>`` and ``<vector>`` for what lies in memory and has no name."""
    text = ""
    for source, weight in query.examples:
        sign = "- " if weight < 0 else "+ " if text else ""
        factor = "" if abs(weight) == 1 else f"{number(abs(weight))}: "
        text += f"{' ' if text else ''}{sign}{factor}{_source(source)}"
    if query.where.conditions:
        text += f" | {write_filter(query.where)}"
    for name, setting in SETTINGS.items():
        value = getattr(query, name)
        if value not in (None, ()) and value is not False:  # which it is where nobody says so; 0 equals False
            text += f"; {name}={setting.write(value)}"
    return text


def write_filter(part: Condition | Filter, *, inside: bool = False) -> str:
    """What `parse_filter` reads as the same filter."""
    if not isinstance(part, Filter):
        field, operator, value = part
        name = field if _PLAIN.fullmatch(field) and field.lower() not in _KEYWORDS else _in_quotes(field)
        if operator == "in":
            return f"{name} in ({', '.join(_written(field, v) for v in value)})"
        sign = next(sign for sign, meant in SIGNS.items() if meant == operator)
        return f"{name} {sign} {_written(field, value, text=operator == 'contains')}"
    if part.join == "not":
        inner = part.conditions[0] if len(part.conditions) == 1 else Filter(part.conditions)
        return f"not {write_filter(inner, inside=True)}"
    text = (" or " if part.join == "any" else " and ").join(write_filter(one, inside=True) for one in part.conditions)
    return f"({text})" if inside else text


def _written(field: str, value: Any, *, text: bool = False) -> str:
    """A value; ``<...>``, which nothing reads, for a number where only text can be written."""
    if isinstance(value, str):
        same = text or typed(field, value) is value
        return value if same and _PLAIN.fullmatch(value) else _in_quotes(value)
    shown = str(value).lower() if isinstance(value, (bool, int)) else repr(float(value))
    return shown if typed(field, shown) == value else f"<{shown}>"


def _source(source: Source) -> str:
    if isinstance(source, Region):
        return f"{_source(source.picture)}[{','.join(str(int(edge)) for edge in source.box)}]"
    if isinstance(source, Text):
        return _text(source.words)
    if isinstance(source, Path):
        return _path(source.as_posix())
    if isinstance(source, (bytes, str)) or hasattr(source, "getbands"):
        return "<picture>"
    return "<vector>" if getattr(source, "shape", ()) else f"@{int(source)}"


def _text(words: str) -> str:
    if words == words.strip() and not _WEIGHT.match(words):
        parts = words.split()
        if all(_WORD.fullmatch(p) and p[0] not in "+-@" and not looks_like_a_picture(p) for p in parts):
            return words
    quoted = _in_quotes(words)
    return quoted.replace(".", "\\.").replace("/", "\\/") if looks_like_a_picture(words) else quoted


def _path(path: str) -> str:
    path = path if looks_like_a_picture(path) else f"./{path}"
    bare = _WORD.fullmatch(path) and path[0] not in "+-@" and not _WEIGHT.match(path)
    return path if bare else _in_quotes(path)


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
