"""Decoding in processes that can be killed: for pictures whose source is not trusted."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from PIL import Image

from nearsight.core.errors import InputError, PictureError
from nearsight.data.images.limits import REASONS, Limits, refusal

_T = TypeVar("_T")
_START_SECONDS = 60.0


class Isolated:
    """A pool of decoding processes, each with a time and a memory limit.

    A decoder that spins is killed (``picture/timeout``), one that dies has crashed (``picture/crashed``), one that
    wants more than ``memory_mb`` is told that there is none (``picture/memory``); the next picture gets a new process.
    `decode` may be called from any number of threads; as many as there are ``workers`` run at once. Processes start
    when they are first needed and end with `close`. Where the system has no such limits (memory on macOS and Windows)
    the time limit remains.

    ``memory_mb`` counts what a picture adds to an idle process: the file, the decoder's memory and the pixels.
    """

    _program: ClassVar[str] = "from nearsight.data.images.worker import main; main()"

    def __init__(self, workers: int = 2, seconds: float = 20, memory_mb: int = 1024) -> None:
        if not (workers >= 1 and seconds > 0 and memory_mb >= 1):
            raise InputError(f"a pool needs workers, seconds and memory, not {workers}, {seconds} and {memory_mb}")
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._closed = False
        self._all = [_Worker(self._program, memory_mb) for _ in range(workers)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()  # the warm one first
        for worker in self._all:
            self._idle.put(worker)

    def decode(self, data: bytes, *, limits: Limits = Limits(), side: int = 0) -> Image.Image:  # noqa: B008 (frozen)
        """As `nearsight.data.images.decode`, in another process.

        Raises PictureError, also with the reasons timeout, crashed and memory; InputError when the pool is closed.
        """
        return self.decode_sized(data, limits=limits, side=side)[0]

    def decode_sized(
        self,
        data: bytes,
        *,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        side: int = 0,
    ) -> tuple[Image.Image, tuple[int, int]]:
        """As `nearsight.data.images.decode_sized`, in another process. Raises as `decode`."""
        if len(data) > limits.max_bytes:
            raise refusal("too-many-bytes", f"{len(data):,}; at most {limits.max_bytes:,}")
        worker = self._idle.get()
        try:
            if self._closed:
                raise InputError("the decoding pool is closed")
            return worker.decode(data, limits, side, self._seconds)
        finally:
            if self._closed:
                worker.stop()
            self._idle.put(worker)

    def close(self) -> None:
        """End all processes, those that are at work too: their pictures are ``picture/crashed``."""
        self._closed = True
        for worker in self._all:
            worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One process, started at need, replaced when it is dead. Used by one thread at a time."""

    def __init__(self, program: str, memory_mb: int) -> None:
        self._command = [sys.executable, "-c", program, str(memory_mb)]
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes, limits: Limits, side: int, seconds: float) -> tuple[Image.Image, tuple[int, int]]:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
            # Its start is not the picture's time: a busy machine must not make pictures late.
            self._within(_START_SECONDS, process, lambda: _ready(process))
        return self._within(
            seconds,
            process,
            lambda: _ask(process, data, {"bytes": len(data), "side": side, "seconds": seconds, **asdict(limits)}),
        )

    def _within(self, seconds: float, process: subprocess.Popen[bytes], call: Callable[[], _T]) -> _T:
        """What ``call`` gives; the process is killed after that time, and replaced when it is not as it was."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(seconds, stop)
        watch.daemon = True
        watch.start()
        try:
            return call()
        except _Gone as gone:
            self.stop()
            if late.is_set():
                raise refusal("timeout", f"{seconds:g} s") from gone
            raise refusal("crashed", f"exit status {process.returncode}") from gone
        except BaseException as error:
            # Whoever interrupts leaves half an answer in the pipe: the next picture must not get it.
            if not isinstance(error, PictureError) or error.reason == "memory":
                self.stop()
            raise
        finally:
            watch.cancel()
            if late.is_set():  # also when the answer was just in time
                self.stop()

    def _start(self) -> subprocess.Popen[bytes]:
        self.stop()
        paths = os.pathsep.join(path for path in sys.path if path)
        single = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **single},
        )
        return self._process

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what could not be sent to it any more
                    pipe.close()


class _Gone(Exception):
    """The process ended, or its answer is none."""


def _ready(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is None or process.stdout.readline(1 << 10) != b"ready\n":
        raise _Gone


def _ask(
    process: subprocess.Popen[bytes], data: bytes, request: dict[str, int | float]
) -> tuple[Image.Image, tuple[int, int]]:
    questions, answers = process.stdin, process.stdout
    if questions is None or answers is None:
        raise _Gone
    try:
        questions.write(json.dumps(request).encode() + b"\n")
        questions.write(data)
        questions.flush()
        answer = json.loads(answers.readline(1 << 16))
        if "code" in answer:
            reason = str(answer["code"]).removeprefix("picture/")
            raise _told(reason, str(answer["message"]), str(answer["hint"]))
        width, height = int(answer["width"]), int(answer["height"])
        full = int(answer["full"][0]), int(answer["full"][1])
        if not 0 < width * height <= full[0] * full[1] <= request["max_pixels"]:
            raise _Gone
        pixels = answers.read(width * height * 3)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
    ) as error:  # a closed pipe, or a line that is no answer
        raise _Gone from error
    if len(pixels) != width * height * 3:
        raise _Gone
    return Image.frombytes("RGB", (width, height), pixels), full


def _told(reason: str, message: str, hint: str) -> PictureError:
    if reason not in REASONS or not message:
        return refusal(reason if reason in REASONS else "damaged", message)
    return PictureError(message, code=f"picture/{reason}", hint=hint)
