"""Settings: what TOML may say, what it may not, and that what is written is read again."""

from __future__ import annotations

import string
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearsight.core.errors import InputError, SettingsError
from nearsight.core.settings import changed, override, read, write


@dataclass(frozen=True)
class Crop:
    low: float = 0.2
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError("the crop's low is above its high")


@dataclass(frozen=True)
class Loop:
    epochs: int = 20
    rate: float = 1e-3
    schedule: Literal["cosine", "steps", "none"] = "cosine"
    workers: Literal["auto", 0, 1] = "auto"
    amp: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    crop: Crop = field(default_factory=lambda: Crop(high=0.9))


@dataclass(frozen=True)
class Objective:
    loss: str = "triplet"


@dataclass(frozen=True)
class Recipe:
    name: str = ""
    loop: Loop = Loop()
    sizes: tuple[int, ...] = ()
    words: tuple[str, ...] = ("a",)
    grid: tuple[tuple[bool, ...], ...] = ()
    objective: Objective = Objective()


def refused(code: str, *said: str, do: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        do()
    assert caught.value.code == f"settings/{code}", caught.value
    for words in said:
        assert words in str(caught.value), caught.value
    return caught.value


# -- reading ---------------------------------------------------------------------------------------------------------
def test_what_is_left_out_keeps_the_default_also_that_of_the_outer_table() -> None:
    assert read("", Recipe) == Recipe()
    found = read('words = ["x", "y"]\n[loop]\nepochs = 3\n[loop.crop]\nlow = 0.5', Recipe)
    assert found == Recipe(words=("x", "y"), loop=Loop(epochs=3, crop=Crop(0.5, 0.9)))


def test_a_whole_number_is_a_float_where_one_is_taken() -> None:
    rate = read("[loop]\nrate = 1", Recipe).loop.rate
    assert (rate, type(rate)) == (1.0, float)


def test_a_byte_order_mark_is_no_key() -> None:
    assert read("\ufeffname = 'x'", Recipe).name == "x"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("nane = 'x'", "nane", "did you mean name?"),
        ("[loop]\nepoch = 3", "loop.epoch", "did you mean loop.epochs?"),
        ("[lop]\nepochs = 3", "lop", "did you mean loop?"),
        ("[loop.crop]\nhihg = 0.3", "loop.crop.hihg", "did you mean loop.crop.high?"),
        ("schedule = 'steps'", "schedule", "did you mean loop.schedule?"),  # the right key in the wrong table
        ("[loop]\nlow = 1", "loop.low", "did you mean loop.crop.low?"),
        ("[objective]\nxyz = 1", "objective.xyz", "there are: objective.loss"),
    ],
)
def test_an_unknown_key_is_met_with_the_nearest(text: str, key: str, hint: str) -> None:
    refused("unknown", f"'{key}'", hint, "lab.toml", do=lambda: read(text, Recipe, where="lab.toml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[loop]\nepochs = true", ("'loop.epochs'", "an integer", "got true")),
        ("[loop]\nepochs = 3.0", ("an integer", "the number 3.0", "write 3")),
        ("[loop]\nepochs = '3'", ("an integer", "the string '3'", "write 3 without quotes")),
        ("[loop]\nrate = true", ("'loop.rate'", "a finite number", "got true")),
        ("[loop]\nrate = nan", ("a finite number", "nan")),
        ("[loop]\nrate = -inf", ("a finite number", "-inf")),
        ("[loop]\nrate = 1" + 400 * "0", ("a finite number", "a very large integer")),
        ("[loop]\nrate = '1e-3'", ("write 1e-3 without quotes",)),
        ("[loop]\namp = 1", ("'loop.amp'", "true or false", "the integer 1")),
        ("[loop]\namp = 'true'", ("true or false", "without quotes")),
        ("[loop]\nschedule = 'cosin'", ("one of cosine, steps, none", "did you mean cosine?")),
        ("[loop]\nworkers = true", ("one of auto, 0, 1", "got true")),
        ("[loop]\nbetas = [0.9]", ("'loop.betas'", "an array of 2", "got an array of 1")),
        ("[loop]\nbetas = [0.9, 'x']", ("'loop.betas[1]'", "a finite number", "the string 'x'")),
        ("sizes = 3", ("'sizes'", "an array, each an integer", "the integer 3")),
        ("grid = [[true], [1]]", ("'grid[1][0]'", "true or false")),
        ("name = 3", ("'name'", "a string", 'write it in quotes: "3"')),
        ("name = 2026-01-01", ("a string", "got a date")),
        ("loop = 3", ("'loop'", "a table", "the integer 3")),
        ("[[loop]]\nepochs = 3", ("a table", "an array of 1")),
        ("[name]\nx = 3", ("'name'", "a string", "a table")),
    ],
)
def test_a_value_of_another_type_names_key_taken_and_got(text: str, said: tuple[str, ...]) -> None:
    refused("type", *said, do=lambda: read(text, Recipe))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name = 'a'\nsizes = [1, x]", "line 2, column 13"),
        ("name = 'a'\nsizes = [1,", "line 2, column 12"),
        ("name = 'a'\nname = 'b'", "line 2"),
        ("[loop]\n[loop]", "line 2"),
        ("sizes = [" + 5000 * "1" + "]", "integer"),
        ("sizes = " + 9000 * "[", ""),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(text: str, place: str) -> None:
    refused("toml", "lab.toml is not TOML", place, do=lambda: read(text, Recipe, where="lab.toml"))


