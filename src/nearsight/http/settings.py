"""What a server may be asked, how much of it at once, and by whom."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field

from nearsight.core.errors import InputError
from nearsight.data.images import Limits

SHORTEST_TOKEN = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be chosen. Raises InputError (code ``serve/token``) for an address that others can reach
    without a token, or a token that can be guessed."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
    """Names beside the loopback's and `host` by which requests may call this server (``shop.example``)."""
    read_only: bool = False
    json_bytes: int = 1 << 20
    upload_bytes: int = 64 << 20
    """Of a request with pictures, all together."""
    body_memory: int = 512 << 20
    """Of the bodies of all requests together."""
    files: int = 32
    """Pictures in one request."""
    picture: Limits = Limits(max_bytes=32 << 20, max_side=20_000, max_pixels=64 << 20)  # noqa: RUF009 (frozen)
    decode_seconds: float = 20.0
    decode_mb: int = 1024
    """Memory that one picture may take in the process that decodes it."""
    body_seconds: float = 10.0
    """Time for a request's body, and a second more for every `body_rate` bytes of it."""
    body_rate: int = 32 << 10
    head_seconds: float = 10.0
    """From connecting, or the end of the answer before, to the end of a request's headers."""
    idle_seconds: float = 15.0
    """How long a connection without a request stays open."""
    answer_seconds: float = 60.0
    """How long a client may take for a piece of an answer that it does not read."""
    connections: int = 4096
    """Beyond them, the connection that has been without a request the longest is closed."""
    searches: int = 32
    """Searches at work at once: they share the processors, and what they have in common is done in one go."""
    others: int = 8
    """Everything else (pictures, lists, changes) at work at once."""
    waiting: int = 32
    """Searches that may wait for a place; as many others, eightfold, because a page asks for pictures by the dozen."""
    cores: int = os.cpu_count() or 1
    drain_seconds: float = 5.0
    """From SIGTERM to the end, at most."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InputError(f"a port is a number up to 65535, not {self.port}", code="serve/port")
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not _sendable(self.token)):
            raise InputError(
                f"a token has at least {SHORTEST_TOKEN} letters, digits and signs", code="serve/token", hint=_TOKEN
            )
        if self.token is None and not self.private:
            raise InputError(f"others can reach {self.host}: there must be a token", code="serve/token", hint=_TOKEN)

    @property
    def private(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def knows(self, name: str) -> bool:
        """Whether requests may call this server by that name.

        A page elsewhere can make a name of its own lead here (DNS rebinding), and no address.
        """
        own = {called.lower().strip("[]") for called in (*_LOOPBACK, self.host, *self.allow_hosts)}
        return name in own or (not self.private and _is_address(name))


_TOKEN = "NEARSIGHT_TOKEN=$(python -c 'import secrets; print(secrets.token_urlsafe(24))') nearsight serve ..."


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _sendable(token: str) -> bool:
    return all("!" <= letter <= "~" for letter in token)
