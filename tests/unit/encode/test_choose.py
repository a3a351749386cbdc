"""`auto`: measured once, remembered, and never a runtime that gives other vectors."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nearsight.core.errors import EncoderError, UnknownName
from nearsight.encode import choose
from nearsight.encode.choose import open_network
from nearsight.encode.golden import Golden

INPUTS = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
GOLDEN = Golden(INPUTS, INPUTS)


class Fake:
    """A runtime whose arithmetic, speed and presence are chosen."""

    takes = "onnx"

    def __init__(self, answer=lambda x: x, *, missing: str = "", load: float = 0.0, rate: float = 1e3, error=None):
        self.answer, self.missing, self.load, self.rate, self.error = answer, missing, load, rate, error
        self.opened = 0

    def available(self) -> str:
        return self.missing

    def versions(self) -> str:
        return "fake 1"

    def open(self, network):
        self.opened += 1
        if self.error:
            raise self.error
        CLOCK.now += self.load

        def run(batch):
            CLOCK.now += len(batch) / self.rate
            return self.answer(batch)

        run.runtime = self  # type: ignore[attr-defined]
        return run


CLOCK = SimpleNamespace(now=0.0)


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def use(**fakes: Fake):
        monkeypatch.setattr(choose, "CANDIDATES", {"onnx": tuple(fakes)})
        monkeypatch.setattr(choose, "RUNTIMES", SimpleNamespace(build=lambda name: fakes[name]))
        monkeypatch.setattr(choose, "time", SimpleNamespace(perf_counter=lambda: CLOCK.now))
        return fakes

    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    return use


def auto(expect: int, mark: str = "mark") -> Fake:
    runner = open_network("auto", b"graph", "onnx", mark, GOLDEN, expect)
    fake: Fake = runner.runtime  # type: ignore[attr-defined]
    return fake


def test_a_short_job_takes_the_first_without_measuring(runtimes, tmp_path: Path) -> None:
    fakes = runtimes(quick=Fake(rate=10), other=Fake(rate=1e6))
    assert auto(1) is fakes["quick"]
    assert fakes["other"].opened == 0
    assert not (tmp_path / "cache").exists()


def test_a_short_job_looks_at_no_other_runtime(runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask OpenVINO what it can means to import it, which takes longer than the job."""
    fakes = runtimes(quick=Fake(rate=100), other=Fake(load=20, rate=1000))
    asked: list[Fake] = []
    monkeypatch.setattr(Fake, "available", lambda self: asked.append(self) or self.missing)
    assert auto(1) is fakes["quick"]
    assert asked == [fakes["quick"]]
    auto(10_000)
    asked.clear()
    assert auto(1) is fakes["quick"]
    assert not asked, "what was measured is known"


def test_the_choice_is_by_loading_and_work_together(runtimes) -> None:
    fakes = runtimes(quick=Fake(rate=100), heavy=Fake(load=20, rate=1000))
    assert auto(1000) is fakes["quick"], "10 s against 21 s"
    assert auto(10_000) is fakes["heavy"], "100 s against 30 s"
    assert auto(1) is fakes["quick"], "what was measured serves short jobs too"


def test_measured_once_and_remembered(runtimes) -> None:
    fakes = runtimes(a=Fake(rate=100), b=Fake(rate=300))
    auto(10_000)
    assert (fakes["a"].opened, fakes["b"].opened) == (1, 2)
    auto(10_000)
    assert (fakes["a"].opened, fakes["b"].opened) == (1, 3), "opened to be used, not measured again"
    auto(10_000, mark="another encoder")
    assert fakes["a"].opened == 2


def test_new_library_versions_are_measured_again(runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = runtimes(a=Fake(rate=100), b=Fake(rate=300))
    auto(10_000)
    monkeypatch.setattr(Fake, "versions", lambda self: "fake 2")
    auto(10_000)
    assert fakes["a"].opened == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x + 0.2 * np.roll(x, 1, axis=1),  # another direction
        lambda x: x[:, :4],
        lambda x: x * np.nan,
        lambda x: x * 0,
    ],
    ids=["cosine", "shape", "nan", "zero"],
)
def test_a_wrong_runtime_is_never_chosen(runtimes, answer) -> None:
    fakes = runtimes(right=Fake(rate=1), wrong=Fake(answer, rate=1e9))
    assert auto(100_000) is fakes["right"]


def test_a_runtime_that_fails_is_passed_over(runtimes) -> None:
    fakes = runtimes(broken=Fake(error=EncoderError("no")), sound=Fake())
    assert auto(100_000) is fakes["sound"]
    runtimes(broken=Fake(error=EncoderError("no such operator")))
    with pytest.raises(EncoderError, match="no such operator") as caught:
        auto(100_000, mark="other")
    assert caught.value.code == "encoder/runtime"


def test_missing_ones_are_not_tried(runtimes) -> None:
    fakes = runtimes(missing=Fake(missing="not installed", rate=1e9), there=Fake())
    assert auto(1) is fakes["there"]
    assert fakes["missing"].opened == 0
    runtimes(missing=Fake(missing="not installed"))
    with pytest.raises(EncoderError):
        auto(1)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"k": 5}', '{"k": {"a": {"rate": "x"}}}', "[" * 10000])
def test_a_broken_cache_is_no_cache(runtimes, tmp_path: Path, content: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "runtimes.json").write_text(content)
    fakes = runtimes(a=Fake(rate=100), b=Fake(rate=300))
    assert auto(10_000) is fakes["b"]
    assert len(json.loads((tmp_path / "cache" / "runtimes.json").read_text())) == 1


def test_a_cache_that_cannot_be_written_is_done_without(runtimes, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    fakes = runtimes(a=Fake(rate=100), b=Fake(rate=300))
    assert auto(10_000) is fakes["b"]


def test_a_named_runtime_is_taken_or_refused(runtimes) -> None:
    made = runtimes(
        **{"a": Fake(), "gone": Fake(missing="not installed"), "b?precision=bf16": Fake(lambda x: x + np.roll(x, 1))}
    )
    assert open_network("a", b"", "onnx", "", GOLDEN, 1).runtime is made["a"]  # type: ignore[attr-defined]
    for name, why in (("gone", "not installed"), ("b?precision=bf16", "golden")):
        with pytest.raises(EncoderError, match=why) as caught:
            open_network(name, b"", "onnx", "", GOLDEN, 1)
        assert caught.value.code == "encoder/runtime"
        assert "auto" in caught.value.hint


def test_a_runtime_for_something_else_is_refused() -> None:
    with pytest.raises(EncoderError, match="runs module, not onnx"):
        open_network("torch", b"", "onnx", "", GOLDEN, 1)


def test_an_unknown_runtime_is_met_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        open_network("openvin", b"", "onnx", "", GOLDEN, 1)
    assert "openvino" in caught.value.hint


def test_a_swapped_neighbour_fails_though_the_cosine_holds() -> None:
    a = np.array([[1, 0, 0], [1, 0.0040, 0], [1, 0, 0.0041]], np.float32)
    b = np.array([[1, 0, 0], [1, 0.0041, 0], [1, 0, 0.0040]], np.float32)
    stretch = np.array([[1, 10, 10]], np.float32)
    assert Golden(a, a * 3).failure(a) == ""
    assert Golden(a, a).failure(b) == "", "a tie within 1e-5 is no difference"
    assert Golden(a, a * stretch).failure(b * stretch) == "another nearest neighbour"
