"""Every file in learn/samplers, judged. numpy only: no torch is needed to say which pictures make a batch."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import InputError
from nearsight.learn.samplers import SAMPLERS, Sampler

LABELS = {
    "even": np.repeat(np.arange(5), 8),
    "uneven": np.repeat([7, -2, 4, 11], [30, 3, 1, 11]),
    "two": np.array([0] * 9 + [1] * 2),
    "many": np.repeat(np.arange(40), 3),
}
VARIANTS = {"pk": ["k=2", "k=3&small=skip"], "pairs": ["positive=0.9"]}
ADDRESSES = [
    address
    for name in SAMPLERS.names()
    for address in (name, *(f"{name}?{options}" for options in VARIANTS.get(name, [])))
]


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=LABELS)
def labels(request: pytest.FixtureRequest) -> Any:
    return np.random.default_rng(0).permutation(LABELS[request.param])


def made(address: str, labels: Any, batch: int = 12, seed: int = 0) -> Sampler:
    try:
        return SAMPLERS.build(address, labels=labels, batch=batch, seed=seed)
    except InputError as error:
        if address == "pk?k=3&small=skip" and error.code == "sampler/one-class":
            pytest.skip("every class but one is small")
        raise


def test_batches_are_rows_of_the_set(address: str, labels: Any) -> None:
    sampler = made(address, labels)
    batches = list(sampler.batches(0))
    assert len(batches) == len(sampler) > 0
    for rows in batches:
        assert np.issubdtype(rows.dtype, np.integer)
        assert 0 < len(rows) <= 12
        assert rows.min() >= 0
        assert rows.max() < len(labels)


def test_an_epoch_follows_from_seed_and_number(address: str, labels: Any) -> None:
    one, two = made(address, labels), made(address, labels)
    list(two.batches(0))  # what was drawn before means nothing
    for epoch in (0, 3):
        assert all(np.array_equal(a, b) for a, b in zip(one.batches(epoch), two.batches(epoch), strict=True))


def test_other_epochs_and_seeds_are_other_orders(address: str, labels: Any) -> None:
    first = np.concatenate(list(made(address, labels).batches(0)))
    assert not np.array_equal(first, np.concatenate(list(made(address, labels).batches(1))))
    assert not np.array_equal(first, np.concatenate(list(made(address, labels, seed=1).batches(0))))


def test_an_epoch_goes_on_from_any_position(address: str, labels: Any) -> None:
    sampler = made(address, labels)
    whole = list(sampler.batches(2))
    for start in range(len(whole) + 1):
        rest = list(made(address, labels).batches(2, start))
        assert len(rest) == len(whole) - start
        assert all(np.array_equal(a, b) for a, b in zip(rest, whole[start:], strict=True))


def test_every_picture_is_drawn_but_those_left_out(address: str, labels: Any) -> None:
    sampler = made(address, labels)
    drawn = {int(i) for epoch in range(300) for rows in sampler.batches(epoch) for i in rows}
    assert drawn == set(range(len(labels))) - set(sampler.left_out().tolist())


def test_labels_are_not_changed(address: str, labels: Any) -> None:
    before = labels.copy()
    list(made(address, labels).batches(0))
    assert np.array_equal(labels, before)


@pytest.mark.parametrize(
    ("labels", "batch", "code"),
    [
        ([3, 3, 3, 3, 3, 3], 12, "sampler/one-class"),
        ([], 12, "sampler/empty"),
        ([0, 1, 0, 1], 0, "sampler/batch"),
        ([0.5, 1.5], 12, "sampler/labels"),
        ([[0, 1]], 12, "sampler/labels"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(address: str, labels: Any, batch: int, code: str) -> None:
    given = np.array(labels) if labels else np.array([], dtype=np.int64)
    with pytest.raises(InputError) as caught:
        SAMPLERS.build(address, labels=given, batch=batch, seed=0)
    assert caught.value.code == code


@pytest.mark.parametrize("n", [1, 2, 12, 13, 25, 36])
def test_shuffled_is_every_picture_once_in_even_batches(n: int) -> None:
    labels = np.arange(n + 1)
    batches = list(made("shuffled", labels).batches(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n + 1))
    sizes = [len(rows) for rows in batches]
    assert max(sizes) - min(sizes) <= 1


def test_pk_batches_are_p_classes_of_k_pictures(labels: Any) -> None:
    for k in (2, 3, 4):
        sampler = made(f"pk?k={k}", labels)
        classes = len(np.unique(labels))
        p = min(12 // k, classes)
        for rows in (rows for epoch in range(5) for rows in sampler.batches(epoch)):
            counts = Counter(labels[rows].tolist())
            assert len(counts) == p
            assert set(counts.values()) == {max(k, 12 // p)}
            for label, taken in counts.items():  # a picture comes twice only where there are too few
                there = int((labels == label).sum())
                own = Counter(rows[labels[rows] == label].tolist())
                assert len(own) == min(there, taken)
                assert max(own.values()) - min(own.values()) <= 1


def test_pk_visits_classes_alike_and_pictures_of_a_class_alike() -> None:
    labels = LABELS["uneven"]
    sampler = made("pk?k=4", labels, batch=8)
    rows = np.concatenate(list(sampler.batches(0)))
    visits = Counter(labels[rows].tolist())
    assert max(visits.values()) - min(visits.values()) <= 4
    for label in np.unique(labels):
        seen = Counter({int(i): 0 for i in np.flatnonzero(labels == label)})
        seen.update(rows[labels[rows] == label].tolist())
        assert max(seen.values()) - min(seen.values()) <= 1


def test_pk_names_what_it_leaves_out() -> None:
    labels = LABELS["uneven"]
    sampler = made("pk?k=4&small=skip", labels)
    assert sorted(sampler.left_out().tolist()) == np.flatnonzero(np.isin(labels, [-2, 4])).tolist()
    assert not made("pk?k=4", labels).left_out().size


def test_pk_with_one_class_left_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        SAMPLERS.build("pk?k=4&small=skip", labels=LABELS["two"], batch=12, seed=0)
    assert caught.value.code == "sampler/one-class"
    assert "small=repeat" in caught.value.hint


@pytest.mark.parametrize(("name", "size"), [("pairs", 2), ("triplets", 3)])
def test_groups_are_what_they_are_called(name: str, size: int, labels: Any) -> None:
    sampler = made(name, labels)
    assert sampler.target == f"drawn?size={size}"
    alone = [i for i, label in enumerate(labels) if (labels == label).sum() == 1]
    anchors, same = [], []
    for rows in sampler.batches(0):
        groups = rows.reshape(-1, size)
        anchors += groups[:, 0].tolist()
        assert (groups[:, :1] != groups[:, 1:]).all()
        if name == "triplets":
            assert (labels[groups[:, 0]] == labels[groups[:, 1]]).all()
            assert (labels[groups[:, 0]] != labels[groups[:, 2]]).all()
        same += (labels[groups[:, 0]] == labels[groups[:, 1]]).tolist()
    assert sorted(anchors) == [i for i in range(len(labels)) if name == "pairs" or i not in alone]


def test_the_share_of_positive_pairs_is_what_is_asked() -> None:
    labels = LABELS["many"]
    for share in (0.5, 0.9):
        pairs = np.concatenate([*made(f"pairs?positive={share}", labels, batch=240).batches(0)]).reshape(-1, 2)
        pairs = np.concatenate(
            [rows.reshape(-1, 2) for e in range(20) for rows in made(f"pairs?positive={share}", labels).batches(e)]
        )
        assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).mean() == pytest.approx(share, abs=0.03)


def test_partners_are_drawn_uniformly() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0, 2])
    sampler = made("triplets", labels, batch=18)
    groups = np.concatenate([rows.reshape(-1, 3) for e in range(3000) for rows in sampler.batches(e)])
    mine = groups[groups[:, 0] == 1]
    positives, negatives = (Counter(mine[:, place].tolist()) for place in (1, 2))
    assert set(positives) == {3, 4}
    assert set(negatives) == {0, 2, 5, 6}
    for counts in (positives, negatives):
        expected = len(mine) / len(counts)
        assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values())


def test_triplets_of_classes_of_one_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        SAMPLERS.build("triplets", labels=np.arange(5), batch=12, seed=0)
    assert caught.value.code == "sampler/one-picture"


@pytest.mark.parametrize("address", ["pk?k=1", "pairs?positive=0", "pairs?positive=1"])
def test_options_that_make_no_sampler_are_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        SAMPLERS.build(address, labels=LABELS["even"], batch=12, seed=0)
    assert caught.value.code == "learn/option"


def test_no_torch_is_needed() -> None:
    code = (
        "import sys, numpy; from nearsight.learn.samplers import SAMPLERS\n"
        "labels = numpy.arange(20) % 4\n"
        "for name in SAMPLERS.names(): list(SAMPLERS.build(name, labels=labels, batch=12, seed=0).batches(0))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
