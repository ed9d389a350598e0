"""Find the regions that a colorist would fill in a drawing, whether or not its lines have gaps.

A region is what a ball rolls about in that does not fit through the gaps: *trapped-ball segmentation* (S.-H. Zhang, T.
Chen, Y.-F. Zhang, S.-M. Hu, R. R. Martin, "Vectorizing cartoon animations", IEEE TVCG 15 (2009)). There a ball shrinks
in steps and what is found is grown step by step. Here no ball moves: the distance of each pixel from the lines is the
radius of the largest ball around it, so that the areas in which a ball of some radius can lie are the connected areas
of larger distance. Followed from the largest radius down, they appear, grow and meet. Where two meet at a radius that a
gap may have, and both are clearly wider than the place where they meet, that place is a gap: both are regions, however
small. A bay, a strand that gets thinner or hatching open at one end is no wider than its mouth: it belongs to what it
opens into. Last, the regions are grown back along the paper, and under the lines.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

LINE_CONTRAST = 0.2  # a pixel that is darker than the paper around it by this share belongs to a line ...
LEAST_CONTRAST = 16  # ... if it is also darker by that many levels: black areas have noise
PAPER_SHARE, PAPER_PX = 1 / 32, 15  # of the picture's side, and at least: lines are narrower than this
WIDER = 1.5  # times as far from the lines in the middle of a region than in a gap, at least ...
WIDER_PX = 1.0  # ... and this much more: distances are those of pixels
STEP_PX, STEP_SHARE = 0.5, 0.15  # from one radius to the next: the larger of both
SMALLEST_PX = 9  # area of the smallest region; less is a pore in a line
DOT_SIZE = 1.5  # times the gap and part of it: dots whose spaces could be gaps are about as wide as these
ROUND = 0.6  # share of its bounding box that a dot of screentone fills; a ring does not


def find_regions(ink: Bytes, *, gap: int = 8, contrast: float = LINE_CONTRAST) -> tuple[Numbers, int]:
    """Return which region of a drawing every pixel belongs to.

    Args:
        ink: (H, W) uint8, 0 line to 255 paper, as ``lines.clean_drawing`` gives it.
        gap: pixels; lines with holes up to this wide are closed, and dots about as wide are not lines. With 0, every
            hole lets color through.
        contrast: how much darker than the paper around it a line is, at least, in [0, 1]. Thin lines of a drawing
            that was made smaller are faint.

    Returns:
        (H, W) int32, numbers from 1, the largest region first, on lines those of the nearest region; and how many
        regions there are, at least 1.

    Raises:
        ValueError: the drawing has the wrong shape or type, or ``gap`` is negative.
    """
    if ink.ndim != 2 or ink.dtype != np.uint8 or ink.size == 0:
        raise ValueError(f"ink is {ink.dtype} {ink.shape}, not uint8 (H, W)")
    if gap < 0:
        raise ValueError(f"gap is {gap}, must be at least 0")
    paper = find_paper(ink, gap, contrast)
    markers, count = _cores(paper, gap)
    if count == 0:
        return np.ones(ink.shape, np.int32), 1
    return _largest_first(_grown(markers, paper), count)


def find_paper(ink: Bytes, gap: int = 0, contrast: float = LINE_CONTRAST) -> Bytes:
    """Return (H, W) uint8, 1 where a drawing (H, W) uint8 has no line, 0 on lines.

    The inside of a wide gray or black area is paper too, its border is a line; so are dots about as wide as ``gap``.
    """
    # Half blurred, the pores of pencil lines close, and a clear pixel beside a line stays clear.
    soft = cv2.min(ink, cv2.addWeighted(ink, 0.5, cv2.blur(ink, (3, 3)), 0.5, 0))
    side = max(PAPER_PX, round(float(np.sqrt(ink.size)) * PAPER_SHARE) | 1)
    around = cv2.dilate(ink, np.ones((side, side), np.uint8))
    darkness = cv2.subtract(around, soft)
    line = np.asarray((darkness > around * np.float32(contrast)) & (darkness >= LEAST_CONTRAST)).view(np.uint8)
    if gap:
        line[_dots(line, gap)] = 0
    return np.asarray(1 - line, np.uint8)


def _dots(line: Bytes, gap: int) -> Flags:
    """Return (H, W) bool, True on dots of screentone whose spaces would be gaps."""
    joined = cv2.dilate(line, np.ones((3, 3), np.uint8))  # the grains of a pencil line are no dots
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_32S)
    width, height = statistics[:, cv2.CC_STAT_WIDTH], statistics[:, cv2.CC_STAT_HEIGHT]
    dots = (np.maximum(width, height) <= DOT_SIZE * gap + 2) & (np.minimum(width, height) >= gap / DOT_SIZE + 2)
    dots &= statistics[:, cv2.CC_STAT_AREA] >= ROUND * width * height
    dots[0] = False  # the paper
    return dots[labels] if dots.any() else np.zeros(line.shape, bool)


def _radii(gap: int) -> list[float]:
    """Return the radii from that of the widest gap down to half a pixel, which is all paper."""
    radius, radii = gap / 2 + 0.5, []  # the middle of a hole of n pixels is up to n / 2 + 0.5 from the next line pixel
    while radius > 0.5:
        radii.append(radius)
        radius -= max(STEP_PX, STEP_SHARE * radius)
    return [*radii, 0.5]


def _cores(paper: Bytes, gap: int) -> tuple[Numbers, int]:
    """Return (H, W) int32, the middle part of each region by its number from 1, 0 elsewhere; and how many there are."""
    distance = cv2.distanceTransform(paper, cv2.DIST_L2, 5)
    # Every connected area of larger distance has its farthest pixel, so that those stand for the areas.
    peaks = np.flatnonzero((distance == cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (paper > 0))
    heights = distance.ravel()[peaks]
    markers, count = np.zeros(paper.shape, np.int32), 0
    above: tuple[Numbers, Floats, Flags, Numbers] | None = None
    largest = 0.0  # radius that the places where areas meet may have
    for radius in _radii(gap):
        areas, labels = _numbered(distance > radius)
        at_peaks = labels.ravel()[peaks]
        widest, done = np.zeros(areas, np.float32), np.zeros(areas, bool)
        np.maximum.at(widest, at_peaks, heights)
        if above is not None:
            upper, upper_widest, upper_done, upper_at_peaks = above
            now_in = np.zeros(len(upper_widest), np.int32)
            now_in[upper_at_peaks] = at_peaks
            now_in[0] = 0
            region = upper_done | (upper_widest >= WIDER * largest + WIDER_PX)
            region[0] = False
            met = region & (np.bincount(now_in[region], minlength=areas)[now_in] > 1)
            count = _mark(markers, upper, met & ~upper_done, count)
            done[now_in[met | upper_done]] = True
            done[0] = False
        above, largest = (labels, widest, done, at_peaks), radius
    assert above is not None
    labels, _, done, _ = above
    alone = ~done & (np.bincount(labels.ravel(), minlength=len(done)) >= SMALLEST_PX)
    alone[0] = False
    return markers, _mark(markers, labels, alone, count)


def _numbered(flags: Flags) -> tuple[int, Numbers]:
    """Return how many connected areas there are, 0 for the rest included, and (H, W) int32, their numbers."""
    areas, labels = cv2.connectedComponents(flags.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return areas, np.asarray(labels, np.int32)


def _mark(markers: Numbers, labels: Numbers, chosen: Flags, count: int) -> int:
    """Give the chosen areas of ``labels`` the next numbers in ``markers``; return how many numbers are used then."""
    new = int(np.count_nonzero(chosen))
    if new:
        number = np.zeros(len(chosen), np.int32)
        number[chosen] = np.arange(count + 1, count + new + 1)
        markers += number[labels]
    return count + new


def _grown(markers: Numbers, paper: Bytes) -> Numbers:
    """Return (H, W) int32: the numbers of ``markers`` grown along the paper, then everywhere to the nearest pixel."""
    height, width = paper.shape
    # The flood takes equal pixels first, those beside what it has: it runs along the paper before it crosses a line.
    # It leaves the border of its picture out, hence one more pixel all round.
    numbers = cv2.copyMakeBorder(markers, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    terrain = cv2.copyMakeBorder(paper * np.uint8(255), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    cv2.watershed(cv2.cvtColor(terrain, cv2.COLOR_GRAY2BGR), numbers)
    grown: Numbers = np.ascontiguousarray(numbers[1 : height + 1, 1 : width + 1], np.int32)
    grown[paper == 0] = 0  # lines are shared by nearness, not by which flood came first
    empty = grown <= 0  # and where floods met
    _, nearest = cv2.distanceTransformWithLabels(
        empty.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )  # numbers the pixels that are not empty, row by row
    return np.asarray(grown[~empty][nearest - 1], np.int32)


def _largest_first(labels: Numbers, count: int) -> tuple[Numbers, int]:
    """Return the regions numbered by their size, and how many they are."""
    size = np.bincount(labels.ravel(), minlength=count + 1)
    number = np.zeros(len(size), np.int32)
    number[np.argsort(-size, kind="stable")] = np.arange(1, len(size) + 1)
    return number[labels], int(np.count_nonzero(size))
