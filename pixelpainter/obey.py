"""Makes a network's answer obey the user's hints to the letter.

A network follows a hint roughly: the hue is right, the shade is its own. What is missing is added to the part of the
answer that the hint stands in: the area of like color around it that no line of the drawing crosses. Shading inside
the area stays, for the same difference is added everywhere. A stroke through several areas counts in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LINE = 0.3  # ink from which a pixel of the network's drawing stops an area
# Levels of 255 that a channel may differ from the color at the hint: up to LIKE, shade and patches get the whole shift;
# up to UNLIKE less and less of it, for a sharp end would draw an edge where no line is.
LIKE, UNLIKE = 60.0, 110.0
STEP = 14.0  # levels of 255 that neighbors may differ: an edge of the answer stops an area, a slope does not
SAME = 16 / 255  # of the range [-1, 1]: colors nearer than this belong to one dot or stroke
STROKE_PIXELS, STROKE_SHARE = 10, 0.25  # what a stroke must have in an area, apart from its middle, to count there
MANY = 24  # more hints in one area are not blended: each pixel follows the nearest one, in time that does not grow


def open_paper(drawing: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (S, S) bool, True where a drawing (S, S) uint8 has no line that stops a color."""
    return np.asarray(drawing > 255 * (1 - LINE))


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
    areas = _Areas(answer, open_paper(drawing))
    changed = answer.copy()
    for number, wishes in _wishes(answer, dots, areas).items():
        part = areas.parts[number]
        inside = areas.labels[part] == number
        shift = _nearest_shift if len(wishes) > MANY else _blended_shift
        changed[part] += shift(wishes, areas.levels[part], part) * inside[..., None]
    return np.asarray(np.clip(changed, 0, 1), np.float32)


@dataclass(frozen=True)
class _Wish:
    """What a hint wants in one area: the pixel that stands for it, and the color (3,) that is missing there."""

    x: int
    y: int
    missing: NDArray[np.float32]


def _wishes(answer: NDArray[np.float32], dots: NDArray[np.float32], areas: _Areas) -> dict[int, list[_Wish]]:
    """Return the wishes in each area, by the number of the area."""
    wanted = (dots[:3].transpose(1, 2, 0) + 1) / 2
    count, labels, statistics, centers = cv2.connectedComponentsWithStats(
        _dot_numbers(dots), connectivity=4, ltype=cv2.CV_32S
    )
    wishes: dict[int, list[_Wish]] = {}
    for number in range(1, count):
        left, top, width, height = statistics[number, :4]
        window = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero((labels[window] == number) & areas.paper[window])
        if not len(rows):
            continue  # the hint lies on a line: there is no area to paint
        rows, columns = rows + top, columns + left
        distance = (rows - centers[number, 1]) ** 2 + (columns - centers[number, 0]) ** 2
        below = areas.below(rows, columns)
        for area in np.unique(below):
            own = np.flatnonzero(below == area)
            middle = own[np.argmin(distance[own])]
            if distance[middle] > distance.min() and len(own) < max(STROKE_PIXELS, STROKE_SHARE * len(rows)):
                continue
            missing = (wanted[rows[own], columns[own]] - answer[rows[own], columns[own]]).mean(axis=0)
            wishes.setdefault(int(area), []).append(_Wish(int(columns[middle]), int(rows[middle]), missing))
    return wishes


def _blended_shift(wishes: list[_Wish], levels: NDArray[np.uint8], part: tuple[slice, slice]) -> NDArray[np.float32]:
    """Return what to add in a part of the answer (h, w, 3), each wish weighted by its nearness."""
    y, x = np.ogrid[part]
    shift, weights = np.zeros(levels.shape, np.float32), np.full(levels.shape[:2], 1e-9, np.float32)
    reach = np.zeros(levels.shape[:2], np.float32)
    for wish in wishes:
        own = levels[wish.y - part[0].start, wish.x - part[1].start].astype(np.int16)
        like = _likeness(levels, own)
        reach = np.maximum(reach, like)
        nearness = (like / (1 + (x - wish.x) ** 2 + (y - wish.y) ** 2)).astype(np.float32)
        shift += nearness[..., None] * wish.missing
        weights += nearness
    return np.asarray(shift / weights[..., None] * reach[..., None], np.float32)


def _likeness(levels: NDArray[np.uint8], own: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return (h, w) float32, how much of a shift each pixel gets: 1 near the color ``own``, 0 far from it."""
    distance = np.abs(levels.astype(np.int16) - own).max(axis=2)
    return np.asarray(np.clip((UNLIKE - distance) / (UNLIKE - LIKE), 0, 1), np.float32)


def _nearest_shift(wishes: list[_Wish], levels: NDArray[np.uint8], part: tuple[slice, slice]) -> NDArray[np.float32]:
    """Return what to add in a part of the answer (h, w, 3), each pixel following the nearest wish."""
    rows = np.array([wish.y for wish in wishes]) - part[0].start
    columns = np.array([wish.x for wish in wishes]) - part[1].start
    free = np.ones(levels.shape[:2], np.uint8)
    free[rows, columns] = 0
    _, nearest = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    wish_of = np.zeros(int(nearest.max()) + 1, np.intp)
    wish_of[nearest[rows, columns]] = np.arange(len(wishes))
    wish = wish_of[nearest]
    like = _likeness(levels, levels[rows, columns].astype(np.int16)[wish])
    return np.asarray(np.stack([one.missing for one in wishes])[wish] * like[..., None], np.float32)


def _dot_numbers(dots: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (S, S) uint8, 1 inside hints, with a seam of 0 where dots of different color touch."""
    inside = dots[3] > 0.5
    apart = inside.copy()
    right = (np.abs(np.diff(dots[:3], axis=2)) > SAME).any(axis=0) & inside[:, :-1]
    below = (np.abs(np.diff(dots[:3], axis=1)) > SAME).any(axis=0) & inside[:-1]
    apart[:, 1:] &= ~right
    apart[1:] &= ~below
    numbers: NDArray[np.uint8] = apart.astype(np.uint8)
    return numbers


class _Areas:
    """The areas of an answer without an edge or a line inside, found when a pixel of theirs is asked for.

    Attributes:
        paper: (S, S) bool, where no line is.
        levels: (S, S, 3) uint8, the answer, slightly blurred.
        labels: (S, S) int32, numbers of the areas found so far; 0 elsewhere.
        parts: rows and columns of each area, by its number.
    """

    def __init__(self, answer: NDArray[np.float32], paper: NDArray[np.bool_]) -> None:
        self.paper = paper
        self.levels = np.rint(cv2.GaussianBlur(answer, (0, 0), 0.7) * 255).astype(np.uint8)
        self.labels = np.zeros(paper.shape, np.int32)
        self.parts: dict[int, tuple[slice, slice]] = {}
        self._closed = np.pad((~paper).astype(np.uint8), 1, constant_values=1)

    def below(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return the numbers of the areas that pixels on paper belong to."""
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            if not self.labels[y, x]:
                self._fill(x, y)
        return np.asarray(self.labels[rows, columns])

    def _fill(self, x: int, y: int) -> None:
        step = (STEP,) * 3
        # The mask alone is filled (with 2): the answer's colors must stay for the next hint.
        _, _, _, (left, top, width, height) = cv2.floodFill(
            self.levels, self._closed, (x, y), (0, 0, 0), step, step, 4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
        )
        part = (slice(top, top + height), slice(left, left + width))
        filled = self._closed[1:-1, 1:-1][part]  # a view
        number = len(self.parts) + 1
        self.labels[part][filled == 2] = number
        filled[filled == 2] = 1
        self.parts[number] = part
