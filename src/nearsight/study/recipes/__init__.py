"""Recipes that come with nearsight: ``report/`` as a published report describes its rows, ``modern/`` as we would.

A file is a recipe, its path its name. To add one, write ``recipes/FOLDER/NAME.toml``; tests read every file.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from nearsight.core import settings
from nearsight.core.errors import InputError, UnknownName
from nearsight.learn.recipe import Recipe


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


def read(recipe: str | None) -> Recipe:
    """A recipe by name or by path; the defaults where there is none. It is called what it says, else by its file.

    Raises UnknownName, InputError (code ``recipe/unreadable``), SettingsError.
    """
    if recipe is None:
        return Recipe()
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
    found = settings.read(text, Recipe, where=str(recipe))
    return found if found.name else replace(found, name=name)
