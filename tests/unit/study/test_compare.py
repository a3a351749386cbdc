"""An equal-budget comparison: alike for all, blind to the test, never done twice, honest about what failed."""

from __future__ import annotations

import colorsys
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
from nearsight.cli import main
from nearsight.core.errors import DatasetError, InputError, TrainingError
from nearsight.core.items import Item
from nearsight.core.settings import read
from nearsight.learn import pictures as training_pictures
from nearsight.learn.augment import Augment
from nearsight.learn.pictures import Pictures
from nearsight.learn.recipe import Data, Loop, Network, Recipe
from nearsight.learn.step import Learner
from nearsight.study.comparing.compare import Tried, compare, parted
from nearsight.study.comparing.comparison import BEST, FAILED, UNCLEAR, WORSE, Comparison
from nearsight.study.comparing.contenders import Contender, proposed
from nearsight.study.comparing.trainings import key_of
from nearsight.study.pages.comparison import compare_page
from unit.learn.conftest import drain

pytestmark = pytest.mark.torch
CLASSES, EACH = 8, 8
CONTENDERS = (
    Contender("supcon"),
    Contender("normalised_softmax"),
    Contender("triplet", sampler="triplets"),
)
BUDGET = {"trials": 3, "folds": 2, "seeds": 2}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of noisy squares, a colour a class."""
    folder = tmp_path_factory.mktemp("squares")
    for at in range(CLASSES):
        colour = 255 * np.array(colorsys.hsv_to_rgb(at / CLASSES, 0.7, 0.8))
        (folder / f"colour{at}").mkdir()
        for number in range(EACH):
            draw = np.random.default_rng(100 * at + number)
            pixels = np.clip(colour + draw.integers(-70, 70, (18, 18, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"colour{at}" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def recipe(squares: Path) -> Recipe:
    return Recipe(
        name="squares",
        data=Data(source=f"folder/{squares}", test=0.25, validation=0.3),
        network=Network(tower="small_cnn/modern?size=16&dim=8&pool=2"),
        augment=Augment(scale=1.0, flip=0.5),
        loop=Loop(epochs=3, batch=12, lr=0.003, precision="fp32", select="best", warmup=0.0),
    )


@pytest.fixture
def pictures() -> Pictures:
    """None of them is opened."""
    items = tuple(Item(n, Path(f"{n}.png"), "one") for n in range(2))
    return Pictures(items, np.zeros(2, dtype=np.int64), ("one",), "digest", (), 16)


class Watched:
    """What a comparison did, in order: pictures that were read, and batches that were learned from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail: Any = None) -> None:
        self.did: list[tuple[str, Any]] = []
        read_file, learn = training_pictures.read, Learner.learn

        def reading(path: Path, *given: Any) -> bytes:
            self.did.append(("read", path.parent.name))
            return read_file(path, *given)

        def learning(learner: Learner, pixels: Any, *given: Any, **more: Any) -> Any:
            loss = learner.objective.addresses["loss"].partition("?")[0]
            if fail is not None and fail(loss, learner.loop.lr):
                raise TrainingError("the loss is not a finite number any more", code="training/not-finite")
            self.did.append((loss, len(pixels)))
            return learn(learner, pixels, *given, **more)

        monkeypatch.setattr(training_pictures, "read", reading)
        monkeypatch.setattr(Learner, "learn", learning)

    def passes(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for what, number in self.did:
            if what != "read":
                counted[what] += number
        return counted


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison, list[Any], Watched]:
    """One whole comparison, watched."""
    folder, events = tmp_path_factory.mktemp("whole"), []
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(patch)
        found = drain(compare(recipe, CONTENDERS, folder, **BUDGET), events)
    return folder, found, events, watched


