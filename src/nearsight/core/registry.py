"""A folder of files is a catalogue of components: a file's name is the component's name.

A component is a module with a docstring (its help) and ``build(variant=None, *, option=default, ...)``, whose
signature is its schema. Only the modules that are asked for are imported, and a component imports anything heavy
inside ``build``, so that listing stays light.

The grammar of a component's address::

    name                     hog
    name/variant             timm/resnet50         faiss/IVF64,Flat
    name@k                   recall@5              (the option k)
    ...?option=value&...     colour?bins=8&grid=2

Other packages add components by the entry-point group ``nearsight.FOLDER`` (for instance ``nearsight.engines``).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from types import ModuleType
from typing import Any, cast, get_args, get_type_hints

from nearsight.core.errors import UnknownName

_ADDRESS = re.compile(r"^(?P<name>[A-Za-z_][\w-]*)(?:/(?P<variant>[^?@]+))?(?:@(?P<k>\d+))?(?:\?(?P<options>.*))?$")
_FALSE, _TRUE = {"false", "no", "0", "off"}, {"true", "yes", "1", "on"}


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed component address: ``name/variant@k?option=value``."""

    name: str
    variant: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises UnknownName (code ``name/grammar``) where the text is not an address."""
        found = _ADDRESS.match(text)
        if not found:
            raise UnknownName(
                f"'{text}' is not a component's address",
                code="name/grammar",
                hint="name, name/variant, name@k, then ?option=value&...",
            )
        options: dict[str, str] = {}
        for pair in filter(None, (found["options"] or "").split("&")):
            key, equals, value = pair.partition("=")
            if not equals:
                raise UnknownName(f"'{pair}' in '{text}' is not option=value", code="name/grammar")
            options[key] = value
        if found["k"]:
            options["k"] = found["k"]
        return cls(found["name"], found["variant"], options)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a component, read from its signature."""

    name: str
    kind: str
    default: object


class Catalogue:
    """The components of one folder. ``noun`` is what a member is called in messages."""

    def __init__(self, package: str, noun: str) -> None:
        self.package = package
        self.noun = noun
        self.group = "nearsight." + package.rsplit(".", 1)[-1]
        self._modules: dict[str, ModuleType] = {}

    def names(self) -> list[str]:
        """All members, sorted; imports none of them."""
        folder = importlib.import_module(self.package)
        own = [m.name for m in pkgutil.iter_modules(folder.__path__) if not m.name.startswith("_")]
        return sorted({*own, *(e.name for e in _outside().select(group=self.group))})

    def module(self, name: str) -> ModuleType:
        """The component's module. Raises UnknownName with the nearest names."""
        if name not in self._modules:
            if name not in self.names():
                raise UnknownName(f"there is no {self.noun} called '{name}'", hint=_suggest(name, self.names()))
            outside = [entry for entry in _outside().select(group=self.group) if entry.name == name]
            inside = f"{self.package}.{name}"
            self._modules[name] = outside[0].load() if outside else importlib.import_module(inside)
        return self._modules[name]

    def help(self, name: str) -> str:
        """The component's docstring."""
        return inspect.getdoc(self.module(name)) or ""

    def usage(self, name: str) -> str:
        """What the options mean: the docstring of ``build``, without what it raises."""
        told = (inspect.getdoc(self.module(name).build) or "").split("\n\n")
        return "\n\n".join(kept for one in told if (kept := re.split(r"\bRaises\s", one)[0].strip()))

    def example(self, name: str) -> str:
        """The first address with a variant or options that the component's docstring names; "" where there is none."""
        found = re.search(rf"``({re.escape(name)}[/?][^`\s]+)``", self.help(name))
        return found[1] if found else ""

    def options(self, name: str) -> list[Option]:
        """The options that ``build`` takes, with types and defaults."""
        build = self.module(name).build
        hints = get_type_hints(build)
        parameters = inspect.signature(build).parameters.values()
        return [
            Option(p.name, _kind(hints.get(p.name, str)), p.default)
            for p in parameters
            if p.kind is p.KEYWORD_ONLY and isinstance(p.default, (str, int, float, bool, type(None)))
        ]

    def brief(self, address: str) -> str:
        """`address` without the options that stand at their defaults: the same component, for people."""
        head, mark, _ = address.partition("?")
        try:
            parsed = Address.parse(address)
            defaults = {o.name: o.default for o in self.options(parsed.name)}
        except (UnknownName, ImportError):
            return address
        told = [
            f"{k}={v}" for k, v in parsed.options.items() if k not in defaults or v.lower() != str(defaults[k]).lower()
        ]
        return head + (mark + "&".join(told) if told else "")

    def build(self, address: str, **given: Any) -> Any:
        """The component at ``address``; ``given`` are options that code passes on top (arrays, paths, callables).

        Raises UnknownName for an unknown name, variant or option, or a value of the wrong type.
        """
        parsed = Address.parse(address)
        return self.module(parsed.name).build(**self.check(address), **given)

    def check(self, address: str) -> dict[str, object]:
        """The arguments of ``build`` that ``address`` spells. Raises as `build`, and builds nothing."""
        parsed = Address.parse(address)
        module = self.module(parsed.name)
        hints = get_type_hints(module.build)
        parameters = inspect.signature(module.build).parameters
        if parsed.variant is not None and "variant" not in parameters:
            raise UnknownName(f"{self.noun} '{parsed.name}' has no variants", hint=f"write '{parsed.name}'")
        options: dict[str, object] = {}
        allowed = [o.name for o in self.options(parsed.name)]
        for key, text in parsed.options.items():
            if key not in allowed:
                raise UnknownName(f"{self.noun} '{parsed.name}' has no option '{key}'", hint=_suggest(key, allowed))
            options[key] = _convert(text, hints.get(key, str), f"{parsed.name}?{key}")
        if parsed.variant is not None:
            options["variant"] = parsed.variant
        return options


@cache
def _outside() -> EntryPoints:
    """Looked for once: it reads the metadata of every installed package."""
    return cast(EntryPoints, entry_points())  # Python 3.11 calls it by another name


def _suggest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names) or 'none'}"


def _kind(hint: Any) -> str:
    return " | ".join(getattr(h, "__name__", str(h)) for h in (get_args(hint) or (hint,)) if h is not type(None))


def _convert(text: str, hint: Any, where: str) -> object:
    kinds = [k for k in (get_args(hint) or (hint,)) if k is not type(None)]
    for kind in kinds:
        try:
            if kind is bool:
                if text.lower() in _TRUE | _FALSE:
                    return text.lower() in _TRUE
            elif kind in (int, float, str):
                return kind(text)
            elif text == kind:  # a word of a Literal
                return text
        except ValueError:
            continue
    raise UnknownName(f"'{text}' is not a value for {where}, which takes {_kind(hint)}", code="name/value")
