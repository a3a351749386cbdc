"""eval on captions, as a user does it: an encoder folder with two towers, a table with captions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import COLOURS, EACH, Ran
from fake_words import FakeWords, install, saved
from nearsight.study.crossmodal.report import CrossReport

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def table(pictures: Path) -> str:
    """Half of each colour trains, half is tested; one caption means nothing, one picture has none, one is broken."""
    rows = [
        f"{name}/{name}_{n}.jpg,{('train', 'test')[n % 2]},{text}"
        for name in COLOURS
        for n in range(EACH)
        for text in (f"{name} {'green ' * n}", f"all {name} <b>here</b>")
    ]
    (pictures / "clean.csv").write_text("path,split,caption\n" + "\n".join(rows))
    rows = [
        "broken.jpg,test,red thing",
        *rows,
        "red/red_1.jpg,test,a mauve",
        "blue/blue_3.jpg,test, ",
        "extra.jpg,test,",
    ]
    (pictures / "extra.jpg").write_bytes((pictures / "red/red_0.jpg").read_bytes())
    (pictures / "broken.jpg").write_bytes(b"no picture")
    (pictures / "t.csv").write_text("path,split,caption\n" + "\n".join(rows))
    return f"table/{pictures / 't.csv'}"


def test_both_ways_are_measured_told_kept_and_drawn(run: Run, table: str, tmp_path: Path) -> None:
    encoder, file, page = saved(tmp_path / "encoder"), tmp_path / "r.json", tmp_path / "page.html"
    ran = run("eval", "--data", table, "-e", encoder, "--hubness", "csls?k=2", "--json", file, "--html", page)
    assert ran.code == 0, ran.err
    report = CrossReport.from_json(file.read_text())
    assert report.to_texts.card.protocol == "test: image->text"
    assert (report.to_texts.queries, report.to_images.queries) == (6, 12)
    assert report.to_texts.card.engine == "exact, csls?k=2 with a bank of 6 pictures: split train"
    assert not report.to_texts.card.transductive
    assert report.to_texts.card.encoder == json.loads((encoder / "manifest.json").read_text())["meta"]["fingerprint"]
    assert report.rsum.value > report.rsum.floor
    for said in ("rSum", "image->text", "text->image", "median rank", "6 pictures and 12 captions", "4 skipped"):
        assert said in ran.out, ran.out
    lost = {(Path(event.path).name, event.code) for event in report.to_images.skipped}
    assert lost == {
        ("blue_3.jpg", "dataset/empty-caption"),
        ("extra.jpg", "dataset/no-captions"),
        ("red_1.jpg", "text/empty"),
        ("broken.jpg", "picture/not-a-picture"),
    }
    assert "broken.jpg" in ran.err
    html = page.read_text()
    assert "all red &lt;b&gt;here&lt;/b&gt;" in html
    assert "<b>here" not in html
    again = run("eval", file)
    assert again.code == 0
    assert again.out == ran.out, "a report that is there is shown"


def test_what_is_left_out_changes_no_number_of_the_rest(run: Run, table: str, tmp_path: Path) -> None:
    encoder = saved(tmp_path / "encoder")
    dirty, clean = (
        CrossReport.from_json(run("eval", "--data", data, "-e", encoder, "--json", "-").out)
        for data in (table, table.replace("t.csv", "clean.csv"))
    )
    assert not clean.to_texts.skipped
    assert dirty.rsum == clean.rsum
    for (_, one), (_, two) in zip(dirty.ways, clean.ways, strict=True):
        assert one.values == two.values


def test_nothing_is_encoded_twice(run: Run, table: str, tmp_path: Path) -> None:
    encoder = saved(tmp_path / "encoder")
    first = run("eval", "--data", table, "-e", encoder, "--json", "-")
    assert first.code == 0, first.err
    assert FakeWords.seen
    FakeWords.seen.clear()
    second = run("eval", "--data", table, "-e", encoder, "--json", "-")
    assert second.out == first.out
    assert not FakeWords.seen
    assert run("eval", "--data", table, "-e", encoder, "--json", "-", "--no-cache").out == first.out
    assert FakeWords.seen


def test_splits_banks_and_folds(run: Run, table: str, tmp_path: Path) -> None:
    encoder = saved(tmp_path / "encoder")

    def report(*given: str) -> CrossReport:
        ran = run("eval", "--data", table, "-e", encoder, "--json", "-", *given)
        assert ran.code == 0, ran.err
        return CrossReport.from_json(ran.out)

    assert report("--split", "train").to_texts.card.protocol == "train: image->text"
    assert report("--folds", "2").to_images.card.protocol == "test: text->image, mean of 2 folds"
    stamped = run("eval", "--data", table, "-e", encoder, "--hubness", "qb_norm", "--bank", "test")
    assert "Transductive: qb_norm" in stamped.out
    assert "split train" in report("--hubness", "inverted_softmax", "--bank", "train").to_images.card.engine


def test_two_encoders_and_what_changed(run: Run, table: str, tmp_path: Path) -> None:
    encoder, file = saved(tmp_path / "encoder"), tmp_path / "r.json"
    ran = run("eval", "--data", table, "-e", encoder, "-e", encoder, "--json", file)
    assert ran.code == 0, ran.err
    assert "text->image R@1" in ran.out.splitlines()[0]
    assert len(json.loads(file.read_text())) == 2
    assert run("eval", file).out == ran.out
    against = run("eval", "--data", table, "-e", encoder, "-e", encoder, "--against", file)
    assert against.code == 0, against.err
    assert "both ways" in against.out
    assert "the same" in against.out
    refused = run("eval", "--data", table, "-e", encoder, "-e", encoder, "--hubness", "csls", "--against", file)
    assert refused.code == 1
    assert "[measure/protocol]" in refused.err
    assert run("eval", file, "--html", tmp_path / "p.html").code == 1


def test_labels_and_captions_are_not_mixed_up(run: Run, pictures: Path, table: str, tmp_path: Path) -> None:
    encoder = saved(tmp_path / "encoder")
    labels = ("eval", "--data", f"folder/{pictures.name}", "--root", pictures.parent)
    (pictures / "t.csv").rename(tmp_path / "t.csv")
    for name in ("extra.jpg", "broken.jpg", "clean.csv"):
        (pictures / name).unlink()
    cases = [
        ((*labels, "--hubness", "csls"), "[eval/what]", "leave --hubness out"),
        ((*labels, "--folds", 5), "[eval/what]", "leave --folds out"),
        ((*labels, "--protocol", "loo", "--protocol", "image->text"), "[eval/what]", "run eval twice"),
        ((*labels, "-e", encoder, "--protocol", "image->text"), "[dataset/no-captions]", "column 'caption'"),
        (("eval", "--hubness", "csls"), "[eval/what]", "leave --hubness out"),
    ]
    for arguments, code, hint in cases:
        ran = run(*arguments)
        assert ran.code == 1
        assert code in ran.err, ran.err
        assert hint in ran.err
    plain = run(*labels, "-e", encoder)
    assert plain.code == 0, plain.err
    assert "mAP" in plain.out, "labels are measured as ever, also with an encoder that knows words"


def test_an_encoder_without_words_says_so_before_it_encodes(run: Run, table: str) -> None:
    ran = run("eval", "--data", table, "-e", "colour")
    assert ran.code == 1
    assert "[encoder/no-text]" in ran.err
    assert run("eval", "--data", table, "-e", "colour", "--engine", "faiss/Flat").err.count("[eval/what]") == 1


def test_an_empty_list_of_reports_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("[]")
    assert "[store/format]" in run("eval", tmp_path / "r.json").err
