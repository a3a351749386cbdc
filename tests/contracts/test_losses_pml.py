"""pytorch-metric-learning: the adapter gives what the library gives, and so do our own losses where it has the same."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import InputError, MissingExtra, NearsightError, UnknownName
from nearsight.learn.losses import LOSSES
from nearsight.learn.losses.pml import ADAPTED, REFUSED
from nearsight.learn.matrix import Matrix
from nearsight.learn.targets import TARGETS, Target

torch = pytest.importorskip("torch")
library = pytest.importorskip("pytorch_metric_learning.losses")
distances = pytest.importorskip("pytorch_metric_learning.distances")
pytestmark = pytest.mark.torch

LABELS = torch.arange(4).repeat_interleave(4)  # P = K: the library's SmoothAPLoss cuts batches wrongly elsewhere
NOT_LOSSES = {
    "BaseLossWrapper", "BaseMetricLossFunction", "CrossBatchMemory", "EmbeddingRegularizerMixin", "GenericPairLoss",
    "MultipleLosses", "SelfSupervisedLoss", "WeightRegularizerMixin",
}  # fmt: skip
NEEDED = {"RankedListLoss": "margin=0.4,Tn=2"}

ORIGINALS: dict[str, Callable[[], Any]] = {
    "contrastive?power=1": lambda: library.ContrastiveLoss(),
    "triplet?margin=0.05": lambda: library.TripletMarginLoss(),
    "triplet?margin=0.1&soft=true": lambda: library.TripletMarginLoss(margin=0.1, smooth_loss=True),
    "triplet?squared=true&margin=0.3": lambda: library.TripletMarginLoss(0.3, distance=distances.LpDistance(power=2)),
    "infonce": lambda: library.NTXentLoss(),
    "supcon": lambda: library.SupConLoss(),
    "multi_similarity?mine=false": lambda: library.MultiSimilarityLoss(),
    "smooth_ap?temperature=0.1": lambda: library.SmoothAPLoss(0.1),
    "normalised_softmax": lambda: library.NormalizedSoftmaxLoss(4, 6),
    "arcface": lambda: library.ArcFaceLoss(4, 6, margin=float(np.degrees(0.5))),
    "proxy_anchor": lambda: library.ProxyAnchorLoss(4, 6),
}


@pytest.fixture
def vectors() -> Any:
    return torch.randn(16, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def proxies(original: Any) -> Target:
    """Our class vectors, set to the library's."""
    target = TARGETS.build("proxies", classes=4, dim=6, seed=1)
    held = original.proxies if hasattr(original, "proxies") else original.W.T
    target.module.vectors = torch.nn.Parameter(held.detach().double())
    return target


def matrix(address: str, vectors: Any, original: Any) -> Matrix:
    loss = LOSSES.build(address)
    target = proxies(original) if loss.target == "proxies" else TARGETS.build("batch", classes=4, dim=6, seed=1)
    return target(vectors, LABELS).matrix(vectors, loss.similarity)


@pytest.mark.parametrize("address", ORIGINALS)
def test_our_own_losses_are_the_library_s(address: str, vectors: Any) -> None:
    original = ORIGINALS[address]().double()
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    if address == "normalised_softmax":  # there the vectors' own length divides too
        original.distance.normalize_embeddings = True
    given = matrix(address, ours, original)
    if address.startswith("smooth_ap"):  # there a picture is the first of its own positives
        given = given._replace(positive=~given.negative)
    value = LOSSES.build(address)(*given)
    expected = original(theirs, LABELS)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    value.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ADAPTED)
