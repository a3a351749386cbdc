"""Tables of pictures and words, and the waterfall, made tiny: rows, what is kept, what a failure says."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nearsight.core.errors import DatasetError, InputError, TrainingError, UnknownName, Unreachable
from nearsight.core.events import Skipped
from nearsight.core.settings import override
from nearsight.learn.history import Epoch
from nearsight.learn.recipe import PairRecipe
from nearsight.study import recipes
from unit.study.crossmodal_data import TOWER, finish, quick, with_data

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
import itertools

from nearsight.study.crossmodal import tables, trials
from nearsight.study.crossmodal import waterfall as falling
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import TABLES, at_size, named, reproduce_pairs, source_of
from nearsight.study.crossmodal.trials import Figure, Summary, Trial, Trials
from nearsight.study.crossmodal.waterfall import Waterfall, changes, waterfall

pytestmark = pytest.mark.torch
TABLE2 = TABLES["table2"]


def made(recipe: PairRecipe, folder: Path, seen: list[Any] | None = None, **given: Any) -> tables.PairTableDone:
    body: dict[str, Any] = {"sizes": (8,), "overrides": quick(recipe), "device": "cpu"}
    work = reproduce_pairs(given.pop("table", TABLE2), folder, **(body | given))
    return finish(work, (seen if seen is not None else []).append)


def epochs(seen: Sequence[Any]) -> int:
    return sum(isinstance(event, Epoch) for event in seen)


class TestTables:
    @pytest.mark.parametrize("name", TABLES)
    def test_every_table_is_of_recipes_that_there_are(self, name: str) -> None:
        table = TABLES[name]
        way = {TO_TEXTS: "picture", TO_IMAGES: "caption"}[table.way]
        for one in (table.recipe, table.stand_in):
            recipe = named(one)
            assert f"anchor={way}" in recipe.objective.sampler, "trained in the direction of its caption"
        assert tuple(table.published) == tables.SIZES
        for dim in tables.SIZES:
            sized = at_size(named(table.recipe), dim)
            assert f"hidden={dim}&" in sized.pictures.head
            assert f"hidden={dim}&" in sized.text.head
        assert "hidden=1024" in at_size(named(tables.OURS), 64).text.head, "not as wide as the vectors: stays"

    def test_rows_sizes_and_one_training_for_all(self, recipe: PairRecipe, tmp_path: Path) -> None:
        seen: list[Any] = []
        done = made(recipe, tmp_path / "out", seen, sizes=(4, 256, 8))
        assert [(row.title, row.dim) for row in done.rows] == [
            *(("as published, image-to-text", dim) for dim in (4, 256, 8)),
            *(("ours, both ways", dim) for dim in (4, 256, 8)),
            *(("ours, one training for all sizes", dim) for dim in (4, 8, 256)),
        ]
        assert epochs(seen) == 7, "the last three rows are one training"
        assert [row.published for row in done.rows] == [None, (0.146, 0.163, 0.103), *[None] * 7]
        assert {row.recipe for row in done.rows} == {"report/vgg_image_to_text", "modern/words"}
        nested = done.rows[-3:]
        assert len({row.measured.loss for row in nested}) == 1
        assert len({row.measured.rsum for row in nested}) == 3, "each length is measured"
        for row in done.rows:
            assert row.measured.rsum is not None
            assert row.measured.rsum.low <= row.measured.rsum.value <= row.measured.rsum.high
            assert 0 <= row.measured.figures[done.accuracy].value <= 1
        lines = done.lines()
        assert len({len(line) for line in lines}) == 1
        assert lines[2][2:4] == ("0.146 / 0.163", "0.103")
        body = json.loads((tmp_path / "out" / "table2.json").read_text())
        assert body["format"] == "nearsight-pair-table"
        assert body["rows"][1]["published"] == [0.146, 0.163, 0.103]
        assert len(body["rows"]) == 9
        assert any(note.startswith("Changed for all rows: data.source=table") for note in done.notes)

    def test_what_is_there_is_not_trained_again(self, recipe: PairRecipe, tmp_path: Path) -> None:
        first, seen = made(recipe, tmp_path / "out"), list[Any]()
        assert made(recipe, tmp_path / "out", seen) == first
        assert epochs(seen) == 0
        places = list((tmp_path / "out" / "trials").iterdir())
        assert sorted(place.suffix for place in places) == [".json"] * 2, "weights are not kept"
        places[0].write_text("[{}]")  # of another version
        seen.clear()
        assert [row.measured.rsum for row in made(recipe, tmp_path / "out", seen).rows] == [
            row.measured.rsum for row in first.rows
        ]
        assert epochs(seen) == 1
        seen.clear()
        made(recipe, tmp_path / "out", seen, sizes=(4, 8), only=[TABLE2.recipe])
        assert epochs(seen) == 1, "another size, and not the one that is there"

    def test_stopped_it_goes_on_from_its_checkpoint(self, recipe: PairRecipe, tmp_path: Path) -> None:
        given = {"overrides": [*quick(recipe), "loop.epochs=4"], "only": ["modern/words"]}
        whole = made(recipe, tmp_path / "whole", **given)
        work, told = reproduce_pairs(TABLE2, tmp_path / "out", sizes=(8,), device="cpu", **given), list[Any]()
        for event in work:
            told.append(event)
            if epochs(told) == 2:
                break
        work.close()
        seen: list[Any] = []
        done = made(recipe, tmp_path / "out", seen, **given)
        assert [event.epoch for event in seen if isinstance(event, Epoch)] == [3, 4]
        figures = [one.rows[0].measured for one in (whole, done)]
        assert figures[0].figures == figures[1].figures
        assert figures[0].loss == figures[1].loss

    def test_seeds_have_a_spread(self, recipe: PairRecipe, tmp_path: Path) -> None:
        done = made(recipe, tmp_path / "out", seeds=(0, 1, 2), only=["modern/words"])
        each = [made(recipe, tmp_path / "out", seeds=(seed,), only=["modern/words"]).rows[0] for seed in (0, 1, 2)]
        values = [one.measured.rsum.value for one in each if one.measured.rsum is not None]
        found = done.rows[0].measured
        assert found.rsum is not None
        assert found.seeds == (0, 1, 2)
        assert len(set(values)) > 1
        assert found.rsum.value == pytest.approx(sum(values) / 3)
        assert (found.rsum.low, found.rsum.high) == (min(values), max(values))

    def test_rows_that_there_are_not_are_refused_before_any_work(self, recipe: PairRecipe, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="report/siamese") as caught:
            made(recipe, tmp_path / "out", only=["report/siamese"])
        assert "modern/words" in caught.value.hint
        with pytest.raises(InputError) as wrong:
            made(with_data(recipe, test=""), tmp_path / "out", overrides=[*quick(recipe), "data.test="])
        assert wrong.value.code == "recipe/data"

    def test_a_row_whose_weights_cannot_be_had_gives_way(
        self, recipe: PairRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Trials.featured

        def featured(self: Trials, given: PairRecipe) -> Any:
            if given.name == TABLE2.recipe:
                raise Unreachable("no network here", hint="go online")
            return (yield from real(self, given))

        monkeypatch.setattr(Trials, "featured", featured)
        seen: list[Any] = []
        done = made(recipe, tmp_path / "out", seen)
        note = f"{TABLE2.stand_in} stands in: no network here"
        assert [(row.recipe, row.note) for row in done.rows] == [(TABLE2.stand_in, note), ("modern/words", "")]
        assert done.notes[0] == note
        assert done.rows[0].published is None
        assert [event.path for event in seen if isinstance(event, Skipped)] == [TABLE2.recipe]

    def test_a_training_that_fails_is_a_row_that_says_so(self, recipe: PairRecipe, tmp_path: Path) -> None:
        seen: list[Any] = []
        given = {"overrides": [*quick(recipe), "loop.lr=1e30", "loop.epochs=3"], "seeds": (0, 1)}
        done = made(recipe, tmp_path / "out", seen, **given)
        assert len(done.rows) == 2
        for row in done.rows:
            assert row.measured.figures == {}
            assert [why.partition(":")[0] for why in row.measured.failed] == ["seed 0", "seed 1"]
        assert "failed" in done.lines()[1]
        assert any("seed 1: " in line for line in done.findings)
        json.loads((tmp_path / "out" / "table2.json").read_text())
        seen.clear()
        assert made(recipe, tmp_path / "out", seen, **given) == done
        assert epochs(seen) == 0, "it would fail again"

    def test_too_little_memory_says_nothing_of_a_recipe(
        self, recipe: PairRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any, **__: Any) -> Generator[Any, None, Any]:
            yield from ()
            raise TrainingError("does not fit", code="training/memory")

        with monkeypatch.context() as patch:
            patch.setattr(trials, "learn", full)
            with pytest.raises(TrainingError, match="does not fit"):
                made(recipe, tmp_path / "out")
        assert made(recipe, tmp_path / "out").rows[0].measured.figures

    def test_heads_that_give_zeros_are_a_row_with_losses_and_no_figures(
        self, recipe: PairRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = trials.learn

        def learn(*given: Any, **more: Any) -> Any:
            learned = yield from real(*given, **more)
            for p in learned.fitted.network.parameters():
                p.zero_()
            return learned

        monkeypatch.setattr(trials, "learn", learn)
        done = made(recipe, tmp_path / "out")
        collapsed, row = done.rows
        assert collapsed.measured.rsum is not None, "a ReLU at the end leaves a little: all alike is chance"
        assert collapsed.measured.rsum.value == pytest.approx(collapsed.measured.rsum.floor)
        assert row.measured.rsum is None
        assert "zero vector" in row.measured.failed[0]
        assert row.measured.loss is not None
        assert math.isfinite(row.measured.loss)
        assert "failed" in done.lines()[2]


class TestData:
    def test_flickr8k_is_taken_where_the_pictures_of_flickr30k_are_not_there(self, tmp_path: Path) -> None:
        from PIL import Image

        recipe = named(TABLE2.recipe, [f"data.root={tmp_path}"])
        with pytest.raises(DatasetError, match="flickr30k"):
            source_of(recipe, [])

        def there(name: str) -> None:
            folder = tmp_path / name / "images"
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "a.jpg")
            entry = {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "a thing"}]}
            (tmp_path / name / f"dataset_{name}.json").write_text(json.dumps({"images": [entry]}))

        there("flickr8k")
        source, notes = source_of(recipe, [])
        assert source == "karpathy/flickr8k"
        assert len(notes) == 1
        assert "Measured on karpathy/flickr8k, not on karpathy/flickr30k" in notes[0]
        assert source_of(recipe, ["data.source=drawn"]) == ("drawn", ())
        there("flickr30k")
        assert source_of(recipe, []) == ("karpathy/flickr30k", ())


class TestTrials:
    def test_names_are_not_kept(self, recipe: PairRecipe, tmp_path: Path) -> None:
        """Rows of two tables that are one training are one training."""
        run, seen = Trials(tmp_path, device="cpu"), list[Any]()
        first = finish(run.run(replace(recipe, name="one")), seen.append)
        assert epochs(seen) == 3
        assert finish(run.run(replace(recipe, name="two")), seen.append) == first
        assert epochs(seen) == 3

    def test_other_data_are_another_training(self, recipe: PairRecipe, tmp_path: Path) -> None:
        run, seen = Trials(tmp_path, device="cpu"), list[Any]()
        finish(run.run(recipe), seen.append)
        finish(run.run(with_data(recipe, validation="test", test="val")), seen.append)
        assert epochs(seen) == 6

    def test_a_correction_is_measured_beside(self, recipe: PairRecipe, tmp_path: Path) -> None:
        found = finish(Trials(tmp_path, device="cpu").seeds(replace(recipe, hubness="csls"), (0,)))[0]
        plain, corrected = (Summary.of(found, corrected=which).rsum for which in (False, True))
        assert plain is not None
        assert plain == found[0].figures["rSum"]
        assert corrected == found[0].corrected["rSum"]
        assert plain != corrected

    def test_one_seed_of_several_may_fail(self) -> None:
        figures = {"rSum": Figure(10.0, 5.0, 15.0, 1.0)}
        found = Summary.of(
            [Trial(8, 0, loss=1.0, figures=figures), Trial(8, 1, failed="not finite", loss=math.inf)], corrected=True
        )
        assert found.rsum == figures["rSum"]
        assert found.failed == ("seed 1: not finite",)
        assert found.loss is None
        assert found.remarks("row") == ["row: seed 1: not finite"]
        assert found.interval() == "5.0 .. 15.0"


class TestWaterfall:
    @pytest.fixture
    def fell(self, recipe: PairRecipe, tmp_path: Path) -> tuple[Waterfall, list[Any]]:
        return self.run(recipe, tmp_path / "out")

    def run(self, recipe: PairRecipe, folder: Path, **given: Any) -> tuple[Waterfall, list[Any]]:
        seen: list[Any] = []
        body: dict[str, Any] = {"seeds": (0,), "overrides": [*quick(recipe), "dim=8", "hubness=csls"], "device": "cpu"}
        return finish(waterfall(folder, **(body | given)), seen.append), seen

    def test_it_ends_at_ours(self) -> None:
        """All changes on the report's recipe are our recipe, but for names and what no training depends on."""
        ours = named(tables.OURS)
        start = at_size(named(falling.START), ours.dim)
        start = replace(start, pictures=replace(start.pictures, tower=ours.pictures.tower))
        last = override(start, [one for change in changes(ours) for one in change.assignments])
        assert replace(last, name=ours.name, about=ours.about, data=ours.data) == ours
        assert all(change.assignments for change in changes(ours))

    def test_stages_gains_and_the_last_one_is_trained_once(
        self, fell: tuple[Waterfall, list[Any]], tmp_path: Path
    ) -> None:
        done, seen = fell
        ours = named(tables.OURS)
        assert [stage.title for stage in done.stages] == ["the report's recipe", *(c.title for c in changes(ours))]
        trained = len(done.stages) - 2  # the words have one layer here, and the correction is no training
        assert epochs(seen) == trained
        values = [stage.measured.rsum.value for stage in done.stages if stage.measured.rsum is not None]
        assert len(values) == len(done.stages)
        gains = [stage.gain for stage in done.stages]
        assert gains[0] is None
        assert gains[1:] == pytest.approx([b - a for a, b in itertools.pairwise(values)])
        assert done.stages[-1].changed == ("hubness=csls",)
        assert done.stages[-1].measured.seconds == 0
        assert done.stages[-1].gain != 0, "corrected, and the one above is not"
        lines = done.lines()
        assert len({len(line) for line in lines}) == 1
        body = json.loads((tmp_path / "out" / "waterfall.json").read_text())
        assert body["format"] == "nearsight-waterfall"
        assert len(body["stages"]) == len(done.stages)

    def test_nothing_twice(self, recipe: PairRecipe, fell: tuple[Waterfall, list[Any]], tmp_path: Path) -> None:
        again, seen = self.run(recipe, tmp_path / "out")
        assert again == fell[0]
        assert epochs(seen) == 0

    def test_without_a_correction_the_last_row_is_the_one_above(self, recipe: PairRecipe, tmp_path: Path) -> None:
        done, _ = self.run(recipe, tmp_path / "none", overrides=[*quick(recipe), "dim=8", "hubness=none"])
        assert done.stages[-1].gain == 0

    def test_a_stage_that_fails_has_no_gain(
        self, recipe: PairRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = trials.learn

        def learn(given: PairRecipe, *rest: Any, **more: Any) -> Any:
            if given.name == "waterfall, unit length":
                raise TrainingError("not a number", code="training/not-finite")
            return (yield from real(given, *rest, **more))

        monkeypatch.setattr(trials, "learn", learn)
        done, _ = self.run(recipe, tmp_path / "out")
        assert [stage.gain is None for stage in done.stages[:5]] == [True, False, True, True, False]
        assert done.stages[2].measured.failed == ("seed 0: not a number",)
        assert "unit length: seed 0: not a number" in done.findings


def test_the_tower_of_a_tiny_table_is_what_was_asked_for(recipe: PairRecipe) -> None:
    for name in recipes.names():
        if isinstance(recipes.read(name), PairRecipe):
            assert override(recipes.of_pairs(recipes.read(name)), quick(recipe)).pictures.tower == TOWER
