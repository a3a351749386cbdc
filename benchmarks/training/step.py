"""A step's time: ours, plain PyTorch, and pytorch-metric-learning's trainer, in turn, on one network and batch."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._results import Results, Row

CLASSES, SIZE, BATCH, TEMPERATURE = 8, 96, 64, 0.05


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    import torch

    draw = np.random.default_rng(0)
    pixels = torch.from_numpy(draw.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8))
    labels = torch.arange(BATCH) % CLASSES
    repeats, steps = (2, 2) if quick else (9, 8)
    ways = {"ours": _ours(pixels, labels), "plain": _plain(pixels, labels), "library": _library(pixels, labels, steps)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way(steps)
            if number:  # the first time warms up
                times[name].append((time.perf_counter() - begun) / steps)
    told = ", ".join(f"{name} {1000 * statistics.median(values):.1f} ms" for name, values in times.items())
    for id_, other, target in (("step_vs_plain", "plain", "<=1.05"), ("step_vs_pml", "library", "<=1")):
        ratios = [a / b for a, b in zip(times["ours"], times[other], strict=True)]
        what = {
            "plain": "a step with checks, doctor and seeds / plain PyTorch: small_cnn/modern, normalised softmax, fp32",
            "library": "the same / pytorch-metric-learning's MetricLossOnly trainer with its DataLoader",
        }[other]
        note = f"batch {BATCH} of {SIZE} px; medians of {repeats} pairs: {told}"
        results.add(Row(id_, what, statistics.median(ratios), "", target, min(ratios), max(ratios), note))


def _network() -> Any:
    import torch

    from nearsight.encode.export import pixel_network
    from nearsight.encode.trainable import trainable

    found = trainable(f"small_cnn/modern?size={SIZE}", "", 0)
    return found, pixel_network(found.module, found.preprocess).to(memory_format=torch.channels_last).train()


def _ours(pixels: Any, labels: Any) -> Callable[[int], None]:
    import torch

    from nearsight.encode.export import pixel_network
    from nearsight.learn.devices import Devices
    from nearsight.learn.doctor import Doctor
    from nearsight.learn.objective import objective
    from nearsight.learn.recipe import Goal, Loop, Recipe
    from nearsight.learn.step import Learner

    found, _ = _network()
    loss = f"normalised_softmax?temperature={TEMPERATURE}"
    recipe = Recipe(objective=Goal(loss=loss), loop=Loop(precision="fp32", lr=1e-3, batch=BATCH))
    parts = objective(loss, classes=CLASSES, dim=found.dim, seed=0)
    learner = Learner(pixel_network(found.module, found.preprocess), parts, recipe, Devices("fp32", "cpu"))
    doctor, items = Doctor(parts.loss), torch.arange(BATCH)
    learner.training()

    def run(steps: int) -> None:
        for number in range(steps):
            got = learner.learn(pixels, labels, items, rate=1.0, seed=number, last=True)
            doctor.see(got.value, got.vectors, labels, got.matrix, got.gradient)

    return run


def _plain(pixels: Any, labels: Any) -> Callable[[int], None]:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    found, network = _network()
    proxies = torch.nn.Parameter(torch.randn(CLASSES, found.dim, generator=torch.Generator().manual_seed(0)))
    walk = torch.optim.AdamW([*network.parameters(), proxies], lr=1e-3, weight_decay=1e-4, fused=True)

    def run(steps: int) -> None:
        for _ in range(steps):
            vectors = normalize(network(pixels))
            value = cross_entropy(vectors @ normalize(proxies).T / TEMPERATURE, labels)
            value.backward()
            walk.step()
            walk.zero_grad()
            value.item()

    return run


def _library(pixels: Any, labels: Any, steps: int) -> Callable[[int], None]:
    """One epoch of the trainer is `steps` iterations over as many copies of the batch."""
    import torch
    from pytorch_metric_learning import losses, trainers

    found, network = _network()
    judge = losses.NormalizedSoftmaxLoss(CLASSES, found.dim, temperature=TEMPERATURE)
    walk = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    walk_loss = torch.optim.AdamW(judge.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    data = torch.utils.data.TensorDataset(pixels.repeat(steps, 1, 1, 1), labels.repeat(steps))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = trainers.MetricLossOnly(
            models={"trunk": network},
            optimizers={"trunk_optimizer": walk, "metric_loss_optimizer": walk_loss},
            batch_size=BATCH,
            loss_funcs={"metric_loss": judge},
            dataset=data,
            dataloader_num_workers=0,
            data_device=torch.device("cpu"),
        )

    def run(_: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train(num_epochs=1)

    return run
