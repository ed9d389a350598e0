"""Where on a character each color sits: what a finished picture tells beyond its palette.

A palette says which colors there are, not that the red one is hair. The finished picture does. But which region of the
drawing is the hair of the picture? The network has an opinion: what looks alike it paints in like colors, wrong ones
maybe, but the same in both. So it colors the lines of the finished picture, too. Then each place of the finished
picture has what the network makes of it, its height in the figure, and its true color; and each region of the drawing
takes the true color of the places that are most like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_bytes, lab_from_srgb
from pixelpainter.figure import figure_mask
from pixelpainter.flats import network_regions, sample_regions
from pixelpainter.obey import open_paper

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

# Of the picture's side: the answer is patchy, and what is around a place tells what it is.
BLUR, AROUND = 1.5 / 256, 20 / 256
HEIGHT_COST, WIDTH_COST = 20.0, 10.0  # what the height of the figure, and half its width, count in CIE Lab
MOST = 1500  # places of the finished picture
NEAR = 4.0  # CIE Lab: a place that is farther away than the nearest by this counts a third
SMALLEST_REGION = 24  # network pixels; smaller ones stay as they are: eyes, buttons
AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Places:
    """Places of a finished picture.

    Attributes:
        features: (N, F) float32, see `features_of`.
        kinds: (N,) which of the colors each place has, one number more for the page around the figure.
        colors: how many colors there are.
    """

    features: Floats
    kinds: Numbers
    colors: int

    def choose(self, features: Floats, drawing: Bytes) -> Numbers:
        """Return (S, S), the number of the color that each pixel of a drawing takes; from ``colors`` on, none.

        Args:
            features: (S, S, F) float32 of the drawing.
            drawing: (S, S) uint8, as the network sees it.
        """
        labels = np.where(open_paper(drawing), network_regions(drawing), 0).astype(np.int32)
        flat, count = labels.ravel(), int(labels.max()) + 1
        pixels = sample_regions(labels)
        pixels = pixels[flat[pixels] > 0]
        votes = np.zeros((count, self.colors + 1))
        for start in range(0, len(pixels), AT_ONCE):
            part = pixels[start : start + AT_ONCE]
            np.add.at(votes, flat[part], self._votes(features.reshape(-1, features.shape[2])[part]))
        best = votes.argmax(axis=1)
        best[np.bincount(flat, minlength=count) < SMALLEST_REGION] = self.colors
        best[0] = self.colors
        return np.asarray(best[labels], np.intp)

    def _votes(self, features: Floats) -> Floats:
        """Return (M, colors + 1) float32, how like pixels with features (M, F) are to places of each color; sum 1."""
        squares = np.einsum("ij,ij->i", features, features)[:, None] + np.einsum("ij,ij->i", *[self.features] * 2)
        away = np.sqrt(np.maximum(squares - 2 * features @ self.features.T, 0))
        weight = np.exp((away.min(axis=1, keepdims=True) - away) / np.float32(NEAR))
        weight = weight @ np.eye(self.colors + 1, dtype=np.float32)[self.kinds]
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


def find_places(features: Floats, drawing: Bytes, truth: Bytes, colors: Sequence[tuple[int, int, int]]) -> Places:
    """Return places of a finished picture, spread at random.

    Args:
        features: (S, S, F) float32 of its lines.
        drawing: (S, S) uint8, its lines.
        truth: (S, S, 3) uint8, sRGB, the picture itself.
        colors: the colors that places can have.
    """
    pixels = np.flatnonzero(open_paper(drawing))
    pixels = np.random.default_rng(7).permutation(pixels)[:MOST]
    lab = lab_from_bytes(np.array(colors, np.uint8))
    away = np.linalg.norm(lab_from_bytes(truth.reshape(-1, 3)[pixels])[:, None] - lab[None], axis=2)
    kinds = np.where(figure_mask(truth).ravel()[pixels], away.argmin(axis=1), len(colors))
    return Places(features.reshape(-1, features.shape[2])[pixels], kinds, len(colors))


def features_of(answers: Sequence[Floats]) -> Floats:
    """Return what is known about each place of a drawing, (S, S, F) float32; differences are those of CIE Lab.

    Args:
        answers: (S, S, 3) float32, sRGB in [0, 1]: what the network makes of it, in one way or several.
    """
    rows, columns = np.nonzero(figure_mask(np.rint(answers[0] * 255).astype(np.uint8)))
    top, bottom = np.percentile(rows, [1, 99]) if len(rows) else (0, len(answers[0]))
    left, right = np.percentile(columns, [1, 99]) if len(columns) else (0, len(answers[0]))
    y, x = np.mgrid[: len(answers[0]), : len(answers[0])].astype(np.float32)
    height = (y - top) / max(bottom - top, 1) * HEIGHT_COST
    width = np.abs(x - (left + right) / 2) / max((right - left) / 2, 1) * WIDTH_COST
    sigmas = len(answers[0]) * BLUR, len(answers[0]) * AROUND
    lab = [np.asarray(lab_from_srgb(answer), np.float32) for answer in answers]
    painted = [cv2.GaussianBlur(color, (0, 0), sigma) for color in lab for sigma in sigmas]
    return np.concatenate([*painted, height[..., None], width[..., None]], axis=2).astype(np.float32)
