"""Ray Data: a pool of actors that hold the encoder, on one machine or on a cluster (``ray?actors=8&cpus=16&gpus=1``).

The cluster is the one of RAY_ADDRESS, or of `address`; else a small one on this machine. All its machines must see the
folder of the run, and the pictures, under the same paths, and have the same nearsight. An actor that is killed, or
whose machine goes, is replaced and its shard done again: Ray Data's own defaults.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nearsight.core import errors
from nearsight.core.errors import ClusterError, InputError, MissingExtra, NearsightError
from nearsight.search.bulk.runners import Progress
from nearsight.search.bulk.shard import Work, encode_shard

_REACH_SECONDS = 10.0
_STORE_BYTES = 100 << 20
"""Shared memory of a cluster of one machine: only numbers of shards travel."""


class Encoding:
    """An actor: the encoder, loaded once, and shards one by one."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.encoder = work.encoder()

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """{"shard": number} -> the same with how many pictures are done, once its file is there; or with what our own
        error says, for Ray Data hands on no error as it was."""
        number, done = int(row["shard"]), 0
        try:
            for step in encode_shard(self.work, number, self.encoder):
                done = step.done
        except NearsightError as error:
            told = [type(error).__name__, error.message, error.code, error.hint]
            return {"shard": number, "done": done, "error": json.dumps(told)}
        return {"shard": number, "done": done, "error": ""}


class OnRay:
    """See `nearsight.search.bulk.runners.Runner`."""

    def __init__(self, actors: int, cpus: int, gpus: int, address: str) -> None:
        self.actors, self.cpus, self.gpus, self.address = actors, cpus, gpus, address

    def run(self, work: Work, shards: Sequence[int]) -> Generator[Progress, None, None]:
        """As actors are free; what comes back is the numbers alone."""
        with _cluster(self.address) as ray:
            from ray.exceptions import RayError

            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            size, cpus = self._pool(ray)
            try:
                numbers = ray.data.from_items([{"shard": n} for n in shards], override_num_blocks=len(shards))
                done = numbers.map(
                    Encoding,
                    fn_constructor_args=(work,),
                    compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
                    num_cpus=cpus,
                    num_gpus=self.gpus or None,
                )
                for row in done.iter_rows():
                    if row["error"]:
                        kind, message, code, hint = json.loads(row["error"])
                        raise getattr(errors, kind)(message, code=code, hint=hint)
                    yield row["shard"], row["done"], True
            except RayError as error:
                first = str(error).strip().splitlines()[:1]
                raise ClusterError(f"Ray gave up: {type(error).__name__}: {''.join(first)}") from error

    def _pool(self, ray: Any) -> tuple[int, int]:
        """How many actors, and the processors of each: one actor for each GPU, or else for each machine, since a
        network uses all of a machine's cores by itself. A core is left to those who hand out the work."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        least = int(min((node["CPU"] for node in nodes), default=1))
        if self.gpus:
            each = [int(node.get("GPU", 0)) // self.gpus for node in nodes]
            room = max(1, sum(each))
            share = max(1, (least - 1) // max(1, max(each, default=1)))
        else:
            room, share = max(1, len(nodes)), max(1, least - 1)
        return self.actors or room, self.cpus or share


def build(*, actors: int = 0, cpus: int = 0, gpus: int = 0, address: str = "") -> OnRay:
    """`actors`: how many hold the encoder (0: as many as the cluster has GPUs, or without `gpus` machines). `cpus` and
    `gpus`: of each actor (0 cpus: its share of the machine). `address`: of a cluster that this machine is part of
    (``auto``, ``host:6379``).

    Raises InputError (code ``bulk/options``) for numbers below 0.
    """
    if min(actors, cpus, gpus) < 0:
        raise InputError("actors, cpus and gpus are not below 0", code="bulk/options")
    return OnRay(actors, cpus, gpus, address)


@contextmanager
def _cluster(address: str) -> Generator[Any, None, None]:
    """Ray, connected; what was started here is ended here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra.of("ray", "ray", "encoding on Ray") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():  # by the program that we are part of
        yield ray
        return
    where: dict[str, Any] = {"address": address or os.environ.get("RAY_ADDRESS")}
    if not where["address"]:
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 waits a minute where anything else runs
        where = {"address": "local", "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        where["_node_ip_address"] = "127.0.0.1"  # nobody else is to reach it
    try:
        host, _, port = str(where["address"]).rpartition(":")
        if port.isdigit():  # Ray tries for minutes
            socket.create_connection((host, int(port)), _REACH_SECONDS).close()
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # where a node does not come up in time, it is Exception itself that Ray raises
        ray.shutdown()  # what came up
        hint = "check the address and that the cluster runs: ray status; or --on local"
        raise ClusterError(f"Ray cannot be reached or started: {error}", hint=hint) from error
    try:
        yield ray
    finally:
        ray.shutdown()
