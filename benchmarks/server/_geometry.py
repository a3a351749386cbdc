"""Whether two pictures show one scene from nearly one place: another judge than the one that is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 320
INLIERS = 15
_RATIO, _PIXELS = 0.75, 4.0


def one_scene(one: Path, other: Path) -> bool | None:
    """At least 15 SIFT keypoints of both under one similarity (RANSAC); None where OpenCV is not there."""
    try:
        import cv2
    except ImportError:
        return None
    sift = cv2.SIFT_create(800)
    found = [sift.detectAndCompute(grey(file), None) for file in (one, other)]
    (points, words), (others, their_words) = found
    if words is None or their_words is None or min(len(points), len(others)) < INLIERS:
        return False
    pairs = cv2.BFMatcher().knnMatch(words, their_words, k=2)
    good = [best[0] for best in pairs if len(best) == 2 and best[0].distance < _RATIO * best[1].distance]
    if len(good) < INLIERS:
        return False
    here = np.array([points[match.queryIdx].pt for match in good], dtype=np.float32)
    there = np.array([others[match.trainIdx].pt for match in good], dtype=np.float32)
    _, inside = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=_PIXELS)
    return inside is not None and int(inside.sum()) >= INLIERS


def grey(file: Path) -> np.ndarray:
    """Its longer side at 320 pixels."""
    with Image.open(file) as picture:
        times = SIDE / max(picture.size)
        return np.asarray(picture.convert("L").resize((round(picture.width * times), round(picture.height * times))))
