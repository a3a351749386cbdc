"""Every file in learn/losses, judged. A new one is found by itself; its formula as a loop goes into naive_losses.py."""

from __future__ import annotations

import itertools
import math

import pytest
from naive_losses import NAIVE, Rows

from nearsight.core.errors import InputError, UnknownName
from nearsight.learn.losses import LOSSES, Loss
from nearsight.learn.matrix import Matrix, distance, root, similarity
from nearsight.learn.targets import TARGETS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

VARIANTS = {
    "contrastive": [
        "similarity=euclidean&average=pairs",
        "power=1&margin=0.6",
        "similarity=euclidean&power=1&average=pairs",
    ],
    "triplet": ["soft=true&margin=0", "squared=true&average=all", "similarity=euclidean&margin=1", "margin=0"],
    "infonce": ["temperature=0.5"],
    "supcon": ["temperature=0.5"],
    "multi_similarity": ["mine=false&beta=10", "epsilon=0&alpha=3"],
    "smooth_ap": ["temperature=0.1"],
    "normalised_softmax": ["smoothing=0.1&temperature=0.3"],
    "cross_entropy": ["smoothing=0.2"],
    "arcface": ["margin=0", "margin=1.2&scale=8"],
    "proxy_anchor": ["alpha=4&delta=0.3"],
}
ADDRESSES = [
    address
    for name in LOSSES.names()
    if name != "pml"  # judged in test_losses_pml.py
    for address in (name, *(f"{name}?{options}" for options in VARIANTS.get(name, [])))
]
SHAPES = ("batch", "memory", "proxies", "lone", "bare", "twins")


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loss(address: str) -> Loss:
    return LOSSES.build(address)


