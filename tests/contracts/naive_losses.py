"""Each loss as its paper spells it: loops over one matrix, nothing but `math`: the judge of nearsight.learn.losses.

A twin takes the rows of a matrix and the loss, whose fields are its options. A row is a list of (score, mark), mark
"+", "-", or "" for a cell that counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import acos, cos, exp, log, log1p, pi, sin, sqrt
from typing import Any

Rows = Sequence[Sequence[tuple[float, str]]]


def split(row: Sequence[tuple[float, str]]) -> tuple[list[float], list[float]]:
    return [s for s, mark in row if mark == "+"], [s for s, mark in row if mark == "-"]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def squared(score: float, loss: Any) -> float:
    return max(0.0, 2 - 2 * score if loss.similarity == "cosine" else -score)


def contrastive(rows: Rows, loss: Any) -> float:
    near, far = [], []
    for row in rows:
        positives, negatives = split(row)
        near += [sqrt(squared(s, loss)) ** loss.power for s in positives]
        far += [max(0.0, loss.margin - sqrt(squared(s, loss))) ** loss.power for s in negatives]
    if loss.average == "pairs":
        return mean(near + far)
    return mean([x for x in near if x > 0]) + mean([x for x in far if x > 0])


def triplet(rows: Rows, loss: Any) -> float:
    values = []
    for row in rows:
        positives, negatives = split(row)
        for p in positives:
            for n in negatives:
                d_p, d_n = squared(p, loss), squared(n, loss)
                gap = (d_p - d_n if loss.squared else sqrt(d_p) - sqrt(d_n)) + loss.margin
                values.append(log1p(exp(gap)) if loss.soft else max(0.0, gap))
    return mean([v for v in values if v > 0] if loss.average == "active" else values)


def infonce(rows: Rows, loss: Any) -> float:
    values = []
    for row in rows:
        positives, negatives = split(row)
        for p in positives if negatives else []:
            top = exp(p / loss.temperature)
            values.append(-log(top / (top + sum(exp(n / loss.temperature) for n in negatives))))
    return mean(values)


def sigmoid(rows: Rows, loss: Any) -> float:
    judged = [row for row in rows if any(mark for _, mark in row)]
    total = sum(log1p(exp(-s if mark == "+" else s)) for row in judged for s, mark in row if mark)
    return total / max(1, len(judged))


def supcon(rows: Rows, loss: Any) -> float:
    values = []
    for row in rows:
        positives, negatives = split(row)
        if positives and negatives:
            below = sum(exp(s / loss.temperature) for s in positives + negatives)
            values.append(-mean([log(exp(p / loss.temperature) / below) for p in positives]))
    return mean(values)


def multi_similarity(rows: Rows, loss: Any) -> float:
    values = []
    for row in rows:
        positives, negatives = split(row)
        if not positives and not negatives:
            continue
        kept_p, kept_n = positives, negatives
        if loss.mine:
            both = bool(positives and negatives)
            kept_p = [p for p in positives if both and p - loss.epsilon < max(negatives)]
            kept_n = [n for n in negatives if both and n + loss.epsilon > min(positives)]
        pull = log(1 + sum(exp(-loss.alpha * (p - loss.base)) for p in kept_p)) / loss.alpha
        push = log(1 + sum(exp(loss.beta * (n - loss.base)) for n in kept_n)) / loss.beta
        values.append(pull + push)
    return mean(values)


def smooth_ap(rows: Rows, loss: Any) -> float:
    def step(x: float) -> float:
        x /= loss.temperature
        return 1 / (1 + exp(-x)) if x > -700 else 0.0

    values = []
    for row in rows:
        positives, negatives = split(row)
        if not positives or not negatives:
            continue
        total = 0.0
        for i, s in enumerate(positives):
            ahead = sum(step(other - s) for j, other in enumerate(positives) if j != i)
            total += (1 + ahead) / (1 + ahead + sum(step(n - s) for n in negatives))
        values.append(1 - total / len(positives))
    return mean(values)


def classified(rows: Rows, smoothing: float, of: Callable[[float, str], float]) -> float:
    """Cross-entropy with the logit of a cell given by `of`."""
    values = []
    for row in rows:
        cells = [(of(s, mark), mark) for s, mark in row if mark]
        rights = sum(mark == "+" for _, mark in cells)
        if not 0 < rights < len(cells):
            continue
        below = sum(exp(x) for x, _ in cells)
        value = 0.0
        for x, mark in cells:
            q = smoothing / len(cells) + ((1 - smoothing) / rights if mark == "+" else 0.0)
            value -= q * log(exp(x) / below)
        values.append(value)
    return mean(values)


def normalised_softmax(rows: Rows, loss: Any) -> float:
    return classified(rows, loss.smoothing, lambda s, _: s / loss.temperature)


def cross_entropy(rows: Rows, loss: Any) -> float:
    return classified(rows, loss.smoothing, lambda s, _: s)


def arcface(rows: Rows, loss: Any) -> float:
    def turned(s: float, mark: str) -> float:
        if mark != "+":
            return loss.scale * s
        angle = acos(s)
        return loss.scale * (
            cos(angle + loss.margin) if angle <= pi - loss.margin else s - loss.margin * sin(loss.margin)
        )

    return classified(rows, 0.0, turned)


def proxy_anchor(rows: Rows, loss: Any) -> float:
    pull, push = [], []
    for column in zip(*rows, strict=True):
        positives, negatives = split(column)
        if positives:
            pull.append(log(1 + sum(exp(-loss.alpha * (s - loss.delta)) for s in positives)))
        if positives or negatives:
            push.append(log(1 + sum(exp(loss.alpha * (s + loss.delta)) for s in negatives)))
    return mean(pull) + mean(push)


NAIVE: dict[str, Callable[[Rows, Any], float]] = {
    f.__name__: f
    for f in (
        contrastive, triplet, infonce, supcon, multi_similarity, smooth_ap, normalised_softmax, cross_entropy, arcface,
        proxy_anchor, sigmoid,
    )
}  # fmt: skip
