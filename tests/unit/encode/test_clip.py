"""Networks with a tower for pictures and one for words: made, saved, read again without torch; their tokenizers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError, InputError, MissingExtra, UnknownName
from nearsight.encode import Encoder, create
from nearsight.encode.tokeniser import GOLDEN
from nearsight.encode.whole_text import rebuilt, tokeniser_of

sys.path.insert(0, str(Path(__file__).parents[2] / "contracts"))
from text_models import CAPTIONS, clip_folder, open_clip_model, siglip_folder

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

HARD = [
    *CAPTIONS, *GOLDEN, "don't stop, it's o'clock! we're I'VE", "UPPER lower MiXeD", "snake_case-and/slash\\back",
    "3.14159, 1,000,000 and 2nd", "tabs\tand\nnewlines   and   spaces ", "¡hola! ¿qué tal? naïve café cafe\u0301",
    "日本語のテキスト", "한국어 텍스트", "हिन्दी में लिखा", "العربية", "Ελληνικά", "🐕‍🦺 👩🏽‍🚒 ❤️ 🇩🇪🇫🇷",
    "“curly” ‘quotes’ it’s",
    "a" * 300, "word " * 300, "!!!???...", "x", "email@example.com http://a.b/c?d=e", "half\u00bd \u2460 \u00b2",
    "<start_of_text> inside <end_of_text>", "zero\u200bwidth",
]  # fmt: skip
PICTURES = [Image.effect_noise((40 + 7 * i, 50), 60 + i).convert("RGB") for i in range(5)]
TEXTS = ["a dog runs on the grass", "two dogs", "dog", "the man in a red shirt " * 40]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    @cache
    def address(kind: str) -> str:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "open_clip":
            pytest.importorskip("open_clip")
            return f"open_clip/{open_clip_model(folder)}?pretrained=false&seed=2"
        pytest.importorskip("transformers")
        tiny = {"clip": clip_folder, "siglip": siglip_folder}[kind](folder)
        return f"clip/{tiny}?pretrained=false&seed=2"

    return address


@pytest.fixture(params=["clip", "siglip", "open_clip"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_pictures_and_words_lie_in_one_space(kind: str, made: Callable[[str], str], tmp_path: Path) -> None:
    encoder = create(made(kind))
    assert encoder.spec.modalities == ("image", "text")
    assert encoder.spec.address == made(kind)
    images, texts = encoder.encode_images(PICTURES), encoder.encode_texts(TEXTS)
    assert images.shape[1] == texts.shape[1] == encoder.spec.dim
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert create(made(kind)).spec == encoder.spec
    assert create(made(kind).replace("seed=2", "seed=3")).spec.fingerprint != encoder.spec.fingerprint
    encoder.save(tmp_path / "e")
    np.savez(tmp_path / "v.npz", images=images, texts=texts)
    Image.fromarray(np.asarray(PICTURES[0])).save(tmp_path / "p.png")
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'open_clip', 'fasttext', 'onnx'): sys.modules[name] = None\n"
        "from pathlib import Path; import numpy as np; from PIL import Image; from nearsight.encode import Encoder\n"
        "folder = Path(sys.argv[1]); encoder = Encoder.load(folder / 'e', expect=1)\n"
        "found = np.load(folder / 'v.npz')\n"
        f"texts = encoder.encode_texts({TEXTS!r})\n"
        "assert np.einsum('nd,nd->n', texts, found['texts']).min() > 0.9999\n"
        "with Image.open(folder / 'p.png') as picture: image = encoder.encode_images([picture])\n"
        "assert (image @ found['images'][0]).item() > 0.9999\n"
        "encoder.save(folder / 'again')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    again = Encoder.load(tmp_path / "again")
    assert again.spec.fingerprint == encoder.spec.fingerprint
    assert np.allclose(again.encode_texts(TEXTS), texts, atol=1e-4)


def test_texts_are_judged_alone_and_cut(kind: str, made: Callable[[str], str]) -> None:
    encoder = create(made(kind))
    many = [*TEXTS, *CAPTIONS] * 5
    together = encoder.encode_texts(many)
    assert np.allclose(np.concatenate([encoder.encode_texts([text]) for text in many[:9]]), together[:9], atol=1e-5)
    long = encoder.encode_texts(["a dog " * 5000, "a dog " * 6000])
    assert np.array_equal(long[0], long[1])
    assert encoder.encode_texts([]).shape == (0, encoder.spec.dim)
    lacking = ("🐉", "語") if kind == "siglip" else ()  # the others cut what they do not know into bytes
    assert encoder.unknown_words("a dog 🐉 語 runs") == lacking
    for text in ("", " \n"):
        with pytest.raises(EncoderError) as caught:
            encoder.encode_texts(["a dog", text])
        assert caught.value.code == "text/empty"
        assert "text 2 of 2" in caught.value.message


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_it_is_what_transformers_computes(kind: str, made: Callable[[str], str]) -> None:
    transformers = pytest.importorskip("transformers")
    address = made(kind)
    folder = address.partition("/")[2].partition("?")[0]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(folder)).eval()
    model.save_pretrained(folder)
    encoder = create(f"clip/{folder}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=24, return_tensors="pt")["input_ids"]
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        words, pictures = model.get_text_features(input_ids=ids), model.get_image_features(pixel_values=pixels)
        got = encoder.tower.module(pixels)  # type: ignore[attr-defined]
    words, pictures = (getattr(found, "pooler_output", found) for found in (words, pictures))
    assert torch.allclose(got, pictures, atol=1e-5)
    assert encoder.text is not None
    assert np.allclose(encoder.text.forward(TEXTS), words.numpy(), atol=1e-5)
    (Path(folder) / "model.safetensors").unlink()


def test_clips_own_tokenizer_is_rebuilt() -> None:
    open_clip = pytest.importorskip("open_clip")
    from nearsight.encode.images.open_clip import bpe_of, byte_pairs
    from nearsight.encode.tokeniser import padded

    own = open_clip.get_tokenizer("ViT-B-32")
    tokeniser = tokeniser_of(byte_pairs(Path(bpe_of(open_clip))), pad=0, context=77)
    draw = np.random.default_rng(0)
    letters = [*"abcdefghijklmnopqrstuvwxyzABCXYZ 0123456789.,'!?-_()", "é", "ß", "я", "狗", "🐕", "ñ"]
    noise = ["".join(draw.choice(letters, draw.integers(1, 60))) for _ in range(2000)]
    for text in [*HARD, *noise]:
        got = padded([found.ids for found in tokeniser([text])], 0, 77)
        assert np.array_equal(got, own([text]).numpy()), text


def test_a_tokenizer_that_cannot_be_rebuilt_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from text_models import bert_folder

    content = (bert_folder(tmp_path) / "tokenizer.json").read_bytes()
    plain = tokeniser_of(content, pad=0, context=20)

    def own(clean: Callable[[str], str]) -> Callable[[Any], Any]:
        from nearsight.encode.tokeniser import padded

        return lambda texts: padded([found.ids for found in plain([clean(text) for text in texts])], 0, 20)

    def canonical(text: str) -> str:
        import string

        return " ".join(text.replace("_", " ").translate(str.maketrans("", "", string.punctuation)).lower().split())

    same = rebuilt("x", content, pad=0, context=20, own=own(str))
    assert same(["a dog, the dog"])[0].ids == plain(["a dog, the dog"])[0].ids
    mended = rebuilt("x", content, pad=0, context=20, own=own(canonical))
    for text in HARD:
        assert mended([text])[0].ids == plain([canonical(text)])[0].ids, text
    with pytest.raises(EncoderError) as caught:
        rebuilt("x", content, pad=0, context=20, own=own(lambda text: text[::-1]))
    assert caught.value.code == "encoder/tokenizer"


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"height": 32, "width": 48}},
        {"crop_size": {"height": 32, "width": 16}},
        {"resample": 5},
        {"rescale_factor": 1.0},
        {"image_mean": [0.5]},
        {"size": None},
    ],
)
def test_preprocessing_that_is_not_offered_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    path = clip_folder(tmp_path) / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(EncoderError) as caught:
        create(f"clip/{tmp_path}?pretrained=false")
    assert caught.value.code == "encoder/preprocess"


def test_what_is_no_clip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from text_models import bert_folder

    pytest.importorskip("transformers")
    folder = bert_folder(tmp_path / "bert")
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(InputError, match="no two towers"):
        create(f"clip/{folder}?pretrained=false")
    with pytest.raises(EncoderError) as caught:
        create(f"clip/{tmp_path}")
    assert caught.value.code == "encoder/weights"
    for address in ("clip", "open_clip", "open_clip/nothing", "open_clip/ViT-B-32", "open_clip/ViT-B-32?pretrained=x"):
        if "open" in address:
            pytest.importorskip("open_clip")
        with pytest.raises(UnknownName) as unknown:
            create(address)
        assert unknown.value.hint
    for package, address in (("transformers", "clip/x"), ("open_clip", "open_clip/ViT-B-32?pretrained=openai")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtra, match=package):
            create(address)


@pytest.mark.parametrize("address", ["clip/nobody/no-such-model", "open_clip/ViT-B-32?pretrained=laion2b_s34b_b79k"])
def test_without_a_network_the_repair_is_named(address: str) -> None:
    import os

    pytest.importorskip("open_clip" if "open" in address else "transformers")
    code = (
        "import sys; from nearsight.encode import create; from nearsight.core.errors import Unreachable\n"
        "try: create(sys.argv[1])\n"
        "except Unreachable as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, address], env={**os.environ, "HF_HUB_OFFLINE": "1"},
                          capture_output=True, text=True, timeout=150)  # fmt: skip
    assert "repair: " in done.stdout, done.stderr
    assert "cannot be downloaded" in done.stdout


def test_open_clip_takes_a_file_of_weights(made: Callable[[str], str], tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    made("open_clip")
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(9)
        model = open_clip.create_model("nearsight-tiny", load_weights=False).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    encoder = create(f"open_clip/nearsight-tiny?weights={tmp_path / 'w.safetensors'}")
    ids = open_clip.get_tokenizer("nearsight-tiny")(TEXTS)
    with torch.inference_mode():
        wanted = model.encode_text(ids, normalize=True).numpy()
    assert np.allclose(encoder.encode_texts(TEXTS), wanted, atol=1e-5)
