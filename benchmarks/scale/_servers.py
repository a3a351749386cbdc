"""Real servers on this machine, to be killed: Postgres with pgvector out of `pgserver`, Milvus out of `milvus`."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

_TRIES = 3
_UP_SECONDS = 50.0
"""How long Milvus may take to come up before it is started once more."""


class Server(Protocol):
    """A database of its own in a folder."""

    where: str
    """What its engine's address needs to find it: a DSN, a URI."""

    def start(self) -> None:
        """Up, with what it held before; ready when it returns."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as when a machine loses power."""
        ...

    def freeze(self) -> None:
        """SIGSTOP: it listens and does not answer, until it is killed or thawed."""
        ...

    def thaw(self) -> None:
        """On again."""
        ...

    def stop(self) -> None:
        """Down, for good."""
        ...


class _Processes(ABC):
    """Signals to a process and all that it started."""

    @abstractmethod
    def _pid(self) -> int: ...

    def _all(self) -> list[Any]:
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._pid())
            return [root, *root.children(recursive=True)]
        return []

    def _send(self, number: int) -> list[Any]:
        there = self._all()
        for process in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return there

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)


class Postgres(_Processes):
    """Listens on a socket in a folder of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nearsight-postgres-")
        with warnings.catch_warnings(action="ignore"):  # of a machine without XDG_RUNTIME_DIR
            import pgserver

            self._server: Any = pgserver.get_server(Path(self._folder.name) / "data", cleanup_mode="stop")
        self.where = f"host={self._server.get_postmaster_info().socket_dir} user=postgres dbname=postgres"

    def _pid(self) -> int:
        return int(self._server.get_pid())

    def start(self) -> None:
        with self._server._lock:
            self._server.ensure_postgres_running()

    def kill(self) -> None:
        import psutil

        psutil.wait_procs(self._send(signal.SIGKILL), timeout=10)

    def stop(self) -> None:
        self._server.cleanup()
        self._folder.cleanup()


def _listening(port: int) -> socket.socket | None:
    """A socket that listens there on this machine, as a server would; None where somebody else does."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen()
    except OSError:
        found.close()
        return None
    return found


def _free(port: int) -> bool:
    found = _listening(port)
    if found is not None:
        found.close()
    return found is not None


class Milvus(_Processes):
    """Listens on a port of this machine alone; one at a time, for the etcd in it knows two ports only."""

    def __init__(self) -> None:
        from milvus import MilvusServer

        self._folder = tempfile.TemporaryDirectory(prefix="nearsight-milvus-")
        self._server: Any = MilvusServer(wait_for_started=False)
        self._server.set_base_dir(self._folder.name)
        self._server.config.try_bind_port = _listening  # theirs takes a port whose connections just ended for taken
        ports = random.SystemRandom().sample(range(20_000, 30_000), 100)
        self._server.listen_port = port = next(port for port in ports if _free(port))  # the same after every start
        self.where = f"http://127.0.0.1:{port}"
        self.start()

    def _pid(self) -> int:
        return int(self._server.server_proc.pid)

    def start(self) -> None:
        for _ in range(_TRIES):
            if self._server.running and self._server.server_proc.poll() is not None:
                self._server.server_proc = None  # it went down by itself
            if not self._server.running:
                with warnings.catch_warnings(action="ignore"):  # of sockets that it leaves open
                    self._server.start()
                    gc.collect()
            if self._answers():
                return
            self.kill()
        raise RuntimeError(f"Milvus did not come up, {_TRIES} times")

    def _answers(self) -> bool:
        """Wait until it does what it is asked, which is later than it calls itself healthy; False where it ends or
        takes too long."""
        import grpc
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        deadline = time.monotonic() + _UP_SECONDS
        try:
            self._server.wait_started(timeout=1000 * _UP_SECONDS)
        except TimeoutError:
            return False
        while time.monotonic() < deadline and self._server.server_proc.poll() is None:
            try:
                client = MilvusClient(self.where, timeout=5)
                client.list_collections(timeout=5)
                client.close()
                return True
            except (MilvusException, grpc.RpcError):
                time.sleep(0.2)
        return False

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self._server.server_proc.wait()
        self._server.server_proc = None

    def stop(self) -> None:
        if self._server.running:  # it outlives SIGTERM
            self.kill()
        self._server.stop()
        self._folder.cleanup()
