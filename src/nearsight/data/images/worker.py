"""The process behind `Isolated`: pictures in, pixels out, over two pipes.

A request is a JSON line (size, limits, side, seconds) and then the file's bytes; an answer is a JSON line and then the
RGB bytes. Nothing that comes back is ever executed: the parent trusts neither the picture nor this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, BinaryIO

from PIL import Image

from nearsight.core.errors import PictureError
from nearsight.data.images.decoding import decode_sized
from nearsight.data.images.limits import Limits

READY = b"ready\n"


def main() -> None:
    """Answer requests until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into an answer
    _warm()
    _limit(int(sys.argv[1]))
    answers.write(READY)
    answers.flush()
    while line := sys.stdin.buffer.readline():
        _answer(json.loads(line), sys.stdin.buffer, answers)


def _answer(request: dict[str, int | float], data: BinaryIO, answers: BinaryIO) -> None:
    content = data.read(int(request["bytes"]))
    _alarm(int(request["seconds"]) + 5)
    limits = Limits(
        int(request["max_bytes"]), int(request["max_side"]), int(request["max_pixels"]), request["max_aspect"]
    )
    pixels = b""
    try:
        picture, full = decode_sized(content, limits=limits, side=int(request["side"]))
        pixels = picture.tobytes()
        answer: dict[str, Any] = {"width": picture.width, "height": picture.height, "full": full}
    except PictureError as error:
        answer = {"message": error.message, "code": error.code, "hint": error.hint}
    except MemoryError:
        answer = {"message": "", "code": "picture/memory", "hint": ""}
    _alarm(0)
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.write(pixels)
    answers.flush()


def _alarm(seconds: int) -> None:
    """Die in that time, whatever the decoder does: the parent may be gone and cannot kill a decoder that spins."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _warm() -> None:
    """What is loaded at the first picture is loaded before memory is counted."""
    Image.new("RGB", (8, 8)).convert("L").tobytes()


def _limit(megabytes: int) -> None:
    """At most ``megabytes`` of memory beyond what the process has now; no core dumps; no files written."""
    try:
        import resource
    except ImportError:  # Windows: the time limit remains
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            now = int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:  # macOS counts otherwise, and does not hold processes to it
        return
    most = now + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
