"""Makes a network's answer obey the user's hints to the letter.

A network follows a hint roughly: the hue is right, the shade is its own. What is missing is added to the region of the
drawing that the hint stands in, as far as the answer has a like color there. Shading inside the region stays, for the
same difference is added everywhere. A stroke through several regions counts in each.

A network also follows a hint near it only: black in blond hair makes a dark cloud. What has one color without the hint
is one thing, and where the network has not gone all the way from that color to the one at the hint, the rest is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LINE = 0.3  # ink from which a pixel of the network's drawing stops an area
# Levels of 255 that a channel may differ from the color at the hint: up to LIKE, shade and patches get the whole shift;
# up to UNLIKE less and less of it, for a sharp end would draw an edge where no line is.
LIKE, UNLIKE = 60.0, 110.0
SAME = 16 / 255  # of the range [-1, 1]: colors nearer than this belong to one dot or stroke
STROKE_PIXELS, STROKE_SHARE = 10, 0.25  # what a stroke must have in a region, apart from its middle, to count there
# A hint near a line, on the page around the figure, is often meant for the figure, and so is one in a figure that an
# open outline joins to the page: it paints this many times as far as it stands from the line. Another one paints all of
# the page: one that stands so many pixels off the lines, where a ball of a larger radius rolls to from the border.
PAGE_REACH, PAGE_CLEAR, PAGE_BALL = 3.0, 4.0, 8
PAGE_WHITE, PAGE_BORDER = 0.93, 0.2  # least sRGB of the page, and its least share of the picture's border
MANY = 24  # more hints in one region are not blended: each pixel follows the nearest one, in time that does not grow


def open_paper(drawing: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (S, S) bool, True where a drawing (S, S) uint8 has no line that stops a color."""
    return np.asarray(drawing > 255 * (1 - LINE))


def obey(
    answer: NDArray[np.float32],
    drawing: NDArray[np.uint8],
    dots: NDArray[np.float32],
    labels: NDArray[np.int32],
    plain: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the answer with the color around each hint shifted to what the hint says.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1], the network's answer.
        drawing: (S, S) uint8, the drawing it was given, 0 ink to 255 paper.
        dots: (4, S, S) float32, the hints as ``hints.draw_hints`` gives them.
        labels: (S, S) int32, the regions of the drawing, see ``flats.network_regions``.
        plain: (S, S, 3) float32 sRGB in [0, 1], the answer without hints; None if the network was not told them.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1]. Where several hints stand in one region, each counts by its nearness.
    """
    if not dots[3].any():
        return answer
    paper = open_paper(drawing)
    pages = find_pages(answer, labels)
    levels = _levels(answer)
    before = None if plain is None else _levels(plain)
    changed = answer.copy()
    for number, wishes in _wishes(answer, dots, paper, labels, pages).items():
        inside = labels == number
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        if len(wishes) > MANY:
            shift = _nearest_shift(wishes, levels[part], part)
        else:
            # Of hints of several colors in one region, each has its own part of it, as the network has painted them.
            alone = float(np.ptp([wish.color for wish in wishes], axis=0).max()) <= SAME / 2
            unhinted = (before[part], inside[part] & paper[part]) if before is not None and alone else None
            shift = _blended_shift(wishes, levels[part], part, unhinted)
        changed[part] += shift * inside[part][..., None]
    return np.asarray(np.clip(changed, 0, 1), np.float32)


@dataclass(frozen=True)
class _Wish:
    """What a hint wants in one region.

    Attributes:
        x, y: the pixel that stands for it.
        color: (3,) sRGB in [0, 1].
        missing: (3,) what is missing of it there.
        reach: pixels from there to where the wish ends.
    """

    x: int
    y: int
    color: NDArray[np.float32]
    missing: NDArray[np.float32]
    reach: float


def _wishes(
    answer: NDArray[np.float32],
    dots: NDArray[np.float32],
    paper: NDArray[np.bool_],
    labels: NDArray[np.int32],
    pages: NDArray[np.intp],
) -> dict[int, list[_Wish]]:
    """Return the wishes in each region, by the number of the region."""
    wanted = (dots[:3].transpose(1, 2, 0) + 1) / 2
    page_reach = _page_reach(paper) if len(pages) else None
    count, numbers, statistics, centers = cv2.connectedComponentsWithStats(
        dot_numbers(dots), connectivity=4, ltype=cv2.CV_32S
    )
    wishes: dict[int, list[_Wish]] = {}
    for number in range(1, count):
        left, top, width, height = statistics[number, :4]
        window = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero((numbers[window] == number) & paper[window])
        if not len(rows):
            continue  # the hint lies on a line: there is no region to paint
        rows, columns = rows + top, columns + left
        distance = (rows - centers[number, 1]) ** 2 + (columns - centers[number, 0]) ** 2
        below = labels[rows, columns]
        for region in np.unique(below):
            own = np.flatnonzero(below == region)
            middle = own[np.argmin(distance[own])]
            if distance[middle] > distance.min() and len(own) < max(STROKE_PIXELS, STROKE_SHARE * len(rows)):
                continue
            color = wanted[rows[own], columns[own]].mean(axis=0)
            missing = color - answer[rows[own], columns[own]].mean(axis=0)
            x, y = int(columns[middle]), int(rows[middle])
            reach = math.inf if page_reach is None or region not in pages else float(page_reach[y, x])
            wishes.setdefault(int(region), []).append(_Wish(x, y, color, missing, reach))
    return wishes


def find_pages(answer: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the regions that are white page around the figure."""
    border = _border(labels)
    numbers, counts = np.unique(border, return_counts=True)
    wide = numbers[counts >= PAGE_BORDER * len(border)]
    return np.array([number for number in wide if np.median(answer[labels == number]) >= PAGE_WHITE], np.intp)


