"""Fill the regions of a full-size drawing with one color each: what artists call flats.

Lines decide what a region is, and the colors of the picture correct them twice. Where a line is open, the color of hair
and that of the page share a region: they are parted where the colors meet. And hatching cuts one surface into hundreds
of strips, each of which the network paints a little differently: neighbors of nearly one color get one.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.flats import NEIGHBORS, own_patches, region_colors
from pixelpainter.regions import find_paper, find_regions

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Floats = NDArray[np.float32]

GAP_SHARE, SMALLEST_GAP = 8 / 2048, 2  # of the longer side, and pixels: the usual gap
MOST_PIXELS = 20_000_000  # of the drawing in which regions are searched, at 50 bytes each: 1 GB
OTHER_COLOR = 26  # levels of 8-bit CIE Lab by which a color is another than the main one of its region ...
LIGHT_COST = 0.35  # ... in which lightness counts so much: shading changes it
SMALLEST_SHARE = 2e-4  # of the picture: smaller patches of another color are no region of their own
ROUNDS = 2  # a region that three colors share needs two
ALIKE = 3.0  # CIEDE2000: hardly seen side by side, with a line between
STRIP_ALIKE, STRIP_SHARE = 6.0, 1e-3  # the same for regions smaller than this share of the picture: strips, crumbs
NAMED = 5.0  # CIEDE2000: a color this near to one that the user named is that one
DRIFT = 2.0  # times as far, in CIE Lab, may the colors of two groups be that grew by joining others


def fill_regions(
    drawing: Bytes, color: Bytes, gap: int | None = None, named: Bytes | None = None, *, only_named: bool = False
) -> Bytes:
    """Return a picture with one color per region of a drawing.

    Args:
        drawing: (H, W) uint8, 0 line to 255 paper, as ``lines.clean_drawing`` gives it.
        color: (H, W, 3) uint8, sRGB: the colored picture without its lines.
        gap: pixels; lines with holes up to this wide are closed. None = 8 in a picture of 2048, as many less in a
            smaller one, at least 2.
        named: (K, 3) uint8, sRGB: colors that the user named. A region of nearly such a color has exactly that one.
        only_named: there are no other colors: all regions have the nearest of them.

    Returns:
        (H, W, 3) uint8, sRGB, also under the lines.

    Raises:
        ValueError: the arrays do not fit, or ``gap`` is negative.
    """
    if color.shape != (*drawing.shape, 3) or color.dtype != np.uint8:
        raise ValueError(f"drawing {drawing.shape} and color {color.dtype} {color.shape} do not fit")
    height, width = drawing.shape
    gap = usual_gap(width, height) if gap is None else gap
    scale = math.sqrt(MOST_PIXELS / drawing.size)
    reach = math.inf if only_named else NAMED
    if scale >= 1:
        return _filled(drawing, color, gap, named, reach)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small, painted = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (drawing, color))
    filled = _filled(np.asarray(small, np.uint8), np.asarray(painted, np.uint8), math.ceil(gap * scale), named, reach)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def usual_gap(width: int, height: int) -> int:
    """Return the widest hole in a line, in pixels, that is taken for a slip of the pen in a drawing of this size."""
    return max(SMALLEST_GAP, round(GAP_SHARE * max(width, height)))


def _filled(drawing: Bytes, color: Bytes, gap: int, named: Bytes | None, reach: float) -> Bytes:
    labels, _ = find_regions(drawing, gap=gap)
    paper = find_paper(drawing, gap) > 0
    table = region_colors(labels, color)
    for _ in range(ROUNDS):
        parted = _parted(labels, color, table, paper)
        if parted is None:
            break
        labels, table = parted, region_colors(parted, color)
    table = _merged(labels, table)
    return np.asarray((table if named is None else _as_named(table, named, reach))[labels], np.uint8)


def _parted(labels: Numbers, color: Bytes, table: Bytes, paper: NDArray[np.bool_]) -> Numbers | None:
    """Part regions that have two colors because a line is open.

    Args:
        labels: (H, W) int32, the regions.
        color: (H, W, 3) uint8, sRGB.
        table: (N, 3) uint8, sRGB: the main color of each region.
        paper: (H, W) bool, where no line is.

    Returns:
        (H, W) int32, more regions; None if there is nothing to part.
    """
    main = cv2.cvtColor(table[None], cv2.COLOR_RGB2LAB)[0]
    away = cv2.absdiff(cv2.cvtColor(color, cv2.COLOR_RGB2LAB), np.take(main, labels, axis=0))
    other = cv2.transform(away, np.array([[LIGHT_COST, 1, 1]], np.float32)) > OTHER_COLOR
    patch, own = own_patches(labels, np.asarray(other), paper, SMALLEST_SHARE * labels.size)
    if not own.any():
        return None
    number = np.zeros(len(own), np.int32)
    number[own] = np.arange(len(table), len(table) + np.count_nonzero(own))
    parted = np.where(own[patch], number[patch], labels)
    # Under lines, regions that were parted meet as regions do: each pixel goes to the nearest.
    split = np.zeros(len(table), bool)
    split[np.unique(labels[own[patch]])] = True
    unsure = (~paper & split[labels]).view(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(unsure, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    parted[unsure > 0] = parted[unsure == 0][nearest[unsure > 0] - 1]
    return np.asarray(parted, np.int32)


def _merged(labels: Numbers, table: Bytes) -> Bytes:
    """Return the colors of the regions (N, 3) uint8, with one color for neighbors of nearly one color."""
    area = np.bincount(labels.ravel(), minlength=len(table)).astype(np.float64)
    sides = [(labels[one], labels[other]) for one, other in NEIGHBORS]
    touching = [
        np.minimum(*side)[differ] * np.int64(len(table)) + np.maximum(*side)[differ]
        for side in sides
        for differ in [side[0] != side[1]]
    ]
    pairs = np.stack(np.divmod(np.unique(np.concatenate(touching)), len(table)), axis=1)
    if not len(pairs):
        return table
    lab = lab_from_bytes(table).astype(np.float64)
    difference = ciede2000(lab[pairs[:, 0]], lab[pairs[:, 1]])
    small = area[pairs].min(axis=1) < STRIP_SHARE * labels.size
    limit = np.where(small, STRIP_ALIKE, ALIKE)
    order = np.argsort(difference, kind="stable")
    order = order[difference[order] <= limit[order]]
    group, weight, colors = list(range(len(table))), area.tolist(), table.astype(np.float64).tolist()
    middle = lab.tolist()

    def root(region: int) -> int:
        while group[region] != region:
            group[region] = region = group[group[region]]
        return region

    for index, most in zip(order.tolist(), (DRIFT * limit[order]).tolist(), strict=True):
        first, second = root(int(pairs[index, 0])), root(int(pairs[index, 1]))
        if first == second or math.dist(middle[first], middle[second]) > most:
            continue
        if weight[first] < weight[second]:
            first, second = second, first
        share = weight[second] / max(weight[first] + weight[second], 1e-9)
        for values in (middle, colors):
            values[first] = [a + share * (b - a) for a, b in zip(values[first], values[second], strict=True)]
        group[second], weight[first] = first, weight[first] + weight[second]
    roots = np.array([root(region) for region in range(len(table))])
    merged: Bytes = np.rint(np.array(colors)[roots]).astype(np.uint8)
    return merged


def _as_named(table: Bytes, named: Bytes, reach: float) -> Bytes:
    """Return colors (N, 3) with the nearest of the named ones (K, 3) instead of those that are within a CIEDE2000."""
    colors, place = np.unique(table, axis=0, return_inverse=True)
    lab = lab_from_bytes(colors)
    away = np.stack([ciede2000(lab, lab_from_bytes(one[None])) for one in named])
    near = (away.min(axis=0) <= reach) & (colors < 255).any(axis=1)  # a page beside a cream dress stays white
    colors[near] = named[away.argmin(axis=0)[near]]
    return np.asarray(colors[place.ravel()], np.uint8)
