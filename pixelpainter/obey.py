"""Makes a network's answer obey the user's hints to the letter.

A network follows a hint roughly: the hue is right, the shade is its own. What is missing is added to the part of the
answer that the hint stands in: the area of like color around it that no line of the drawing crosses. Shading inside
the area stays, for the same difference is added everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LINE = 0.3  # ink from which a pixel of the network's drawing stops an area
LIKE = 28.0  # levels of 255 that a channel may differ from the color at the hint, so that shading stays inside
STEP = 7.0  # levels of 255 that neighbors may differ: an edge of the answer stops an area, a slope does not
WEAKEST = 1e-6  # keeps the division finite where no hint reaches


def obey(answer: NDArray[np.float32], drawing: NDArray[np.uint8], dots: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the answer with the color around each hint shifted to what the hint says.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1], the network's answer.
        drawing: (S, S) uint8, the drawing it was given, 0 ink to 255 paper.
        dots: (4, S, S) float32, the hints as ``hints.draw_hints`` gives them.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1]. Where several hints stand in one area, each counts by its nearness.
    """
    if not dots[3].any():
        return answer
    wanted = (dots[:3].transpose(1, 2, 0) + 1) / 2
    open_paper = drawing > 255 * (1 - LINE)
    areas = _Areas(answer, open_paper)
    count, labels, statistics, centers = cv2.connectedComponentsWithStats(
        _dot_numbers(dots), connectivity=4, ltype=cv2.CV_32S
    )
    change, weights = np.zeros_like(answer), np.full(answer.shape[:2], WEAKEST, np.float32)
    for number in range(1, count):
        left, top, width, height = statistics[number, :4]
        window = np.s_[top : top + height, left : left + width]
        inside = (labels[window] == number) & open_paper[window]
        if not inside.any():
            continue  # the hint lies on a line: there is no area to paint
        missing = (wanted[window][inside] - answer[window][inside]).mean(axis=0)
        rows, columns = np.nonzero(inside)
        middle = int(np.argmin((rows + top - centers[number, 1]) ** 2 + (columns + left - centers[number, 0]) ** 2))
        reached, part = areas.around(int(columns[middle] + left), int(rows[middle] + top))
        y, x = np.ogrid[part]
        nearness = reached / (1 + (x - centers[number, 0]) ** 2 + (y - centers[number, 1]) ** 2)
        change[part] += nearness[..., None].astype(np.float32) * missing
        weights[part] += nearness.astype(np.float32)
    changed = answer + change / weights[..., None] * (weights > 2 * WEAKEST)[..., None]
    return np.asarray(np.clip(changed, 0, 1), np.float32)


def _dot_numbers(dots: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (S, S) uint8, 1 inside hints, with a seam of 0 where dots of different color touch."""
    inside = dots[3] > 0.5
    apart = inside.copy()
    right = (dots[:, :, 1:] != dots[:, :, :-1]).any(axis=0) & inside[:, :-1]
    below = (dots[:, 1:] != dots[:, :-1]).any(axis=0) & inside[:-1]
    apart[:, 1:] &= ~right
    apart[1:] &= ~below
    numbers: NDArray[np.uint8] = apart.astype(np.uint8)
    return numbers


class _Areas:
    """Areas of like color of an answer, found by flood filling from a pixel."""

    def __init__(self, answer: NDArray[np.float32], open_paper: NDArray[np.bool_]) -> None:
        self._levels = np.rint(cv2.GaussianBlur(answer, (0, 0), 0.7) * 255).astype(np.uint8)
        self._closed = np.pad((~open_paper).astype(np.uint8), 1, constant_values=1)

    def around(self, x: int, y: int) -> tuple[NDArray[np.bool_], tuple[slice, slice]]:
        """Return the area around a pixel as a bool mask of a window, and the window's rows and columns."""
        mask = self._closed.copy()
        step = (STEP,) * 3
        # The mask alone is filled (with 2): the answer's colors must stay for the next hint.
        _, _, _, (left, top, width, height) = cv2.floodFill(
            self._levels, mask, (x, y), (0, 0, 0), step, step, 4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
        )
        part = (slice(top, top + height), slice(left, left + width))
        like = np.abs(self._levels[part].astype(np.int16) - self._levels[y, x]).max(axis=2) <= LIKE
        return (mask[1:-1, 1:-1][part] == 2) & like, part
