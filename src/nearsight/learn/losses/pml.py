"""Another loss of pytorch-metric-learning, by name: ``pml/CircleLoss?options=m=0.4,gamma=80``.

Musgrave, Belongie and Lim, "PyTorch Metric Learning" (2020). The loss is given our scores in place of the matrix that
it would have computed, as cosines or as distances, whichever it takes by default. Losses that look at the vectors
themselves, or hold weights of their own, judge no matrix and are refused, each with what to write instead.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nearsight.core.errors import InputError, MissingExtra, UnknownName
from nearsight.learn.losses import Loss
from nearsight.learn.matrix import Similarity, distance, require_distance

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["pairs", "batch", "classes"]
PAIRS: Kind = "pairs"
BATCH: Kind = "batch"
CLASSES: Kind = "classes"
ADAPTED: dict[str, Kind] = {
    "CircleLoss": PAIRS,
    "ContrastiveLoss": PAIRS,
    "CosFaceLoss": CLASSES,
    "FastAPLoss": BATCH,
    "GeneralizedLiftedStructureLoss": PAIRS,
    "IntraPairVarianceLoss": PAIRS,
    "LiftedStructureLoss": BATCH,
    "MarginLoss": PAIRS,
    "MultiSimilarityLoss": PAIRS,
    "NCALoss": BATCH,
    "NTXentLoss": PAIRS,
    "PNPLoss": BATCH,
    "ProxyNCALoss": CLASSES,
    "RankedListLoss": BATCH,
    "SupConLoss": PAIRS,
    "TripletMarginLoss": PAIRS,
    "TupletMarginLoss": PAIRS,
}
"""Name -> what it is told: the pairs of any matrix; labels, for a batch against itself; or one class a column."""
REFUSED = {
    "AngularLoss": "it adds vectors before it compares them",
    "ArcFaceLoss": "it holds the class vectors itself: write 'arcface'",
    "DynamicSoftMarginLoss": "it remembers a histogram of earlier batches",
    "HistogramLoss": "it indexes tensors in a way that newer torch reads differently",
    "InstanceLoss": "it counts a picture as its own class",
    "LargeMarginSoftmaxLoss": "it weighs by the length of vectors: write 'arcface' or 'pml/CosFaceLoss'",
    "ManifoldLoss": "it builds a graph of the vectors and proxies of its own",
    "NPairsLoss": "it picks its pairs out of the vectors: write 'infonce'",
    "NormalizedSoftmaxLoss": "it holds the class vectors itself: write 'normalised_softmax'",
    "P2SGradLoss": "it holds the class vectors itself: write 'normalised_softmax'",
    "ProxyAnchorLoss": "it holds the class vectors itself: write 'proxy_anchor'",
    "SignalToNoiseRatioContrastiveLoss": "its distance is not one of the scores here: write 'contrastive'",
    "SmoothAPLoss": "it compares the vectors again by class: write 'smooth_ap'",
    "SoftTripleLoss": "it holds centres itself: write 'normalised_softmax' with the target 'proxies?centres=3'",
    "SphereFaceLoss": "it weighs by the length of vectors: write 'arcface' or 'pml/CosFaceLoss'",
    "SubCenterArcFaceLoss": "it holds centres itself: write 'arcface' with the target 'proxies?centres=3'",
    "ThresholdConsistentMarginLoss": "it computes cosines from the vectors",
    "VICRegLoss": "it judges variances of vectors, not pairs",
}
OBJECTS = ("distance", "reducer", "regularizer", "reg_weight", "init_func", "mat_based_loss", "collect_stats")
"""Endings of options that are not for words and numbers."""
LISTED = f"there are: {', '.join(ADAPTED)}"


@dataclass(frozen=True)
class Adapted(Loss):
    """A loss of the library under our contract. What its mean is taken over is the library's choice (its reducer)."""

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return ADAPTED[self.name]

    def make(self, columns: int) -> Any:
        """The library's object. Raises InputError (code ``loss/pml``) for values that it does not take."""
        sizes = {"num_classes": columns, "embedding_size": 1} if self.kind == CLASSES else {}
        try:
            return getattr(_library(), self.name)(**self.options, **sizes)
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"pml/{self.name} does not take {dict(self.options)}: {error}", code="loss/pml") from error

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        import torch

        n, m = scores.shape
        nothing = (0 * scores).where(positive | negative, 0.0).sum()
        if not bool((positive.any(dim=1) & negative.any(dim=1)).any()):
            return nothing  # many of the library's losses are NaN, or an error, for these
        judge = self.make(columns=m).to(device=scores.device, dtype=scores.dtype)
        given = distance(scores, self.similarity)
        if judge.distance.is_inverted:  # cosines, kept from where acos is NaN and its gradient infinite
            given = scores.clamp(-1 + 1e-6, 1 - 1e-6)
        judge.distance.compute_mat = lambda *_: given
        anchors, columns = (torch.ones(k, 1, dtype=scores.dtype, device=scores.device) for k in (n, m))
        rows = torch.arange(n, device=scores.device)
        if self.kind == PAIRS:
            told = (*torch.where(positive), *torch.where(negative))
            value = judge(anchors, rows, told, columns, torch.arange(m, device=scores.device))
        else:
            value = judge(anchors, (_labels if self.kind == BATCH else _classes)(self.name, positive, negative))
        return value.squeeze() + nothing


