"""``nearsight migrate``, as it is typed: begun, compared, switched, gone back, forgotten, stopped and killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import COLOURS, EACH, Ran, hits, paint, spawn

Run = Callable[..., Ran]
TOTAL = EACH * len(COLOURS)
OLD, NEW = "colour?bins=2&grid=1", "colour"


def encoder(run: Run, pictures: Path) -> str:
    return str(json.loads(run("show", pictures, "--json").out)["encoder"]).replace("?bins=12&grid=2", "")


def test_there_and_back_and_forgotten(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures, "-e", OLD)
    before = hits(run("search", "--key", "3", "-c", pictures, "--json", "-k", "100"))
    sheet = tmp_path / "sheet.png"
    ran = run("migrate", pictures, "-e", NEW, "--sheet", sheet)
    assert ran.code == 0, ran.err
    assert "--switch" in ran.err
    rows = {line[:21].strip(): line.split() for line in ran.out.splitlines()}
    assert rows["P@1"][1] == rows["P@1"][5] == "1.000", "three colours are told apart by both"
    assert float(rows["P@1"][-1]) == pytest.approx((EACH - 1) / (TOTAL - 1), abs=0.001)
    assert 0 < float(rows["same of 10 neighbours"][4]) <= 1
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000
    assert encoder(run, pictures) == OLD, "nothing changes before it is told"
    assert run("migrate", pictures, "--switch").code == 0
    assert encoder(run, pictures) == NEW
    after = hits(run("search", "--key", "3", "-c", pictures, "--json", "-k", "100"))
    assert {hit["key"]: hit["label"] for hit in after} == {hit["key"]: hit["label"] for hit in before}
    assert [hit["score"] for hit in after] != [hit["score"] for hit in before]
    paint(pictures / "red" / "late.jpg", COLOURS["red"], 77)
    assert run("index", pictures).code == 0
    assert run("migrate", pictures, "--back").code == 0
    assert encoder(run, pictures) == OLD
    assert len(hits(run("search", "--key", "3", "-c", pictures, "--json", "-k", "100"))) == TOTAL + 1
    assert run("migrate", pictures, "--forget-old").code == 0
    assert run("check", pictures).code == 0
    assert "[migrate/none]" in run("migrate", pictures, "--back").err


def test_a_collection_whose_first_vectors_are_gone_is_found_from_within(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("index", pictures, "-e", OLD)
    run("migrate", pictures, "-e", NEW, "--yes")
    run("migrate", pictures, "--forget-old")
    monkeypatch.chdir(pictures / ".nearsight")
    assert json.loads(run("check", "--json").out or "{}") == {} or run("check").code == 0
    assert len(hits(run("search", "--key", "3", "--json", "-k", "100"))) == TOTAL
    assert run("index", pictures).code == 0


def test_json_says_all_of_it(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", OLD)
    (pictures / "red" / "red_0.jpg").unlink()
    ran = run("migrate", pictures, "-e", NEW, "--json")
    told = json.loads(ran.out)
    assert (told["items"], told["missing"], told["switched"]) == (TOTAL - 1, 1, False)
    assert told["skipped"][0]["code"] == "picture/vanished"
    assert told["compared"]["items"] == TOTAL - 1
    assert {row["label"] for row in told["compared"]["measures"]["new"]} == {"P@1", "mAP"}
    assert told["compared"]["changes"]["mAP"]["low"] <= 0 <= told["compared"]["changes"]["mAP"]["high"]
    assert 0 <= told["compared"]["overlap"]["low"] <= told["compared"]["overlap"]["value"] <= 1
    refused = run("migrate", pictures, "--switch")
    assert (refused.code, "[migrate/missing]" in refused.err) == (1, True)
    assert "vanished" in refused.err, "it is named"
    assert encoder(run, pictures) == OLD
    assert json.loads(run("migrate", pictures, "--json", "--yes", "--drop-missing").out)["switched"] is True
    assert encoder(run, pictures) == NEW


def test_without_labels_it_is_compared_all_the_same(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", OLD, "--labels", "none")
    told = json.loads(run("migrate", pictures, "-e", NEW, "--json").out)
    assert told["compared"]["measures"] == {}
    assert "value" in told["compared"]["overlap"]


def test_index_says_how_an_encoder_is_changed(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", OLD)
    refused = run("index", pictures, "-e", NEW)
    assert "[encoder/mismatch]" in refused.err
    assert f"nearsight migrate {pictures / '.nearsight'} --encoder {NEW}" in refused.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--switch"], "migrate/none"),
        (["--forget-old"], "migrate/none"),
        (["-e", OLD], "migrate/same"),
        (["-e", NEW, "--back"], "migrate/options"),
        (["-e", "nothing"], "name/unknown"),
    ],
)
def test_refusals_have_codes_and_repairs(run: Run, pictures: Path, arguments: list[str], code: str) -> None:
    run("index", pictures, "-e", OLD)
    refused = run("migrate", pictures, *arguments)
    assert (refused.code, f"[{code}]" in refused.err, "repair:" in refused.err) == (1, True, True), refused.err


def test_what_never_answered_is_not_gone_back_to(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", OLD)
    run("migrate", pictures, "-e", NEW)
    assert "[migrate/none]" in run("migrate", pictures, "--back").err
    assert "[migrate/other]" in run("migrate", pictures, "-e", "colour?bins=8").err
    assert encoder(run, pictures) == OLD


def committed(place: Path) -> int:
    if not (place / "manifest.json").exists():
        return 0
    with closing(sqlite3.connect(f"{(place / 'catalogue.sqlite').as_uri()}?mode=ro", uri=True)) as catalogue:
        return int(catalogue.execute("SELECT count(*) FROM item").fetchone()[0])


SLOW = """
import time
from nearsight.encode import Encoder
from nearsight.search.migration import recode
recode._COMMIT_SECONDS = 0.0
prepare = Encoder.prepare
def slow(self, image):
    time.sleep(0.05)
    return prepare(self, image)
Encoder.prepare = slow
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_or_killed_it_goes_on_from_there(run: Run, pictures: Path, how: signal.Signals) -> None:
    for number in range(400):
        paint(pictures / "many" / f"{number}.jpg", (number % 256, 40, 90), number)
    run("index", pictures, "-e", OLD)
    process = spawn("migrate", pictures, "-e", NEW, "--workers", "1", code=SLOW)
    place, deadline = pictures / ".nearsight" / "generations" / "2", time.monotonic() + 60
    while not committed(place) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    if how == signal.SIGINT:
        assert b"goes on from here" in told
    assert encoder(run, pictures) == OLD
    rest = json.loads(run("migrate", pictures, "--switch", "--json").out)
    assert 0 < rest["encoded"] < TOTAL + 400
    assert rest["items"] == TOTAL + 400
    assert encoder(run, pictures) == NEW
    assert run("check", pictures).code == 0
