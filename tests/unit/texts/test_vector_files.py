"""Files of word vectors in every format, whole and broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.errors import EncoderError, InputError
from nearsight.encode.texts import TEXTS, Words

VECTORS = {"the": [0.5, -1.0, 2.0], "dog": [1.0, 0.25, 0.0], "Paris": [3.0, 3.0, 3.0], "собака": [0.0, 0.0, -7.5]}


def lines() -> list[str]:
    return [f"{word} {' '.join(map(str, numbers))}" for word, numbers in VECTORS.items()]


def binary(after: bytes = b"\n") -> bytes:
    body = b"".join(w.encode() + b" " + np.array(v, dtype="<f4").tobytes() + after for w, v in VECTORS.items())
    return b"4 3\n" + body


FILES = {
    "glove.txt": "\n".join(lines()).encode(),
    "word2vec.txt": ("4 3\n" + "\n".join(lines()) + "\n").encode(),
    "windows.vec": ("4 3\r\n" + "\r\n".join(lines()) + "\r\n").encode(),
    "trailing.vec": ("4 3\n" + " \n".join(lines()) + " \n").encode(),
    "tabs.txt": "\n".join(lines()).replace(" ", "\t").encode(),
    "glove.txt.gz": gzip.compress("\n".join(lines()).encode()),
    "word2vec.bin": binary(),
    "plain.bin": binary(b""),
    "word2vec.bin.gz": gzip.compress(binary(), mtime=0),
}


def made(path: Path, content: bytes, options: str = "") -> Words:
    path.write_bytes(content)
    words: Words = TEXTS.build(f"vectors/{path}{options}")
    return words


@pytest.mark.parametrize("name", FILES)
def test_every_format(name: str, tmp_path: Path) -> None:
    words = made(tmp_path / name, FILES[name])
    assert words.width == 3
    assert words.skipped == ()
    (found,) = words.sets(["The dog in Paris: собака"])
    assert found.words == ("the", "dog", "paris", "собака")
    assert found.unknown == ("in",)
    assert np.array_equal(found.vectors, [VECTORS[w] for w in ("the", "dog", "Paris", "собака")])


def test_formats_are_one_identity(tmp_path: Path) -> None:
    assert len({str(made(tmp_path / name, FILES[name]).identity()) for name in FILES}) == 1


BROKEN = {
    b"short 1.0 2.0": "words/numbers",
    b"long 1.0 2.0 3.0 4.0": "words/numbers",
    b"alone": "words/numbers",
    b"": "words/numbers",
    b"letters 1.0 two 3.0": "words/not-a-number",
    b"nan 1.0 nan 3.0": "words/not-finite",
    b"infinite 1.0 -inf 3.0": "words/not-finite",
    b"large 1.0 70000 3.0": "words/not-finite",
    b"\xff\xfe 1.0 2.0 3.0": "words/not-utf-8",
    b"dog 9.0 9.0 9.0": "words/twice",
}


@pytest.mark.parametrize("header", [b"", b"14 3\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_broken_lines_are_named_counted_and_left_out(header: bytes, packed: bool, tmp_path: Path) -> None:
    whole = [line.encode() for line in lines()]
    content = header + b"\n".join([*whole[:3], *BROKEN, whole[3]])
    words = made(tmp_path / "v.txt", gzip.compress(content, mtime=0) if packed else content)
    assert [(s.path.rpartition(":")[2], s.code) for s in words.skipped] == [
        (str(number + bool(header)), code) for number, code in enumerate(BROKEN.values(), 4)
    ]
    assert all(s.why for s in words.skipped)
    assert "2 numbers instead of 3" in words.skipped[0].why
    assert words.sets(["the dog paris собака"])[0].words == ("the", "dog", "paris", "собака")
    assert words.sets(["dog"])[0].vectors.tolist() == [VECTORS["dog"]]


def test_the_first_line_may_be_broken(tmp_path: Path) -> None:
    words = made(tmp_path / "v.txt", "\n".join(["oops 1.0", *lines()]).encode())
    assert words.width == 3
    assert [s.path for s in words.skipped] == [f"{tmp_path / 'v.txt'}:1"]
    assert len(words.sets(["the dog paris собака"])[0].words) == 4


def test_many_lines_are_read_and_none_is_lost(tmp_path: Path) -> None:
    many = [f"w{i} {i % 7} {i % 11} 1" for i in range(1000)]
    for content in ("\n".join(many), "1000 3\n" + "\n".join(many)):
        words = made(tmp_path / "v.txt", content.encode())
        assert words.skipped == ()
        for i in (0, 98, 99, 100, 101, 102, 999):
            assert words.sets([f"w{i}"])[0].vectors.tolist() == [[i % 7, i % 11, 1]]


@pytest.mark.parametrize(("option", "known"), [("", 1000), ("?words=10", 10), ("?words=1000", 1000)])
def test_the_first_words_of_a_file_are_taken(option: str, known: int, tmp_path: Path) -> None:
    many = "\n".join(f"w{i} {i} 1" for i in range(1000))
    words = made(tmp_path / "v.txt", many.encode(), option)
    assert [bool(words.sets([f"w{i}"])[0].words) for i in (known - 1, known)] == [True, False]
    with pytest.raises(InputError):
        made(tmp_path / "v.txt", many.encode(), "?words=0")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.txt", b""),
        ("v.txt", b"\n\n"),
        ("v.txt", b"4 300\n"),
        ("v.txt", b"no numbers here\nnone at all\n"),
        ("v.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20),
        ("v.txt", gzip.compress(b"", mtime=0)),
        ("v.txt", gzip.compress(FILES["glove.txt"], mtime=0)[:12]),
        ("v.bin", b""),
        ("v.bin", b"4 3\n"),
        ("v.bin", b"\xba\x16\x4f\x2f" * 40),
        ("v.bin", b"4 9999999999\nx " + b"\0" * 100),
    ],
)
def test_a_file_without_vectors_is_refused_with_the_repair(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        made(tmp_path / name, content)
    assert caught.value.code == "words/file"
    assert "word" in caught.value.hint
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["absent.txt", ""])
def test_a_file_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        TEXTS.build(f"vectors/{tmp_path / name if name else tmp_path}")
    assert caught.value.code == "words/file"


@pytest.mark.parametrize("name", ["word2vec.bin", "glove.txt.gz", "word2vec.bin.gz"])
def test_what_ends_too_early_is_used_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    many = {f"w{i}": [float(i), 1.0] for i in range(5000)}
    if "bin" in name:
        content = b"5000 2\n" + b"".join(w.encode() + b" " + np.array(v, "<f4").tobytes() for w, v in many.items())
    else:
        content = "\n".join(f"{w} {v[0]} {v[1]}" for w, v in many.items()).encode()
    content = gzip.compress(content, mtime=0) if name.endswith("gz") else content
    words = made(tmp_path / name, content[: len(content) * 3 // 4])
    assert words.sets(["w1"])[0].vectors.tolist() == [[1, 1]]
    assert not words.sets(["w4999"])[0].words
    assert words.skipped[-1].code in ("words/ends-too-early", "words/numbers")
    assert len(words.skipped) <= 2


def test_variables_in_a_path_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.txt").write_bytes(FILES["glove.txt"])
    monkeypatch.setenv("VECTORS", str(tmp_path))
    words = TEXTS.build("vectors/$VECTORS/v.txt")
    assert words.width == 3
    assert words.address == "vectors/$VECTORS/v.txt"
    monkeypatch.delenv("VECTORS")
    with pytest.raises(EncoderError, match="VECTORS"):
        TEXTS.build("vectors/$VECTORS/v.txt")


def test_lower_case_goes_before_capitals(tmp_path: Path) -> None:
    words = made(tmp_path / "v.txt", b"May 1 1\nMAY 2 2\nmay 3 3\nMARCH 4 4\nMarch 5 5\n")
    assert words.sets(["May march"])[0].vectors.tolist() == [[3, 3], [4, 4]]
    assert words.skipped == ()
