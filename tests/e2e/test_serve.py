"""``nearsight serve`` as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from fake_words import WORDS, noise
from nearsight import Collection, create

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("holiday")
    for name, colour in WORDS.items():
        noise(colour).save(folder / f"{name}.png")
    with Collection.create(folder / ".nearsight", create("colour")) as collection:
        list(collection.sync(folder))
    return folder


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nearsight", "serve", "--no-open", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
    )


def test_it_says_where_answers_and_ends_in_order(indexed: Path) -> None:
    server = start(indexed, "--port", 0)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    assert httpx.get(url + "collections").json()["collections"][0]["name"] == indexed.name
    answer = httpx.post(url + "search", json={"examples": [{"key": 2}], "k": 1})
    assert answer.json()["hits"][0]["key"] == 2
    begun = time.monotonic()
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    assert time.monotonic() - begun < 30
    assert "Ctrl-C ends it." in errors
    assert "Traceback" not in errors


def test_with_a_token_out_of_the_environment(indexed: Path) -> None:
    server = start(indexed, "--port", 0, "--read-only", NEARSIGHT_TOKEN="t" * 20)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    assert httpx.get(url + "collections").status_code == 401
    known = {"Authorization": "Bearer " + "t" * 20}
    assert httpx.get(url + "collections", headers=known).json()["collections"][0]["writable"] is False
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)
    assert server.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "serve/token"),
        (["--token", "short"], "serve/token"),
        (["--host", "256.0.0.1", "--token", "t" * 20], "serve/port"),
        (["--port", "70000"], "usage"),
    ],
)
def test_what_it_does_not_start_with(indexed: Path, arguments: list[str], said: str) -> None:
    server = start(indexed, *arguments)
    _, errors = server.communicate(timeout=60)
    assert server.returncode in (1, 2)
    assert f"[{said}]" in errors
    assert "repair:" in errors


def test_no_collection_is_said(tmp_path: Path) -> None:
    server = start(tmp_path)
    _, errors = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "[store/none]" in errors