def test_what_the_dataclass_refuses_is_told_as_it_says_it() -> None:
    with pytest.raises(InputError, match="above its high"):
        read("[loop.crop]\nlow = 2", Recipe)
    assert read("[loop.crop]\nlow = 2\nhigh = 3", Recipe).loop.crop == Crop(2, 3)  # judged when both are there


def test_a_type_that_is_no_kind_of_setting_is_the_programmers_error() -> None:
    with pytest.raises(TypeError, match="x is a"):
        read("x = 1", Unfit)


@dataclass(frozen=True)
class Unfit:
    x: dict[str, int] = field(default_factory=dict)


# -- writing ---------------------------------------------------------------------------------------------------------
def test_every_field_is_written_in_order_values_before_tables() -> None:
    assert write(Recipe(name='a "b"\n', sizes=(1, 2))) == (
        'name = "a \\"b\\"\\n"\nsizes = [1, 2]\nwords = ["a"]\ngrid = []\n'
        '\n[loop]\nepochs = 20\nrate = 0.001\nschedule = "cosine"\nworkers = "auto"\namp = false\n'
        "betas = [0.9, 0.999]\n\n[loop.crop]\nlow = 0.2\nhigh = 0.9\n"
        '\n[objective]\nloss = "triplet"\n'
    )


FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNITS = st.floats(0, 0.5)
TEXT = st.text() | st.text(string.printable + "\"'\\\x00\x1f\x7f\x85\u2028", max_size=20)
LOOPS = st.builds(
    Loop,
    epochs=st.integers(),
    rate=FINITE,
    schedule=st.sampled_from(["cosine", "steps", "none"]),
    workers=st.sampled_from(["auto", 0, 1]),
    amp=st.booleans(),
    betas=st.tuples(FINITE, FINITE),
    crop=st.builds(Crop, low=UNITS, high=UNITS.map(lambda x: x + 0.5)),
)
RECIPES = st.builds(
    Recipe,
    name=TEXT,
    loop=LOOPS,
    sizes=st.lists(st.integers()).map(tuple),
    words=st.lists(TEXT).map(tuple),
    grid=st.lists(st.lists(st.booleans(), max_size=3).map(tuple), max_size=3).map(tuple),
    objective=st.builds(Objective, loss=TEXT),
)


@given(RECIPES)
def test_what_is_written_is_read_again(settings: Recipe) -> None:
    assert read(write(settings), Recipe) == settings


@given(TEXT)
def test_any_text_goes_through_an_assignment(text: str) -> None:
    written = write(Objective(text)).removeprefix("loss = ").rstrip("\n")
    assert override(Recipe(), [f"objective.loss={written}"]).objective.loss == text


