"""The network works beside everything else of a sync, on the runtime that suits the pictures to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight import Collection, create
from nearsight.core.events import Done, Encoded
from nearsight.encode import Encoder
from nearsight.search.sync import pipeline


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(12):
        shades = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(shades).save(tmp_path / "pictures" / f"{number:02d}.png")
    return tmp_path / "pictures"


class Watched:
    """`colour`, and how many batches are in it at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.encoder = create("colour?bins=2&grid=1")
        self.encoder.tower.batch = 2
        self.most = self.inside = self.batches = 0
        self.seconds, self._lock, self._forward = seconds, threading.Lock(), self.encoder.tower.forward
        self.encoder.tower.forward = self.forward  # type: ignore[method-assign]

    def forward(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        with self._lock:
            self.inside += 1
            self.batches += 1
            self.most = max(self.most, self.inside)
        time.sleep(self.seconds)
        with self._lock:
            self.inside -= 1
        return self._forward(prepared)


def vectors(collection: Collection) -> np.ndarray:
    return collection.store.snapshot().vectors(np.arange(len(collection)))


@pytest.mark.parametrize("gpu", [False, True], ids=["processor", "gpu"])
def test_a_gpu_has_two_batches_at_once_and_a_processor_one(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    monkeypatch.setattr(Encoder, "on_gpu", gpu)
    watched = Watched(seconds=0.05)
    with Collection.create(tmp_path / "c", watched.encoder) as collection:
        list(collection.sync(pictures, workers=2))
        assert watched.most == 1 + gpu
        assert watched.batches == 6
        paths = [item.path.name for item in collection.items()]
        assert paths == sorted(paths), "items come in the order of the files, whoever was encoded first"
        alone = create("colour?bins=2&grid=1").encode_images(Image.open(item.path) for item in collection.items())
        assert np.allclose(vectors(collection), alone, atol=1e-6)


def test_committing_goes_on_while_the_next_batch_is_encoded(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_COMMIT_SECONDS", -1.0)
    watched, beside, flush = Watched(seconds=0.1), [], pipeline.Pipeline._flush

    def flushing(self: pipeline.Pipeline) -> int:
        if self._pending:
            beside.append(watched.inside)
        return flush(self)

    monkeypatch.setattr(pipeline.Pipeline, "_flush", flushing)
    with Collection.create(tmp_path / "c", watched.encoder) as collection:
        told = sum(event.count for event in collection.sync(pictures) if isinstance(event, Encoded))
    assert told == 12
    assert sum(beside) >= 2


def test_what_is_being_encoded_when_it_is_stopped_is_kept(tmp_path: Path, pictures: Path) -> None:
    watched = Watched(seconds=0.05)
    with Collection.create(tmp_path / "c", watched.encoder) as collection:
        work = collection.sync(pictures, workers=1)
        stops = pipeline.Pipeline._take

        def stop(self: pipeline.Pipeline, encode: object) -> object:
            raise KeyboardInterrupt

        pipeline.Pipeline._take = stop  # type: ignore[assignment, method-assign]
        try:
            with pytest.raises(KeyboardInterrupt):
                list(work)
        finally:
            pipeline.Pipeline._take = stops  # type: ignore[method-assign]
        assert len(collection) == 2 * watched.batches > 0
        list(collection.sync(pictures))
        assert (len(collection), watched.batches) == (12, 6), "nothing is encoded twice"


def test_a_fast_reader_makes_nothing_wait(tmp_path: Path, pictures: Path) -> None:
    with Collection.create(tmp_path / "c", Watched(seconds=0.1).encoder) as collection:
        done = list(collection.sync(pictures, profile=True))[-1]
    assert isinstance(done, Done)
    assert done.spent["encode"] >= 0.6
    assert done.spent["waiting"] < 0.3


def test_a_network_is_chosen_for_the_pictures_to_come(tmp_path: Path, pictures: Path) -> None:
    encoder = create("bundled")
    with Collection.create(tmp_path / "c", encoder) as collection:
        assert collection.encoder_for(9000) is encoder
        assert encoder.tower._expect == 9000  # type: ignore[attr-defined]
        collection.encoder_for(1)
        assert encoder.tower._expect == 9000, "a search before it changes nothing"  # type: ignore[attr-defined]
        list(collection.sync(pictures))
        collection.encoder_for(90_000)
        assert encoder.tower._expect == 9000, "what has encoded stays"  # type: ignore[attr-defined]
    chosen = create("bundled").use("onnxruntime", expect=3)
    with Collection.create(tmp_path / "d", chosen) as collection:
        collection.encoder_for(9000)
        assert chosen.tower._expect == 3, "what somebody chose stays"  # type: ignore[attr-defined]


@pytest.mark.torch
def test_a_module_is_read_back_as_a_graph_unless_a_gpu_runs_it(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    encoder = create("small_cnn/report?size=32&dim=24&seed=1")
    with Collection.create(tmp_path / "c", encoder) as collection:
        list(collection.sync(pictures))
        assert collection.encoder.tower.takes == "onnx"  # type: ignore[attr-defined]
        assert collection.encoder.spec.fingerprint == encoder.spec.fingerprint
    monkeypatch.setattr(Encoder, "on_gpu", True)
    with Collection.create(tmp_path / "d", encoder) as collection:
        assert collection.encoder is encoder


@pytest.mark.torch
def test_on_a_gpu_each_thread_has_its_own_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from nearsight.encode.runtimes import torch as runtime

    used: list[Any] = []
    callers: list[int] = []

    class Stream:
        def __init__(self, device: str) -> None:
            self.device, self.thread = device, threading.get_ident()

    class Using:
        def __init__(self, stream: Stream) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            used.append(self.stream)

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(torch, "cuda", SimpleNamespace(synchronize=lambda d: None, Stream=Stream, stream=Using))
    lane = runtime._lanes(torch, "cuda:0")

    def calls() -> None:
        for _ in range(2):
            with lane():
                callers.append(threading.get_ident())

    threads = [threading.Thread(target=calls) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(used) == 4
    assert len({id(stream) for stream in used}) == 2, "one for each thread, and again the same"
    assert [stream.thread for stream in used] == callers
    assert {stream.device for stream in used} == {"cuda:0"}


@pytest.mark.torch
def test_the_torch_runtime_gives_the_same_from_two_threads() -> None:
    torch = pytest.importorskip("torch")
    from nearsight.encode.runtimes import RUNTIMES

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    run = RUNTIMES.build("torch?device=cpu").open(network)
    batch = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32)
    whole, found = run(batch), {}
    threads = [threading.Thread(target=lambda at=at: found.update({at: run(batch[at : at + 2])})) for at in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.allclose(np.concatenate([found[0], found[2]]), whole, atol=1e-6)


def test_here_no_processor_is_a_gpu() -> None:
    assert not create("colour").on_gpu
    assert not create("bundled").on_gpu
    assert not create("bundled").faster_saved
