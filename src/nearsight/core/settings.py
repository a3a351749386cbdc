"""Settings: TOML read strictly into frozen dataclasses, changed by assignments, and written out again.

A kind of settings is a frozen dataclass whose fields all have defaults and are str, int, float, bool, a Literal, a
tuple of these, or another such dataclass (a table)::

    @dataclass(frozen=True)
    class Loop:
        epochs: int = 20
        rate: float = 1e-3

    @dataclass(frozen=True)
    class Recipe:
        seed: int = 0
        loop: Loop = Loop()

    read("seed = 1\\n[loop]\\nepochs = 5", Recipe)

Nothing is guessed: an unknown key is an error that names the nearest, a value of another type is one that names its
key, what it takes and what it got. What is not written keeps the default; `write` spells out every field, so that a
record says what was in force and not what was asked for.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from nearsight.core.errors import SettingsError


class Settings(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=Settings)
_LONGEST = 60
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def read(text: str, kind: type[T], *, where: str = "recipe") -> T:
    """`text` as a `kind`; what it leaves out keeps the default. `where` begins every message (a file's name).

    Raises SettingsError: ``settings/toml`` (no TOML, with line and column), ``settings/unknown`` (a key or a table that
    is not there), ``settings/type`` (a value that its key does not take); and what the dataclasses themselves refuse.
    """
    try:
        body = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # ValueError: TOMLDecodeError, and integers of thousands of digits
        raise SettingsError(
            f"{where} is not TOML: {_place(text, error)}",
            code="settings/toml",
            hint='a line is `key = value` or `[table]`; strings stand in quotes: name = "value"',
        ) from error
    return _merged(kind(), body, "", where)


def write(settings: Settings) -> str:
    """TOML of every field, values before tables, in the order of the dataclass; ``read(write(x), type(x)) == x``.

    Raises SettingsError (``settings/type``) for a value that TOML or the field's type cannot hold.
    """
    return "\n".join(_lines(settings, "")) + "\n"


def override(settings: T, assignments: Sequence[str]) -> T:
    """`settings` with ``loop.epochs=3`` applied, all of them at once, of equal keys the last.

    A value is TOML; for a string (and the word of a Literal) it is the text behind the ``=`` as it stands, unless that
    is in quotes. Raises SettingsError as `read` does; ``settings/toml`` also for what is no KEY=VALUE.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = (part.strip() for part in assignment.partition("="))
        where = f"'{assignment}'"
        if not equals or not path:
            raise SettingsError(
                f"{where} is not KEY=VALUE", code="settings/toml", hint="for instance loop.epochs=3, without spaces"
            )
        kind = _kind_at(type(settings), path, where)
        value = _parsed(text, kind, path, where)
        _converted(value, kind, path, where)  # refused here, where the message can quote the assignment
        _put(changes, path.split("."), value)
    return _merged(settings, changes, "", "settings")


def changed(settings: T, **values: Any) -> T:
    """`settings` with ``loop__epochs=3`` applied: the flags of a command line. None is a flag that was not given.

    Raises SettingsError as `override` does.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if value is not None:
            path = name.split("__")
            _kind_at(type(settings), ".".join(path), "settings")
            _put(changes, path, value)
    return _merged(settings, changes, "", "settings")


# -- reading ---------------------------------------------------------------------------------------------------------
def _merged(base: T, body: Mapping[str, Any], above: str, where: str) -> T:
    """`base` with the values of `body`, each dataclass built once, so that what it checks sees all of its fields."""
    kinds = _kinds(type(base))
    values: dict[str, Any] = {}
    for key, value in body.items():
        path = f"{above}{key}"
        if key not in kinds:
            raise _unknown(type(base), key, above, where)
        if _is_table(kinds[key]) and isinstance(value, Mapping):
            values[key] = _merged(getattr(base, key), value, path + ".", where)
        else:
            values[key] = _converted(value, kinds[key], path, where)
    return replace(base, **values) if values else base


def _converted(value: Any, kind: Any, path: str, where: str) -> Any:
    """`value` as the type `kind`, or SettingsError (``settings/type``). For a table: only whether it is one."""
    if _is_table(kind):
        if isinstance(value, Mapping):
            return value
    elif get_origin(kind) is Literal:
        for word in get_args(kind):
            if type(word) is type(value) and word == value:  # True is not 1 here
                return word
    elif get_origin(kind) is tuple:
        of = get_args(kind)
        if isinstance(value, (list, tuple)):
            each = of[:1] * len(value) if len(of) == 2 and of[1] is ... else of
            if len(each) == len(value):
                return tuple(_converted(v, each[i], f"{path}[{i}]", where) for i, v in enumerate(value))
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
    elif kind is float:
        number = _finite(value)
        if number is not None:
            return number
    elif kind is str:
        if isinstance(value, str) and _is_unicode(value):
            return str(value)
    else:
        raise TypeError(f"{path} is a {kind}, which is no kind of setting")
    raise SettingsError(
        f"{where}: '{path}' takes {_takes(kind)}, got {_got(value)}", code="settings/type", hint=_repair(value, kind)
    )


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer above 1e308
        return None
    return number if math.isfinite(number) else None


def _is_unicode(text: str) -> bool:
    """Whether it can stand in a TOML file: a byte of a command line that is not UTF-8 arrives as half a pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _parsed(text: str, kind: Any, path: str, where: str) -> Any:
    """The value that `text`, the right side of an assignment, means for a field of type `kind`."""
    quoted = text.startswith(('"', "'"))
    words = get_args(kind) if get_origin(kind) is Literal else ()
    if not quoted and (kind is str or text in words):
        return text
    try:
        body = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError) as error:
        if quoted and (kind is str or words):
            raise SettingsError(
                f"{where}: '{path}' got quotes that do not hold a string: {_place(text, error)}",
                code="settings/toml",
                hint="leave the quotes out",
            ) from error
        return text  # no value of TOML, hence none that this type takes: `_converted` says which it does
    if len(body) > 1:
        raise SettingsError(f"{where} is more than one value", code="settings/toml", hint="one assignment a setting")
    return body["value"]