def test_the_adapter_gives_what_the_library_gives(name: str, vectors: Any) -> None:
    options = NEEDED.get(name, "")
    address = f"pml/{name}" + (f"?options={options}" if options else "")
    loss = LOSSES.build(address)
    given = {key: float(text) for key, text in (pair.split("=") for pair in filter(None, options.split(",")))}
    sizes = {"num_classes": 4, "embedding_size": 6} if ADAPTED[name] == "classes" else {}
    original = getattr(library, name)(**given, **sizes).double()
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    value = loss(*matrix(address, ours, original))
    expected = original(theirs, LABELS)
    assert expected.item() != 0
    assert value.ndim == 0
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    value.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ADAPTED)
def test_nothing_to_compare_is_zero_on_the_graph(name: str) -> None:
    loss = LOSSES.build(f"pml/{name}" + (f"?options={NEEDED[name]}" if name in NEEDED else ""))
    scores = torch.zeros(4, 4, requires_grad=True)
    none = torch.zeros(4, 4, dtype=torch.bool)
    value = loss(scores, none, none)
    value.backward()
    assert value.item() == 0
    assert not scores.grad.any()


def test_pairs_that_are_right_are_zero_on_the_graph() -> None:
    scores = torch.tensor([[0.9, -0.9]], requires_grad=True)
    value = LOSSES.build("pml/TripletMarginLoss")(scores, torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    value.backward()
    assert value.item() == 0
    assert not scores.grad.any()


def test_every_loss_of_the_library_is_adapted_or_refused() -> None:
    theirs = {name for name, kind in vars(library).items() if inspect.isclass(kind)}
    assert theirs - NOT_LOSSES == set(ADAPTED) | set(REFUSED)
    assert not set(ADAPTED) & set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why_and_what_instead(name: str) -> None:
    with pytest.raises(InputError) as caught:
        LOSSES.build(f"pml/{name}")
    assert caught.value.code == "loss/pml"
    assert "CircleLoss" in caught.value.hint


def test_options_reach_the_library() -> None:
    made = LOSSES.build("pml/CircleLoss?options=m=0.25,gamma=128").make(columns=2)
    assert (made.m, made.gamma) == (0.25, 128)
    assert LOSSES.build("pml/PNPLoss?options=variant=Dq").make(columns=2).variant == "Dq"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("pml", "name/unknown"),
        ("pml/NoSuchLoss", "name/unknown"),
        ("pml/CircleLoss?options=gama=3", "name/unknown"),
        ("pml/CircleLoss?options=gamma", "name/grammar"),
        ("pml/PNPLoss?options=variant=Z", "loss/pml"),
        ("pml/RankedListLoss", "loss/pml"),
        ("pml/MarginLoss?options=learn_beta=true", "loss/pml"),
        ("pml/CircleLoss?similarity=euclidean", "loss/pml"),
        ("pml/TripletMarginLoss?similarity=dot", "learn/similarity"),
    ],
)
def test_what_cannot_be_built_is_refused(address: str, code: str) -> None:
    with pytest.raises(NearsightError) as caught:
        LOSSES.build(address)
    assert caught.value.code == code


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match="CircleLoss"):
        LOSSES.build("pml/NoSuchLoss")


@pytest.mark.parametrize("name", [n for n, kind in ADAPTED.items() if kind != "pairs"])
def test_a_matrix_of_another_kind_is_refused(name: str, vectors: Any) -> None:
    loss = LOSSES.build(f"pml/{name}" + (f"?options={NEEDED[name]}" if name in NEEDED else ""))
    scores = torch.rand(2, 3)
    positive = torch.tensor([[True, True, False], [True, False, False]])
    with pytest.raises(InputError) as caught:
        loss(scores, positive, ~positive)
    assert caught.value.code == "loss/pml"


@pytest.mark.parametrize("name", [n for n, kind in ADAPTED.items() if kind == "pairs"])
def test_any_matrix_of_pairs_is_judged(name: str, vectors: Any) -> None:
    memory = TARGETS.build("memory?size=8", classes=4, dim=6, seed=0)
    memory(vectors, LABELS)
    ours = vectors.float().requires_grad_()
    value = LOSSES.build(f"pml/{name}")(*memory(ours, LABELS).matrix(ours, "cosine"))
    value.backward()
    assert torch.isfinite(value)
    assert ours.grad.any()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(MissingExtra, match="train"):
        LOSSES.build("pml/CircleLoss")
