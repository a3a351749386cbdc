"""A real server on a real socket: slow clients, crowds, broken-off requests, and the end under load."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fake_words import WORDS, noise
from nearsight import Collection, create
from nearsight.core.errors import InputError
from nearsight.http.server import serve
from nearsight.http.settings import Settings

ROOT = Path(__file__).parents[2]
PROGRAM = """
import faulthandler, json, signal, sys
faulthandler.register(signal.SIGUSR1)
from pathlib import Path
from nearsight.http.server import serve
from nearsight.http.settings import Settings
serve([Path(sys.argv[1])], Settings(port=0, **json.loads(sys.argv[2])), lambda url: print(url, flush=True))
"""


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), json.dumps(settings)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.errors = ""
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.stderr.read() if self.process.stderr else ""
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        for _ in range(400):
            if httpx.get(self.url + "ready", timeout=30).status_code == 200:
                return
            time.sleep(0.05)
        raise AssertionError("it never gets ready")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def search(self, client: httpx.Client | None = None) -> httpx.Response:
        return (client or httpx).post(self.url + "search", json={"examples": [{"key": 1}], "k": 3}, timeout=30)

    def stacks(self) -> str:
        """What its threads do just now; it ends it."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        return self.end()[2]

    def end(self) -> tuple[int, float, str]:
        """Exit status, seconds it took, and what it wrote on stderr."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, self.errors = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - begun, self.errors


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures in three colours, found by colour."""
    folder = tmp_path_factory.mktemp("plain")
    for name, colour in WORDS.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            noise(colour, number).save(folder / "pictures" / name / f"{number}.png")
    with Collection.create(folder / "plain.ns", create("colour")) as collection:
        list(collection.sync(folder / "pictures"))
    return folder / "plain.ns"


@pytest.fixture
def start(plain: Path, tmp_path: Path) -> Iterator:
    """Start servers of a copy of it; those that still run are ended."""
    running: list[Process] = []

    def begin(**settings: object) -> Process:
        if not (tmp_path / "plain.ns").exists():
            shutil.copytree(plain, tmp_path / "plain.ns")
        running.append(Process(tmp_path / "plain.ns", **settings))
        return running[-1]

    yield begin
    for server in running:
        if server.process.stdout is not None and not server.process.stdout.closed:
            server.end()
        assert "Traceback" not in server.errors, server.errors


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            received += piece
    return received


HEAD = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SEARCH = b'{"examples": [{"key": 1}], "k": 3}'


def test_slow_clients_are_let_go_and_harm_nobody(start) -> None:
    server = start(head_seconds=1.0, body_seconds=1.0, body_rate=1 << 20, idle_seconds=1.0)
    silent = [server.connect() for _ in range(100)]
    half = [server.connect() for _ in range(100)]
    for connection in half:
        connection.sendall(b"GET /items HTTP/1.1\r\nHost: loc")
    bodies = []
    for _ in range(100):  # each says at once what it is: a head may take a second, and this machine may stand still
        bodies.append(server.connect())
        bodies[-1].sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    with httpx.Client() as client:
        for _ in range(20):
            assert server.search(client).status_code == 200
            for connection in half:
                with contextlib.suppress(OSError):
                    connection.send(b"a")
            time.sleep(0.1)
    for connection in silent + half:
        assert read_all(connection) == b""
    for connection in bodies:
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    for connection in silent + half + bodies:
        connection.close()


def test_an_idle_connection_is_closed_and_a_used_one_is_not(start) -> None:
    server = start(idle_seconds=2.0, head_seconds=2.0)
    with server.connect() as connection:
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(SEARCH) + SEARCH
        for _ in range(8):
            connection.sendall(request)
            with connection.makefile("rb") as answer:  # head and body may come one after the other
                assert answer.readline().startswith(b"HTTP/1.1 200 ")
                lengths = [line for line in iter(answer.readline, b"\r\n") if line.startswith(b"content-length: ")]
                assert answer.read(int(lengths[0].split()[1])).endswith(b"}")
            time.sleep(0.35)
        begun = time.monotonic()
        assert read_all(connection) == b""
        assert 0.3 < time.monotonic() - begun < 10


def test_the_second_half_of_an_answer_does_not_wait_for_a_receipt_of_the_first(start) -> None:
    server, times = start(), list[float]()
    with httpx.Client() as client:
        for _ in range(31):
            begun = time.monotonic()
            assert client.get(server.url + "health").status_code == 200
            times.append(time.monotonic() - begun)
    assert sorted(times)[15] < 0.035, "40 ms are how long a client's system keeps its receipt back"