class AdaptedClasses(Adapted):
    """A loss of the library with one vector a class: those of the target, not its own."""

    target: ClassVar[str] = "proxies"
    by_column: ClassVar[bool] = True


def _labels(name: str, positive: Tensor, negative: Tensor) -> Tensor:
    """(n,) labels of a batch that is scored against itself; InputError (code ``loss/pml``) for another matrix."""
    import torch

    n, m = positive.shape
    own = torch.eye(n, m, dtype=torch.bool, device=positive.device)
    labels = (positive | own).to(torch.uint8).argmax(dim=1) if n == m else None
    if labels is not None:
        same = labels[:, None] == labels[None, :]
        if torch.equal(same & ~own, positive) and torch.equal(~same, negative):
            return labels
    raise InputError(
        f"pml/{name} judges a batch against itself, every pair of it, and this matrix is another",
        code="loss/pml",
        hint="target batch, no miner, each picture once in a batch",
    )


def _classes(name: str, positive: Tensor, negative: Tensor) -> Tensor:
    """(n,) the column of each row's class; InputError (code ``loss/pml``) for a matrix that is not of classes."""
    if bool((positive.sum(dim=1) == 1).all()) and bool((positive ^ negative).all()):
        return positive.int().argmax(dim=1)
    raise InputError(f"pml/{name} judges one column a class", code="loss/pml", hint="target proxies, no miner")


def _library() -> Any:
    try:
        from pytorch_metric_learning import losses
    except ImportError as error:
        raise MissingExtra.of("pytorch-metric-learning", "train", "a loss pml/NAME") from error
    return losses


def build(variant: str | None = None, *, similarity: Similarity = "cosine", options: str = "") -> Loss:
    """``options``: what the library's class takes, as name=value,name=value."""
    if variant is None:
        raise UnknownName("pml needs a loss of pytorch-metric-learning: pml/NAME", hint=LISTED)
    if variant in REFUSED:
        raise InputError(f"pml/{variant} judges no matrix: {REFUSED[variant]}", code="loss/pml", hint=LISTED)
    if variant not in ADAPTED:
        raise UnknownName(f"pytorch-metric-learning's '{variant}' is not known here", hint=LISTED)
    given = _parsed(variant, options)
    kind = AdaptedClasses if ADAPTED[variant] == CLASSES else Adapted
    loss = kind(require_distance(similarity, f"pml/{variant}"), variant, given)
    made = loss.make(columns=2)
    if made.distance.is_inverted and similarity != "cosine":
        raise InputError(f"pml/{variant} judges cosines", code="loss/pml", hint="leave similarity at cosine")
    if any(p.requires_grad for p in made.parameters()) and ADAPTED[variant] != CLASSES:
        raise InputError(f"pml/{variant} would learn weights of its own with {options}", code="loss/pml")
    return loss


def _parsed(name: str, text: str) -> dict[str, Any]:
    """``a=1,b=true`` as arguments of the library's class `name`. Raises UnknownName for one that it does not name."""
    family = [kind for kind in inspect.getmro(getattr(_library(), name)) if "__init__" in vars(kind)]
    named = {
        o.name
        for kind in family
        for o in inspect.signature(kind).parameters.values()
        if o.kind is o.POSITIONAL_OR_KEYWORD
    }
    known = {o for o in named - {"num_classes", "embedding_size"} if not o.endswith(OBJECTS)}
    given: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UnknownName(f"'{pair}' in options of pml/{name} is not name=value", code="name/grammar")
        if key not in known:
            raise UnknownName(f"pml/{name} has no option '{key}'", hint=f"there are: {', '.join(sorted(known))}")
        given[key] = _value(value)
    return given


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