def _kind_at(kind: Any, path: str, where: str) -> Any:
    """The type of the field at a dotted path, or SettingsError (``settings/unknown``)."""
    above = ""
    for key in path.split("."):
        if not _is_table(kind):
            raise SettingsError(
                f"{where}: '{above.rstrip('.')}' takes {_takes(kind)} and has no '{key}'",
                code="settings/unknown",
                hint=f"set {above.rstrip('.')} itself",
            )
        kinds = _kinds(kind)
        if key not in kinds:
            raise _unknown(kind, key, above, where)
        kind, above = kinds[key], f"{above}{key}."
    return kind


def _put(changes: dict[str, Any], path: list[str], value: Any) -> None:
    """Sets a nested key. A table is laid over what is there, as `read` lays it over the defaults."""
    for key in path[:-1]:
        changes = changes.setdefault(key, {})
    if isinstance(value, Mapping):
        inner = changes.setdefault(path[-1], {})
        for key, one in value.items():
            _put(inner, [key], one)
    else:
        changes[path[-1]] = value


def _is_table(kind: Any) -> bool:
    return is_dataclass(kind)


@cache
def _kinds(kind: Any) -> dict[str, Any]:
    """Field -> type, in order."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


# -- writing ---------------------------------------------------------------------------------------------------------
def _lines(settings: Settings, above: str) -> Iterator[str]:
    kinds = _kinds(type(settings))
    tables = [name for name, kind in kinds.items() if _is_table(kind)]
    values = [name for name in kinds if name not in tables]
    if above and (values or not tables):
        yield f"\n[{above}]"
    for name in values:
        path = f"{above}.{name}" if above else name
        yield f"{name} = {_literal(_converted(getattr(settings, name), kinds[name], path, 'settings'))}"
    for name in tables:
        yield from _lines(getattr(settings, name), f"{above}.{name}" if above else name)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _escaped(letter: str) -> str:
    return _ESCAPES.get(letter) or (f"\\u{ord(letter):04x}" if letter < " " or letter == "\x7f" else letter)


# -- what messages say -----------------------------------------------------------------------------------------------
def _unknown(kind: Any, key: str, above: str, where: str) -> SettingsError:
    """The nearest key of the same table, else the same key of another table, else all there are."""
    beside = list(_kinds(kind))
    near = [above + name for name in difflib.get_close_matches(key, beside, n=3, cutoff=0.5)]
    near = near or [above + path for path in _paths(kind) if path.rpartition(".")[2] == key]
    return SettingsError(
        f"{where}: there is no setting '{above}{key}'",
        code="settings/unknown",
        hint=f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(above + n for n in beside)}",
    )


def _paths(kind: Any) -> Iterator[str]:
    for name, inner in _kinds(kind).items():
        yield name
        if _is_table(inner):
            yield from (f"{name}.{path}" for path in _paths(inner))


def _takes(kind: Any) -> str:
    if _is_table(kind):
        return "a table"
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(word if isinstance(word, str) else _literal(word) for word in get_args(kind))
    if get_origin(kind) is tuple:
        of = get_args(kind)
        if len(of) == 2 and of[1] is ...:
            return f"an array, each {_takes(of[0])}"
        return f"an array of {len(of)} ({', '.join(map(_takes, of))})"
    names = {str: "a string", int: "an integer", float: "a finite number", bool: "true or false"}
    return names[kind]


def _got(value: Any) -> str:
    if isinstance(value, bool):
        return _literal(value)
    if isinstance(value, str):
        shown = ascii(value) if not _is_unicode(value) else f"'{value}'"
        return "the string " + (shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "...")
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, int):
        return f"the integer {value}" if abs(value) < 10**_LONGEST else "a very large integer"
    if isinstance(value, (list, tuple)):
        return f"an array of {len(value)}"
    return "a table" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _repair(value: Any, kind: Any) -> str:
    """What to write instead, where that is plain."""
    if kind is bool and isinstance(value, (int, str)):
        return "write true or false, without quotes"
    if kind in (int, float) and isinstance(value, str) and re.fullmatch(r"[+-]?[\d_.]+(e[+-]?\d+)?", value, re.I):
        return f"write {value} without quotes" if kind is float or value.strip("+-").isdigit() else ""
    if kind is str and isinstance(value, (bool, int, float)):
        return f'write it in quotes: "{_literal(value)}"'
    if kind is int and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if get_origin(kind) is Literal and isinstance(value, str):
        near = difflib.get_close_matches(value, [w for w in get_args(kind) if isinstance(w, str)], n=1, cutoff=0.5)
        return f"did you mean {near[0]}?" if near else ""
    return ""


def _place(text: str, error: Exception) -> str:
    """The parser's words; it names line and column, except at the end."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    lines = text.split("\n")
    return str(error).replace("at end of document", f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end")
