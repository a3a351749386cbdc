"""A recipe: everything that determines a training, as frozen settings with defaults; on disk it is strict TOML.

::

    name = "shop"
    [data]
    source = "folder/products"
    split = "disjoint"
    [network]
    tower = "timm/resnet18.a1_in1k"
    head = "linear?dim=256"
    [objective]
    loss = "multi_similarity"
    sampler = "pk?k=4"
    [loop]
    epochs = 20

What is left out has the default below. `nearsight.core.settings` reads, writes and overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nearsight.core.errors import InputError
from nearsight.learn.augment import Augment


@dataclass(frozen=True, slots=True)
class Data:
    """Which pictures, and which of them are for what.

    source      a data set's address: folder/PATH, table/FILE.csv, mit_split, ...
    root        where it lies; "": the working folder, or NEARSIGHT_DATA for sets that have a place there
    split       given (the set's own train and test), stratified (a share of each class is the test), disjoint (a share
                of the classes is: how it will do on classes that it has never seen), auto (given where there are such
                splits, else stratified)
    test        that share
    validation  share of the training pictures that is held out (whole classes if disjoint), to choose an epoch by and
                to stop early; 0: all are trained on, and nothing is chosen
    seed        which pictures or classes fall where; apart from the training's, so that its seeds share one split
    protocols   who searches whom in the reports before and after; none: test->train and test-loo, as far
                as there is something to find; test-loo where classes are disjoint
    """

    source: str = ""
    root: str = ""
    split: Literal["auto", "given", "stratified", "disjoint"] = "auto"
    test: float = 0.2
    validation: float = 0.0
    seed: int = 0
    protocols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.seed >= 0, "data.seed is 0 or more")
        require(0 < self.test < 1, "data.test is a share above 0 and below 1")
        require(0 <= self.validation < 1, "data.validation is a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class Network:
    """What is trained.

    tower        an image tower that is a network (timm/..., torchvision/..., small_cnn/...), or an encoder folder
    head         what stands on its features: identity, linear?dim=256, mlp?dim=256
    freeze_norm  batch norm keeps its statistics: for small batches, and for weights whose batch norm was folded
    frozen       layers of the tower that stay as they are: names or their beginnings (features.0, layer1)
    whiten       after training: none, pca, or learned (within-class covariance), fitted on the training pictures
    whiten_dim   dimensions that are kept; 0: all
    """

    tower: str = "timm/mobilenetv3_large_100.ra_in1k"
    head: str = "identity"
    freeze_norm: bool = False
    frozen: tuple[str, ...] = ()
    whiten: Literal["none", "pca", "learned"] = "none"
    whiten_dim: int = 0

    def __post_init__(self) -> None:
        require(self.whiten_dim >= 0, "network.whiten_dim is 0 or more")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is made small, by component addresses (``nearsight show losses``).

    loss     how wrong the scores are
    target   what anchors are scored against; "": that of the loss's paper, or of the sampler
    miner    which pairs count
    sampler  which pictures make a batch
    mine_from  epochs in which all pairs count, before the miner begins to choose
    prefixes   lengths at which the beginnings of the vectors are judged too, with the same weight: one training then
               serves all of them (Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022)
    """

    loss: str = "normalised_softmax"
    target: str = ""
    miner: str = "all"
    sampler: str = "shuffled"
    mine_from: int = 0
    prefixes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self.mine_from >= 0, "objective.mine_from is 0 or more epochs")
        require(all(dim >= 1 for dim in self.prefixes), "objective.prefixes are lengths of 1 or more")


