"""Lines extracted from color pictures, in six styles: a network trained on one style learns only that style.

Every extractor reads an sRGB picture, uint8 (H, W, 3), and returns the amount of ink, float32 (H, W), 0 = paper
to 1. None of them may fill dark areas: each looks at differences only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.float32]
Mask = NDArray[np.bool_]
Extractor = Callable[[NDArray[np.uint8], np.random.Generator], Ink]

NORMAL_SIDE_PX = 512.0  # widths below are meant for pictures of this size and follow the picture's


def extract_lines(color: NDArray[np.uint8], extractor: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the lines of a color picture.

    Args:
        color: sRGB, uint8 (H, W, 3).
        extractor: one of ``EXTRACTORS``.
        random: decides width, strength and threshold; the same state gives the same lines.

    Returns:
        The drawing, uint8 (H, W), 255 = paper.
    """
    if extractor not in EXTRACTORS:
        raise ValueError(f"extractor is {extractor!r}, not one of {', '.join(EXTRACTORS)}")
    ink = EXTRACTORS[extractor](color, random)
    drawn = ink[ink > 0.02]
    if drawn.size:  # soft paintings have weak edges, yet people draw them with strong lines
        ink = ink * np.clip(random.uniform(0.4, 0.8) / np.quantile(drawn, 0.9), 1, 3)
    paper = 255 * (1 - random.uniform(0.75, 1.0) * np.clip(ink, 0, 1))
    return np.asarray(np.rint(paper), np.uint8)


