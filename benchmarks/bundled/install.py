"""Into an empty environment, without extras; then with the network off: index, search by picture and words, serve."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

from benchmarks._results import ROOT, Results, Row
from benchmarks.foundation.start import megabytes
from nearsight.data.datasets import load

OFFLINE = """
import socket
connect = socket.socket.connect
def only_here(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError("the network is off")
    return connect(self, address)
socket.socket.connect = only_here
"""
PORT = 8765


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    if quick:
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        venv.create(place / "light", with_pip=True)
        empty = megabytes(place / "light")
        pip = [str(place / "light" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, str(ROOT)], check=True, capture_output=True)
        size = megabytes(place / "light") - empty
        note = f"pip install . less the empty environment of {empty:.0f} MB; no extras, no torch"
        results.add(Row("install_mb", "nearsight and all it needs, installed", size, "MB", "<=500", note=note))
        done = _used(place)
        note = ", ".join(done)
        results.add(Row("offline_steps", "what then works without a network", len(done), "", "=4", note=note))


def _used(place: Path) -> list[str]:
    """What worked."""
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(OFFLINE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "NEARSIGHT"))} | {
        "PYTHONPATH": str(place / "site"),
        "NEARSIGHT_CACHE": str(place / "cache"),
    }
    load("drawn?n=40", place / "pictures")
    picture = next((place / "pictures").rglob("*.jpg"))
    program = str(place / "light" / "bin" / "nearsight")

    def works(*arguments: str) -> bool:
        given = [program, *arguments]
        return subprocess.run(given, cwd=place / "pictures", env=environment, capture_output=True).returncode == 0

    tried = {"index": ["index", "."], "picture": ["search", str(picture)], "words": ["search", "a red car by the sea"]}
    done = [name for name, arguments in tried.items() if works(*arguments)]
    server = subprocess.Popen(
        [program, "serve", ".", "--no-open", "--port", str(PORT)], cwd=place / "pictures", env=environment
    )
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                asked = json.dumps({"query": "a red car by the sea", "k": 5}).encode()
                request = urllib.request.Request(
                    f"http://127.0.0.1:{PORT}/search", asked, {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request) as answer:
                    done += ["serve"] * (answer.status == 200)
                break
            except OSError:
                continue  # it has not begun to listen
    finally:
        server.terminate()
        server.wait()
    return done
