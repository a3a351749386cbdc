"""The floors: an import only ever points down, and files of one components folder never import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "nearsight"

BELOW: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "measure": {"core"},
    "encode": {"core", "data", "measure"},
    "learn": {"core", "data", "measure", "encode"},
    "search": {"core", "data", "measure", "encode"},
    "study": {"core", "data", "measure", "encode", "learn", "search"},
    "http": {"core", "data", "measure", "encode", "search"},
    "cli": {"core", "data", "measure", "encode", "learn", "search", "study", "http"},
}
COMPONENT_FOLDERS = ["data/datasets", "measure/metrics", "encode/images", "encode/heads", "encode/pooling"]
COMPONENT_FOLDERS += ["encode/runtimes", "encode/texts", "search/bulk/runners", "search/engines", "search/hubness"]
COMPONENT_FOLDERS += [f"learn/{kind}" for kind in ("losses", "targets", "miners", "samplers")]
HEAVY = {"torch", "torchvision", "timm", "cv2", "skimage", "sklearn", "pyarrow", "openvino", "mahotas", "scipy"}
HEAVY |= {"pytorch_metric_learning", "umap", "transformers", "tokenizers", "fasttext", "open_clip", "ray", "fsspec"}
HEAVY |= {"pymilvus", "milvus_lite", "grpc", "psycopg"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path, *, top_level_only: bool = False) -> list[str]:
    """Absolute names of every module that `path` imports (``a.b.c`` for ``from a.b import c``)."""
    tree = ast.parse(path.read_text())
    names: list[str] = []
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    floor = path.relative_to(SOURCE).parts[0]
    if floor == "__init__.py" or floor == "__main__.py":
        return
    allowed = BELOW[floor] | {floor}
    for name in imported(path):
        if name.startswith("nearsight."):
            assert name.split(".")[1] in allowed, f"{path.relative_to(SOURCE)} (floor {floor}) imports {name}"


@pytest.mark.parametrize("folder", COMPONENT_FOLDERS)
def test_components_never_import_each_other(folder: str) -> None:
    package = "nearsight." + folder.replace("/", ".")
    members = [p for p in (SOURCE / folder).glob("*.py") if not p.name.startswith("_")]
    for path in members:
        for name in imported(path):
            for other in members:
                assert not (other != path and name.startswith(f"{package}.{other.stem}")), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_heavy_packages_are_imported_inside_functions(path: Path) -> None:
    heavy = {n.split(".")[0] for n in imported(path, top_level_only=True)} & HEAVY
    assert not heavy, f"{path.relative_to(SOURCE)} imports {heavy} at import time"


def test_core_knows_only_numpy_and_the_standard_library() -> None:
    for path in (SOURCE / "core").glob("*.py"):
        outside = {n.split(".")[0] for n in imported(path)} - set(sys.stdlib_module_names) - {"numpy", "nearsight"}
        assert not outside, f"{path.name} imports {outside}"


def test_importing_nearsight_and_listing_components_needs_no_torch() -> None:
    code = (
        "import sys, nearsight\n"
        "from nearsight.encode.encoder import TOWERS\n"
        "from nearsight.encode.heads import HEADS\n"
        "from nearsight.encode.pooling import POOLINGS\n"
        "from nearsight.encode.texts import TEXTS\n"
        "from nearsight.search.engines import ENGINES\n"
        "from nearsight.search.hubness import HUBNESS\n"
        "from nearsight.search.bulk.runners import RUNNERS\n"
        "from nearsight.learn.losses import LOSSES\n"
        "from nearsight.learn.targets import TARGETS\n"
        "from nearsight.learn.miners import MINERS\n"
        "from nearsight.learn.samplers import SAMPLERS\n"
        "for c in (TOWERS, TEXTS, HEADS, POOLINGS, ENGINES, HUBNESS, RUNNERS, LOSSES, TARGETS, MINERS, SAMPLERS):\n"
        "    for n in c.names(): c.help(n); c.options(n)\n"
        "heavy = {m.split('.')[0] for m in sys.modules} & {'torch', 'timm', 'cv2', 'openvino', 'transformers', 'ray'}\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_and_the_command_line_load_no_server() -> None:
    code = (
        "import sys, nearsight\n"
        "from nearsight.search.collection import Collection\n"
        "from nearsight.cli import main\n"
        "assert main(['--help']) == 0 and main(['serve', '--help']) == 0\n"
        "server = {m.split('.')[0] for m in sys.modules} & {'fastapi', 'starlette', 'uvicorn', 'prometheus_client'}\n"
        "assert not server, server\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 420, "about 400 lines is where one thinks of a second room"