def matrix(shape: str, kind: str, seed: int = 0, dtype=torch.float64) -> Matrix:
    """As targets make them; ``lone`` has rows without positives, ``bare`` rows and columns without any pair,
    ``twins`` equal vectors, of one class and of two, and a class that a proxy has to itself."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3] if shape != "lone" else [0, 0, 1, 2, 2, 3])
    n = len(labels)
    anchors = torch.randn(n, 5, generator=draw, dtype=torch.float64)
    if shape == "proxies":
        others, theirs = torch.randn(4, 5, generator=draw, dtype=torch.float64), torch.arange(4)
        own = torch.zeros(n, 4, dtype=torch.bool)
    else:
        more = torch.randn(7 if shape == "memory" else 0, 5, generator=draw, dtype=torch.float64)
        others = torch.cat([anchors, more])
        theirs = torch.cat([labels, torch.tensor([0, 1, 1, 2, 3, 3, 4])[: len(more)]])
        own = torch.eye(n, len(others), dtype=torch.bool)
    same = labels[:, None] == theirs[None, :]
    positive, negative = same & ~own, ~same
    if shape == "bare":
        for dead in (positive, negative):
            dead[2] = False
            dead[:, 4] = False
        negative[5] = False
    scores = similarity(kind, anchors, others).to(dtype)
    if shape == "twins":
        scores[0, 1] = scores[3, 9] = 0.0 if kind == "euclidean" else 1.0
        negative[:, 3] = False
    return Matrix(scores, positive, negative)


def rows_of(given: Matrix) -> Rows:
    marks = [
        ["+" if p else "-" if n else "" for p, n in zip(*masks, strict=True)]
        for masks in zip(given.positive.tolist(), given.negative.tolist(), strict=True)
    ]
    return [list(zip(*row, strict=True)) for row in zip(given.scores.tolist(), marks, strict=True)]


def test_every_loss_has_a_naive_twin() -> None:
    assert set(NAIVE) == set(LOSSES.names()) - {"pml"}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_the_loop_says(address: str, loss: Loss, shape: str) -> None:
    for seed in range(3):
        given = matrix(shape, loss.similarity, seed)
        expected = NAIVE[address.split("?")[0]](rows_of(given), loss)
        assert expected != 0
        assert float(loss(*given)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", ["bare"])
def test_its_gradient_is_what_finite_differences_say(loss: Loss, shape: str) -> None:
    scores, positive, negative = matrix(shape, loss.similarity)
    if loss.similarity == "cosine":
        scores = scores * 0.95
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, positive, negative), (scores,), atol=1e-6)


def test_gradients_through_vectors_are_what_finite_differences_say(loss: Loss) -> None:
    _, positive, negative = matrix("batch", loss.similarity)
    draw = torch.Generator().manual_seed(1)
    vectors = torch.randn(10, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    others = torch.randn(10, 4, generator=draw, dtype=torch.float64, requires_grad=True)

    def value(a, b):
        return loss(similarity(loss.similarity, a, b), positive, negative)

    assert torch.autograd.gradcheck(value, (vectors, others), atol=1e-6)


@pytest.mark.parametrize("shape", ["memory", "bare"])
def test_orders_mean_nothing(loss: Loss, shape: str) -> None:
    given = matrix(shape, loss.similarity)
    draw = torch.Generator().manual_seed(5)
    rows, columns = (torch.randperm(k, generator=draw) for k in given.scores.shape)
    assert float(loss(*(t[rows][:, columns] for t in given))) == pytest.approx(float(loss(*given)), rel=1e-12)


def test_cells_in_neither_mask_mean_nothing(loss: Loss) -> None:
    scores, positive, negative = matrix("bare", loss.similarity)
    other = scores.where(positive | negative, torch.full_like(scores, 0.9 if loss.similarity == "cosine" else -7.0))
    assert not torch.equal(scores, other)
    assert float(loss(other, positive, negative)) == float(loss(scores, positive, negative))


@pytest.mark.parametrize("which", ["neither", "positives", "negatives"])
def test_what_lacks_its_pairs_does_not_count(loss: Loss, which: str) -> None:
    scores, positive, negative = matrix("batch", loss.similarity)
    scores = scores.requires_grad_()
    none = torch.zeros_like(positive)
    value = loss(scores, positive if which == "positives" else none, negative if which == "negatives" else none)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()
    if which == "neither":
        assert value == 0
        assert not scores.grad.any()


def test_rows_that_do_not_count_change_no_mean(address: str, loss: Loss) -> None:
    given = matrix("batch", loss.similarity)
    blank = torch.zeros(3, given.scores.shape[1])
    more = Matrix(*(torch.cat([t, blank.to(t.dtype)]) for t in given))
    assert float(loss(*more)) == pytest.approx(float(loss(*given)), rel=1e-12)


def test_nothing_to_learn_is_zero_on_the_graph() -> None:
    scores = torch.tensor([[0.9, -0.9]], requires_grad=True)
    value = LOSSES.build("triplet")(scores, torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    value.backward()
    assert value == 0
    assert scores.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_an_empty_matrix_is_zero(loss: Loss, shape: tuple[int, int]) -> None:
    scores = torch.zeros(shape, requires_grad=True)
    value = loss(scores, torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool))
    value.backward()
    assert value == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores_are_finite(loss: Loss, dtype) -> None:
    _, positive, negative = matrix("batch", loss.similarity)
    ends = [(1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)]
    for (right, wrong), scale in itertools.product(ends, (1.0, 1e4)):
        scores = torch.zeros(positive.shape, dtype=dtype)
        scores[positive], scores[negative] = right, wrong
        if loss.similarity == "euclidean":
            scores -= 1
        if loss.similarity != "cosine":
            scores *= scale
        scores.requires_grad_()
        value = loss(scores, positive, negative)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_where_vectors_coincide(loss: Loss, dtype) -> None:
    _, positive, negative = matrix("batch", loss.similarity)
    for start in ("equal", "zero", "opposite"):
        vectors = torch.full((10, 6), 0.0 if start == "zero" else 0.7, dtype=dtype)
        if start == "opposite":
            vectors[::2] *= -1
        vectors.requires_grad_()
        value = loss(similarity(loss.similarity, vectors, vectors), positive, negative)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(vectors.grad).all()
        if start == "equal":  # a rounded 1 / sqrt(0) is no gradient
            assert vectors.grad.abs().max() < 100


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_judged_in_float32(loss: Loss, dtype) -> None:
    scores, positive, negative = matrix("batch", loss.similarity)
    half = scores.to(dtype).requires_grad_()
    value = loss(half, positive, negative)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value.detach(), loss(half.detach().float(), positive, negative))
    assert torch.isfinite(half.grad).all()


def test_autocast_changes_nothing(loss: Loss) -> None:
    draw = torch.Generator().manual_seed(2)
    vectors = torch.randn(10, 6, generator=draw)
    _, positive, negative = matrix("batch", loss.similarity)
    plain = loss(similarity(loss.similarity, vectors, vectors), positive, negative)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(similarity(loss.similarity, vectors, vectors), positive, negative), plain)


def test_the_target_of_its_paper_gives_it_a_matrix(loss: Loss) -> None:
    target = TARGETS.build(loss.target, classes=4, dim=6, seed=0)
    vectors = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    columns = target(vectors, torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3]))
    loss(*columns.matrix(vectors, loss.similarity)).backward()
    assert vectors.grad.any()
    assert all(p.grad is not None for p in target.module.parameters())


def test_other_things_than_matrices_are_refused(loss: Loss) -> None:
    scores, positive, negative = matrix("batch", loss.similarity)
    for wrong in (
        (scores[0], positive[0], negative[0]),
        (scores, positive[:3], negative),
        (scores, positive.int(), negative),
    ):
        with pytest.raises(InputError) as caught:
            loss(*wrong)
        assert caught.value.code == "loss/matrix"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("contrastive?similarity=dot", "learn/similarity"),
        ("triplet?similarity=dot", "learn/similarity"),
        ("contrastive?similarity=manhattan", "name/value"),
        ("contrastive?average=mean", "name/value"),
        ("contrastive?power=3", "learn/option"),
        ("contrastive?margin=0", "learn/option"),
        ("triplet?margin=-1", "learn/option"),
        ("infonce?temperature=0", "learn/option"),
        ("supcon?temperature=nan", "learn/option"),
        ("smooth_ap?temperature=-1", "learn/option"),
        ("multi_similarity?beta=0", "learn/option"),
        ("normalised_softmax?smoothing=1", "learn/option"),
        ("cross_entropy?smoothing=-0.1", "learn/option"),
        ("arcface?margin=2", "learn/option"),
        ("arcface?scale=0", "learn/option"),
        ("proxy_anchor?alpha=0", "learn/option"),
    ],
)
def test_options_that_make_no_loss_are_refused(address: str, code: str) -> None:
    with pytest.raises((InputError, UnknownName)) as caught:
        LOSSES.build(address)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["triplet", "smooth_ap"])
def test_too_many_triplets_are_refused_before_they_fill_the_memory(name: str) -> None:
    scores = torch.zeros(1, 1).expand(100, 2000)
    mask = torch.ones(1, 1, dtype=torch.bool).expand(100, 2000)
    with pytest.raises(InputError) as caught:
        LOSSES.build(name)(scores, mask, mask)
    assert caught.value.code == "loss/size"


def test_a_root_has_gradient_zero_at_zero() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    root(x).sum().backward()
    assert root(x).tolist() == [0.0, 2.0]
    assert x.grad.tolist() == [0.0, 0.25]


def test_euclidean_scores_of_unit_vectors_are_the_same_distances() -> None:
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.nn.functional.normalize(torch.randn(6, 8, generator=draw), dim=1) for _ in range(2))
    of_cosines = distance(similarity("cosine", a, b), "cosine")
    assert torch.allclose(of_cosines, distance(similarity("euclidean", a, b), "euclidean"), atol=1e-6)
    assert torch.allclose(of_cosines, (a[:, None] - b[None]).norm(dim=2), atol=1e-6)


def test_euclidean_scores_keep_close_pairs_far_from_the_origin() -> None:
    a = torch.full((1, 4), 1000.0)
    b = a + torch.tensor([[0.01, 0, 0, 0]])
    step = float(b[0, 0] - a[0, 0])
    assert float(distance(similarity("euclidean", a, b), "euclidean")) == pytest.approx(step, rel=1e-6)


def test_the_report_s_comparison_of_two_pictures() -> None:
    """Margin 1, vectors as they are: 0.6 apart costs 0.36 as one class, 0.16 as two."""
    loss = LOSSES.build("contrastive?similarity=euclidean&average=pairs")
    scores = similarity("euclidean", torch.zeros(1, 2), torch.tensor([[0.6, 0.0], [0.0, 0.6]]))
    value = loss(scores, torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    assert float(value) == pytest.approx((0.36 + 0.16) / 2)
    collapsed = torch.zeros(1, 2)
    assert float(loss(collapsed, torch.tensor([[True, False]]), torch.tensor([[False, True]]))) == pytest.approx(0.5)


def test_arcface_falls_with_the_angle_everywhere() -> None:
    loss = LOSSES.build("arcface?scale=8")
    right = torch.tensor([[True, False]])
    values = [
        float(loss(torch.tensor([[math.cos(angle), 0.0]], dtype=torch.float64), right, ~right))
        for angle in torch.linspace(0.0, math.pi, 50).tolist()
    ]
    assert values == sorted(values)
