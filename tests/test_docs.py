"""What is undocumented fails here: every verb, option, exit code and error prefix that users meet stands in docs/."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer

from fake_words import WORDS, install, noise, two_towers
from nearsight import Collection
from nearsight.cli.app import EXIT_CODES, VERBS, app, options
from nearsight.cli.reference import MARKER, reference, rewritten
from nearsight.core.registry import Catalogue
from nearsight.data.datasets import load
from nearsight.learn import doctor
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.recipe import PairRecipe, Plan, Recipe
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS
from nearsight.search.sync import Annotation

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def test_the_reference_is_what_the_program_says() -> None:
    preface, marker, rest = PAGE.read_text(encoding="utf-8").partition(MARKER)
    assert preface.strip()
    assert marker + rest == reference(), "run: python -m nearsight.cli.reference docs/cli.md"


@pytest.mark.parametrize(("recipe", "count"), [(Recipe(), 5), (PairRecipe(), 5)], ids=lambda x: type(x).__name__)
def test_the_settings_are_those_of_the_program(recipe: Plan, count: int) -> None:
    text = (PAGE.parent / "training.md").read_text(encoding="utf-8")
    assert rewritten(text) == text, "run: python -m nearsight.cli.reference docs/training.md"
    section = text[text.index(f"\n{inspect.getdoc(type(recipe))}\n") :].partition("\n## ")[0]
    tables = [table for field in fields(recipe) if is_dataclass(table := getattr(recipe, field.name))]
    assert len(tables) == count
    for table in tables:
        for field in fields(table):
            assert f"\n{field.name} = " in section


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


def test_every_finding_of_the_doctor_is_documented() -> None:
    page = (PAGE.parent / "training.md").read_text(encoding="utf-8")
    codes = set(re.findall(r'"(doctor/[a-z-]+)"', Path(doctor.__file__).read_text(encoding="utf-8")))
    assert len(codes) >= 8
    assert codes == set(re.findall(r"^\| `(doctor/[a-z-]+)` \|", page, re.MULTILINE))


def test_the_python_of_words_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "products").mkdir()
    for name, colour in WORDS.items():
        noise(colour, 1).save(tmp_path / "products" / f"{name}.png")
    noise(WORDS["red"], 2).save("lamp.jpg")
    with Collection.create(tmp_path / "shop.ns", two_towers()) as shop:
        list(shop.sync(tmp_path / "products", annotate=lambda path: Annotation(captions=(f"one {path.stem}",))))
    (code,) = re.findall(r"```python\n(.*?)```", (PAGE.parent / "words.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "words.md", "exec"), {})
    by_words, _, _, mixed, caption, *_ = capsys.readouterr().out.splitlines()
    assert by_words.endswith("red.png")
    assert mixed.endswith("green.png")
    assert "one red" in caption


def test_the_readmes_python_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    drawn = load("drawn?n=10&size=64", tmp_path / "drawn").items
    (tmp_path / "products").mkdir()
    for item in drawn:
        item.path.rename(tmp_path / "products" / item.path.name)
    (tmp_path / "lamp.jpg").write_bytes((tmp_path / "products" / drawn[3].path.name).read_bytes())
    (code,) = re.findall(r"```python\n(.*?)```", (PAGE.parent.parent / "README.md").read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    last = capsys.readouterr().out.splitlines()[-5:]
    assert float(last[0].split()[0]) == pytest.approx(1.0, abs=1e-6)
    assert last[0].endswith(drawn[3].path.name)
