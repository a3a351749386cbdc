"""``python -m training.bundled STEP``: see README.md here."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from nearsight.cli import render
from nearsight.cli.app import ERROR
from nearsight.core import settings
from nearsight.core.errors import DatasetError, NearsightError, NotACollection
from nearsight.core.events import Skipped
from nearsight.encode.images.bundled import FOLDER
from nearsight.encode.trainable import seeded
from nearsight.learn.devices import keep_freed_memory
from nearsight.learn.distil import Course, Taught
from nearsight.learn.lessons import Lessons
from nearsight.learn.stored import Stored, open_stored, store
from training.bundled.judge import Judge
from training.bundled.package import image_tower, package
from training.bundled.pictures import Gathered, gathered
from training.bundled.words import words

HERE = Path(__file__).parent
LONGEST = 192
"""Side of the stored pictures, pixels."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.bundled", description=__doc__)
    parser.add_argument("step", choices=("pictures", "image", "judge", "package"))
    parser.add_argument("--out", type=Path, default=Path("runs/bundled"), help="where pictures and checkpoints lie")
    parser.add_argument("--recipe", type=Path, default=HERE / "image.toml")
    parser.add_argument("--judge", type=int, default=50_000, metavar="N", help="judge after so many pictures")
    parser.add_argument("--size", type=int, default=192, help="side of the pictures that the package sees")
    parser.add_argument("--to", type=Path, default=FOLDER, help="where the package is written")
    parser.add_argument("--rest", type=Path, metavar="FILE", help="take no step while FILE exists")
    given = parser.parse_args()
    keep_freed_memory()
    root = Path(os.environ.setdefault("NEARSIGHT_DATA", str(HERE.parents[2] / "shared" / "data")))
    found = gathered(root, given.out)
    pictures = stored(given.out / "pictures", found)
    if given.step != "pictures":
        image(given, found, pictures)


def stored(folder: Path, found: Gathered) -> Stored:
    """What teaches, decoded once; it is held against `banned` each time."""
    try:
        pictures = open_stored(folder)
    except NotACollection:
        for event in store(folder, found.teaching, longest=LONGEST):
            say(f"left out: {event.path}: {event.why}" if isinstance(event, Skipped) else f"{event}")
        pictures = open_stored(folder)
    judged = {hashlib.sha256(item.path.read_bytes()).hexdigest() for items in found.judging.values() for item in items}
    if wrong := found.banned & {*pictures.hashes, *judged} | judged & {*pictures.hashes}:
        raise DatasetError(f"{len(wrong)} pictures teach or judge that must not", code="dataset/split")
    sources: dict[str, int] = {}
    for name in pictures.names:
        sources[name.partition("/")[0]] = sources.get(name.partition("/")[0], 0) + 1
    say(f"{len(pictures)} pictures teach, digest {pictures.digest}: {json.dumps(sources)}")
    return pictures


def image(given: argparse.Namespace, found: Gathered, pictures: Stored) -> None:
    """The image tower, from where it stands; or only judged there."""
    lessons = settings.read(given.recipe.read_text(), Lessons, where=str(given.recipe))
    judge = Judge(found.judging, seeded(lessons.teacher.tower, 0), given.out / "teacher.json")
    say(f"teacher, P@1 and mAP: {figures(judge.teacher)}")
    course = Course(lessons, pictures, given.out / "image")
    say(f"at phase {course.place.epoch}, step {course.place.step}, {course.seen} pictures seen")
    if given.step == "judge":
        judged(judge, course)
        return
    if given.step == "package":
        packaged(given, found, judge, course)
        return
    running, last = course.teach(said=20, rest=given.rest.exists if given.rest else lambda: False), course.seen
    stopped: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):  # between two steps, where it can be saved
        signal.signal(name, lambda number, _frame: stopped.append(number))
    for taught in running:
        tell(taught, lessons.batch)
        if stopped:
            running.close()
            say("stopped; the same command goes on")
            return
        if taught.seen - last >= given.judge:
            last = taught.seen
            judged(judge, course)
    if last != course.seen:
        judged(judge, course)


def packaged(given: argparse.Namespace, found: Gathered, judge: Judge, course: Course) -> None:
    """The text tower beside the image tower as it is now, and both as the encoder folder in the package."""
    tower = image_tower(course.pupil.trained(), given.size)
    say(f"folded, shares of the teacher's P@1 and mAP: {figures(judge.shares(tower.module, tower.preprocess))}")
    root = Path(os.environ["NEARSIGHT_DATA"])
    encoder = words(tower, found.teaching, root, given.out / "words", say)
    whole = encoder.tower
    say(f"whitened, shares of the teacher's P@1 and mAP: {figures(judge.shares(whole.module, whole.preprocess))}")
    also = {path.name: path.read_bytes() for path in (given.recipe, HERE / "texts.toml", HERE / "words.toml")}
    told = {"seen": course.seen, "pictures": course.pictures.digest, "captions": "see training/bundled"}
    package(encoder, given.to, {**also, "training.json": json.dumps(told, indent=1).encode()})
    size = sum(file.stat().st_size for file in given.to.iterdir()) / 1e6
    say(f"{given.to}: {size:.1f} MB, {encoder.spec.fingerprint}")


def judged(judge: Judge, course: Course) -> None:
    network = course.pupil.trained()
    before = network.training
    shares = judge.shares(network, course.pupil.tower.preprocess)
    network.train(before)
    say(f"judged after {course.seen}, shares of the teacher's P@1 and mAP: {figures(shares)}")


def tell(taught: Taught, batch: int) -> None:
    stages = " ".join(f"{loss:.4f}" for loss in taught.losses)
    where = (
        f"phase {taught.phase} seen {taught.seen} lr {taught.rate:.2e} {taught.steps * batch / taught.seconds:.1f}/s"
    )
    say(f"{where} missed {stages} turned {taught.turned:.4f}")


def figures(found: dict[str, list[float]]) -> str:
    return " ".join(f"{name} {p1:.3f}/{ap:.3f}" for name, (p1, ap) in found.items())


def say(what: str) -> None:
    print(time.strftime("%m-%d %H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    try:
        main()
    except NearsightError as error:
        render.error(error)
        sys.exit(ERROR)
