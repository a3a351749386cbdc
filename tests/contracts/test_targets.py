"""Every file in learn/targets, judged by a loop over labels."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from nearsight.core.errors import InputError, MissingExtra
from nearsight.learn.losses import LOSSES
from nearsight.learn.matrix import Matrix, similarity
from nearsight.learn.miners import MINERS
from nearsight.learn.targets import TARGETS, Columns, Target

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

VARIANTS = {
    "drawn": ["size=3"],
    "opposite": ["direction=image_to_text", "direction=text_to_image", "temperature=0.1&bias=-3"],
    "memory": ["size=5", "size=16", "size=20&after=1"],
    "proxies": ["centres=3", "bias=true&centres=2"],
}
ADDRESSES = [
    address
    for name in TARGETS.names()
    for address in (name, *(f"{name}?{options}" for options in VARIANTS.get(name, [])))
]
LABELS = torch.tensor([0, 0, 1, 2, 2, 1])
ITEMS = torch.tensor([10, 11, 12, 13, 13, 14])  # rows 3 and 4 are one picture
CLASSES, DIM = 4, 5


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(address: str, seed: int = 0) -> Target:
    return TARGETS.build(address, classes=CLASSES, dim=DIM, seed=seed)


def batch(step: int) -> tuple[Any, Any, Any]:
    """Every step sees the same pictures in another order, with other vectors."""
    draw = torch.Generator().manual_seed(step)
    order = torch.randperm(6, generator=draw)
    return torch.randn(6, DIM, generator=draw), LABELS[order], ITEMS[order]


def truth(address: str, seen: list[tuple[Any, Any, Any]]) -> tuple[list[list[str]], int]:
    """Marks of the last batch's columns, by loops: "+", "-" or ""; and how many columns there are."""
    _, labels, items = seen[-1]
    name, _, options = address.partition("?")
    settings = dict(pair.split("=") for pair in options.split("&") if pair)
    if name == "proxies":
        return [["+" if label == c else "-" for c in range(CLASSES)] for label in labels.tolist()], CLASSES
    columns = list(zip(labels.tolist(), items.tolist(), strict=True))
    if name == "memory":
        before = [
            pair
            for _, ls, ns in seen[int(settings.get("after", 0)) : -1]
            for pair in zip(ls.tolist(), ns.tolist(), strict=True)
        ]
        size = int(settings.get("size", 4096))
        ring: list[Any] = [None] * size
        for i, pair in enumerate(before):
            ring[i % size] = pair
        columns += [pair for pair in ring if pair is not None]
    marks = []
    for i, (label, item) in enumerate(zip(labels.tolist(), items.tolist(), strict=True)):
        row = []
        for j, (theirs, other) in enumerate(columns):
            group = int(settings.get("size", 2))
            apart = name == "drawn" and (i // group != j // group or i % group != 0)
            if name == "opposite":  # the first row of a label is its picture
                picture, theirs_too = (labels.tolist().index(x) == at for x, at in ((label, i), (theirs, j)))
                way = settings.get("direction", "both")
                apart = picture == theirs_too or (way == "image_to_text" and not picture)
                apart = apart or (way == "text_to_image" and picture)
            row.append("" if apart or i == j or item == other else "+" if label == theirs else "-")
        marks.append(row)
    return marks, len(columns)


def rows_of(columns: Columns) -> list[int]:
    return list(range(6)) if columns.rows is None else columns.rows.tolist()


def marks_of(columns: Columns) -> list[list[str]]:
    """Of every row; columns of an anchor's own are those behind it, other ones are those that are no anchors."""
    assert not (columns.positive & columns.negative).any()
    pairs = zip(columns.positive.tolist(), columns.negative.tolist(), strict=True)
    marks = [["+" if p else "-" if n else "" for p, n in zip(*row, strict=True)] for row in pairs]
    if columns.rows is None:
        return marks
    rows = rows_of(columns)
    others = [i for i in range(6) if i not in rows]
    spread = [[""] * 6 for _ in range(6)]
    for i, row in zip(rows, marks, strict=True):
        theirs = others if columns.vectors.ndim == 2 else range(i + 1, i + 1 + len(row))
        for j, mark in zip(theirs, row, strict=True):
            spread[i][j] = mark
            if columns.both:
                spread[j][i] = mark
    return spread


@pytest.mark.parametrize("address", [a for a in ADDRESSES if not a.startswith(("memory", "proxies"))])
def test_marks_are_where_their_vectors_were_scored(address: str) -> None:
    """A cell of the matrix with a mark is the score of the two rows of the batch that the mark is about."""
    vectors, labels, items = batch(0)
    columns = made(address)(vectors, labels, items)
    scores, positive, negative = columns.matrix(vectors, "dot")
    every = vectors @ vectors.T
    if columns.scale is not None:
        every = every * columns.scale + columns.bias
    marks = marks_of(columns)
    for mark, mask in (("+", positive), ("-", negative)):
        expected = [every[i, j] for i, row in enumerate(marks) for j, found in enumerate(row) if found == mark]
        torch.testing.assert_close(scores[mask].sort().values, torch.stack(expected).sort().values)


def test_columns_are_what_a_loop_over_labels_says(address: str) -> None:
    target, seen = made(address), []
    for step in range(5):
        seen.append(batch(step))
        columns = target(*seen[-1])
        marks, count = truth(address, seen)
        assert marks_of(columns) == marks
        for kind in ("cosine", "euclidean", "dot"):
            scores = columns.matrix(seen[-1][0], kind).scores
            n, m = columns.positive.shape
            assert scores.shape == ((n + m, max(n, m)) if columns.both else (n, m))
            if columns.vectors.ndim == 3:
                for i, row in zip(rows_of(columns), scores, strict=True):
                    behind = seen[-1][0][i + 1 : i + 1 + len(row)]
                    expected = similarity(kind, seen[-1][0][i : i + 1], behind)[0]
                    torch.testing.assert_close(row, expected)
            else:
                assert m == count if columns.rows is None else n + m == 6
                assert columns.vectors.shape == (m * columns.centres, DIM)


def test_without_items_every_row_is_its_own_picture(address: str) -> None:
    vectors, labels, _ = batch(0)
    columns = made(address)(vectors, labels)
    expected, _ = truth(address, [(vectors, labels, torch.arange(6))])
    assert marks_of(columns) == expected


def test_gradients_reach_the_anchors_and_what_is_learned_only(address: str) -> None:
    target = made(address)
    loss = LOSSES.build("supcon")
    for step in range(4):
        vectors, labels, items = batch(step)
        vectors.requires_grad_()
        target.module.zero_grad()
        # drawn pairs may have no negative: the sum of scores has a gradient for all that is scored
        scores = target(vectors, labels, items).matrix(vectors, loss.similarity).scores
        (scores * torch.randn(scores.shape, generator=torch.Generator().manual_seed(step))).sum().backward()
        assert vectors.grad.abs().sum(dim=1).all()
        assert all(p.grad is not None for p in target.module.parameters())
        assert not any(b.requires_grad for b in target.module.buffers())


def test_a_step_after_the_call_does_not_break_backward(address: str) -> None:
    """A memory that is written in place between forward and backward must not be what backward needs."""
    target = made(address)
    target(*batch(0))
    vectors, labels, items = batch(1)
    vectors.requires_grad_()
    value = target(vectors, labels, items).matrix(vectors, "cosine").scores.sum()
    target(*batch(2))
    value.backward()
    assert torch.isfinite(vectors.grad).all()


def test_the_same_seed_and_calls_give_the_same_columns(address: str) -> None:
    first, second = made(address, seed=3), made(address, seed=3)
    for step in range(3):
        one, two = first(*batch(step)), second(*batch(step))
        assert torch.equal(one.vectors, two.vectors)
        assert marks_of(one) == marks_of(two)


def test_another_seed_draws_other_vectors() -> None:
    vectors = [made("proxies", seed)(*batch(0)).vectors for seed in (0, 1)]
    assert not torch.equal(*vectors)


def test_making_one_leaves_the_global_generator_alone(address: str) -> None:
    before = torch.get_rng_state()
    made(address)(*batch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_its_state_travels(address: str) -> None:
    first = made(address, seed=0)
    for step in range(3):
        first(*batch(step))
    second = made(address, seed=9)
    second.module.load_state_dict(first.module.state_dict())
    for step in range(3, 6):
        one, two = first(*batch(step)), second(*batch(step))
        assert torch.equal(one.vectors, two.vectors)
        assert marks_of(one) == marks_of(two)


def test_in_eval_a_call_changes_nothing(address: str) -> None:
    target = made(address)
    target(*batch(0))
    state = {k: v.clone() for k, v in target.module.state_dict().items()}
    target.module.eval()
    target(*batch(1))
    assert all(torch.equal(v, state[k]) for k, v in target.module.state_dict().items())


def test_without_torch_the_extra_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="models"):
        made(address)


@pytest.mark.parametrize(("labels", "items"), [([0, 1], None), ([0] * 6, [1, 2]), ([[0]] * 6, None)])
def test_labels_that_do_not_fit_are_refused(address: str, labels: Any, items: Any) -> None:
    with pytest.raises(InputError) as caught:
        made(address)(torch.zeros(6, DIM), torch.tensor(labels), None if items is None else torch.tensor(items))
    assert caught.value.code == "target/labels"


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_without_a_proxy_is_refused(label: int) -> None:
    with pytest.raises(InputError) as caught:
        made("proxies")(torch.zeros(2, DIM), torch.tensor([0, label]))
    assert caught.value.code == "target/labels"


def test_groups_that_are_not_whole_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        made("drawn?size=4")(*batch(0))
    assert caught.value.code == "target/labels"


@pytest.mark.parametrize("address", ["memory?size=0", "memory?after=-1", "proxies?centres=0", "drawn?size=1"])
def test_options_that_make_no_target_are_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        made(address)
    assert caught.value.code == "learn/option"


def test_a_class_scores_as_its_best_centre_plus_bias() -> None:
    target = made("proxies?bias=true&centres=2")
    torch.nn.init.normal_(target.module.bias, generator=torch.Generator().manual_seed(0))
    vectors, labels, _ = batch(0)
    scores = target(vectors, labels).matrix(vectors, "dot").scores
    for i, vector in enumerate(vectors):
        for c in range(CLASSES):
            best = max((vector * target.module.vectors[2 * c + k]).sum().item() for k in range(2))
            assert scores[i, c].item() == pytest.approx(best + target.module.bias[c].item(), rel=1e-5)


def test_cross_entropy_on_proxies_is_a_linear_classifier() -> None:
    loss = LOSSES.build("cross_entropy?smoothing=0.1")
    target = TARGETS.build(loss.target, classes=CLASSES, dim=DIM, seed=0)
    vectors, labels, _ = batch(0)
    logits = torch.nn.functional.linear(vectors, target.module.vectors, target.module.bias)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    value = loss(*target(vectors, labels).matrix(vectors, loss.similarity))
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_memory_holds_the_vectors_of_then() -> None:
    target = made("memory?size=8")
    first, second = batch(0), batch(1)
    target(*first)
    assert torch.equal(target(*second).vectors, torch.cat([second[0], first[0]]))
    # 12 vectors through 8 places: the first four fell out
    assert torch.equal(target(*batch(2)).vectors[6:], torch.cat([second[0][2:6], first[0][4:], second[0][:2]]))


def full(target: Any, vectors: Any, labels: Any, items: Any, kind: Any) -> Matrix:
    """Every row against every row, as the target `opposite` means it."""
    seen, picture = set(), []
    for label in labels.tolist():
        picture.append(label not in seen)
        seen.add(label)
    picture = torch.tensor(picture)
    scores = similarity(kind, vectors, vectors)
    if hasattr(target.module, "scale"):
        scores = scores * target.module.scale.exp() + target.module.bias
    anchors = {"image_to_text": picture, "text_to_image": ~picture, "both": picture | True}[target.direction]
    across = (picture[:, None] != picture[None, :]) & (items[:, None] != items[None, :]) & anchors[:, None]
    same = labels[:, None] == labels[None, :]
    return Matrix(scores, same & across, ~same & across)


CROSSED = [
    ("infonce?temperature=1", "temperature=0.07", "all"),
    ("infonce", "direction=text_to_image", "all"),
    ("normalised_softmax?temperature=1&smoothing=0.1", "temperature=0.2", "all"),
    ("supcon", "direction=image_to_text", "all"),
    ("triplet?squared=true&margin=0.4&average=all", "", "all"),
    ("triplet?similarity=euclidean&margin=1", "", "all"),
    ("triplet?squared=true&margin=0.4", "", "hardest"),
    ("triplet?soft=true&similarity=euclidean", "", "semi_hard"),
    ("sigmoid", "temperature=0.1&bias=-3", "all"),
    ("cross_entropy?smoothing=0.2", "", "all"),
    ("contrastive?average=pairs", "", "all"),
    ("multi_similarity", "", "all"),
    ("smooth_ap?temperature=0.1", "", "all"),
]
BATCHES = {
    "pairs": [0, 0, 1, 1, 2, 2, 3, 3],
    "more captions": [2, 2, 2, 0, 0, 1, 1, 1, 1],
    "bare pictures": [0, 1, 2, 3, 4, 4, 2],
    "no captions": [4, 2, 3, 0],
    "one": [1],
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("loss", "options", "miner"), CROSSED)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_pictures_against_captions_are_the_full_matrix(
    loss: str, options: str, miner: str, name: str, dtype: Any, within: float
) -> None:
    """Value and gradients; the part that is not scored counted for nothing."""
    judge = LOSSES.build(loss)
    mine = MINERS.build(miner, similarity=judge.similarity, dim=DIM)
    labels = torch.tensor(BATCHES[name])
    items = torch.arange(len(labels)).where(labels != 3, 77)  # a picture that is its own caption is no pair
    found = []
    for naive in (True, False):
        target = made(f"opposite?{options}" if options else "opposite")
        draw = torch.Generator().manual_seed(7)
        vectors = torch.randn(len(labels), DIM, generator=draw, dtype=dtype).requires_grad_()
        matrix = (
            full(target, vectors, labels, items, judge.similarity)
            if naive
            else target(vectors, labels, items).matrix(vectors, judge.similarity)
        )
        value = judge(*mine(matrix))
        value.backward()
        found.append([value, vectors.grad, *(p.grad for p in target.module.parameters() if p.requires_grad)])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=within, atol=min(within, 1e-6))


@pytest.mark.parametrize("direction", ["both", "image_to_text", "text_to_image"])
def test_pictures_and_captions_are_scored_once(direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()
    monkeypatch.setattr(
        "nearsight.learn.targets.similarity",
        lambda kind, a, b: asked.append({len(a), len(b)}) or similarity(kind, a, b),
    )
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    vectors = torch.randn(7, DIM)
    made(f"opposite?direction={direction}")(vectors, labels).matrix(vectors, "cosine")
    assert asked == [{2, 5}]


def test_an_empty_batch_of_pictures_and_captions() -> None:
    vectors, labels = torch.zeros(0, DIM), torch.zeros(0, dtype=torch.long)
    assert made("opposite")(vectors, labels).matrix(vectors, "cosine").scores.shape == (0, 0)
