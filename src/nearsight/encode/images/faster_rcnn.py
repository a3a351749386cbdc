"""What a detector sees in a picture: ``faster_rcnn/resnet50_fpn``, ``faster_rcnn/resnet50_fpn_v2`` (torchvision's).

Ren et al., "Faster R-CNN" (NeurIPS 2015). The ``boxes`` best detections, by score after suppression of doubles; of
each the numbers that its classification head reads the class from (1024). They are kept as a set; the vector is their
mean. A picture in which nothing scores above ``threshold`` is one box, the whole of it.

Weights are torchvision's own (downloaded once; COCO), or a file: ``?weights=PATH`` with the layers' own names. The
shorter side becomes ``size`` pixels, but the longer one 5/3 of that at most. Detections are no fixed graph: this tower
runs in torch only and cannot be saved; features and measurements need not be.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import EncoderError, InputError, MissingExtra, Unreachable
from nearsight.encode.export import digest_of, load_weights, need_torch, weights_path
from nearsight.encode.features import Sets
from nearsight.encode.ladder import Rung
from nearsight.encode.network import address_of, require_network

_PREFIX = "fasterrcnn_"
_LONGEST = 5 / 3  # torchvision's 1333 for 800


class FasterRCNN:
    """The ImageTower, which gives sets too (`nearsight.encode.features.GivesSets`). `network` is in eval mode."""

    loader = "faster_rcnn"
    fitted = True
    batch = 4
    """Pictures go through the network one at a time: padded to a common size they would change each other."""

    def __init__(self, address: str, network: Any, size: int, boxes: int, facts: Mapping[str, Any]) -> None:
        self.address, self.members, self.side = address, boxes, size
        self.dim = int(network.roi_heads.box_predictor.cls_score.in_features)
        self._network = network.eval()
        self._identity = {**facts, "weights": digest_of(network)}
        self._lock = threading.Lock()

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def prepare(self, picture: Image.Image) -> NDArray[np.uint8]:
        """(h, w, 3)"""
        short, long = sorted(picture.size)
        scale = min(self.side / short, _LONGEST * self.side / long)
        wide, tall = (max(1, round(length * scale)) for length in picture.size)
        return np.asarray(picture.convert("RGB").resize((wide, tall), Image.Resampling.BILINEAR))

    def sets(self, prepared: Sequence[NDArray[Any]]) -> Sets:
        import torch

        vectors = np.zeros((len(prepared), self.members, self.dim), dtype=np.float32)
        mask = np.zeros(vectors.shape[:2], dtype=np.bool_)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with self._lock, torch.inference_mode():
            network = self._network.to(device)
            for row, pixels in enumerate(prepared):
                found = _seen(network, torch.tensor(pixels, device=device), self.members)
                vectors[row, : len(found)] = found.float().cpu().numpy()
                mask[row, : len(found)] = True
        return vectors, mask

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        vectors, mask = self.sets(prepared)
        mean: NDArray[np.float32] = vectors.sum(axis=1) / mask.sum(axis=1, keepdims=True, dtype=np.float32)
        return mean

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        return None

    def files(self) -> Mapping[str, bytes | Path]:
        """Raises EncoderError (code ``encoder/export``)."""
        raise EncoderError(
            f"{self.address} cannot be saved: how many things it sees depends on the picture, which no graph can say",
            code="encoder/export",
            hint="it makes features and can be measured; to index and search take a network of timm or torchvision",
        )

    def restore(self, folder: Path) -> None:
        raise EncoderError(f"{self.address} is made from weights, not restored from an encoder folder")


LADDER = (
    Rung(
        "faster_rcnn/resnet50_fpn_v2", 1024, "the things in a picture; very slow",
        megabytes=175, packages=("torch", "torchvision"), extra="models",
        weights="torch:fasterrcnn_resnet50_fpn_v2_*.pth",
    ),
)  # fmt: skip


def build(
    variant: str | None = None,
    *,
    boxes: int = 36,
    threshold: float = 0.05,
    size: int = 800,
    pretrained: bool = True,
    weights: str = "",
    seed: int = 0,
) -> FasterRCNN:
    """`variant`: the detector. `pretrained=false` without `weights` draws random ones from `seed`.

    Raises UnknownName, MissingExtra, Unreachable (no internet), EncoderError (code ``encoder/weights``), InputError.
    """
    torch = need_torch("faster_rcnn/NAME")
    try:
        from torchvision.models import detection, get_model, get_model_weights, list_models
    except ImportError as error:
        raise MissingExtra.of("torchvision", "models", "faster_rcnn/NAME") from error
    names = [name.removeprefix(_PREFIX) for name in list_models(module=detection) if name.startswith(_PREFIX)]
    variant = require_network("faster_rcnn", variant, names)
    if not (1 <= boxes <= 1000 and 0 <= threshold < 1 and 32 <= size <= 2000):
        raise InputError(
            f"faster_rcnn takes 1..1000 boxes, a threshold in 0 .. 1 and a size of 32..2000, "
            f"not {boxes}, {threshold} and {size}"
        )
    given = get_model_weights(_PREFIX + variant).DEFAULT
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = get_model(
                _PREFIX + variant,
                weights=given if pretrained and not weights else None,
                weights_backbone=None,
                num_classes=len(given.meta["categories"]),
                box_score_thresh=threshold,
                box_detections_per_img=boxes,
            )
        except OSError as error:
            raise Unreachable(
                f"the weights of faster_rcnn/{variant} cannot be downloaded: {error}",
                hint="give a state dict with ?weights=PATH, or try again with a connection",
            ) from error
    if weights:
        load_weights(network, weights_path(weights))
    options = {"boxes": boxes, "threshold": threshold, "size": size, "pretrained": pretrained or bool(weights),
               "weights": weights, "seed": seed}  # fmt: skip
    facts = {"tower": "faster_rcnn", "network": variant, "boxes": boxes, "threshold": threshold, "size": size}
    return FasterRCNN(address_of("faster_rcnn", variant, build, options), network, size, boxes, facts)


def _seen(network: Any, pixels: Any, boxes: int) -> Any:
    """One picture (h, w, 3) uint8 -> (s, dim), 1 <= s <= boxes, the surest first."""
    from torchvision.models.detection.image_list import ImageList

    heads = network.roi_heads
    shown = network.transform.normalize(pixels.permute(2, 0, 1).float() / 255)
    sizes = [tuple(shown.shape[1:])]
    padded = network.transform.batch_images([shown], size_divisible=32)
    maps = network.backbone(padded)
    proposals, _ = network.rpn(ImageList(padded, sizes), maps)
    (found,), _ = heads(maps, proposals, sizes)
    best = found["boxes"][:boxes]
    if not len(best):
        best = shown.new_tensor([[0, 0, sizes[0][1], sizes[0][0]]])
    return heads.box_head(heads.box_roi_pool(maps, [best], sizes))