def _page_reach(paper: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how far a hint at each pixel of a page paints, (S, S) float32, infinite where it is meant for the page."""
    clear = np.asarray(cv2.distanceTransform(paper.astype(np.uint8), cv2.DIST_L2, 3), np.float32)
    _, areas = cv2.connectedComponents((clear > PAGE_BALL).astype(np.uint8), ltype=cv2.CV_32S)
    border = _border(np.asarray(areas, np.int32))
    wide = np.bincount(border, minlength=int(areas.max()) + 1) >= PAGE_BORDER * len(border)
    wide[0] = False
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * PAGE_BALL + 1, 2 * PAGE_BALL + 1))
    rolled = cv2.dilate(wide[areas].astype(np.uint8), ball) > 0
    return np.where(rolled & (clear > PAGE_CLEAR), np.float32(np.inf), PAGE_REACH * clear)


def _border(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the values (N,) along the border of a picture (S, S)."""
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def _within(distance: NDArray[np.floating[Any]], reach: NDArray[np.floating[Any]] | float) -> NDArray[np.float32]:
    """Return 1 up to a reach, 0 from twice as far."""
    return np.asarray(np.clip(2 - distance / np.maximum(reach, 1e-6), 0, 1), np.float32)


def _levels(answer: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an answer in levels of 255, slightly smoothed."""
    return np.rint(cv2.GaussianBlur(answer, (0, 0), 0.7) * 255).astype(np.uint8)


def _blended_shift(
    wishes: list[_Wish],
    levels: NDArray[np.uint8],
    part: tuple[slice, slice],
    unhinted: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None,
) -> NDArray[np.float32]:
    """Return what to add in a part of the answer (h, w, 3), each wish weighted by its nearness.

    ``unhinted`` is the answer without hints (h, w, 3) and where the region is off its lines (h, w).
    """
    y, x = np.ogrid[part]
    shift, weights = np.zeros(levels.shape, np.float32), np.full(levels.shape[:2], 1e-9, np.float32)
    reach = np.zeros(levels.shape[:2], np.float32)
    for wish in wishes:
        here = wish.y - part[0].start, wish.x - part[1].start
        missing = wish.missing
        if unhinted is None:
            like = _likeness(levels, levels[here].astype(np.int16))
        else:
            before, inside = unhinted
            like = _likeness(before, before[here].astype(np.int16))
            missing = missing + _not_followed(levels, wish, inside & (like == 1))
        away = (x - wish.x) ** 2 + (y - wish.y) ** 2
        like *= _within(np.sqrt(away), wish.reach)
        reach = np.maximum(reach, like)
        nearness = (like / (1 + away)).astype(np.float32)
        shift += nearness[..., None] * missing
        weights += nearness
    return np.asarray(shift / weights[..., None] * reach[..., None], np.float32)


def _not_followed(levels: NDArray[np.uint8], wish: _Wish, same: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what each pixel (h, w, 3) lacks of the way from the usual color of one thing to the color at a hint in it.

    Args:
        levels: (h, w, 3) uint8.
        wish: that of the hint.
        same: (h, w) bool, where the thing is; the hint is in it.
    """
    own = (wish.color - wish.missing) * 255
    way = own - np.median(levels[same], axis=0).astype(np.float32)
    gone = 1 + (levels - own) @ way / max(float(way @ way), 1.0)
    return np.asarray((1 - np.clip(gone, 0, 1))[..., None] * way / 255, np.float32)


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
    distance, nearest = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    wish_of = np.zeros(int(nearest.max()) + 1, np.intp)
    wish_of[nearest[rows, columns]] = np.arange(len(wishes))
    wish = wish_of[nearest]
    like = _likeness(levels, levels[rows, columns].astype(np.int16)[wish])
    like *= _within(np.asarray(distance, np.float32), np.array([one.reach for one in wishes])[wish])
    return np.asarray(np.stack([one.missing for one in wishes])[wish] * like[..., None], np.float32)


def dot_numbers(dots: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (S, S) uint8 for hints (4, S, S): 1 inside them, with a seam of 0 where dots of different color touch."""
    inside = dots[3] > 0.5
    apart = inside.copy()
    right = (np.abs(np.diff(dots[:3], axis=2)) > SAME).any(axis=0) & inside[:, :-1]
    below = (np.abs(np.diff(dots[:3], axis=1)) > SAME).any(axis=0) & inside[:-1]
    apart[:, 1:] &= ~right
    apart[1:] &= ~below
    numbers: NDArray[np.uint8] = apart.astype(np.uint8)
    return numbers
