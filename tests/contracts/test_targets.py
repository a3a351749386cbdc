"""Every file in learn/targets, judged by a loop over labels."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from nearsight.core.errors import InputError, MissingExtra
from nearsight.learn.losses import LOSSES
from nearsight.learn.matrix import similarity
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


def marks_of(columns: Columns) -> list[list[str]]:
    """Of every row; columns of an anchor's own are those behind it."""
    assert not (columns.positive & columns.negative).any()
    pairs = zip(columns.positive.tolist(), columns.negative.tolist(), strict=True)
    marks = [["+" if p else "-" if n else "" for p, n in zip(*row, strict=True)] for row in pairs]
    if columns.vectors.ndim == 2:
        return marks
    spread = [[""] * 6 for _ in range(6)]
    for i, row in zip(range(0, 6, columns.stride), marks, strict=True):
        spread[i][i + 1 : i + 1 + len(row)] = row
    return spread


def test_columns_are_what_a_loop_over_labels_says(address: str) -> None:
    target, seen = made(address), []
    for step in range(5):
        seen.append(batch(step))
        columns = target(*seen[-1])
        marks, count = truth(address, seen)
        assert marks_of(columns) == marks
        for kind in ("cosine", "euclidean", "dot"):
            scores = columns.matrix(seen[-1][0], kind).scores
            assert scores.shape == columns.positive.shape
            if columns.vectors.ndim == 3:
                for i, row in zip(range(0, 6, columns.stride), scores, strict=True):
                    behind = seen[-1][0][i + 1 : i + 1 + len(row)]
                    expected = similarity(kind, seen[-1][0][i : i + 1], behind)[0]
                    torch.testing.assert_close(row, expected)
            else:
                assert columns.vectors.shape == (count * columns.centres, DIM)
                assert scores.shape == (6, count)


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
