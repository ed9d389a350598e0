"""Palettes: the few colors that a figure is painted with, their shares, and the code that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_bytes, srgb_from_lab

Number = TypeVar("Number", np.uint8, np.float32)

_SAMPLES = 2000  # pixels that k-means sees; more changes centers by less than their spread
_SEED = 7
_INK_VALUE = 72  # a pixel whose brightest channel is darker may be ink
_BLACK_AREA_SHARE = 0.04  # thick black areas (black hair, a suit) from this share of the figure on are color, not ink
_SAME_COLOR = 5.0  # centers nearer than this in Lab are one color
_SMALLEST_SHARE = 0.004  # less is the seam between two colors
_STOP = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.3)


@dataclass(frozen=True)
class Swatch:
    """One color of a palette.

    Attributes:
        color: sRGB, each 0 to 255.
        share: of the figure that has this color, in [0, 1].
    """

    color: tuple[int, int, int]
    share: float

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError."""
        if len(self.color) != 3 or not all(0 <= value <= 255 for value in self.color):
            raise ValueError(f"color {self.color} is not three values from 0 to 255")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share {self.share} is not from 0 to 1")


def most_different(swatches: Sequence[Swatch], count: int) -> tuple[Swatch, ...]:
    """Return at most ``count`` swatches that differ as far as possible; each other one gives its share to the nearest.

    The color of the largest share is in, then always the color that is farthest in CIE Lab from all that are in.

    Returns:
        Swatches of different color, largest share first.
    """
    if not swatches:
        return ()
    lab = lab_from_bytes(np.array([swatch.color for swatch in swatches], np.uint8))
    shares = np.array([swatch.share for swatch in swatches])
    chosen = [int(shares.argmax())]
    nearest, distance = np.zeros(len(lab), np.intp), np.linalg.norm(lab - lab[chosen[0]], axis=1)
    while len(chosen) < count and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        to_new = np.linalg.norm(lab - lab[chosen[-1]], axis=1)
        nearest[to_new < distance] = len(chosen) - 1
        distance = np.minimum(distance, to_new)
    merged = np.minimum(np.bincount(nearest, shares, len(chosen)), 1)
    order = np.argsort(-merged, kind="stable")
    return tuple(Swatch(swatches[chosen[index]].color, float(merged[index])) for index in order)


def code_of_swatches(swatches: Sequence[Swatch], colors: int) -> NDArray[np.float32]:
    """Return a palette that the user chose as the second input of a network.

    Args:
        swatches: the palette; more than ``colors`` are reduced to the most different ones.
        colors: rows of the code.

    Returns:
        (colors, 4) float32, as `palette_code` gives it.
    """
    code = np.zeros((colors, 4), np.float32)
    for row, swatch in zip(code, most_different(swatches, colors), strict=False):
        row[:3] = np.array(swatch.color) / 127.5 - 1
        row[3] = swatch.share
    return code


def swatches_of_code(code: NDArray[np.floating[Any]]) -> tuple[Swatch, ...]:
    """Return the colors of a palette code (colors, 4) whose share is above 0. Raises ValueError: it is none."""
    if code.ndim != 2 or code.shape[1] != 4 or not np.isfinite(code).all():
        raise ValueError(f"palette has shape {code.shape}, not (N, 4), or is not finite")
    return tuple(
        Swatch((int(red), int(green), int(blue)), min(float(row[3]), 1.0))
        for row in code
        if row[3] > 0
        for red, green, blue in [np.clip(np.rint((row[:3] + 1) * 127.5), 0, 255)]
    )


def palette_code(color: NDArray[np.uint8], figure: NDArray[np.bool_], colors: int = 6) -> NDArray[np.float32]:
    """Return the main colors inside a figure, as the second input of a network reads them.

    K-means in CIE Lab over a fixed sample of the figure's pixels; the same arguments give the same
    code in every thread. Ink does not take a row: thin dark strokes are left out, wide black areas are
    kept where they make up a good part of the figure.

    Args:
        color: (H, W, 3) uint8, sRGB.
        figure: (H, W) bool, True inside the figure (``figure.figure_mask``).
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
    pixels = sample(color[figure & ~_ink(color, figure)])
    if not len(pixels):
        return code
    centers, shares = main_colors(lab_from_bytes(pixels), colors)
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


def sample(pixels: NDArray[Number]) -> NDArray[Number]:
    """Return at most _SAMPLES of the (N, 3) pixels: one at a random place in each of as many equal stretches."""
    if len(pixels) <= _SAMPLES:
        return pixels
    places = (np.arange(_SAMPLES) + np.random.default_rng(_SEED).random(_SAMPLES)) * (len(pixels) / _SAMPLES)
    return pixels[places.astype(np.intp)]


def main_colors(lab: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the main colors of pixels.

    Args:
        lab: (N, 3) float32, CIE Lab, at least one pixel.
        count: the most colors to find.

    Returns:
        At most ``count`` colors (M, 3) in Lab, none of them alike, and their shares (M,), which sum to 1.
    """
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
