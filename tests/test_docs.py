"""What is undocumented fails here: every verb, option, exit code and error prefix that users meet stands in docs/."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import shutil
import textwrap
import tomllib
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from fake_words import WORDS, install, noise, two_towers
from nearsight import Collection, create
from nearsight.cli import render
from nearsight.cli.app import EXIT_CODES, VERBS, app, options
from nearsight.cli.reference import MARKER, reference, rewritten
from nearsight.cli.show import CATALOGUES, catalogue
from nearsight.core import settings
from nearsight.core.errors import GrammarError, UnknownName
from nearsight.core.registry import Catalogue
from nearsight.data.datasets import load
from nearsight.encode.encoder import TOWERS
from nearsight.encode.heads import HEADS
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.texts import TEXTS
from nearsight.learn import doctor
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.recipe import PairRecipe, Plan, Recipe
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS
from nearsight.measure.protocol import Card
from nearsight.search import feedback, filters, grammar, query
from nearsight.search.duplicates import ALIKE, POLICIES
from nearsight.search.duplicates.alignment import SAME
from nearsight.search.engines import ENGINES
from nearsight.search.hubness import HUBNESS
from nearsight.search.query import Filter, Query
from nearsight.search.sync import Annotation

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "cli.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_program_says() -> None:
    preface, marker, rest = PAGE.read_text(encoding="utf-8").partition(MARKER)
    assert preface.strip()
    assert marker + rest == reference(), "run: python -m nearsight.cli.reference docs/cli.md"


@pytest.mark.parametrize("recipe", [Recipe(), PairRecipe()], ids=lambda recipe: type(recipe).__name__)
def test_the_settings_are_those_of_the_program(recipe: Plan) -> None:
    text = (PAGE.parent / "training.md").read_text(encoding="utf-8")
    assert rewritten(text) == text, "run: python -m nearsight.cli.reference docs/training.md"
    section = text[text.index(f"\n{inspect.getdoc(type(recipe))}\n") :].partition("\n## ")[0]
    tables = [table for field in fields(recipe) if is_dataclass(table := getattr(recipe, field.name))]
    assert len(tables) == 5
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


@pytest.mark.parametrize("catalogue", [TEXTS, POOLINGS, HEADS, HUBNESS], ids=lambda c: c.noun)
def test_every_part_of_pictures_and_words_is_documented(catalogue: Catalogue) -> None:
    page = (PAGE.parent / "words.md").read_text(encoding="utf-8")
    for name in {*catalogue.names()} - {"whiten"}:  # of training on labels, after it
        assert any(f"`{name}{end}" in page for end in ("`", "?", "/")), f"{catalogue.noun} {name} is not in words.md"


def test_every_engine_is_documented() -> None:
    page = (PAGE.parent / "engines.md").read_text(encoding="utf-8")
    for name in ENGINES.names():
        assert any(f"`{name}{end}" in page for end in ("`", "?", "/")), f"engine {name} is not in engines.md"
    for code in ("away", "slow", "partial", "count", "secret"):
        assert f"`engine/{code}`" in page


@pytest.mark.parametrize("word", CATALOGUES)
def test_addresses_that_show_names_are_those_of_components(word: str) -> None:
    members = catalogue(word)
    for name in members.names():
        if example := members.example(name):
            members.check(example)


@pytest.mark.parametrize("name", ["words", "losses"])
def test_addresses_in_pages_are_those_of_components(name: str) -> None:
    text = (PAGE.parent / f"{name}.md").read_text(encoding="utf-8")
    found = re.findall(r"`([a-z]\w*(?:/[^`?\s]+)?\?[^`\s]+)`", text)
    assert len(found) > 10
    known = [LOSSES, TARGETS, MINERS, SAMPLERS, TEXTS, POOLINGS, HEADS, HUBNESS, TOWERS]
    for address in found:
        wrong = []
        for one in known:
            try:
                one.check(address)
                break
            except UnknownName as error:
                wrong.append(error.message)
        else:
            raise AssertionError(f"{address}: {wrong}")


def test_the_recipe_on_the_page_of_words_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (PAGE.parent / "words.md").read_text(encoding="utf-8"), re.DOTALL)
    recipe = settings.read(text, PairRecipe)
    assert {"pictures", "text", "objective", "loop"} <= set(tomllib.loads(text))
    for one, address in (
        (HEADS, recipe.pictures.head), (TEXTS, recipe.text.words), (HEADS, recipe.text.head),
        (LOSSES, recipe.objective.loss), (TARGETS, recipe.objective.target), (HUBNESS, recipe.hubness),
    ):  # fmt: skip
        one.check(address)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_in_pages_are_those_of_the_program(page: Path) -> None:
    blocks = re.findall(r"```(\w*)\n(.*?)```", page.read_text(encoding="utf-8").partition(MARKER)[0], re.DOTALL)
    shown = [block for kind, block in blocks if kind in ("", "sh")]
    lines = [one for block in shown for line in block.splitlines() for one in line.split("&&")]
    for line in lines:
        words = shlex.split(line, comments=True) if line.strip().startswith("nearsight ") else []
        if not words:
            continue
        command = typer.main.get_command(app).commands[words[1]]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[2:]:
            assert not word.startswith("-") or word.partition("=")[0] in known, f"{line.strip()}: {word}"
        for word, value in pairwise(words):
            assert word != "--varying" or value in {field.name for field in fields(Card)}, f"{line.strip()}: {value}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """To files that are there, and to headings that their pages have."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page.name}: {target}"


