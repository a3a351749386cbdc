"""A training on captioned pictures from end to end: its folder, what it leaves out and names, how it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import unit
from nearsight.core.errors import DatasetError, InputError, TrainingError, UnknownName
from nearsight.core.events import Encoded, Skipped, Step
from nearsight.core.settings import override
from nearsight.encode.encoder import Encoder
from nearsight.learn.history import Epoch
from nearsight.learn.recipe import PairRecipe
from nearsight.study.crossmodal.report import CrossReport
from unit.study.crossmodal_data import Rows, finish, recipe_of, with_data, word_file, written

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
from nearsight.learn.devices import Devices
from nearsight.study.crossmodal.features import featured
from nearsight.study.crossmodal.train import PairOutcome, learn, measured, train_pairs, unsaved

pytestmark = pytest.mark.torch
Scenes = tuple[Rows, Path, Path]
CODE = """
import sys
from pathlib import Path
for name in ("torch", "transformers", "fasttext", "lightning_fabric", "timm"):
    sys.modules[name] = None
import numpy as np
from PIL import Image
from nearsight.encode.encoder import Encoder
encoder = Encoder.load(Path(sys.argv[1]))
pictures = encoder.encode_images([Image.open(path).convert("RGB") for path in sys.argv[3:5]])
np.save(sys.argv[2], np.concatenate([pictures, encoder.encode_texts(sys.argv[5:7])]))
"""


def trained(recipe: PairRecipe, folder: Path, seen: list[Any] | None = None, **given: Any) -> PairOutcome:
    return finish(train_pairs(recipe, folder, device="cpu", **given), (seen if seen is not None else []).append)


def unsaved_of(recipe: PairRecipe) -> PairRecipe:
    """With an image tower that takes no time and becomes no graph."""
    return replace(recipe, pictures=replace(recipe.pictures, tower="colour"))


def left_out(seen: list[Any]) -> list[tuple[str, str]]:
    return [(Path(event.path).name, event.code) for event in seen if isinstance(event, Skipped)]


class TestTheFolder:
    def test_is_complete_and_its_encoder_gives_what_was_measured_without_torch(
        self, recipe: PairRecipe, scenes: Scenes, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        recipe = replace(recipe, hubness="csls")
        outcome = trained(recipe, out)
        assert {entry.name for entry in out.iterdir()} >= {
            "recipe.toml", "encoder", "report.html", "report.json", "corrected.json", "history.jsonl", "checkpoint",
        }  # fmt: skip
        plain, corrected = (
            CrossReport.from_json((out / f"{name}.json").read_text()) for name in ("report", "corrected")
        )
        assert (plain, corrected) == (outcome.report, outcome.corrected)
        assert plain.to_texts.card.encoder == Encoder.load(out / "encoder").spec.fingerprint
        assert plain.to_texts.card.selection_split == "val"
        assert "split train" in corrected.to_texts.card.engine
        assert corrected.to_texts.card.transductive == ()
        told = json.loads((out / "encoder" / "training.json").read_text())
        assert told["measures"]["csls"]["rSum"]["value"] == corrected.rsum.value
        assert [one["epoch"] for one in told["history"]] == [1, 2, 3]
        assert all(one["validation_loss"] is not None for one in told["history"])
        assert '<polyline class="beside"' in (out / "report.html").read_text(), "the loss over what was held out"
        # the vectors, by another process that has no torch
        data = finish(featured(recipe))
        fitted = finish(learn(recipe, data, folder=out / "checkpoint", devices=Devices("fp32", "cpu")))
        relation = data.test.relation  # type: ignore[union-attr]
        rows = [0, 3, len(relation.pictures) + 1, len(relation.pictures) + 7]
        vectors = unit(fitted.vectors(data.test))[rows]  # type: ignore[arg-type]
        shown = [*(str(relation.pictures[row].path) for row in rows[:2]), relation.texts[1], relation.texts[7]]
        arguments = [sys.executable, "-c", CODE, str(out / "encoder"), str(tmp_path / "v.npy"), *shown]
        subprocess.run(arguments, check=True, timeout=120)
        np.testing.assert_allclose(np.load(tmp_path / "v.npy"), vectors, atol=0.02)

    def test_learns_what_captions_say(self, recipe: PairRecipe, tmp_path: Path) -> None:
        outcome = trained(override(unsaved_of(recipe), ["loop.epochs=25"]), tmp_path / "out")
        losses = [epoch.loss for epoch in outcome.history]
        assert losses[-1] < 0.7 * losses[0]
        assert outcome.report is not None
        assert outcome.chosen == max(outcome.history, key=lambda epoch: (epoch.validation, -epoch.epoch)).epoch

    def test_a_tower_that_is_no_network_is_measured_and_not_saved(self, recipe: PairRecipe, tmp_path: Path) -> None:
        outcome = trained(unsaved_of(recipe), tmp_path / "out")
        assert not outcome.encoder
        assert not (tmp_path / "out" / "encoder").exists()
        assert outcome.report is not None
        assert "colour" in outcome.report.to_texts.encoder

    def test_a_second_run_does_nothing_again(self, recipe: PairRecipe, tmp_path: Path) -> None:
        recipe = unsaved_of(recipe)
        first, seen = trained(recipe, tmp_path / "out"), list[Any]()
        again = trained(recipe, tmp_path / "out", seen)
        assert not [event for event in seen if isinstance(event, (Epoch, Encoded))]
        assert again.report == first.report
        fresh = list[Any]()
        trained(recipe, tmp_path / "out", fresh, fresh=True)
        assert len([event for event in fresh if isinstance(event, Epoch)]) == 3
        assert not [event for event in fresh if isinstance(event, Encoded)], "features are taken once"

    def test_stopped_it_goes_on_to_the_same_weights(self, recipe: PairRecipe, tmp_path: Path) -> None:
        recipe = unsaved_of(recipe)
        whole, out = trained(recipe, tmp_path / "whole"), tmp_path / "out"
        for kind in (Step, Epoch, Step):
            work = train_pairs(recipe, out, device="cpu")
            for event in work:
                if isinstance(event, kind) and getattr(event, "what", "training") == "training":
                    break
            work.close()
            assert not (out / "report.json").exists()
        again = trained(recipe, out)
        files = [folder / "checkpoint" / "best.safetensors" for folder in (tmp_path / "whole", out)]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert again.report == whole.report
        assert len((out / "history.jsonl").read_text().splitlines()) == 3

    def test_without_a_test_split_there_is_an_encoder_and_no_report(self, recipe: PairRecipe, tmp_path: Path) -> None:
        outcome = trained(with_data(recipe, test=""), tmp_path / "out")
        assert outcome.report is None
        assert outcome.encoder
        assert not (tmp_path / "out" / "report.html").exists()


class TestRefusedBeforeAnyWork:
    @pytest.mark.parametrize(
        ("assignments", "error", "code"),
        [
            (["data.validation="], InputError, "recipe/value"),
            (["data.validation=", "loop.select=last", "loop.patience=2"], InputError, "recipe/value"),
            (["data.source="], InputError, "recipe/data"),
            (["data.train=training"], DatasetError, "dataset/split"),
            (["data.test=testing"], DatasetError, "dataset/split"),
            (["hubness=cls"], UnknownName, "name/unknown"),
            (["text.pool=median"], UnknownName, "name/unknown"),
            (["text.head=mlp?hiden=3"], UnknownName, "name/unknown"),
            (["loop.measure=rsun"], UnknownName, "name/unknown"),
            (["objective.loss=tripled"], UnknownName, "name/unknown"),
        ],
    )
    def test_by_name(
        self, recipe: PairRecipe, tmp_path: Path, assignments: list[str], error: type[Exception], code: str
    ) -> None:
        seen: list[Any] = []
        with pytest.raises(error) as caught:
            trained(override(recipe, assignments), tmp_path / "out", seen)
        assert caught.value.code == code  # type: ignore[attr-defined]
        assert not [event for event in seen if isinstance(event, (Encoded, Epoch))]

    def test_without_validation_the_last_epoch_is_taken(self, recipe: PairRecipe, tmp_path: Path) -> None:
        last = override(unsaved_of(recipe), ["data.validation=", "loop.select=last"])
        outcome = trained(last, tmp_path / "out")
        assert outcome.chosen == 3
        assert all(epoch.validation_loss is None for epoch in outcome.history)


class TestWhatCannotBeUsed:
    def made(self, scenes: Scenes, folder: Path, change: Callable[[Rows], Rows], more: list[str] | None = None) -> Any:
        """The recipe on changed rows."""
        rows = change([dict(row) for row in scenes[0]])
        words = word_file(scenes[0], folder / "w.txt", more=more or ())
        return unsaved_of(recipe_of(written(rows, folder / "changed.csv"), words))

    def test_captions_and_pictures_are_named_and_counted_and_nothing_else_is_lost(
        self, scenes: Scenes, tmp_path: Path, recipe: PairRecipe
    ) -> None:
        broken, alone = tmp_path / "broken.jpg", tmp_path / "alone.jpg"
        broken.write_bytes(b"no picture")
        Image.new("RGB", (20, 20)).save(alone)

        def change(rows: Rows) -> Rows:
            rows[0]["caption"] = "   "  # empty
            rows[5]["caption"] = "qwxz zxwq"  # no known word
            rows[10]["caption"] = "\N{DOG FACE}\N{ZERO WIDTH JOINER}\N{FIRE}"  # nor here
            rows[15]["caption"] = "\u0441\u043e\u0431\u0430\u043a\u0430 street"  # one known word
            rows[20]["caption"] = "street " * 10_000
            for row in rows[25:30]:
                row["caption"] = "qwxz"  # a picture that has none left
            rows.append({"path": str(tmp_path / "gone.jpg"), "caption": "a street", "split": "train"})
            rows.append({"path": str(broken), "caption": "a street", "split": "train"})
            rows.append({"path": str(alone), "caption": "", "split": "train"})
            return rows

        seen: list[Any] = []
        outcome = trained(self.made(scenes, tmp_path, change), tmp_path / "out", seen)
        names = [Path(row["path"]).name for row in scenes[0]]
        found = left_out(seen)
        codes = sorted(code for _, code in found)
        assert codes == sorted(
            ["dataset/empty-caption", "text/empty", "text/empty", *["text/empty"] * 5, "dataset/missing-picture",
             "dataset/no-captions", "dataset/no-captions", "picture/not-a-picture"]
        )  # fmt: skip
        assert (names[0], "dataset/empty-caption") in found
        assert ("gone.jpg", "dataset/missing-picture") in found
        assert ("broken.jpg", "picture/not-a-picture") in found
        assert ("alone.jpg", "dataset/no-captions") in found
        assert (names[25], "dataset/no-captions") in found
        mute = [event.path for event in seen if isinstance(event, Skipped) and event.code == "text/empty"]
        assert any(names[5] in path and "qwxz zxwq" in path for path in mute), "which caption of which picture"
        assert "31 with 152 captions" in (tmp_path / "out" / "report.html").read_text()
        assert outcome.report is not None
        assert outcome.report.to_images.queries == 80, "of the test nothing was touched"

    def test_a_broken_line_of_the_vector_file_is_told(self, scenes: Scenes, tmp_path: Path, recipe: PairRecipe) -> None:
        seen: list[Any] = []
        trained(self.made(scenes, tmp_path, list, ["broken 1 2", "wrong 1 2 3 4 5 x 7 8"]), tmp_path / "out", seen)
        lines = len((tmp_path / "w.txt").read_text().splitlines())
        assert left_out(seen) == [(f"w.txt:{lines - 1}", "words/numbers"), (f"w.txt:{lines}", "words/not-a-number")]

    def test_a_split_of_which_nothing_can_be_used_is_an_error(
        self, scenes: Scenes, tmp_path: Path, recipe: PairRecipe
    ) -> None:
        def change(rows: Rows) -> Rows:
            return [row | {"caption": "qwxz"} if row["split"] == "val" else row for row in rows]

        with pytest.raises(DatasetError) as caught:
            trained(self.made(scenes, tmp_path, change), tmp_path / "out")
        assert caught.value.code == "dataset/no-captions"
        assert "qwxz" in str(caught.value)


class TestFeatures:
    def test_rows_stay_with_their_captions_whatever_is_lost(
        self, scenes: Scenes, tmp_path: Path, recipe: PairRecipe
    ) -> None:
        """Each row of the source is the set of the picture or caption that the relation names there."""
        rows = [dict(row) for row in scenes[0]]
        for at in (0, 7, 25, 26, 27, 28, 29):
            rows[at]["caption"] = "qwxz"
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"no picture")
        for row in rows[40:45]:
            row["path"] = str(broken)
        changed = recipe_of(written(rows, tmp_path / "changed.csv"), scenes[2])
        data = finish(featured(changed))
        relation, source = data.train.relation, data.train.source
        assert (len(relation.pictures), len(relation.texts)) == (30, 148)
        assert (len(source.pictures), len(source.texts)) == (30, 148)
        for at, text in enumerate(relation.texts):
            vectors, mask = source.texts.rows(np.array([at]))
            np.testing.assert_allclose(vectors[0][mask[0]], data.words.sets([text])[0].vectors, atol=2e-3)
        whole = finish(featured(recipe))
        known = {item.path: at for at, item in enumerate(whole.train.relation.pictures)}
        for at, item in enumerate(relation.pictures):
            mine, _ = source.pictures.rows(np.array([at]))
            same, _ = whole.train.source.pictures.rows(np.array([known[item.path]]))
            np.testing.assert_array_equal(mine, same)
        np.testing.assert_array_equal(source.of, relation.of)

    def test_another_order_is_another_digest(self, recipe: PairRecipe) -> None:
        data = finish(featured(recipe))
        rows = data.train.source.pictures
        other = replace(rows, index=rows.index[::-1])  # type: ignore[type-var]
        assert other.digest != rows.digest


def test_vectors_that_are_zero_say_what_to_do(recipe: PairRecipe, tmp_path: Path) -> None:
    data = finish(featured(recipe))
    learned = finish(learn(recipe, data, folder=None, devices=Devices("fp32", "cpu")))
    for p in learned.fitted.network.parameters():
        p.zero_()
    with pytest.raises(TrainingError) as caught:
        finish(measured(recipe, learned, unsaved(recipe, learned)))
    assert caught.value.code == "training/no-direction"
    assert "ReLU" in caught.value.hint


def test_several_processes_are_refused_before_anything_is_written(
    recipe: PairRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Devices, "world", property(lambda self: 2))
    with pytest.raises(InputError) as caught:
        finish(train_pairs(recipe, tmp_path / "out"))
    assert caught.value.code == "training/processes"
    assert not (tmp_path / "out").exists()
