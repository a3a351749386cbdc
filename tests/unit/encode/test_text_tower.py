"""Texts to vectors: words, a pooling and a head; saved and read again without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import Damaged, EncoderError
from nearsight.encode import Encoder, create
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.texts._static import StaticWords, Table

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from nearsight.encode.heads import HEADS  # noqa: E402
from nearsight.encode.text_tower import SetTower, golden_sets, marked, pooled_head, read_text_tower  # noqa: E402

WIDTH, DIM = 6, 32
WORDS = ["a", "two", "dog", "dogs", "cats", "runs", "on", "the", "beach", "grass", "red", "ball", "2", "собака", "狗"]
WORDS += ["🐕"]
TEXTS = ["a dog runs on the grass", "Two CATS!", "dog", "собака, 狗 🐕", "the the the the red ball on the beach"]


def words(longest: int = 40) -> StaticWords:
    vectors = np.random.default_rng(1).standard_normal((len(WORDS), WIDTH)).astype(np.float16)
    return StaticWords("table", table=Table(WORDS, vectors), longest=longest)


def tower(pool: str = "mean", head: str = f"mlp?dim={DIM}&hidden=16", longest: int = 40, **given: Any) -> SetTower:
    module = pooled_head(POOLINGS.build(pool, width=WIDTH, seed=1), HEADS.build(head, width=WIDTH, seed=1))
    return SetTower(words(longest), module, pool=pool, heads=[head], **given)


def cosines(one: Any, two: Any) -> Any:
    return np.einsum("nd,nd->n", one, two) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


@pytest.mark.parametrize("pool", [*POOLINGS.names(), "gpo?places=4&hidden=3"])
def test_every_pooling_becomes_a_graph_with_masks(pool: str, tmp_path: Path) -> None:
    made = tower(pool, "identity" if pool == "sum" else "mlp?dim=9&residual=true")
    for name, content in made.files().items():
        (tmp_path / name).write_bytes(content)  # type: ignore[arg-type]
    read = read_text_tower(tmp_path)
    assert read.identity() == made.identity()
    assert (read.dim, read.address) == (made.dim, made.address)
    together = read.forward(TEXTS)
    assert cosines(together, made.forward(TEXTS)).min() >= 0.9999
    assert np.allclose(np.concatenate([read.forward([text]) for text in TEXTS]), together, atol=1e-5)
    sets = golden_sets(WIDTH, 40)
    assert {len(one.words) for one in sets} >= {1, 2, 40}
    by_torch, by_graph = made._runner(), read._runner()
    for size in range(1, 41):
        one = marked([sets[-1]])[:, :size]
        assert cosines(by_torch(one), by_graph(one)).min() >= 0.9999, size


def test_a_graph_that_is_not_the_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tower("gpo")
    monkeypatch.setattr(type(made.module.pool), "tabled", lambda own, longest: POOLINGS.build("max", width=6, seed=0))
    with pytest.raises(EncoderError) as caught:
        made.files()
    assert caught.value.code == "encoder/export"


def test_exporting_leaves_the_module_alone() -> None:
    made = tower("gpo")
    before, pool = made.forward(TEXTS), made.module.pool
    made.files()
    assert made.module.pool is pool
    assert np.array_equal(made.forward(TEXTS), before)
    assert {name for name, _ in made.module.named_children()} == {"pool", "head"}


def test_the_identity_is_of_words_and_weights() -> None:
    one = tower().identity()
    assert one == tower().identity()
    assert one != tower("max").identity()
    assert one != tower(longest=39).identity()
    assert one != tower(facts={"centred": True}).identity()
    other = tower()
    with torch.no_grad():
        next(other.module.parameters()).add_(0.5)
    changed = SetTower(other.words, other.module, pool=other.pool, heads=other.heads)
    assert one != changed.identity()


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["a dog", " \t", "cat"], "' \\t' (text 2 of 3) has no words"),
        (["xylophone zzz"], "the encoder knows no word of 'xylophone zzz'"),
        ([""], "'' has no words"),
        (["?!" * 500], "..."),
    ],
)
def test_a_text_without_a_known_word_is_named(texts: list[str], says: str) -> None:
    with pytest.raises(EncoderError) as caught:
        tower().forward(texts)
    assert caught.value.code == "text/empty"
    assert says in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


def test_unknown_words_and_what_lies_behind_the_longest_change_nothing() -> None:
    made = tower(longest=5)
    plain = made.forward(["a dog runs on grass"])
    assert np.array_equal(made.forward(["a dog runs on grass" + " red ball" * 5000]), plain)
    assert np.array_equal(made.forward(["A dog zzz runs on."]), made.forward(["a dog runs on"]))
    assert not np.array_equal(made.forward(["a dog runs on zzz grass"]), plain), "unknown words are counted"
    assert made.unknown("A dog zzz runs on.") == ("zzz",)


def test_many_texts_are_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tower("gpo")
    many = [" ".join(WORDS[i % 7 : i % 17 + 8]) for i in range(50)]
    whole = made.forward(many)
    monkeypatch.setattr(made.words, "batch", 7)
    assert np.allclose(made.forward(many), whole, atol=1e-6)
    assert made.forward([]).shape == (0, DIM)


def test_one_folder_has_two_towers_and_needs_no_torch(tmp_path: Path) -> None:
    colours = create("colour?bins=3").tower
    made = tower("gpo", f"mlp?dim={colours.dim}", keep_weights=True)
    encoder = Encoder(colours, made)
    encoder.save(tmp_path / "e")
    vectors = encoder.encode_texts(TEXTS)
    np.save(tmp_path / "v.npy", vectors)
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'fasttext', 'open_clip', 'onnx'): sys.modules[name] = None\n"
        "from pathlib import Path; import numpy as np; from nearsight.encode import Encoder\n"
        "encoder = Encoder.load(Path(sys.argv[1]) / 'e')\n"
        "assert encoder.spec.modalities == ('image', 'text')\n"
        f"vectors = encoder.encode_texts({TEXTS!r})\n"
        "assert np.einsum('nd,nd->n', vectors, np.load(Path(sys.argv[1]) / 'v.npy')).min() > 0.9999\n"
        "encoder.save(Path(sys.argv[1]) / 'again')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    again = Encoder.load(tmp_path / "again")
    assert again.spec == encoder.spec
    assert cosines(again.encode_texts(TEXTS), vectors).min() > 0.9999
    assert again.encode_images([Image.new("RGB", (40, 30), (200, 10, 10))]).shape == (1, made.dim)


def test_what_is_no_text_tower_is_damaged(tmp_path: Path) -> None:
    for name, kept in tower().files().items():
        (tmp_path / name).write_bytes(kept)  # type: ignore[arg-type]
    for content in (b"", b"{}", b'{"kind": "other"}', b'{"kind": "sets"}', b"[" * 5000):
        (tmp_path / "text.json").write_bytes(content)
        with pytest.raises(Damaged):
            read_text_tower(tmp_path)
