"""Where the labels of an indexed folder come from (folders, a table, captions, nowhere), and what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nearsight.cli import render
from nearsight.core.errors import InputError

if TYPE_CHECKING:
    from nearsight.data.datasets import Dataset
    from nearsight.search.collection import Collection
    from nearsight.search.sync import Annotation

_LABELS, _SPLIT = "cli/labels", "cli/split"
_NAMED = 3


def annotation(
    kept: Collection, folder: Path, labels: str | None, split: str | None
) -> tuple[Callable[[Path], Annotation | None] | None, Callable[[Path], bool] | None]:
    """What says what is known of a picture, and which pictures are wanted; the choice is remembered for the next run on
    this folder."""
    from nearsight.search.sync import folder_label, moved_from

    name, part = (f"{what}:{folder.resolve()}" for what in (_LABELS, _SPLIT))
    before, chosen = kept.recall(name), kept.recall(part) or ""
    former = moved_from(kept.store, folder.resolve())
    if before is None and former and (noted := kept.recall(f"{_LABELS}:{former}")):
        inside = Path(noted).is_relative_to(former)  # the table moved with the folder
        before = str(folder.resolve() / Path(noted).relative_to(former)) if inside else noted
        chosen = kept.recall(f"{_SPLIT}:{former}") or ""
        kept.remember(name, before)
        kept.remember(part, chosen)
    wanted = split if split is not None else chosen if labels is None else ""
    if labels is None:
        labels = before or "folder"
    elif labels not in ("folder", "none"):
        labels = str(Path(labels).expanduser().resolve())
    simple = {"folder": folder_label, "none": None}
    annotate: Callable[[Path], Annotation | None] | None = simple.get(labels)
    only: Callable[[Path], bool] | None = None
    if labels not in simple:
        known = _table(Path(labels), folder, wanted)
        annotate, only = known.get, known.__contains__ if wanted else None
    elif wanted:
        hint = "name it: --labels TABLE"
        raise InputError("splits come from a table of labels", code="labels/split", hint=hint)
    if labels != (before or "folder"):  # only now: a table that cannot be read must not be asked for again
        kept.remember(name, labels)
    if wanted != chosen:
        kept.remember(part, wanted)
    return annotate, only


def _table(file: Path, folder: Path, split: str) -> dict[Path, Annotation]:
    """Path below `folder` -> what a table says of it, of one split or (with an empty name) of all."""
    from nearsight.search.sync import Annotation

    root = folder.resolve()
    dataset = _listed(file, root)
    known: dict[Path, Annotation] = {}
    for item in dataset.split(split) if split else dataset.items:
        path = item.path.resolve()
        if path.is_relative_to(root):
            fields = {**item.fields, **({"split": item.split} if item.split else {})}
            known[path.relative_to(root)] = Annotation(item.label, item.captions, fields)
    if not known:
        raise InputError(
            f"none of the {len(dataset.items)} pictures of {file} lies in {folder}",
            code="labels/elsewhere",
            hint="paths in the table start at the table's own folder (of a .json: at images in it, or FOLDER)",
        )
    for skipped in dataset.skipped[:_NAMED]:
        render.warn(f"{file.name}: {render.shown(skipped.path)}: {skipped.why}")
    if len(dataset.skipped) > _NAMED:
        render.warn(f"{file.name}: and {len(dataset.skipped) - _NAMED} more")
    return known


def _listed(file: Path, root: Path) -> Dataset:
    """The data set that a table is. The pictures of Karpathy's layout are in ``images`` beside it where that is what is
    indexed (or lies in it, or around it), else in the indexed folder itself."""
    from nearsight.data.datasets import DATASETS

    if not file.is_file():
        hint = "--labels folder, a table (.csv, .parquet, or .json with captions) or none"
        raise InputError(f"there is no table {file}", code="labels/none", hint=hint)
    if not file.name.endswith((".json", ".json.gz")):
        return cast("Dataset", DATASETS.build("table", variant=file.name, root=file.parent))
    beside = file.parent / "images"
    apart = not beside.is_dir() or not (beside.is_relative_to(root) or root.is_relative_to(beside))
    pictures = str(root if apart else beside)
    return cast("Dataset", DATASETS.build("karpathy", variant=file.name, root=file.parent, images=pictures))
