"""A target, a miner and a loss that fit each other."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.errors import InputError
from nearsight.learn.objective import objective
from nearsight.learn.samplers import SAMPLERS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

LABELS = np.arange(24) % 4
SIZES = {"classes": 4, "dim": 8, "seed": 0}


@pytest.mark.parametrize(
    ("loss", "sampler", "target"),
    [
        ("triplet", None, "batch"),
        ("triplet", "pk", "batch"),
        ("triplet", "triplets", "drawn?size=3"),
        ("contrastive", "pairs", "drawn?size=2"),
        ("arcface", "pairs", "proxies"),
        ("cross_entropy", None, "proxies?bias=true"),
    ],
)
def test_the_target_follows_from_loss_and_sampler(loss: str, sampler: str | None, target: str) -> None:
    drawn = SAMPLERS.build(sampler, labels=LABELS, batch=12, seed=0) if sampler else None
    assert objective(loss, sampler=drawn, **SIZES).addresses["target"] == target


def test_a_target_that_is_asked_for_is_taken() -> None:
    assert objective("supcon", target="memory?size=64", **SIZES).addresses["target"] == "memory?size=64"


def test_a_miner_is_refused_where_columns_belong_together() -> None:
    with pytest.raises(InputError) as caught:
        objective("proxy_anchor", miner="hardest", **SIZES)
    assert caught.value.code == "learn/columns"


def test_a_loss_over_columns_is_refused_where_a_column_is_of_two_vectors() -> None:
    with pytest.raises(InputError) as caught:
        objective("proxy_anchor", target="opposite", **SIZES)
    assert caught.value.code == "learn/columns"
    assert objective("proxy_anchor", target="opposite?direction=image_to_text", **SIZES)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("normalised_softmax", {}),
        ("cross_entropy", {}),
        ("arcface?scale=16", {"target": "proxies?centres=2"}),
        ("proxy_anchor", {}),
        ("triplet", {"miner": "semi_hard"}),
        ("triplet", {"miner": "distance_weighted", "target": "memory?size=24"}),
        ("contrastive?similarity=euclidean&average=pairs", {}),
        ("multi_similarity", {}),
        ("supcon", {}),
        ("infonce", {}),
        ("smooth_ap?temperature=0.1", {}),
        ("pml/CircleLoss", {}),
    ],
)
def test_it_separates_classes(loss: str, options: dict[str, str]) -> None:
    """Vectors trained directly: at the end each one's nearest is of its class, which by chance holds for 5 in 23."""
    parts = objective(loss, **SIZES, **options)
    labels = torch.from_numpy(LABELS)
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(24, 8, generator=draw).requires_grad_()
    walk = torch.optim.Adam([vectors, *parts.target.module.parameters()], lr=0.1)
    first = None
    for _ in range(80):
        walk.zero_grad()
        value = parts.value(parts.matrix(vectors, labels), draw)
        value.backward()
        walk.step()
        first = value.item() if first is None else first
    assert value.item() < first
    scores = torch.nn.functional.normalize(vectors.detach()) @ torch.nn.functional.normalize(vectors.detach()).T
    nearest = scores.fill_diagonal_(-2).argmax(dim=1)
    assert (labels[nearest] == labels).float().mean() > 0.9


def test_the_report_s_training_judges_the_drawn_pairs_alone() -> None:
    sampler = SAMPLERS.build("pairs", labels=LABELS, batch=8, seed=0)
    parts = objective("contrastive?similarity=euclidean&average=pairs", sampler=sampler, **SIZES)
    rows = next(iter(sampler.batches(0)))
    vectors = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for anchor, partner in rows.reshape(-1, 2).tolist():
        d = (vectors[anchor] - vectors[partner]).norm().item()
        total += d**2 if LABELS[anchor] == LABELS[partner] else max(0.0, 1 - d) ** 2
    labels = torch.from_numpy(LABELS)
    value = parts.value(parts.matrix(vectors[rows], labels[rows]))
    assert value.item() == pytest.approx(total / (len(rows) / 2), rel=1e-5)
