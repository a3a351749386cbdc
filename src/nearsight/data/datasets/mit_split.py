"""The MIT split: 8 outdoor scene classes, 1,881 training and 807 test pictures, 256 x 256.

Oliva and Torralba, "Modeling the shape of the scene", IJCV 2001, in the split of the Barcelona computer vision master.
Laid out ROOT/mit_split/{train,test}/CLASS/*.jpg. Two byte-identical pairs stand in the training split.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nearsight.core.errors import DatasetError
from nearsight.data.datasets import Dataset, home
from nearsight.data.datasets._folders import read_classes

COUNTS = {"train": 1881, "test": 807}
CLASSES = ("Opencountry", "coast", "forest", "highway", "inside_city", "mountain", "street", "tallbuilding")


def build(variant: str | None = None, *, root: Path | None, verify: bool = True) -> Dataset:
    """With `verify`, any count but the published ones is an error: numbers on a part of it are not comparable.

    Raises DatasetError: ``dataset/variant``, ``dataset/count``, and those of ``_folders.read_classes``.
    """
    if variant is not None:
        raise DatasetError(f"mit_split has no variant '{variant}'", code="dataset/variant", hint="write `mit_split`")
    folder = home(root, "mit_split") / "mit_split"
    found = read_classes(folder)
    counts = Counter(item.split for item in found.items)
    classes = tuple(sorted({str(item.label) for item in found.items}))
    if verify and (counts != COUNTS or classes != CLASSES):
        raise DatasetError(
            f"{folder} has {counts['train']} training and {counts['test']} test pictures in {len(classes)} classes; "
            f"the MIT split has {COUNTS['train']} and {COUNTS['test']} in {len(CLASSES)}",
            code="dataset/count",
            hint="restore the missing files and remove foreign ones, or read it as it is: mit_split?verify=no",
        )
    return Dataset("mit_split", found.items, found.skipped)
