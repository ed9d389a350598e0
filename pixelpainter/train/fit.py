"""Whether a drawing shows what its picture shows: the correlation of the edges of both, from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.imaging import letterbox

Pixels = NDArray[np.uint8]

SIDE = 128  # pixels; pictures are compared at this size
# Fit of a drawing with its picture, measured on 1,400 pairs of seven kinds: at least 0.44, mostly above 0.85; of a
# drawing with another's picture: about 0.3, seldom above 0.6.
LOWEST_FIT, SHARE_OF_USUAL_FIT, DOUBTFUL_FIT = 0.2, 0.5, 0.8
# A doubtful drawing is held against all other pictures. Of 14,899 right pairs of three sets 15 are called wrong, half
# of them versions of one drawing in other colors; of 1,200 wrong ones 3 are not found, 30 where the right picture is
# absent.
CLEARLY_BETTER = 0.1
CHUNK = 1024  # drawings, and pictures, that are compared at once


@dataclass(frozen=True)
class Misfit:
    """A drawing that does not show what its picture shows.

    Attributes:
        place: number of the pair.
        fit: of the drawing with its picture.
        like: number of the picture that it clearly fits better, or None.
        better: how well it fits the best of all pictures.
    """

    place: int
    fit: float
    like: int | None
    better: float


def edges(rgb: Pixels) -> Pixels:
    """Return how strong the edges of a picture are: (SIDE / 2, SIDE / 2) uint8, from (H, W, 3) uint8 sRGB."""
    lab = cv2.cvtColor(letterbox(rgb, SIDE, 255)[0], cv2.COLOR_RGB2LAB)
    soft = cv2.GaussianBlur(lab, (0, 0), 0.7).astype(np.float32)
    slope = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)).max(axis=2)
    broad = cv2.GaussianBlur(np.minimum(slope, 80), (0, 0), 1.0)  # strokes of a hand lie a pixel beside the color
    half = cv2.resize(broad, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(half), np.uint8)


def find_misfits(pictures: Pixels, drawings: Pixels) -> Iterator[Misfit]:
    """Yield the drawings that do not fit their pictures.

    Args:
        pictures: (N, SIDE / 2, SIDE / 2) uint8, their edges.
        drawings: the same of their drawings, in the same order.
    """
    fits = np.concatenate(
        [
            (_centered(pictures[start : start + CHUNK]) * _centered(drawings[start : start + CHUNK])).sum(axis=1)
            for start in range(0, len(pictures), CHUNK)
        ]
    )
    lowest = max(LOWEST_FIT, SHARE_OF_USUAL_FIT * float(np.median(fits)))
    doubtful = np.flatnonzero(fits < DOUBTFUL_FIT)
    for place, (other, better) in zip(doubtful, _best_pictures(pictures, drawings, doubtful), strict=True):
        clearly = better > fits[place] + CLEARLY_BETTER
        if fits[place] < lowest or clearly:
            yield Misfit(int(place), float(fits[place]), other if clearly else None, better)


def _best_pictures(pictures: Pixels, drawings: Pixels, chosen: NDArray[np.intp]) -> Iterator[tuple[int, float]]:
    """Yield the picture that each of the chosen drawings fits best, and how well.

    Args:
        pictures: (N, S/2, S/2) uint8, edges.
        drawings: the same of their drawings.
        chosen: (M,) numbers of drawings.
    """
    for first in range(0, len(chosen), CHUNK):
        part = chosen[first : first + CHUNK]
        rows = _centered(drawings[part])
        best, which = np.full(len(part), -1.0, np.float32), np.zeros(len(part), np.intp)
        for start in range(0, len(pictures), CHUNK):
            fits = rows @ _centered(pictures[start : start + CHUNK]).T
            found = fits.max(axis=1) > best
            best[found], which[found] = fits.max(axis=1)[found], fits.argmax(axis=1)[found] + start
        yield from zip(which.tolist(), best.tolist(), strict=True)


def _centered(edges: Pixels) -> NDArray[np.float32]:
    """Return (N, S/2, S/2) uint8 edges as (N, S*S/4) float32 rows of mean 0 and length 1: their products are fits."""
    rows = edges.reshape(len(edges), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)
