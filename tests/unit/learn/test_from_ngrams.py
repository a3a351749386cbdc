"""Rows of n-grams learned beside pictures, or from texts alone; what is kept of them gives the same vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import EncoderError
from nearsight.encode.texts import TEXTS
from nearsight.learn.recipe import Goal, Loop, PairRecipe, PictureSide, TextSide
from unit.learn.conftest import drain

torch = pytest.importorskip("torch")
from nearsight.learn.fit import fit  # noqa: E402
from nearsight.learn.from_ngrams import Bags, NoPictures, ngram_network, text_tower  # noqa: E402
from nearsight.learn.from_pairs import FromPairs, Pooled  # noqa: E402

pytestmark = pytest.mark.torch
WORDS = TEXTS.build("ngram?rows=600&dim=16&seed=3")
COLOURS, THINGS = ("red", "green", "blue", "white"), ("dog", "car", "house", "boat", "tree")
PLAIN = PairRecipe(
    dim=12,
    pictures=PictureSide("", head="linear"),
    text=TextSide(head="mlp?hidden=16&standardise=true"),
    loop=Loop(epochs=24, batch=40, lr=0.02, warmup=0.0, precision="fp32", measure="rsum"),
)


def captions() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Two captions for each coloured thing, what they are of, and features of its picture."""
    things = [(a, b) for a in range(len(COLOURS)) for b in range(len(THINGS))]
    texts = [said for a, b in things for said in (f"a {COLOURS[a]} {THINGS[b]}", f"the {THINGS[b]} is {COLOURS[a]}!")]
    features = np.array([[*np.eye(4)[a], *np.eye(5)[b]] for a, b in things], dtype=np.float32)
    return texts, np.repeat(np.arange(len(things)), 2), features


def found(source: FromPairs, recipe: PairRecipe, pictures: int) -> Any:
    return drain(fit(ngram_network(recipe, pictures, WORDS), recipe.dim, source, recipe))


def test_texts_find_their_pictures_and_the_kept_tower_gives_the_same() -> None:
    texts, of, features = captions()
    source = FromPairs(Pooled(features, "p"), Bags.of(texts, WORDS), of)
    fitted = found(source, PLAIN, features.shape[1])
    vectors = unit(source.vectors(fitted.network, "cpu"))
    assert source.both_ways(vectors).rsum.value > 500
    tower = text_tower(PLAIN, fitted.network, WORDS)
    kept = unit(tower.forward(texts))
    assert np.einsum("nd,nd->n", kept, vectors[len(features) :]).min() > 0.999
    assert tower.words.identity() != WORDS.identity()


def test_captions_of_one_picture_become_alike_without_it() -> None:
    texts, of, _ = captions()
    source = FromPairs(NoPictures(4), Bags.of(texts, WORDS), of)
    goal, loop = Goal("infonce?temperature=0.1", "batch", "all", "pk?k=2"), replace(PLAIN.loop, epochs=40, lr=0.01)
    alone = replace(PLAIN, objective=goal, loop=loop)
    before = unit(source.vectors(ngram_network(alone, 4, WORDS), "cpu"))
    after = unit(source.vectors(found(source, alone, 4).network, "cpu"))
    nearest = [(v @ v.T - 2 * np.eye(len(v))).argmax(axis=1) for v in (before, after)]
    right = [np.mean(of[rows] == of) for rows in nearest]
    assert right[1] > 0.9 > 0.5 > right[0]


def test_a_text_s_rows_are_its_own_whatever_stands_beside_it() -> None:
    texts = ["a red dog", "boat", "the the car is white"]
    bags = Bags.of(texts, WORDS)
    rows, starts, shares = bags.rows(np.array([2, 0]))
    alone = [bags.rows(np.array([row])) for row in (2, 0)]
    assert np.array_equal(rows, np.concatenate([one[0] for one in alone]))
    assert np.allclose(shares, np.concatenate([one[2] for one in alone]))
    assert starts.tolist() == [0, len(alone[0][0])]
    words = WORDS.sets(texts)[2].vectors
    assert np.allclose((WORDS.grams.numbers()[alone[0][0]] * alone[0][2][:, None]).sum(0), words.mean(0), atol=1e-5)
    assert Bags.of(texts, WORDS).digest == bags.digest != Bags.of(texts[::-1], WORDS).digest


def test_a_text_without_words_is_named() -> None:
    with pytest.raises(EncoderError, match=r"text 2 of 2\) has no words"):
        Bags.of(["a dog", "?!"], WORDS)