def without_times(found: Comparison) -> Comparison:
    def still(ones: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(replace(one, seconds=0.0) for one in ones)

    return replace(found, rows=tuple(replace(r, trials=still(r.trials), seeds=still(r.seeds)) for r in found.rows))


def test_every_contender_has_the_same_budget(run: Any) -> None:
    _, found, events, watched = run
    inside = (CLASSES - 2) * EACH
    budget = 3 * (BUDGET["trials"] * inside + BUDGET["seeds"] * inside)  # two folds train on half of the classes each
    assert watched.passes() == dict.fromkeys(("supcon", "normalised_softmax", "triplet"), budget)
    for row in found.rows:
        if row.objective:
            assert sum(one.pictures for one in (*row.trials, *row.seeds)) == budget
            assert [trial.number for trial in row.trials] == [0, 1, 2]
            assert all(len(trial.folds) == 2 for trial in row.trials)
    assert Counter(e.contender for e in events if isinstance(e, Tried)) == {c.name: 5 for c in CONTENDERS}


def test_no_trial_sees_a_test_picture(run: Any, recipe: Recipe) -> None:
    _, found, _, watched = run
    test = {item.label for item in parted(recipe).split("test")}
    assert len(test) == 2
    reads = [at for at, (what, label) in enumerate(watched.did) if what == "read" and label in test]
    assert len(reads) == 2 * EACH, "each once"
    before = watched.did[: reads[0]]
    inside = (CLASSES - 2) * EACH
    assert sum(n for what, n in before if what != "read") == 3 * 3 * BUDGET["trials"] * inside, "all trials are over"
    assert sum(what == "read" for what, _ in watched.did) == CLASSES * EACH, "every picture is read once"
    assert f"{2 * EACH} pictures of 2 classes" in found.protocol["test"]


def test_rows_are_ranked_and_say_what_they_can(run: Any) -> None:
    folder, found, _, _ = run
    names = [row.name for row in found.rows]
    assert sorted(names) == sorted(["no training", *(c.name for c in CONTENDERS)])
    values = [row.value for row in found.rows]
    assert values == sorted(values, reverse=True)
    trained = [row for row in found.rows if row.trials]
    assert [row.verdict for row in trained].count(BEST) == 1
    assert trained[0].verdict == BEST
    for row in trained:
        scores = [trial.score for trial in row.trials]
        assert row.validation == max(scores) == scores[row.best]
        assert scores == [pytest.approx(np.mean(trial.folds)) for trial in row.trials]
        assert row.low <= row.value <= row.high
        assert row.value == pytest.approx(np.mean([seed.value for seed in row.seeds]))
        assert found.chance < row.value <= 1
        if row is not trained[0]:
            value, _, high = row.difference
            assert value == pytest.approx(row.value - trained[0].value, abs=1e-5)
            below = max(s.value for s in row.seeds) < min(s.value for s in trained[0].seeds)
            assert row.verdict == (WORSE if high < 0 and below else UNCLEAR)
    assert trained[0].seeds[0].value != trained[0].seeds[1].value or trained[0].value == 1
    body = json.loads((folder / "compare.json").read_text())
    assert [row["name"] for row in body["rows"]] == names
    assert "2 folds by class" in body["protocol"]["validation"]


def test_trial_0_is_the_defaults_and_draws_are_paired(run: Any, recipe: Recipe) -> None:
    _, found, _, _ = run
    rates = {tuple(trial.setting["loop.lr"] for trial in row.trials) for row in found.rows if row.trials}
    ((first, *others),) = rates
    assert first == recipe.loop.lr
    assert len({first, *others}) == 3
    (softmax,) = (row for row in found.rows if row.name == "normalised_softmax")
    assert softmax.trials[0].setting["temperature"] == 0.05
    assert softmax.objective["sampler"] == "shuffled"


def test_the_winner_is_a_recipe_to_train(run: Any) -> None:
    folder, found, _, _ = run
    best = next(row for row in found.rows if row.verdict == BEST)
    recipe = read((folder / "best.toml").read_text(), Recipe)
    assert recipe.objective.loss.partition("?")[0] == best.objective["loss"].partition("?")[0]
    assert recipe.loop.lr == best.setting["loop.lr"]


def test_the_page_shows_every_trial_and_the_protocol(run: Any) -> None:
    folder, found, _, _ = run
    page = (folder / "compare.html").read_text()
    assert page == compare_page(found)
    assert "<script" not in page
    assert page.count('class="ring"') == len(CONTENDERS)
    assert page.count('class="hollow"') == len(CONTENDERS)
    assert page.count("<title>trial ") == 9
    for text in ("triplet,sampler=triplets", "no training", "A Metric Learning Reality Check", "2 folds by class"):
        assert text in page


def test_nothing_is_done_twice(run: Any, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, found, _, _ = run
    monkeypatch.setattr(Learner, "learn", None)
    lines = (folder / "trials.jsonl").read_bytes()
    events: list[Any] = []
    again = drain(compare(recipe, CONTENDERS, folder, **BUDGET), events)
    assert again == found
    assert all(event.again for event in events if isinstance(event, Tried))
    assert (folder / "trials.jsonl").read_bytes() == lines
    assert not list((folder / "checkpoints").iterdir())


def test_broken_off_and_torn_it_goes_on_to_the_same_end(
    run: Any, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found, _, whole = run
    watched = Watched(monkeypatch)
    for stop in (7, 60):
        work = compare(recipe, CONTENDERS, tmp_path, **BUDGET)
        for _ in range(stop):
            next(work)
        work.close()
        with open(tmp_path / "trials.jsonl", "ab") as file:
            file.write(b'{"key": "half a li')
    again = drain(compare(recipe, CONTENDERS, tmp_path, **BUDGET))
    assert without_times(again) == without_times(found)
    assert watched.passes() == whole.passes(), "no batch is learned from twice"


def test_lines_of_another_recipe_are_not_taken(run: Any, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _, _, _ = run
    watched = Watched(monkeypatch)
    other = replace(recipe, loop=replace(recipe.loop, weight_decay=0.1))
    work = compare(other, CONTENDERS, folder, **BUDGET)
    tried = next(event for event in work if isinstance(event, Tried))
    work.close()
    assert not tried.again
    assert watched.passes()["supcon"] > 0
    more = drain(compare(recipe, CONTENDERS[:1], folder, trials=4, folds=2, seeds=2), events := [])
    assert [event.again for event in events if isinstance(event, Tried)][:3] == [True] * 3, "more trials, same first"
    assert len(more.rows) == 2


def test_tpe_goes_on_from_its_own_past(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    short = replace(recipe, loop=replace(recipe.loop, epochs=1))
    given: dict[str, Any] = {"trials": 7, "folds": 2, "seeds": 1, "search": "tpe"}
    found = drain(compare(short, CONTENDERS[:1], tmp_path, **given))
    (row,) = (row for row in found.rows if row.trials)
    spaces = CONTENDERS[0].spaces(short)
    drawn = [proposed("random", spaces, trial, short.seed) for trial in range(7)]
    assert [trial.setting == own for trial, own in zip(row.trials, drawn, strict=True)] == [True] * 6 + [False]
    assert "TPE" in found.protocol["trials"]
    monkeypatch.setattr(Learner, "learn", None)
    assert drain(compare(short, CONTENDERS[:1], tmp_path, **given)) == found


def test_an_encoder_folder_is_known_by_what_is_in_it(recipe: Recipe, pictures: Pictures, tmp_path: Path) -> None:
    there = replace(recipe, network=replace(recipe.network, tower=str(tmp_path)))
    (tmp_path / "manifest.json").write_text("one")
    before = key_of(there, pictures, pictures)
    assert key_of(there, pictures, pictures) == before
    (tmp_path / "manifest.json").write_text("another")
    assert key_of(there, pictures, pictures) != before


def test_what_fails_is_told_and_counts(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(monkeypatch, fail=lambda loss, lr: loss == "triplet" or (loss == "supcon" and lr != recipe.loop.lr))
    contenders = [Contender("triplet"), Contender("supcon")]
    events: list[Any] = []
    found = drain(compare(recipe, contenders, tmp_path, trials=2, folds=2, seeds=1), events)
    failed = [event for event in events if isinstance(event, Tried) and event.failed]
    assert [(event.contender, event.what) for event in failed] == [
        ("triplet", "trial 1 of 2"), ("triplet", "trial 2 of 2"), ("supcon", "trial 2 of 2"),
    ]  # fmt: skip
    assert found.rows[-1].name == "triplet"
    assert found.rows[-1].verdict == FAILED
    assert found.rows[-1].value is None
    assert [trial.score for trial in found.rows[-1].trials] == [None, None]
    assert len(found.rows[-1].failures) == 2
    (supcon,) = (row for row in found.rows if row.name == "supcon")
    assert supcon.best == 0
    assert supcon.verdict == BEST
    page = (tmp_path / "compare.html").read_text()
    assert page.count("not a finite number") == 3
    assert any("failed" in row for row in found.table())


def test_a_fault_that_is_nobodys_setting_stops_it(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **more: Any) -> Any:
        raise TrainingError("does not fit into memory", code="training/memory")

    monkeypatch.setattr(Learner, "learn", full)
    with pytest.raises(TrainingError) as caught:
        drain(compare(recipe, CONTENDERS, tmp_path, **BUDGET))
    assert caught.value.code == "training/memory"


def refused(code: str, recipe: Recipe, folder: Path, *contenders: str, **budget: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        drain(compare(recipe, [Contender.parse(one) for one in contenders], folder, **{**BUDGET, **budget}))
    assert caught.value.code == code, caught.value
    return caught.value


def test_what_cannot_be_compared_is_said_before_anything_is_read(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_pictures, "read", None)
    assert isinstance(refused("dataset/folds", recipe, tmp_path, "supcon", folds=4), DatasetError)
    refused("compare/none", recipe, tmp_path)
    refused("compare/twice", recipe, tmp_path, "supcon", "supcon")
    refused("compare/count", recipe, tmp_path, "supcon", trials=0)
    refused("recipe/data", replace(recipe, data=Data(validation=0.3)), tmp_path, "supcon")


def test_what_does_not_fit_is_said_before_anything_is_trained(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learner, "learn", None)
    refused("learn/columns", recipe, tmp_path, "supcon", "proxy_anchor,miner=hardest")
    refused("name/unknown", recipe, tmp_path, "supcon", "triplets")
    once = replace(recipe, loop=replace(recipe.loop, epochs=4))
    assert "loop.epochs=3" in refused("compare/budget", once, tmp_path, "triplet,sampler=triplets").hint


def test_the_split_is_of_the_data_not_of_the_training(recipe: Recipe) -> None:
    def test_classes(of: Recipe) -> set[str | None]:
        return {item.label for item in parted(of).split("test")}

    assert test_classes(replace(recipe, seed=5)) == test_classes(recipe)
    others = [replace(recipe, data=replace(recipe.data, seed=seed)) for seed in (1, 2, 3)]
    assert any(test_classes(other) != test_classes(recipe) for other in others)


@pytest.mark.parametrize("kept", [True, False])
def test_given_splits_are_kept_where_they_share_no_class(squares: Path, tmp_path: Path, kept: bool) -> None:
    """Three classes are the test; or all but one picture of each, so that they are learned from too."""
    rows = [
        f"{squares}/colour{c}/{n}.png,colour{c},{'test' if c < 3 and (kept or n) else 'train'}"
        for c in range(CLASSES)
        for n in range(EACH)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,split", *rows]))
    data = parted(Recipe(data=Data(source=f"table/{tmp_path}/table.csv", split="given")))
    train, test = ({item.label for item in data.split(name)} for name in ("train", "test"))
    assert not train & test
    assert (test == {"colour0", "colour1", "colour2"}) == kept


def test_on_the_command_line(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", "--data", str(squares), "--out", str(tmp_path / "out"), "--set", "loop.precision=fp32"]
    command += ["--loss", "supcon", "--contender", "triplet,miner=semi_hard", "--tower", "small_cnn/modern?size=16"]
    command += ["--trials", "1", "--folds", "2", "--seeds", "1", "--epochs", "1", "--batch", "12"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "triplet,miner=semi_hard" in out
    assert "no training" in out
    assert "chance: 0." in out
    assert "nearsight train" in out
    assert err.count("trial 1 of 1") >= 2
    assert (tmp_path / "out" / "compare.html").exists()
    assert main(["compare", "--data", str(squares)]) == 1
    assert "compare/none" in capsys.readouterr().err
