"""The palette code of a picture: the few colors that its figure is painted with, and their shares."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_bytes, srgb_from_lab

_SAMPLES = 2000  # pixels that k-means sees; more changes centers by less than their spread
_SEED = 7
_INK_VALUE = 72  # a pixel whose brightest channel is darker may be ink
_BLACK_AREA_SHARE = 0.04  # thick black areas (black hair, a suit) from this share of the figure on are color, not ink
_SAME_COLOR = 5.0  # centers nearer than this in Lab are one color
_SMALLEST_SHARE = 0.004  # less is the seam between two colors
_STOP = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.3)


def palette_code(color: NDArray[np.uint8], figure: NDArray[np.bool_], colors: int = 6) -> NDArray[np.float32]:
    """Return the main colors inside a figure, as the second input of a network reads them.

    K-means in CIE Lab over a fixed sample of the figure's pixels; the same arguments give the same
    code in every thread. Ink does not take a row: thin dark strokes are left out, wide black areas are
    kept where they make up a good part of the figure.

    Args:
        color: (H, W, 3) uint8, sRGB.
        figure: (H, W) bool, True inside the figure (``metrics.figure_mask``).
        colors: rows of the code, at least 1.

    Returns:
        (colors, 4) float32, largest share first: sRGB in [-1, 1] and the share of the figure (without
        ink) in [0, 1]. Rows without a color, and all rows of an empty figure, are zeros.

    Raises:
        ValueError: the shapes do not fit, or ``colors`` is below 1.
    """
    if color.ndim != 3 or color.shape[2] != 3 or figure.shape != color.shape[:2]:
        raise ValueError(f"color has shape {color.shape} and figure {figure.shape}; (H, W, 3) and (H, W) are needed")
    if colors < 1:
        raise ValueError(f"colors is {colors}, must be at least 1")
    code = np.zeros((colors, 4), np.float32)
    pixels = _sample(color[figure & ~_ink(color, figure)])
    if not len(pixels):
        return code
    centers, shares = _clusters(lab_from_bytes(pixels), colors)
    order = np.argsort(-shares, kind="stable")
    code[: len(order), :3] = srgb_from_lab(centers[order]) * 2 - 1
    code[: len(order), 3] = shares[order]
    return code


def _ink(color: NDArray[np.uint8], figure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (H, W) bool, True on the figure's strokes and the blend of colors beside them."""
    dark = ((color.max(axis=2) < _INK_VALUE) & figure).astype(np.uint8)
    # wider than a stroke: 5 pixels in a picture of 256
    side = max(3, round(max(color.shape[:2]) / 51))
    areas = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    if np.count_nonzero(areas) >= _BLACK_AREA_SHARE * np.count_nonzero(figure):
        dark = cv2.subtract(dark, areas)
    ink: NDArray[np.bool_] = cv2.dilate(dark, np.ones((3, 3), np.uint8)).astype(bool)
    # a drawing of strokes alone: better their color than none
    return ink if np.count_nonzero(figure & ~ink) >= 0.02 * np.count_nonzero(figure) else np.zeros_like(figure)


def _sample(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return at most _SAMPLES of the (N, 3) pixels: one at a random place in each of as many equal stretches."""
    if len(pixels) <= _SAMPLES:
        return pixels
    places = (np.arange(_SAMPLES) + np.random.default_rng(_SEED).random(_SAMPLES)) * (len(pixels) / _SAMPLES)
    return pixels[places.astype(np.intp)]


def _clusters(lab: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return at most ``count`` centers (M, 3) in Lab and their shares (M,), which sum to 1."""
    cv2.setRNGSeed(_SEED)  # the generator of this thread; k-means draws its first centers from it
    # the stub insists on labels and centers to fill, the function makes its own
    kmeans: Any = cv2.kmeans
    # (N, 1, 3): OpenCV takes a (1, 3) array for three samples of one number
    _, labels, centers = kmeans(lab[:, None], min(count, len(lab)), None, _STOP, 2, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(labels.ravel(), minlength=len(centers)) / len(lab)
    centers = centers.reshape(-1, 3).astype(np.float32)
    while len(centers) > 1:
        distance = np.linalg.norm(centers[:, None] - centers[None], axis=2) + np.diag(np.full(len(centers), np.inf))
        i, j = np.unravel_index(int(np.argmin(distance)), distance.shape)
        if distance[i, j] >= _SAME_COLOR:
            break
        total = shares[i] + shares[j]
        centers[i] = (centers[i] * shares[i] + centers[j] * shares[j]) / total if total else centers[i]
        shares[i] = total
        centers, shares = np.delete(centers, j, axis=0), np.delete(shares, j)
    kept = shares >= _SMALLEST_SHARE
    return centers[kept], shares[kept] / shares[kept].sum()
