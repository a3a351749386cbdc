"""The collections that are served, and everything that works for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nearsight.data.images import Isolated
from nearsight.http.desks import Desk
from nearsight.http.metrics import Metrics
from nearsight.http.problems import Refusal
from nearsight.http.room import Room
from nearsight.http.settings import Settings

_SEARCHES = {"/search", "/feedback"}


class House:
    """Opens every collection. Raises NotACollection, FormatError, Damaged."""

    def __init__(self, collections: Sequence[Path], settings: Settings) -> None:
        self.settings = settings
        self.searches = Desk("searches", settings.searches, settings.waiting)
        self.others = Desk("others", settings.others, 8 * settings.waiting)
        self.decoder = Isolated(settings.cores, settings.decode_seconds, settings.decode_mb)
        self.rooms: dict[str, Room] = {}
        try:
            for folder in collections:
                name = self._free(_called(folder))
                self.rooms[name] = Room(name, folder, settings, self.decoder)
        except BaseException:
            self.close()
            raise
        self.metrics = Metrics(self.rooms, {desk.name: desk for desk in (self.searches, self.others)})

    def room(self, name: str | None) -> Room:
        """The collection of that name; the first one where none is named. Raises Refusal (404)."""
        if name is None:
            return next(iter(self.rooms.values()))
        if name not in self.rooms:
            raise Refusal(
                404,
                f"there is no collection {name!r}",
                code="collection/unknown",
                hint=f"there are: {', '.join(self.rooms)}",
            )
        return self.rooms[name]

    def desk_of(self, method: str, path: str) -> Desk:
        """Where a request will be worked on."""
        return self.searches if method == "POST" and path in _SEARCHES else self.others

    def close(self) -> None:
        """Let go of everything; what is at work goes on to its end."""
        self.searches.close()
        self.others.close()
        self.decoder.close()
        for room in self.rooms.values():
            room.close()

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self.rooms:
            number += 1
            free = f"{name}-{number}"
        return free


def _called(folder: Path) -> str:
    """``shop`` for ``shop.ns``; for a hidden one inside a folder of pictures, that folder's name."""
    whole = folder.resolve()
    name = whole.parent.name if whole.name.startswith(".") else whole.name
    return name.removesuffix(".ns") or "collection"