@dataclass(frozen=True, slots=True)
class Loop:
    """How.

    epochs, batch  passes over the training pictures, and pictures a step
    accumulate     batches whose gradients are added to one step: their losses do not see each other's pictures
    chunk          pictures that go through the network at once while the loss sees the whole batch (gradient caching:
                   Gao et al., RepL4NLP 2021); 0: the whole batch
    precision      bf16 (mixed) or fp32
    optimiser      adamw, adam, sgd (Nesterov momentum)
    lr, head_lr, target_lr
                   of the tower, the head and what the target learns (class vectors); 0: as the tower's
    weight_decay   not on biases and norms
    momentum       of sgd
    schedule       cosine to 0, step, constant
    warmup         epochs in which the rate rises to it, linearly
    step_epochs, step_factor
                   of the schedule `step`: the rate is multiplied by the factor every so many epochs
    clip           largest norm of the gradient; 0: any
    ema            decay a step of the average of weights that is kept and taken in the end; 0: none
    select         last, or best: the epoch with the best validation
    measure        by which metric, leave one out among the held-out pictures
    measure_every  epochs from one validation to the next; the last epoch always has one
    patience       epochs without a better validation after which it stops; 0: never
    checkpoint_s   seconds between checkpoints; also at the end and on Ctrl-C
    workers        threads that decode and augment
    cache_mb       memory for decoded pictures; what does not fit is decoded again each time
    """

    epochs: int = 10
    batch: int = 32
    accumulate: int = 1
    chunk: int = 0
    precision: Literal["bf16", "fp32"] = "bf16"
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-4
    head_lr: float = 0.0
    target_lr: float = 0.0
    weight_decay: float = 1e-4
    momentum: float = 0.9
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: float = 0.5
    step_epochs: int = 8
    step_factor: float = 0.1
    clip: float = 0.0
    ema: float = 0.0
    select: Literal["last", "best"] = "last"
    measure: str = "average_precision"
    measure_every: int = 1
    patience: int = 0
    checkpoint_s: float = 60.0
    workers: int = 2
    cache_mb: int = 4096

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "step_epochs", "measure_every", "workers"):
            require(getattr(self, name) >= 1, f"loop.{name} is 1 or more")
        for name in ("chunk", "patience", "cache_mb", "warmup", "clip", "weight_decay", "checkpoint_s"):
            require(getattr(self, name) >= 0, f"loop.{name} is 0 or more")
        require(self.lr > 0, "loop.lr is above 0")
        require(self.head_lr >= 0 and self.target_lr >= 0, "loop.head_lr and loop.target_lr are 0 or more")
        require(0 <= self.ema < 1 and 0 <= self.momentum < 1, "loop.ema and loop.momentum are from 0 to below 1")
        require(0 < self.step_factor <= 1, "loop.step_factor is above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole. ``about`` says in a sentence what it is and where it comes from."""

    name: str = ""
    about: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=Network)
    objective: Goal = field(default_factory=Goal)
    augment: Augment = field(default_factory=Augment)
    loop: Loop = field(default_factory=Loop)

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed is 0 or more")


@dataclass(frozen=True, slots=True)
class Captioned:
    """Which captioned pictures, and which splits of them are for what.

    source      a data set's address: karpathy/flickr8k, table/FILE.csv, drawn
    root        where it lies; "": the working folder, or NEARSIGHT_DATA for sets that have a place there
    train, validation, test
                names of its splits; validation chooses the epoch and stops early, the test is never looked at before
                the end; "": none
    """

    source: str = ""
    root: str = ""
    train: str = "train"
    validation: str = "val"
    test: str = "test"

    def __post_init__(self) -> None:
        require(bool(self.train), "data.train names a split")
        named = [name for name in (self.train, self.validation, self.test) if name]
        require(len({*named}) == len(named), "data.train, data.validation and data.test are different splits")


@dataclass(frozen=True, slots=True)
class PictureSide:
    """What pictures become. The network's features are taken once and kept: only what stands on them is trained.

    tower  an image tower (timm/..., torchvision/..., faster_rcnn/...), or an encoder folder; ``pool=cells`` in the
           address gives the cells of its last feature map as a set
    pool   what makes one vector of a set (nearsight show poolings)
    head   what stands on that vector
    """

    tower: str = "timm/mobilenetv3_large_100.ra_in1k"
    pool: str = "mean"
    head: str = "mlp?residual=true"


@dataclass(frozen=True, slots=True)
class TextSide:
    """What texts become. Their words' vectors are frozen too.

    words  word vectors (nearsight show words): transformers/NAME, fasttext/FILE.bin, vectors/FILE.txt, or fasttext:
           trained on the captions of data.train
    pool, head
           as for pictures
    """

    words: str = "transformers/all-MiniLM-L6-v2"
    pool: str = "mean"
    head: str = "mlp?residual=true"


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """Pictures and words in one space: two heads on frozen features, as a recipe with a table ``[text]``.

    ``dim``: length of the vectors. ``hubness``: a correction for the report (nearsight show hubness), whose bank is the
    training split. ``loop.measure`` rsum is the sum of R@1, R@5 and R@10 both ways, in percent. ``loop.batch`` counts
    rows: a picture with one caption is two. ``loop.lr`` is the rate of the heads, which are all that is trained.
    """

    name: str = ""
    about: str = ""
    seed: int = 0
    dim: int = 512
    hubness: str = "none"
    data: Captioned = field(default_factory=Captioned)
    pictures: PictureSide = field(default_factory=PictureSide)
    text: TextSide = field(default_factory=TextSide)
    objective: Goal = field(
        default_factory=lambda: Goal("infonce?temperature=1", "opposite?temperature=0.07", "all", "captions")
    )
    loop: Loop = field(
        default_factory=lambda: Loop(epochs=30, batch=512, lr=5e-4, warmup=1.0, select="best", measure="rsum")
    )

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed is 0 or more")
        require(self.dim >= 1, "dim is 1 or more")


Plan: TypeAlias = Recipe | PairRecipe


def require(right: bool, what: str) -> None:
    """Raises InputError (code ``recipe/value``) saying `what` a setting must be."""
    if not right:
        raise InputError(what, code="recipe/value")
