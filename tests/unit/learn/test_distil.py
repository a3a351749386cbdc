"""One network taught by another: what it learns, that it goes on where it stood, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
from nearsight.core.errors import InputError
from nearsight.encode.export import digest_of, folded
from nearsight.encode.trainable import seeded
from nearsight.learn.distil import Course, Taught, cut
from nearsight.learn.lessons import Lessons, Schedule, Staged
from nearsight.learn.stored import Stored, open_stored, store
from nearsight.learn.views import Views

pytestmark = pytest.mark.torch

TEACHER = Staged("small_cnn/modern?size=16&pool=4&seed=9", "", (4, 8))
STUDENT = Staged("small_cnn/modern?size=16&pool=4&seed=1", "", (4, 8))
MOBILENET = "torchvision/mobilenet_v2?pretrained=false&padding=same&size=32"
LESSONS = Lessons(
    batch=8,
    every=(2, 1),
    precision="fp32",
    ema=0.9,
    teacher=TEACHER,
    student=STUDENT,
    schedule=Schedule((80, 80), (False, True), (16, 24), (1e-2, 1e-2), (1e-2, 1e-3), (1.0, 1.0)),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    files = []
    for number in range(20):
        small = draw.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(small).resize((30, 20 + number), Image.Resampling.BICUBIC).save(path)
        files.append((f"p/{number}", path))
    for _ in store(folder / "stored", files, longest=28):
        pass
    return open_stored(folder / "stored")


def weights(course: Course) -> dict[str, str]:
    return {name: digest_of(module) for name, module in course.pupil.modules().items()}


def taught(course: Course, **how: int) -> list[Taught]:
    return list(course.teach(**how))


def test_every_stage_comes_nearer_and_the_vector_turns_to_the_teachers(pictures: Stored, tmp_path: Path) -> None:
    longer = replace(
        LESSONS, schedule=Schedule((400, 1200), (False, True), (16, 16), (1e-2, 1e-2), (1e-2, 1e-4), (1.0, 1.0))
    )
    told = taught(Course(longer, pictures, tmp_path / "c"), said=10)
    assert [step.phase for step in (told[0], told[-1])] == [0, 1]
    assert told[-1].seen == 1600
    for first, last in zip(told[0].losses, told[-1].losses, strict=True):
        assert last < 0.6 * first, "of the first stage's, half is a channel that hardly moves, of which little is asked"
    chained = [step for step in told if step.phase == 1]
    assert all(np.isnan(step.turned) for step in told if step.phase == 0)
    assert np.mean([step.turned for step in chained[-3:]]) < 0.9 * chained[0].turned


def test_first_stages_that_rest_stay_as_they_are_and_the_others_learn(pictures: Stored, tmp_path: Path) -> None:
    chained = replace(LESSONS, ema=0.0, schedule=Schedule((24,), (True,), (16,), (1e-2,), (1e-2,), (1.0,)))
    course = Course(chained, pictures, tmp_path / "c")
    stages = cut(course.pupil.network, STUDENT)
    seen, before = [], [[p.detach().clone() for p in stage.parameters()] for stage in stages]
    for told in course.teach(said=1):
        now = [[p.detach().clone() for p in stage.parameters()] for stage in stages]
        moved = [any((a != b).any() for a, b in zip(*both, strict=True)) for both in zip(now, before, strict=True)]
        seen.append(moved)
        assert [not np.isnan(loss) for loss in told.losses] == moved
        before = now
    assert seen == [[True, True], [False, True], [True, True]], "every = 2, 1"


def test_a_course_that_was_broken_off_ends_in_the_same_weights(pictures: Stored, tmp_path: Path) -> None:
    whole = Course(LESSONS, pictures, tmp_path / "whole")
    taught(whole)
    for stop in (1, 4):  # within either phase
        broken = Course(LESSONS, pictures, tmp_path / f"broken{stop}")
        running = broken.teach(said=3)
        for _ in range(stop):
            next(running)
        running.close()
        again = Course(LESSONS, pictures, tmp_path / f"broken{stop}")
        assert again.place == broken.place
        assert again.place.step < whole.place.step
        taught(again)
        assert weights(again) == weights(whole)
        assert again.seen == whole.seen == 160


def test_a_course_that_was_killed_goes_on_from_its_last_checkpoint(pictures: Stored, tmp_path: Path) -> None:
    whole = Course(LESSONS, pictures, tmp_path / "whole")
    taught(whole)
    often = replace(LESSONS, checkpoint_s=0.0)  # how often it is saved is not what it is
    killed = Course(often, pictures, tmp_path / "killed")
    running = killed.teach(said=7)
    next(running)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "killed").iterdir()}
    next(running)
    running.close()
    for name, content in kept.items():
        (tmp_path / "killed" / name).write_bytes(content)
    again = Course(LESSONS, pictures, tmp_path / "killed")
    assert again.place.position == 7
    taught(again)
    assert weights(again) == weights(whole)


def test_the_schedule_may_be_made_longer_and_nothing_else_may_change(pictures: Stored, tmp_path: Path) -> None:
    taught(Course(LESSONS, pictures, tmp_path / "c"))
    longer = Schedule(
        (80, 80, 40), (False, True, True), (16, 24, 16), (1e-2, 1e-2, 1e-3), (1e-2, 1e-3, 1e-4), (1.0,) * 3
    )
    told = taught(Course(replace(LESSONS, schedule=longer), pictures, tmp_path / "c"))
    assert {step.phase for step in told} == {2}
    assert told[-1].seen == 200
    for other in (replace(LESSONS, seed=5), replace(LESSONS, views=Views(mix=0))):
        with pytest.raises(InputError) as caught:
            Course(other, pictures, tmp_path / "c")
        assert caught.value.code == "training/other-recipe"


def test_no_step_is_taken_while_it_rests(pictures: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course, waits = Course(LESSONS, pictures, tmp_path / "c"), []
    monkeypatch.setattr("nearsight.learn.distil.time.sleep", lambda _: waits.append(course.place.step))
    next(course.teach(said=5, rest=lambda: course.place.step == 2 and len(waits) < 3))
    assert waits == [2, 2, 2]


def test_the_teacher_is_folded_into_a_copy_that_gives_the_same(pictures: Stored) -> None:
    import torch

    module = seeded(TEACHER.tower, 0).module
    for layer in module.modules():  # statistics that are not those of a fresh network
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    before = digest_of(module)
    other = folded(module)
    given = torch.randn(3, 3, 16, 16)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in other.modules())
    assert torch.allclose(module.eval()(given), other(given), atol=1e-4)
    assert digest_of(module) == before


def test_stages_that_do_not_fit_are_named(pictures: Stored, tmp_path: Path) -> None:
    module = seeded(TEACHER.tower, 0).module
    assert [len(stage) for stage in cut(module, TEACHER)] == [4, 4]
    for staged in (replace(TEACHER, trunk="nowhere"), replace(TEACHER, ends=(4, 99))):
        with pytest.raises(InputError, match="layers in a row"):
            cut(module, staged)
    for student in (replace(STUDENT, ends=(4, 7)), replace(STUDENT, ends=(4, 6, 8)), Staged("colour")):
        with pytest.raises(InputError) as caught:
            Course(replace(LESSONS, student=student), pictures, tmp_path / "c")
        assert caught.value.code == "distil/stages"


def test_the_compact_network_has_the_stages_of_mobilenet_v2(pictures: Stored, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    lessons = Lessons(
        teacher=Staged(MOBILENET, "features", (2, 4, 7, 11, 14, 17, 19)),
        student=Staged("compact?size=32"),
        batch=4,
        schedule=Schedule((4,), (True,), (64,)),
    )  # fmt: skip
    (told,) = taught(Course(lessons, pictures, tmp_path / "c"))
    assert len(told.losses) == 7
    assert np.isfinite(told.losses).all()
