"""Component addresses and catalogues."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nearsight.core.errors import UnknownName
from nearsight.core.registry import Address, Catalogue


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "shelf_for_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("")
    (folder / "heavy.py").write_text("raise RuntimeError('imported though nobody asked')")
    (folder / "plain.py").write_text('"""Plain help."""\ndef build(*, on: bool = True):\n    return on\n')
    (folder / "rich.py").write_text(
        '"""Rich help."""\n'
        "def build(variant: str | None = None, *, k: int = 5, share: float = 0.5, mode: str = 'a',\n"
        "          limit: int | None = None, given: object = ...):\n"
        "    return variant, k, share, mode, limit, given\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Catalogue("shelf_for_tests", "shelf")
    for name in [m for m in sys.modules if m.startswith("shelf_for_tests")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hog", ("hog", None, {})),
        ("timm/resnet50.a1_in1k", ("timm", "resnet50.a1_in1k", {})),
        ("faiss/IVF64,Flat?nprobe=8", ("faiss", "IVF64,Flat", {"nprobe": "8"})),
        ("recall@5", ("recall", None, {"k": "5"})),
        ("x?a=1&b=2=3&c=", ("x", None, {"a": "1", "b": "2=3", "c": ""})),
        ("x?weights=/a b/c?d.pth", ("x", None, {"weights": "/a b/c?d.pth"})),
    ],
)
def test_grammar(text: str, parts: tuple) -> None:
    parsed = Address.parse(text)
    assert (parsed.name, parsed.variant, dict(parsed.options)) == parts


@pytest.mark.parametrize("text", ["", "/x", "a b", "x@", "x@five", "x?novalue", "../x", "1x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Address.parse(text)
    assert caught.value.code == "name/grammar"


def test_a_folder_is_a_catalogue_and_listing_imports_nothing(shelf: Catalogue) -> None:
    assert shelf.names() == ["heavy", "plain", "rich"]
    assert shelf.help("plain") == "Plain help."
    assert "shelf_for_tests.heavy" not in sys.modules


def test_options_are_the_signature(shelf: Catalogue) -> None:
    found = {o.name: (o.kind, o.default) for o in shelf.options("rich")}
    assert found == {"k": ("int", 5), "share": ("float", 0.5), "mode": ("str", "a"), "limit": ("int", None)}


def test_building(shelf: Catalogue) -> None:
    assert shelf.build("rich/v@7?share=0.25&mode=b&limit=3") == ("v", 7, 0.25, "b", 3, ...)
    assert shelf.build("rich", given=[1]) == (None, 5, 0.5, "a", None, [1])
    for text, value in {"true": True, "no": False, "1": True, "OFF": False}.items():
        assert shelf.build(f"plain?on={text}") is value


@pytest.mark.parametrize(
    ("address", "hint"),
    [("plian", "plain"), ("rich?shaer=1", "share"), ("plain/variant", "write 'plain'")],
)
def test_unknown_names_are_met_with_the_nearest(shelf: Catalogue, address: str, hint: str) -> None:
    with pytest.raises(UnknownName) as caught:
        shelf.build(address)
    assert hint in caught.value.hint


@pytest.mark.parametrize("address", ["rich?k=many", "rich?share=half", "plain?on=maybe", "rich?limit="])
def test_values_of_another_type_are_refused(shelf: Catalogue, address: str) -> None:
    with pytest.raises(UnknownName) as caught:
        shelf.build(address)
    assert caught.value.code == "name/value"


def test_a_code_only_argument_cannot_come_from_text(shelf: Catalogue) -> None:
    with pytest.raises(UnknownName):
        shelf.build("rich?given=1")