def test_who_does_not_read_its_answer_is_let_go(start, tmp_path: Path) -> None:
    server = start(answer_seconds=1.0)
    file = tmp_path / "large.png"
    noise((9, 9, 9)).resize((1600, 1200)).save(file, compress_level=0)
    files = {"pictures": ("large.png", file.read_bytes())}
    key = httpx.post(server.url + "items", files=files, timeout=60).json()["items"][0]["key"]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.socket()) for _ in range(20)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(f"GET /items/{key}/picture HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for connection in connections:  # before the server has taken them up there is nothing that it could close
            assert connection.recv(1)
        for _ in range(500):  # not by the clock: a machine that stands still would make it too late at once
            still = _open_sockets(server)
            if not still:
                break
            time.sleep(0.1)
        assert not still, server.stacks()
        assert server.search().status_code == 200


def test_who_reads_its_answer_slowly_gets_all_of_it(start, tmp_path: Path) -> None:
    server = start(answer_seconds=4.0)  # the system has room for more once a third of what it holds is read
    file = tmp_path / "large.png"
    noise((9, 9, 9)).resize((2400, 1600)).save(file, compress_level=0)
    files = {"pictures": ("large.png", file.read_bytes())}
    key = httpx.post(server.url + "items", files=files, timeout=60).json()["items"][0]["key"]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"GET /items/{key}/picture HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = b""
        while len(received) < file.stat().st_size:
            piece = connection.recv(1 << 17)
            assert piece, f"cut off after {len(received):,} of {file.stat().st_size:,} bytes"
            received += piece
            time.sleep(0.07)  # the server has something to send for longer than a client may do nothing
    assert received.endswith(file.read_bytes()[-1000:])


def _open_sockets(server: Process) -> int:
    psutil = pytest.importorskip("psutil")
    return sum(c.status == "ESTABLISHED" for c in psutil.Process(server.process.pid).net_connections("tcp"))


def test_headers_without_end(start) -> None:
    server = start()
    with server.connect() as connection:
        connection.sendall(b"GET /items HTTP/1.1\r\nHost: localhost\r\n")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 50 << 20:
                sent += connection.send(b"X-Header: " + b"y" * 8000 + b"\r\n")
        assert sent < 10 << 20
    assert server.search().status_code == 200


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n", b"\0" * 4096, b"GET /items HTTP/9.9\r\nHost: localhost\r\n\r\n", b"SSH-2.0-client\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ", HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", HEAD + b"Content-Length: 99999999999\r\n\r\n",
        b"GET /items HTTP/1.1\r\n\r\n", b"GET http://evil.example/items HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /items/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET  /items HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda junk: f"{junk[:20]!a}",
)  # fmt: skip
def test_what_is_no_request(junk_server: Process, junk: bytes) -> None:
    with junk_server.connect() as connection:
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    if answer:
        status = int(answer.split()[1])
        assert status == 200 if junk.startswith(b"GET /health ") else 400 <= status < 500
    assert junk_server.search().status_code == 200


@pytest.fixture(scope="module")
def junk_server(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("junk") / "plain.ns"
    shutil.copytree(plain, folder)
    server = Process(folder, head_seconds=1.0)
    yield server
    status, _, errors = server.end()
    assert status == 0
    assert "Traceback" not in errors


def test_a_refused_body_is_not_read(start) -> None:
    server = start()
    with server.connect() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 5000000000\r\n\r\n")
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"100 Continue" not in answer
        assert b"connection: close" in answer.lower()


def test_who_breaks_off_leaves_no_work(start) -> None:
    server = start(searches=2, waiting=2)
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(SEARCH) + SEARCH
    for _ in range(50):
        with server.connect() as connection:
            connection.sendall(request)
        with server.connect() as connection:
            connection.sendall(request[: len(request) // 2])
    deadline = time.monotonic() + 20
    while server.search().status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.search().status_code == 200


def test_where_there_are_too_many_the_longest_silent_goes(start) -> None:
    server = start(connections=16)
    silent = [server.connect() for _ in range(60)]
    time.sleep(0.2)
    with httpx.Client() as client:
        for _ in range(5):
            assert server.search(client).status_code == 200
    assert _open_sockets(server) <= 17
    for connection in silent:
        connection.close()


def test_sigterm_under_load(start) -> None:
    server = start(searches=2, waiting=4)
    statuses: list[int | str] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                try:
                    statuses.append(server.search(client).status_code)
                except httpx.TransportError:
                    statuses.append("refused")
                    time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while statuses.count(200) <= 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    status, seconds, errors = server.end()
    stop.set()
    for thread in threads:
        thread.join()
    assert status == 0
    assert seconds < 8
    assert "Traceback" not in errors, errors
    assert set(statuses) <= {200, 503, "refused"}
    assert statuses.count(200) > 20


def test_what_runs_at_sigterm_is_finished(start, tmp_path: Path) -> None:
    server = start()
    picture = noise((9, 99, 9), 7)
    picture.resize((3000, 2000)).save(tmp_path / "slow.png", compress_level=1)
    files = [("pictures", (f"{i}.png", (tmp_path / "slow.png").read_bytes() + bytes([i]))) for i in range(3)]
    answers: list[httpx.Response] = []
    work = threading.Thread(target=lambda: answers.append(httpx.post(server.url + "items", files=files, timeout=60)))
    with server.connect() as later:
        work.start()
        deadline = time.monotonic() + 20
        while 'nearsight_at_work{desk="others"} 2' not in httpx.get(server.url + "metrics", timeout=30).text:
            assert time.monotonic() < deadline
            if answers:
                break
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.15)
        later.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(SEARCH) + SEARCH)
        told = read_all(later)
    work.join()
    assert answers[0].status_code == 201
    assert told.startswith((b"HTTP/1.1 503 ", b""))
    if told:
        assert b"server/draining" in told
    assert server.process.wait(20) == 0
    with Collection.open(tmp_path / "plain.ns", read_only=True) as collection:
        assert len(collection) == 33


def test_a_port_that_is_taken(plain: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError) as caught:
            serve([plain], Settings(port=taken.getsockname()[1]))
    assert caught.value.code == "serve/port"
