"""A server in a process of its own, as ``nearsight serve`` starts it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server._client import HOST

START_SECONDS = 60.0


@contextlib.contextmanager
def serving(*collections: Path, options: tuple[str, ...] = ()) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Its port and its process; it is told to end, and must, within ten seconds."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nearsight", "--quiet", "serve", *map(str, collections)]
    process = subprocess.Popen([*command, "--port", str(port), "--no-open", *options])
    try:
        _wait(port, process)
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server was not ready in {START_SECONDS:.0f} s")
