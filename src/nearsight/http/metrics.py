"""What a server counts, for Prometheus. One registry for each application, and none of the names are made of input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from nearsight.http.desks import Desk

if TYPE_CHECKING:
    from nearsight.http.room import Room

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics(Collector):
    """``nearsight_requests_total``, ``nearsight_request_seconds``, ``nearsight_search_seconds``,
    ``nearsight_refused_total``, and gauges of what is at work and in the collections."""

    def __init__(self, rooms: Mapping[str, Room], desks: Mapping[str, Desk]) -> None:
        self._rooms = rooms
        self._desks = desks
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nearsight_requests", "Answers by route and status.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "nearsight_request_seconds",
            "From a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "nearsight_search_seconds", "Parts of searches.", ("stage",), buckets=_SECONDS, registry=self.registry
        )
        self.refused = Counter(
            "nearsight_refused", "Requests refused before any work, by code.", ("code",), registry=self.registry
        )
        self.registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is so just now."""
        inside = GaugeMetricFamily("nearsight_at_work", "Requests at work or waiting for it.", labels=["desk"])
        for name, desk in self._desks.items():
            inside.add_metric([name], desk.inside)
        yield inside
        items = GaugeMetricFamily("nearsight_items", "Items of a collection.", labels=["collection"])
        generation = GaugeMetricFamily(
            "nearsight_generation", "Its state: rises with each change.", labels=["collection"]
        )
        engine = GaugeMetricFamily(
            "nearsight_engine_ready", "0 while searches look at every vector without it.", labels=["collection"]
        )
        for name, room in self._rooms.items():
            snapshot = room.shelf.store.snapshot()
            items.add_metric([name], len(snapshot))
            generation.add_metric([name], snapshot.generation)
            engine.add_metric([name], room.reader.engine_state == "ready")
        yield items
        yield generation
        yield engine

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)
