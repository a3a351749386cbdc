"""What surrounds a training: what is divided, whitened, refused, reproduced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import DatasetError, InputError, TrainingError
from nearsight.core.settings import override
from nearsight.encode import Encoder
from nearsight.learn.recipe import Recipe
from nearsight.study.training.run import divide

QUICK = [
    "network.tower=small_cnn/modern?size=16", "objective.loss=supcon", "objective.sampler=pk?k=4", "loop.batch=12",
    "loop.epochs=2", "loop.lr=0.01", "loop.precision=fp32",
]  # fmt: skip


def painted(folder: Path, counts: dict[str, int], side: int = 24) -> Path:
    for at, (label, count) in enumerate(counts.items()):
        for number in range(count):
            draw = np.random.default_rng(1000 * at + number)
            colour = np.array([60 + 40 * (at % 5), 200 - 30 * (at % 6), 90 + 60 * (at % 3)])
            pixels = np.clip(colour + draw.integers(-40, 40, (side, side, 3)), 0, 255).astype(np.uint8)
            path = folder / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


def recipe(folder: Path, *more: str) -> Recipe:
    return override(Recipe(), [f"data.source=folder/{folder}", *QUICK, *more])


def finish(work: Any) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


EIGHT = {f"class{n}": 10 for n in range(8)}


class TestDividing:
    def test_nothing_is_in_two_parts(self, tmp_path: Path) -> None:
        folder = painted(tmp_path, EIGHT)
        for how in ("stratified", "disjoint"):
            found = divide(recipe(folder, f"data.split={how}", "data.validation=0.3"))
            test = {item.path for item in found.benchmarks[-1].queries}
            train, held = ({item.path for item in part} for part in (found.train, found.held_out))
            assert train
            assert held
            assert not train & held
            assert not test & (train | held)
            assert len(test | train | held) == 80
            classes = [{str(p.parent.name) for p in part} for part in (train, held, test)]
            if how == "disjoint":
                assert not classes[0] & classes[1]
                assert not classes[2] & (classes[0] | classes[1])
                assert [one.protocol for one in found.benchmarks] == ["test-loo"]
            else:
                assert classes[0] == classes[1] == classes[2]

    def test_seeds_of_training_share_a_split_and_seeds_of_data_do_not(self, tmp_path: Path) -> None:
        folder = painted(tmp_path, EIGHT)
        parts = [
            divide(recipe(folder, "data.split=stratified", one)).train for one in ("seed=0", "seed=1", "data.seed=1")
        ]
        assert parts[0] == parts[1] != parts[2]

    def test_given_splits_are_taken_and_their_validation_is_held_out(self, tmp_path: Path) -> None:
        for split in ("train", "val", "test"):
            painted(tmp_path / "set" / split, {"a": 4, "b": 4})
        found = divide(recipe(tmp_path / "set"))
        assert {item.split for item in found.train} == {"train"}
        assert {item.split for item in found.held_out} == {"val"}
        assert {item.split for item in found.benchmarks[0].queries} == {"test"}

    def test_choosing_an_epoch_needs_pictures_to_choose_by(self, tmp_path: Path) -> None:
        for split in ("train", "val", "test"):
            painted(tmp_path / "set" / split, {"a": 4, "b": 4})
        with pytest.raises(InputError) as caught:
            divide(recipe(painted(tmp_path / "plain", EIGHT), "loop.select=best"))
        assert "data.validation" in caught.value.hint
        assert len(divide(recipe(tmp_path / "set", "loop.select=best")).held_out) == 8

    def test_pictures_of_other_splits_are_named(self, tmp_path: Path) -> None:
        folder = painted(tmp_path / "p", {"a": 4, "b": 4})
        lines = [
            f"{p},{p.parent.name},{['train', 'test', 'extra', 'train'][int(p.stem)]}" for p in folder.rglob("*.png")
        ]
        table = tmp_path / "t.csv"
        table.write_text("path,label,split\n" + "\n".join(lines) + "\n")
        found = divide(override(recipe(folder), [f"data.source=table/{table}"]))
        assert len(found.dataset.skipped) == 2
        assert all(event.path.endswith("2.png") for event in found.dataset.skipped)

    def test_what_has_nothing_to_find_is_not_asked(self, tmp_path: Path) -> None:
        found = divide(recipe(painted(tmp_path, {"a": 5, "b": 5})))
        assert [one.protocol for one in found.benchmarks] == ["test->train"]
        with pytest.raises(DatasetError):
            divide(recipe(painted(tmp_path / "b", {"a": 2, "b": 2, "c": 2}), "data.split=disjoint", "data.test=0.1"))

    def test_an_epoch_is_not_chosen_by_pictures_that_have_nothing_to_find(self, tmp_path: Path) -> None:
        folder = painted(tmp_path, {"a": 10, "b": 10})
        with pytest.raises(DatasetError, match="held out") as caught:
            divide(recipe(folder, "data.validation=0.1", "loop.select=best"))
        assert caught.value.code == "dataset/nothing-to-find"
        assert len(divide(recipe(folder, "data.validation=0.1")).held_out) == 2


@pytest.mark.torch
class TestTraining:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("torch")
        pytest.importorskip("lightning_fabric")

    @pytest.mark.parametrize("how", ["pca", "learned"])
    def test_whitening_is_fitted_on_the_training_pictures_and_exported(self, how: str, tmp_path: Path) -> None:
        from nearsight.study.training.run import train

        given = recipe(painted(tmp_path / "data", EIGHT), f"network.whiten={how}", "network.whiten_dim=6")
        done = finish(train(given, tmp_path / "out", maps=False))
        encoder = Encoder.load(done.folder / "encoder")
        assert encoder.spec.dim == 6
        assert encoder.spec.identity["heads"] == ["identity", "whiten?dim=6"]
        paths = [item.path for item in divide(given).train]
        vectors = encoder.encode_images(Image.open(path) for path in paths)
        spread = np.cov(vectors.T)
        assert np.abs(spread - np.diag(np.diag(spread))).max() < 0.35 * np.diag(spread).max()

    def test_choosing_an_epoch_stands_on_the_card(self, tmp_path: Path) -> None:
        from nearsight.study.training.run import train

        folder = painted(tmp_path / "data", EIGHT)
        chosen = finish(train(recipe(folder, "data.validation=0.3", "loop.select=best"), tmp_path / "a", maps=False))
        assert "held out of the training split" in chosen.after[0].card.selection_split
        assert chosen.before[0].card.selection_split == "", "the tower as it came was chosen by nothing"
        assert finish(train(recipe(folder), tmp_path / "b", maps=False)).after[0].card.selection_split == ""

    def test_test_pictures_that_changed_are_measured_again_before_too(self, tmp_path: Path) -> None:
        from nearsight.study.training.run import train

        given = recipe(painted(tmp_path / "data", EIGHT))
        first = finish(train(given, tmp_path / "out", maps=False))
        asked = divide(given).benchmarks[-1].queries[0]
        Image.new("RGB", (24, 24), (9, 9, 9)).save(asked.path)
        again = finish(train(given, tmp_path / "out", maps=False))
        assert first.before[0].card.queries != again.before[0].card.queries == again.after[0].card.queries

    def test_copies_on_both_sides_of_the_split_are_counted(self, tmp_path: Path) -> None:
        from nearsight.study.training.run import train

        given = recipe(painted(tmp_path / "data", EIGHT), "data.validation=0.3")
        parts = divide(given)
        original = parts.train[0].path.read_bytes()
        for item in (*parts.benchmarks[0].queries[:2], parts.held_out[0]):
            item.path.write_bytes(original)
        finish(train(given, tmp_path / "out", maps=False))
        told = json.loads((tmp_path / "out" / "encoder" / "training.json").read_text())["facts"]["copies"]
        assert told == "2 of 16 test pictures and 1 of 16 held out are byte for byte among those trained on"
        assert told in (tmp_path / "out" / "report.html").read_text()

    def test_two_trainings_into_one_folder_do_not_meet(self, tmp_path: Path) -> None:
        from nearsight.core.errors import Locked
        from nearsight.study.training.run import train

        given = recipe(painted(tmp_path / "data", EIGHT))
        first = train(given, tmp_path / "out", maps=False)
        while not (tmp_path / "out" / "recipe.toml").exists():
            next(first)
        for fresh in (False, True):
            with pytest.raises(Locked, match="out"):
                finish(train(given, tmp_path / "out", maps=False, fresh=fresh))
        first.close()
        finish(train(given, tmp_path / "out", maps=False))

    def test_what_cannot_be_whitened_is_refused_before_training(self, tmp_path: Path) -> None:
        from nearsight.study.training.run import train

        given = recipe(painted(tmp_path / "data", EIGHT), "network.whiten=pca", "network.whiten_dim=11")
        with pytest.raises(InputError, match="whitened to 11"):
            finish(train(given, tmp_path / "out", maps=False))
        assert not (tmp_path / "out").exists()

    def test_processes_but_the_first_say_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from nearsight.core.events import Skipped
        from nearsight.learn.devices import Devices
        from nearsight.study.training.run import train

        folder = painted(tmp_path / "data", EIGHT)
        (folder / "class0" / "broken.png").write_bytes(b"no picture")
        for first in (False, True):
            monkeypatch.setattr(Devices, "first", property(lambda _, first=first: first))
            said = list(train(recipe(folder), tmp_path / "out", maps=False))
            assert any(isinstance(event, Skipped) for event in said) == bool(said) == first
            assert (tmp_path / "out" / "encoder").exists() == first

    def test_a_network_without_directions_is_an_error_with_its_repair(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        from nearsight.encode.network import TorchTower
        from nearsight.encode.preprocess import Preprocess
        from nearsight.study.training.outcome import Study

        nothing = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4), torch.nn.ReLU())
        for p in nothing.parameters():
            p.data.fill_(-1.0)
        tower = TorchTower("small_cnn/report", nothing, Preprocess(16, 16, fit="squash"), {})
        benchmarks = divide(recipe(painted(tmp_path / "data", EIGHT))).benchmarks
        with pytest.raises(TrainingError) as caught:
            finish(Study(benchmarks, tmp_path, "").measured(tower, chosen=True))
        assert caught.value.code == "training/no-direction"
        assert "ReLU" in caught.value.hint

    def test_a_table_is_reproduced_and_nothing_is_trained_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from nearsight.core.errors import UnknownName, Unreachable
        from nearsight.study import recipes
        from nearsight.study.pages.table import table_page
        from nearsight.study.training import reproduce

        given = recipe(painted(tmp_path / "data", EIGHT))
        made = {name: replace(given, name=name, about=f"About {name}.") for name in ("a/gone", "a/here", "a/other")}
        monkeypatch.setattr(recipes, "read", lambda name: made[name])
        trained: list[str] = []
        real = reproduce.train

        def train(one: Recipe, *rest: Any, **more: Any) -> Any:
            if one.name == "a/gone":
                raise Unreachable("no network here")
            trained.append(f"{one.name} {one.seed}")
            return real(one, *rest, maps=False, **more)

        monkeypatch.setattr(reproduce, "train", train)
        lines = (
            reproduce.Line("first", "a/gone", "a/here", {"KNN": 0.5, "FAISS": 0.6}),
            reproduce.Line("second", "a/other"),
        )
        table = reproduce.Published("t", "A table", lines, {"KNN": "exact", "FAISS": "faiss/Flat"}, ("A note.",))
        done = finish(reproduce.reproduce(table, tmp_path / "runs", seeds=(0, 1)))
        assert trained == ["a/here 0", "a/here 1", "a/other 0", "a/other 1"]
        assert len(done.cells) == 2 * 2 * 2
        first = done.cells[0]
        assert (first.row, first.recipe, first.engine, first.published, first.seeds) == (
            "first",
            "a/here",
            "KNN",
            0.5,
            (0, 1),
        )
        assert "a/here stands in: no network here" in first.note
        assert first.low <= first.value <= first.high
        knn, faiss = ([c.value for c in done.cells if c.engine == engine] for engine in ("KNN", "FAISS"))
        assert knn == pytest.approx(faiss)
        assert json.loads((tmp_path / "runs" / "t.json").read_text())["cells"][0]["published"] == 0.5
        page = table_page(done)
        assert "A note." in page
        assert "0.50" in page
        again = finish(reproduce.reproduce(table, tmp_path / "runs", seeds=(0, 1)))
        assert len(trained) == 4
        assert again == done
        alone = ['data.protocols=["test-loo"]', "loop.epochs=1"]
        one = finish(reproduce.reproduce(table, tmp_path / "one", only=["a/other"], overrides=alone))
        assert [(cell.engine, cell.protocol) for cell in one.cells] == [("KNN", "test-loo"), ("FAISS", "test-loo")]
        with pytest.raises(UnknownName, match="a/nothing"):
            finish(reproduce.reproduce(table, tmp_path / "runs", only=["a/nothing"]))
        with pytest.raises(InputError):
            finish(reproduce.reproduce(table, tmp_path / "runs", overrides=["loop.epochs=0"]))

    def test_a_row_is_one_recipe_for_all_seeds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from nearsight.core.errors import Unreachable
        from nearsight.study import recipes
        from nearsight.study.training import reproduce

        monkeypatch.setattr(recipes, "read", lambda name: replace(Recipe(), name=name))
        meant: list[list[str]] = []

        def run(given: Recipe, *_: Any) -> Any:
            if given.name == "a/gone" and given.seed:
                raise Unreachable("the network went away")
            yield from ()
            return reproduce._Run({"KNN": [given.name]}, 0.0, ())  # type: ignore[list-item]

        monkeypatch.setattr(reproduce, "_run", run)
        monkeypatch.setattr(reproduce, "_cell", lambda *given: meant.append([r.reports["KNN"][0] for r in given[4]]))
        line = reproduce.Line("first", "a/gone", "a/here")
        table = reproduce.Published("t", "A table", (line,), {"KNN": "exact"}, ())
        finish(reproduce._line(line, table, tmp_path, (0, 1), (), "cpu"))
        assert meant == [["a/here", "a/here"]]
