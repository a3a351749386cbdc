"""A small HTTP/1.1 client that costs little beside the server it measures: kept connections, answers as bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

HOST = "127.0.0.1"


@dataclass
class Answers:
    """What came back: seconds and status of each request; 0 is a connection that broke."""

    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    took: float = 0.0

    @property
    def good(self) -> int:
        """How many were answered with 200."""
        return self.statuses.count(200)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.took if self.took else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds of the good ones."""
        times = [s for s, status in zip(self.seconds, self.statuses, strict=True) if status == 200]
        return float(np.percentile(times, share)) * 1000 if times else float("nan")


def post(path: str, body: object) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


class Connection:
    """One connection, opened when it is needed and again after it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body. Raises OSError and asyncio.IncompleteReadError where the server hangs up."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split(" ")[1]), headers, body

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _timed(connection: Connection, request: bytes, into: Answers) -> None:
    begun = time.perf_counter()
    try:
        status, _, _ = await connection.ask(request)
    except (OSError, asyncio.IncompleteReadError):
        status = 0
    into.seconds.append(time.perf_counter() - begun)
    into.statuses.append(status)


async def closed(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Answers:
    """Each client asks again as soon as it has its answer."""
    found, begun = Answers(), time.perf_counter()

    async def client(number: int) -> None:
        connection, at = Connection(port), number
        while time.perf_counter() - begun < seconds:
            await _timed(connection, requests[at % len(requests)], found)
            at += clients
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    found.took = time.perf_counter() - begun
    return found


async def arriving(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int
) -> tuple[Answers, int]:
    """Requests come at a rate, whatever the server does; and how many found all connections taken."""
    idle = [Connection(port) for _ in range(connections)]
    found, turned_away, running = Answers(), 0, set[asyncio.Task[None]]()

    async def one(request: bytes) -> None:
        connection = idle.pop()
        await _timed(connection, request, found)
        idle.append(connection)

    begun = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - begun) < seconds:
        while sent < now * rate:
            if idle:
                task = asyncio.create_task(one(requests[sent % len(requests)]))
                running.add(task)
                task.add_done_callback(running.discard)
                await asyncio.sleep(0)
            else:
                turned_away += 1
            sent += 1
        await asyncio.sleep(0.001)
    found.took = time.perf_counter() - begun
    await asyncio.gather(*running)
    for connection in idle:
        connection.close()
    return found, turned_away
