"""Every file in learn/miners, judged by loops over triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nearsight.core.errors import InputError, UnknownName
from nearsight.learn.losses import LOSSES
from nearsight.learn.matrix import Matrix, similarity
from nearsight.learn.miners import MINERS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

ADDRESSES = [*MINERS.names(), "semi_hard?otherwise=drop", "distance_weighted?cutoff=0.3&far=1.2"]
PLAIN = [LOSSES.build(name) for name in LOSSES.names() if name != "pml"]
DIM = 6
Triplet = tuple[float, float]


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(address: str) -> Any:
    return MINERS.build(address, similarity="cosine", dim=DIM)


def matrix(seed: int = 0, labels: tuple[int, ...] = (0, 0, 3, 0, 1, 1, 2, 2, 2)) -> Matrix:
    """A batch against itself; the third picture is alone in its class. Every score is another."""
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(len(labels), DIM, generator=draw) + 0.5
    kinds = torch.tensor(labels)
    same = kinds[:, None] == kinds[None, :]
    scores = similarity("cosine", vectors, vectors)
    scores = scores + 1e-5 * torch.arange(scores.numel()).view_as(
        scores
    )  # a symmetric matrix would hide a mixed-up row
    return Matrix(scores, same & ~torch.eye(len(labels), dtype=torch.bool), ~same)


def rows_of(given: Matrix) -> list[tuple[list[float], list[float]]]:
    """(positives' scores, negatives' scores) of each row, in the order of columns."""
    return [
        ([float(s) for s in row[p]], [float(s) for s in row[n]])
        for row, p, n in zip(given.scores.detach(), given.positive, given.negative, strict=True)
    ]


def triplets_of(given: Matrix) -> list[Triplet]:
    assert given.scores.shape[1] == 2
    return sorted(
        (float(row[p][0]), float(row[n][0]))
        for row, p, n in zip(given.scores.detach(), given.positive, given.negative, strict=True)
    )


def hardest(rows: list[Any]) -> list[Triplet]:
    return sorted((min(ps), max(ns)) for ps, ns in rows if ps and ns)


def semi_hard(rows: list[Any], drop: bool = False) -> list[Triplet]:
    found = []
    for ps, ns in rows:
        for p in ps if ns else []:
            farther = [n for n in ns if n < p]
            if farther or not drop:
                found.append((p, max(farther) if farther else min(ns)))
    return sorted(found)


CHOICES: dict[str, Callable[[list[Any]], list[Triplet]]] = {
    "hardest": hardest,
    "semi_hard": semi_hard,
    "semi_hard?otherwise=drop": lambda rows: semi_hard(rows, drop=True),
}


@pytest.mark.parametrize("address", CHOICES)
def test_the_choice_is_what_a_loop_says(address: str) -> None:
    for seed in range(8):
        given = matrix(seed)
        expected = CHOICES[address](rows_of(given))
        assert len(expected) > 3
        assert triplets_of(made(address)(given)) == expected


def test_dropping_drops_something() -> None:
    counts = {len(made(a)(matrix(s)).scores) for s in range(8) for a in ("semi_hard?otherwise=drop",)}
    assert min(counts) < len(made("semi_hard")(matrix(0)).scores)


def test_all_is_the_matrix_itself() -> None:
    given = matrix()
    assert made("all")(given) is given


def test_rows_hold_cells_of_one_row_with_their_marks(address: str) -> None:
    given = matrix()
    mined = made(address)(given, torch.Generator().manual_seed(0))
    assert mined.positive.dtype == mined.negative.dtype == torch.bool
    assert not (mined.positive & mined.negative).any()
    before = rows_of(given)
    for positives, negatives in rows_of(mined):
        assert any(set(positives) <= set(ps) and set(negatives) <= set(ns) for ps, ns in before)


def test_gradients_reach_the_chosen_scores_only(address: str) -> None:
    scores, positive, negative = matrix()
    scores = scores.requires_grad_()
    mined = made(address)(Matrix(scores, positive, negative), torch.Generator().manual_seed(0))
    mined.scores.where(mined.positive | mined.negative, 0.0).sum().backward()
    assert set(scores.detach()[scores.grad != 0].tolist()) == set(
        mined.scores[mined.positive | mined.negative].tolist()
    )


def test_the_same_generator_gives_the_same_choice(address: str) -> None:
    given = matrix()
    first, second = (made(address)(given, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.scores, second.scores)


def test_the_global_generator_is_left_alone_when_one_is_given(address: str) -> None:
    before = torch.get_rng_state()
    made(address)(matrix(), torch.Generator().manual_seed(4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("labels", [(0, 0, 0, 0), (0, 1, 2, 3)])
@pytest.mark.parametrize("address", [a for a in ADDRESSES if a != "all"])
def test_nothing_to_choose_is_judged_as_nothing(address: str, labels: tuple[int, ...]) -> None:
    scores, positive, negative = matrix(labels=labels)
    scores = scores.requires_grad_()
    mined = made(address)(Matrix(scores, positive, negative), torch.Generator())
    for loss in PLAIN:
        value = loss(*mined)
        value.backward(retain_graph=True)
        assert value.item() == 0
        assert not scores.grad.any()


def test_any_loss_judges_what_any_miner_chose(address: str) -> None:
    scores, positive, negative = matrix()
    scores = scores.requires_grad_()
    mined = made(address)(Matrix(scores, positive, negative), torch.Generator())
    for loss in PLAIN:
        if not loss.by_column:
            value = loss(*mined)
            value.backward(retain_graph=True)
            assert value.item() > 0
            assert torch.isfinite(scores.grad).all()


def test_the_generator_s_place_follows_the_order_of_draws() -> None:
    given, generator = matrix(), torch.Generator().manual_seed(0)
    miner = made("distance_weighted")
    one, two = miner(given, generator), miner(given, generator)
    assert not torch.equal(one.scores, two.scores)


def naive_density(d: float, n: int) -> float:
    return d ** (n - 2) * (1 - d * d / 4) ** ((n - 3) / 2)


def test_distances_are_drawn_with_the_inverse_of_their_density() -> None:
    miner = MINERS.build("distance_weighted", similarity="cosine", dim=8)
    distances = [0.2, 0.7, 1.0, 1.3, 1.39, 1.6, 1.9]
    scores = torch.tensor([[0.0, *(1 - d * d / 2 for d in distances)]]).repeat(4000, 1)
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[:, 0] = True
    weights = [1 / naive_density(max(d, 0.5), 8) if d < 1.4 else 0.0 for d in distances]
    expected = [w / sum(weights) for w in weights]
    assert miner.probabilities(scores[:1], ~positive[:1])[0, 1:].tolist() == pytest.approx(expected, rel=1e-3)
    mined = miner(Matrix(scores, positive, ~positive), torch.Generator().manual_seed(0))
    drawn = mined.scores[:, 1]
    for d, share in zip(distances, expected, strict=True):
        found = float((drawn - (1 - d * d / 2)).abs().lt(1e-6).float().mean())
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5 + 1e-9)


def test_only_far_negatives_are_alike_likely() -> None:
    scores = torch.tensor([[0.9, -0.5, -0.9, -1.0]])
    negative = torch.tensor([[False, True, True, True]])
    found = MINERS.build("distance_weighted", similarity="cosine", dim=64).probabilities(scores, negative)
    assert found[0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("dim", [3, 128, 2048])
def test_weights_are_finite_in_many_dimensions(dim: int) -> None:
    miner = MINERS.build("distance_weighted", similarity="cosine", dim=dim)
    scores, _, negative = matrix()
    scores[0, 1:] = torch.tensor([1.0, -1.0, 0.0, 0.5, 1.0, 1.0, -1.0, 0.99])
    found = miner.probabilities(scores.bfloat16(), negative)
    assert torch.isfinite(found).all()
    assert found.sum(dim=1).tolist() == pytest.approx([1.0] * 9, rel=1e-5)
    assert not found[~negative].any()


@pytest.mark.parametrize("kind", ["euclidean", "dot"])
def test_the_sphere_is_needed_for_its_density(kind: str) -> None:
    with pytest.raises(InputError) as caught:
        MINERS.build("distance_weighted", similarity=kind, dim=8)
    assert caught.value.code == "learn/similarity"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("distance_weighted?cutoff=0", "learn/option"),
        ("distance_weighted?far=2.5", "learn/option"),
        ("semi_hard?otherwise=maybe", "name/value"),
    ],
)
def test_options_that_make_no_miner_are_refused(address: str, code: str) -> None:
    with pytest.raises((InputError, UnknownName)) as caught:
        made(address)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["semi_hard", "distance_weighted"])
def test_too_many_pairs_are_refused_before_they_fill_the_memory(name: str) -> None:
    scores = torch.zeros(1, 1).expand(40, 4000)
    mask = torch.ones(1, 1, dtype=torch.bool).expand(40, 4000)
    with pytest.raises(InputError) as caught:
        made(name)(Matrix(scores, mask, mask))
    assert caught.value.code == "miner/size"
