"""Recipes that come with nearsight: ``report/`` as a published report describes its rows, ``modern/`` as we would.

A file is a recipe, its path its name. To add one, write ``recipes/FOLDER/NAME.toml``; tests read every file.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from nearsight.core import settings
from nearsight.core.errors import InputError, UnknownName
from nearsight.learn.recipe import PairRecipe, Plan, Recipe


def names() -> list[str]:
    """``modern/small``, ...; sorted."""
    top = files(__name__)
    return sorted(
        f"{folder.name}/{file.name.removesuffix('.toml')}"
        for folder in top.iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    )


def of_pictures(plan: Plan) -> Recipe:
    """`plan`, which must be for labelled pictures. Raises InputError (code ``recipe/kind``)."""
    if isinstance(plan, PairRecipe):
        raise _other(plan, "pictures with captions", "labelled pictures")
    return plan


def of_pairs(plan: Plan) -> PairRecipe:
    """`plan`, which must be for pictures with captions. Raises InputError (code ``recipe/kind``)."""
    if isinstance(plan, Recipe):
        raise _other(plan, "labelled pictures", "pictures with captions")
    return plan


def _other(plan: Plan, this: str, wanted: str) -> InputError:
    return InputError(
        f"the recipe {plan.name or 'with defaults'} is for {this}, and {wanted} are asked for",
        code="recipe/kind",
        hint="nearsight show recipes; one with a table [text] is for captions",
    )


def read(recipe: str) -> Plan:
    """A recipe by name or by path; with a table ``[text]`` it is a PairRecipe. It is called what it says, else by its
    file.

    Raises UnknownName, InputError (code ``recipe/unreadable``), SettingsError.
    """
    path = Path(recipe).expanduser()
    if recipe in names():
        text, name = (files(__name__) / f"{recipe}.toml").read_text(encoding="utf-8"), recipe
    elif path.suffix == ".toml" or path.exists():
        try:
            text, name = path.read_text(encoding="utf-8"), path.stem
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a recipe: {error}", code="recipe/unreadable") from error
    else:
        near = difflib.get_close_matches(recipe, names(), 3, 0.4) or names()
        raise UnknownName(f"there is no recipe '{recipe}'", hint=f"a TOML file, or {', '.join(near)}")
    found: Plan
    if _is_of_pairs(text):
        found = settings.read(text, PairRecipe, where=recipe)
    else:
        found = settings.read(text, Recipe, where=recipe)
    return found if found.name else replace(found, name=name)


def _is_of_pairs(text: str) -> bool:
    """Text that is no TOML is of no kind: reading it will say what is wrong with it."""
    try:
        return "text" in tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