@pytest.mark.parametrize(
    "settings",
    [Recipe(loop=Loop(rate=float("nan"))), Recipe(name="\udcff"), Recipe(sizes=(True,)), Recipe(name=None)],
)
def test_what_toml_cannot_hold_is_not_written(settings: Recipe) -> None:
    refused("type", "takes", do=lambda: write(settings))


# -- assignments -----------------------------------------------------------------------------------------------------
def test_assignments() -> None:
    found = override(
        Recipe(),
        [
            "loop.epochs=3",
            "loop.rate = 1e-2",
            "loop.amp=true",
            "loop.schedule=steps",
            "loop.workers=1",
            "loop.betas=[0, 0.5]",
            "objective.loss=triplet?margin=0.2&soft=true",
            "name=3",
            'words=["x", "y,z"]',
            "loop.epochs=4",
        ],
    )
    loop = Loop(4, 0.01, "steps", 1, True, (0.0, 0.5))
    assert found == Recipe("3", loop, words=("x", "y,z"), objective=Objective("triplet?margin=0.2&soft=true"))
    assert override(found, []) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [("", ""), ('"a\\tb"', "a\tb"), ("'a b'", "a b"), ("true", "true"), ("a # b", "a # b"), ("[1]", "[1]")],
)
def test_a_string_is_taken_as_it_stands_unless_it_is_quoted(text: str, value: str) -> None:
    assert override(Recipe(), [f"name={text}"]).name == value


def test_a_table_is_laid_over_what_is_there() -> None:
    start = Recipe(loop=Loop(epochs=7))
    found = override(start, ["loop.rate=1", "loop={amp = true, crop = {low = 0.1}}"])
    assert found.loop == Loop(7, 1.0, amp=True, crop=Crop(0.1, 0.9))


def test_assignments_are_judged_together() -> None:
    assert override(Recipe(), ["loop.crop.low=2", "loop.crop.high=3"]).loop.crop == Crop(2, 3)


@pytest.mark.parametrize(
    ("assignment", "code", "said"),
    [
        ("loop.epochs", "toml", ("is not KEY=VALUE",)),
        ("=3", "toml", ("is not KEY=VALUE",)),
        ("loop.epoch=3", "unknown", ("'loop.epoch=3'", "did you mean loop.epochs?")),
        ("batch.size=3", "unknown", ("'batch'",)),
        ("epochs=3", "unknown", ("did you mean loop.epochs?",)),
        ("loop.epochs.x=3", "unknown", ("'loop.epochs' takes an integer and has no 'x'",)),
        ("loop.epochs=many", "type", ("'loop.epochs'", "an integer", "the string 'many'")),
        ("loop.epochs=", "type", ("the string ''",)),
        ("loop.epochs=true", "type", ("got true",)),
        ("loop.epochs=3\nname=4", "toml", ("more than one value",)),
        ("loop.rate=inf", "type", ("a finite number",)),
        ("loop.schedule=cosin", "type", ("one of cosine, steps, none", "did you mean cosine?")),
        ("loop=3", "type", ("a table",)),
        ("loop={epoch = 3}", "unknown", ("did you mean loop.epochs?",)),
        ('name="a', "toml", ("quotes",)),
        ("name=\udcff", "type", ("a string", "\\udcff")),
        ("sizes=1,2", "type", ("an array",)),
    ],
)
def test_an_assignment_is_refused_as_a_recipe_is(assignment: str, code: str, said: tuple[str, ...]) -> None:
    refused(code, *said, do=lambda: override(Recipe(), [assignment]))


def test_flags_change_what_was_given() -> None:
    assert changed(Recipe(), loop__epochs=3, name=None) == replace(Recipe(), loop=Loop(epochs=3))
    assert changed(Recipe(), sizes=[1, 2]).sizes == (1, 2)
    refused("type", "loop.epochs", do=lambda: changed(Recipe(), loop__epochs="x"))
    refused("unknown", "did you mean loop.epochs?", do=lambda: changed(Recipe(), loop__epoch=3))
