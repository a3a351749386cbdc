"""Sockets: nobody waits for a slow client, and the end is in order."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nearsight.core.errors import InputError
from nearsight.http.app import create_app
from nearsight.http.guard import Guard
from nearsight.http.settings import Settings

_BACKLOG = 2048
_GRACE = 0.2
"""Seconds after SIGTERM in which newcomers are told so, at least."""
_LONGEST_HEAD = 64 << 10
"""Bytes of a request's headers."""
_OTHER_FILES = 256
"""Open files that are no connections."""


def serve(folders: Sequence[Path], settings: Settings, told: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or Ctrl-C. `told` gets the page's address once it answers.

    Raises InputError (code ``serve/port`` where the port is taken) and as `create_app`.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every broken form, and we answer it
    with _listen(settings) as listening:
        app = create_app(folders, settings)
        protocol = _protocol(settings, _room_for(settings.connections))
        _Server(_config(app, settings, protocol), app, told, listening).run(sockets=[listening])


def _config(app: Guard, settings: Settings, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        cast(Any, app),
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=round(settings.idle_seconds),
        timeout_graceful_shutdown=1,  # `_Server` has waited already
    )


class _Server(uvicorn.Server):
    """SIGTERM: what runs goes on to its end, newcomers get 503, then it leaves. A second signal does not wait."""

    def __init__(
        self, config: uvicorn.Config, guard: Guard, told: Callable[[str], None], listening: socket.socket
    ) -> None:
        super().__init__(config)
        self._guard = guard
        self._told = told
        self._listening = listening
        self._ending: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._listening.getsockname()[:2]
        self._told(f"http://{f'[{host}]' if ':' in host else host}:{port}/")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._guard.draining:
            self.force_exit = self.should_exit = True
        self._guard.draining = True

    async def on_tick(self, counter: int) -> bool:
        if self._guard.draining:
            now = time.monotonic()
            self._ending = self._ending or now
            idle = not self.server_state.tasks and now > self._ending + _GRACE
            self.should_exit |= idle or now > self._ending + self._guard.settings.drain_seconds
        return await super().on_tick(counter)


class _Careful(HttpToolsProtocol):
    """A connection that is not waited for without end: its headers must come in time and be short, and what it does not
    read is thrown away. Where there are too many connections, the one that has been without a request the longest goes.
    """

    settings: ClassVar[Settings]
    most: ClassVar[int]
    idle: ClassVar[dict[_Careful, None]]
    """Connections without a request, the longest silent first."""

    _timer: asyncio.TimerHandle | None = None
    _head = 0
    _watching: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most and self.idle:
            next(iter(self.idle)).leave()
        self.idle[self] = None
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self in self.idle:
            self._expect()
        super().data_received(data)
        if self._timer is not None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self.leave()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self.idle[self] = None

    def leave(self) -> None:
        """Close it, without an answer."""
        self._expect_nothing()
        self.transport.abort()

    def _expect(self) -> None:
        self._head = 0
        self._timer = self.loop.call_later(self.settings.head_seconds, self.leave)

    def _expect_nothing(self) -> None:
        self.idle.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Of an answer that is not read, some must have been read a while later."""
        left = self.transport.get_write_buffer_size()
        if left and self._watching is None:
            self._watching = self.loop.call_later(self.settings.answer_seconds, self._look_again, left)

    def _look_again(self, before: int) -> None:
        self._watching = None
        if self.transport.get_write_buffer_size() >= before:
            self.leave()
        else:
            self._watch()


def _protocol(limits: Settings, most_connections: int) -> type[_Careful]:
    class Careful(_Careful):
        settings = limits
        most = most_connections
        idle: ClassVar[dict[_Careful, None]] = {}

    return Careful


def _listen(settings: Settings) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # head and body of an answer are two packets: without this the second waits 40 ms for the first's receipt
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise InputError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}",
            code="serve/port",
            hint="choose another with --port; 0 takes any that is free",
        ) from error


def _room_for(connections: int) -> int:
    """How many connections there may be: the system's limit on open files is raised as far as that takes."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(16, min(connections, soft - _OTHER_FILES))
