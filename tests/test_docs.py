"""What is undocumented fails here: every verb, option, exit code and error prefix that users meet stands in docs/."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import typer

from nearsight.cli.app import EXIT_CODES, VERBS, app, options
from nearsight.cli.reference import MARKER, reference
from nearsight.core.registry import Catalogue
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def test_the_reference_is_what_the_program_says() -> None:
    preface, marker, rest = PAGE.read_text(encoding="utf-8").partition(MARKER)
    assert preface.strip()
    assert marker + rest == reference(), "run: python -m nearsight.cli.reference docs/cli.md"


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_typer_knows_is_documented(verb: str) -> None:
    """By Typer's own account, not by the reference's: an option that the reference overlooks is found."""
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition(f"## nearsight {verb}\n")[2].partition("\n## ")[0]
    assert section
    for parameter in typer.main.get_command(app).commands[verb].params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("-") and name not in ("--help", "-h"):
                assert f"`{name}`" in section, f"nearsight {verb} {name} is not in {PAGE.name}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_explains_itself(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]
    assert inspect.getdoc(VERBS[verb].run)
    assert VERBS[verb].EXAMPLES.startswith("nearsight ")
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"nearsight {verb}: {parameter.name} has no help"


def test_exit_codes_and_options_before_the_verb_are_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(EXIT_CODES) == {0, 1, 2, 3, 130}
    for code in EXIT_CODES:
        assert f"| {code} |" in page
    for name in inspect.signature(options).parameters:
        assert f"`--{name}`" in page


@pytest.mark.parametrize("catalogue", [LOSSES, TARGETS, MINERS, SAMPLERS], ids=lambda c: c.noun)
def test_every_part_of_training_is_documented(catalogue: Catalogue) -> None:
    page = (PAGE.parent / "losses.md").read_text(encoding="utf-8")
    for name in catalogue.names():
        assert any(f"`{name}{end}" in page for end in ("`", "?", "/")), f"{catalogue.noun} {name} is not in losses.md"