def extras() -> dict[str, set[str]]:
    """Extra -> its packages and extras, by name alone, as pyproject.toml has them."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {
        extra: {
            name
            for need in needs
            for name in (
                need[10:].strip("[]").split(",") if need.startswith("nearsight[") else re.split(r"[>=\[]", need)[:1]
            )
        }
        for extra, needs in told.items()
    }


def test_the_extras_are_those_of_the_project() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", (PAGE.parent / "install.md").read_text(), re.MULTILINE)
    told = {extra: {name.strip(" `") for name in brings.split(",")} for extra, brings in rows}
    named = {extra: needs for extra, needs in extras().items() if extra not in ("all", "test", "dev")}
    assert {extra: told.get(extra) for extra in named} == named
    assert extras()["all"] == {*named, "mahotas", "scikit-learn"}


def test_a_missing_package_is_said_with_an_extra_that_brings_it() -> None:
    def brought(extra: str) -> set[str]:
        return {
            name
            for need in extras()[extra]
            for name in (brought(need) if need in extras() and need != extra else {need})
        }

    found = [
        call
        for file in (ROOT / "src").rglob("*.py")
        for call in re.findall(r"MissingExtra\.of\(\"([\w-]+)\", \"(\w+)\"", file.read_text(encoding="utf-8"))
    ]
    assert len(found) > 15
    for package, extra in found:
        assert package in brought(extra), f"{package} does not come with nearsight[{extra}]"


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


def queries() -> str:
    return (PAGE.parent / "queries.md").read_text(encoding="utf-8")


def test_the_grammar_on_the_page_is_that_of_the_code() -> None:
    told = inspect.cleandoc(grammar.__doc__ or "")
    written = textwrap.dedent(told.partition("::\n\n")[2].partition("\n\nIn quotes")[0]).strip()
    assert written in queries()
    assert f"at most {grammar.LONGEST:,} characters" in queries()
    assert f"at most {filters.LEVELS} levels and {filters.CONDITIONS:,} conditions" in queries()


def test_the_queries_on_the_page_mean_what_it_says() -> None:
    examples, conditions = (
        re.findall(r"^\| (`.*?) \| (.*?) \|", part.partition("\n## ")[0], re.MULTILINE)
        for part in queries().split("\n## ")[1:3]
    )
    for cell, _ in examples:
        for text in re.findall(r"`([^`]+)`", cell):
            assert Query.parse(str(Query.parse(text))) == Query.parse(text)
    assert len(examples) == 11
    same = 0
    for cell, spelt in conditions:
        specs = [Filter.of(ast.literal_eval(one)) for one in re.findall(r"`(\{.*?\})`", spelt)]
        texts = [one for one in re.findall(r"`([^`]+)`", cell) if re.search(r"\w$|\)$", one)]
        assert specs
        assert texts
        for text in texts:
            assert {Filter.parse([f"({text})"])} == set(specs), text
            same += 1
    assert same == 9
    shell = [line for block in re.findall(r"```sh\n(.*?)```", queries(), re.DOTALL) for line in block.splitlines()]
    options = [pair for line in shell for pair in pairwise(shlex.split(line))]
    assert [Query.parse(value) for name, value in options if name == "--query"]
    assert [Filter.parse([value]) for name, value in options if name == "--filter"]


def test_the_error_on_the_page_of_queries_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GrammarError) as caught:
        Query.parse("horse + - car")
    render.error(caught.value)
    assert capsys.readouterr().err in queries()


def test_the_python_of_queries_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, colour in WORDS.items():
        (tmp_path / "products").mkdir(exist_ok=True)
        noise(colour, 1).save(tmp_path / "products" / f"{name}.png")
    shutil.copy(tmp_path / "products" / "red.png", tmp_path / "products" / "same.png")
    noise(WORDS["red"], 2).resize((64, 48)).save("lamp.jpg")
    with Collection.create(tmp_path / "shop.ns", two_towers()) as shop:
        list(shop.sync(tmp_path / "products"))
    (code,) = re.findall(r"```python\n(.*?)```", queries(), re.DOTALL)
    exec(compile(code, "queries.md", "exec"), {})
    written, first, *_, last = capsys.readouterr().out.splitlines()
    assert written.startswith("red + 2: lamp.jpg[0,0,32,24] - 0.5: blue | ")
    assert first.endswith(("red.png 1", "same.png 1"))
    assert last.endswith(("red.png", "same.png"))


def test_the_python_of_verdicts_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "products").mkdir()
    for number, name in enumerate([*WORDS] * 40):
        noise(WORDS[name], number).resize((32, 24)).save(tmp_path / "products" / f"{name}{number}.png")
    noise(WORDS["red"], 999).save("lamp.jpg")
    with Collection.create(tmp_path / "shop.ns", create("colour")) as shop:
        list(shop.sync(tmp_path / "products", annotate=lambda path: Annotation(label=path.stem.strip("0123456789"))))
    (code,) = re.findall(r"```python\n(.*?)```", (PAGE.parent / "verdicts.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "verdicts.md", "exec"), {})
    why, *best, found = capsys.readouterr().out.splitlines()
    assert why == ""
    assert best[0].startswith("likely ")
    assert int(found) == 10


def test_the_python_of_feedback_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "products").mkdir()
    for number, name in enumerate([*WORDS] * 2):
        noise(WORDS[name], number).save(tmp_path / "products" / f"{name}{number}.png")
    with Collection.create(tmp_path / "shop.ns", two_towers()) as shop:
        list(shop.sync(tmp_path / "products"))
    (code,) = re.findall(r"```python\n(.*?)```", (PAGE.parent / "feedback.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "feedback.md", "exec"), {})
    written, shown = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"red; up=@\d; down=@\d rocchio", written)
    assert shown == "False"
    with Collection.open(tmp_path / "shop.ns", read_only=True) as shop:
        assert shop.labels() == {None: 5, "red": 1}


def test_the_numbers_of_feedback_are_those_of_the_program() -> None:
    page = (PAGE.parent / "feedback.md").read_text(encoding="utf-8")
    own, good = feedback.shares(query=True, good=True)
    assert f"p = {own:.1f} q + {good:g} mean(good), and q' = p - {feedback.BAD:g} mean(bad)" in page
    for text in (page, PAGE.read_text(encoding="utf-8")):
        assert f"From {query.PROBE} good and {query.PROBE} bad ones on" in text


def test_the_python_of_duplicates_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = load("drawn?n=4&size=96", tmp_path / "drawn").items
    shutil.copy(drawn[0].path, tmp_path / "lamp.jpg")
    shutil.copy(drawn[0].path, drawn[0].path.with_name("again" + drawn[0].path.suffix))
    with Collection.create(tmp_path / "shop.ns", create("colour")) as shop:
        list(shop.sync(tmp_path / "drawn"))
    page = (PAGE.parent / "duplicates.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "duplicates.md", "exec"), {})
    group, *_, last = capsys.readouterr().out.splitlines()
    assert re.search(r" \[\d+\]$", group)
    assert last.count("exact=True") == 2
    assert all(f"`{policy}`" in page for policy in POLICIES)
    assert f"then {ALIKE:g} counts" in page
    assert f"at least {SAME:g}" in page


def test_the_python_of_bulk_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "products").mkdir()
    for number, name in enumerate(WORDS):
        noise(WORDS[name], number).save(tmp_path / "products" / f"{name}.png")
    noise(WORDS["red"], 999).save("lamp.jpg")
    (code,) = re.findall(r"```python\n(.*?)```", (PAGE.parent / "bulk.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "bulk.md", "exec"), {})
    added, found = capsys.readouterr().out.splitlines()
    assert added == "3"
    assert found.endswith("red.png")


def test_the_files_of_a_bulk_run_are_those_of_its_page(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from nearsight.search.bulk import encode, shard

    page = (PAGE.parent / "bulk.md").read_text(encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    noise(WORDS["red"]).save(tmp_path / "pictures" / "red.png")
    (tmp_path / "pictures" / "none.png").touch()
    list(encode(str(tmp_path / "pictures"), create("colour"), tmp_path / "out"))
    for path in (tmp_path / "out").iterdir():
        assert f"  {path.name}" in page or path.name in ("LOCK", "LOCK.pid", "tries"), path.name
    assert shard._DEADLY == 10
    assert "given up after ten of them" in page


def test_the_python_of_migrate_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    load("drawn?n=12&size=64", tmp_path / "drawn")
    with Collection.create(tmp_path / "shop.ns", create("colour")) as shop:
        list(shop.sync(tmp_path / "drawn"))
    page = (PAGE.parent / "migrate.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "migrate.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1].startswith("hog")


def test_the_codes_of_migrate_are_on_its_page() -> None:
    page = (PAGE.parent / "migrate.md").read_text(encoding="utf-8")
    told = [file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*migrat*.py")]
    codes = set(re.findall(r'"(migrate/[a-z]+)"', "".join(told)))
    assert len(codes) >= 5
    assert codes == set(re.findall(r"^\| `(migrate/[a-z]+)` \|", page, re.MULTILINE))


def test_every_route_limit_and_metric_of_the_api_is_documented(tmp_path: Path) -> None:
    from nearsight.http import guard, settings
    from nearsight.http.app import create_app
    from nearsight.http.schemas import DEEPEST, EXAMPLES, JUDGED, SearchRequest

    page = (PAGE.parent / "api.md").read_text(encoding="utf-8")
    with Collection.create(tmp_path / "c.ns", create("colour")):
        pass
    app = create_app([tmp_path / "c.ns"])
    try:
        told = app.api.openapi()
        families = {family.name for family in app.house.metrics.registry.collect()}
    finally:
        app.house.close()
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            assert f"`{method.upper()} {path}`" in page, f"{method.upper()} {path} is not in api.md"
            assert operation["description"]
    for name in SearchRequest.model_fields:
        assert f"`{name}`" in page, f"the field {name} of a search is not in api.md"
    for family in families:
        assert f"`{family}`" in page or f"`{family}_total`" in page, f"{family} is not in api.md"
    limits, limit = settings.Settings(), page[page.index("## Limits") :]
    for text in (
        f"{limits.json_bytes >> 20} MiB; {limits.upload_bytes >> 20} MiB; {limits.body_memory >> 20} MiB",
        f"{limits.files}; {limits.picture.max_bytes >> 20} MiB, {limits.picture.max_side:,}, "
        f"{limits.picture.max_pixels >> 20} Mi",
        f"{limits.decode_seconds:g} s, {limits.decode_mb >> 10} GiB",
        f"{limits.head_seconds:g} s; {limits.body_seconds:g} s and 1 s for each {limits.body_rate >> 10} KiB",
        f"{limits.answer_seconds:g} s; {limits.idle_seconds:g} s",
        f"{limits.connections:,}",
        f"{limits.searches} and {limits.waiting}; {limits.others} and {8 * limits.waiting}",
        f"1,000; {EXAMPLES}; {JUDGED:,}",
    ):
        assert text in limit, text
    assert f"{settings.SHORTEST_TOKEN} signs or more" in page
    assert f"at most {DEEPEST:,}" in page
    assert {path for path in guard.OPEN if path not in ("/", "/session")} == {"/health"}


def test_the_examples_of_the_api_are_what_it_takes() -> None:
    from nearsight.http.schemas import HitAnswer, SearchAnswer, SearchRequest

    page = (PAGE.parent / "api.md").read_text(encoding="utf-8")
    bodies = re.findall(r"/search .*?-d '(\{.*?\})'", page, re.DOTALL)
    bodies += re.findall(r"'request=(\{.*?\})'", page)
    assert len(bodies) == 3
    for body in bodies:
        SearchRequest.model_validate(json.loads(body))
    answer, problem = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    SearchAnswer.model_validate(answer)
    assert HitAnswer.model_fields.keys() - answer["hits"][0].keys() == {"caption"}
    assert {"type", "title", "status", "code", "detail", "hint", "start", "end"} == problem.keys()


def test_the_readmes_python_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