def difference_of_gaussians(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Draw the dark side of every edge, as a soft brush.

    Source: Winnemoeller et al., XDoG (2012), with both Gaussians of equal weight: the paper's sharpening term
    keeps dark areas black, which no line drawing does.
    """
    sigma = _scale(color) * random.uniform(0.7, 1.6)
    lightness = _lightness(color)
    response = cv2.GaussianBlur(lightness, (0, 0), 1.6 * sigma) - cv2.GaussianBlur(lightness, (0, 0), sigma)
    strength = random.uniform(25, 60)
    return np.asarray(np.tanh(strength * np.maximum(response - random.uniform(0.004, 0.012), 0)), np.float32)


def dark_ink(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Keep the picture's own ink, with a faint outline where a shape has none."""
    outline = random.uniform(0.3, 0.7) * difference_of_gaussians(color, random)
    return _both(_own_ink(color, random), outline)


def color_edges(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Draw the edges of lightness and of both opponent colors with a soft pencil, and the picture's ink in between."""
    smooth = cv2.GaussianBlur(_without_ink(color), (0, 0), _scale(color) * random.uniform(0.8, 1.6))
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)
    high = random.uniform(50, 110)
    edges = np.zeros(color.shape[:2], np.bool_)
    for channel, share in enumerate((1.0, 0.5, 0.5)):
        plane = np.ascontiguousarray(lab[..., channel])
        edges |= cv2.Canny(plane, 0.4 * share * high, share * high, L2gradient=True) > 0
    return _both(_stroke(edges, color, random), random.uniform(0.5, 1) * _own_ink(color, random))


def region_borders(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Draw the borders between areas of like color, and the picture's ink in between."""
    smooth = cv2.bilateralFilter(_without_ink(color), 7, random.uniform(20, 40), 3 * _scale(color))
    labels = cv2.medianBlur(_nearest_colors(smooth, int(random.integers(6, 13)), random), 5)
    borders = np.zeros(labels.shape, np.bool_)
    borders[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    borders[1:] |= labels[1:] != labels[:-1]
    return _both(_stroke(borders, color, random), random.uniform(0.5, 1) * _own_ink(color, random))


def pencil(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Shade like a pencil: the picture divided by its blurred self ("color dodge")."""
    lightness = _lightness(color)
    blurred = cv2.GaussianBlur(lightness, (0, 0), _scale(color) * random.uniform(2.0, 5.0))
    return _above(1 - (lightness + 0.1) / (blurred + 0.1), random.uniform(0.02, 0.05), random.uniform(0.3, 0.5))


def ridges(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Draw clean even lines along dark ridges: the larger eigenvalue of the Hessian.

    Source: Steger, An Unbiased Detector of Curvilinear Structures (1998), without the linking of points.
    """
    sigma = _scale(color) * random.uniform(1.0, 1.8)
    smooth = cv2.GaussianBlur(_lightness(color), (0, 0), sigma)
    xx, yy = cv2.Sobel(smooth, cv2.CV_32F, 2, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 2)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1)
    curvature = (xx + yy) / 2 + np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    low = random.uniform(0.03, 0.07)
    return _above(sigma**2 * curvature, low, low + random.uniform(0.08, 0.2))


EXTRACTORS: dict[str, Extractor] = {
    "difference-of-gaussians": difference_of_gaussians,
    "dark-ink": dark_ink,
    "color-edges": color_edges,
    "region-borders": region_borders,
    "pencil": pencil,
    "ridges": ridges,
}


def _scale(color: NDArray[np.uint8]) -> float:
    """Return the factor from widths at 512 px to this picture's, not below what a pixel can show."""
    height, width, _ = color.shape
    return float(max(0.6, max(height, width) / NORMAL_SIDE_PX))


def _lightness(color: NDArray[np.uint8]) -> Ink:
    """Return CIE L, float32 (H, W), 0-1: unlike gray it separates dark tones as the eye does."""
    return np.divide(cv2.cvtColor(color, cv2.COLOR_RGB2LAB)[..., 0], 255, dtype=np.float32)


def _above(amount: NDArray[Any], low: float, high: float) -> Ink:
    """Return 0 below ``low``, 1 above ``high``, and a straight ramp between."""
    return np.asarray(np.clip((amount - low) / (high - low), 0, 1), np.float32)


def _both(first: Ink, second: Ink) -> Ink:
    return np.asarray(np.maximum(first, second), np.float32)


def _brush(color: NDArray[np.uint8], width_px: float) -> NDArray[np.uint8]:
    """Return a round structuring element of that width at 512 px."""
    side = 2 * int(_scale(color) * width_px / 2) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _own_ink(color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Return what is darker than the surface around it and narrower than a brush."""
    lightness = cv2.GaussianBlur(_lightness(color), (0, 0), 0.6)
    surface = cv2.morphologyEx(lightness, cv2.MORPH_CLOSE, _brush(color, random.uniform(5, 11)))
    relative = (surface - lightness) / (surface + 0.15)  # ink on a dark surface counts as well
    return _above(relative, random.uniform(0.03, 0.08), random.uniform(0.25, 0.5))


def _without_ink(color: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with its thin dark lines painted over; else both their sides would be edges."""
    return np.asarray(cv2.morphologyEx(color, cv2.MORPH_CLOSE, _brush(color, 7)), np.uint8)


def _stroke(mask: Mask, color: NDArray[np.uint8], random: np.random.Generator) -> Ink:
    """Draw a mask of pixels, bool (H, W), with a soft pen, leaving out specks."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    longest = statistics[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    kept = (longest >= _scale(color) * random.uniform(5, 12)).astype(np.float32)
    kept[0] = 0  # the paper
    soft = cv2.GaussianBlur(kept[parts], (0, 0), _scale(color) * random.uniform(0.5, 1.1))
    return np.asarray(np.minimum(soft * random.uniform(1.6, 2.6), 1), np.float32)


def _nearest_colors(color: NDArray[Any], count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return for each pixel the number of its nearest of ``count`` main colors, uint8 (H, W)."""
    lab = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2LAB), np.uint8)
    pixels = lab.reshape(-1, 3)
    sample = pixels[random.integers(0, len(pixels), 3000)].astype(np.float32)
    centers = sample[random.integers(0, len(sample), count)]
    for _ in range(6):  # Lloyd's algorithm; borders need no converged centers
        nearest = _nearest(sample, centers)
        centers = np.stack([sample[nearest == number].mean(axis=0) for number in np.unique(nearest)])
    levels = np.arange(4, 256, 8, dtype=np.float32)  # a table of 32^3 colors is faster than all pixels
    table = _nearest(np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3), centers)
    steps = (lab >> 3).astype(np.intp)
    return np.asarray(table[(steps[..., 0] * 32 + steps[..., 1]) * 32 + steps[..., 2]], np.uint8)


def _nearest(points: Ink, centers: Ink) -> NDArray[np.intp]:
    """Return the number of the center nearest to each point (N, 3); |point|^2 does not change the order."""
    return np.asarray(((centers**2).sum(axis=1) - 2 * points @ centers.T).argmin(axis=1), np.intp)
