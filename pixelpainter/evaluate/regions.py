"""Measures that look at regions: connected areas of nearly one color, away from lines.

They see what people see in a colored drawing: hair in the wrong color, color that runs over a line, a dark seam beside
lines. PSNR is ruled by the largest area, and hardly sees the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_bytes
from pixelpainter.metrics import Mask, Picture

Labels = NDArray[np.int32]

_INK = 200  # a pixel of a drawing below this belongs to a line
_LINE_MARGIN_PX = 3  # color this near to a line counts as "beside" it
_COLOR_STEP = 2.5  # Lab distance between neighboring pixels above which an edge runs between them
_ONE_COLOR = 10.0  # Lab distance from the median color up to which a region is "nearly one color"
_SMALLEST_REGION_SHARE = 0.002  # of the figure; smaller ones are eyes, buttons and seams
_SMALLEST_REGION_PX = 24
_SEAM_PX = 8.0  # two regions meet where both are within this distance: a line and its margins
_SEAM_INK_SHARE = 0.75  # of the seam between two regions must be ink for a line to part them
_SHORTEST_SEAM_PX = 6


@dataclass(frozen=True)
class Regions:
    """The regions of a true picture, and the pixels beside its lines.

    Attributes:
        truth: (H, W, 3) uint8, sRGB.
        labels: (H, W) int32: 0 in no region, else 1 to ``count``, largest region first.
        beside: (H, W) bool, the pixels 1 to 3 px from ink where the truth shows the color of the nearest region, and
            not its own blurred lines.
        nearest: (H, W) int32, label of the nearest region.
    """

    truth: Picture
    labels: Labels
    beside: Mask
    nearest: Labels

    @property
    def count(self) -> int:
        """Number of regions."""
        return int(self.labels.max())

    def color_errors(self, difference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the color error of each region: the median over its pixels of CIEDE2000.

        The median of the pixels, not the difference of mean colors: a patchy fill with the right mean is
        wrong, a few stray pixels are not.

        Args:
            difference: (H, W) float32, CIEDE2000 between result and truth.

        Returns:
            (count,) float32, region 1 first.
        """
        inside = self.labels > 0
        return _median_by_region(difference[inside], self.labels[inside], self.count)

    def bleeding(self, difference: NDArray[np.float32]) -> float:
        """Return how much worse color is beside lines than inside the regions they enclose.

        Mean over the pixels beside lines of their CIEDE2000 to the truth minus the median of the nearest region.

        Args:
            difference: (H, W) float32, CIEDE2000 between result and truth.

        Returns:
            Excess CIEDE2000: 0 no bleeding, negative if color is better beside lines; NaN without such pixels.
        """
        if not self.beside.any():
            return float("nan")
        usual = self.color_errors(difference)[self.nearest[self.beside] - 1]
        return float((difference[self.beside] - usual).mean())

    def halo(self, result: Picture) -> float:
        """Return how much lighter color is beside lines than inside its region, compared with the truth.

        Mean over the pixels beside lines of their CIE L minus the median L of the nearest region, for the result minus
        for the truth.

        Args:
            result: (H, W, 3) uint8, sRGB.

        Returns:
            Difference of CIE L: below 0 a dark halo, above 0 a light one; NaN without such pixels.
        """
        if not self.beside.any():
            return float("nan")
        return float((self._excess_lightness(result) - self._excess_lightness(self.truth)).mean())

    def _excess_lightness(self, picture: Picture) -> NDArray[np.float32]:
        inside = self.labels > 0
        usual = _median_by_region(lab_from_bytes(picture[inside])[:, 0], self.labels[inside], self.count)
        return np.asarray(lab_from_bytes(picture[self.beside])[:, 0] - usual[self.nearest[self.beside] - 1])


def find_regions(truth: Picture, drawing: Picture, figure: Mask) -> Regions:
    """Return the regions of a true picture.

    Args:
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8, 0 ink and 255 paper.
        figure: (H, W) bool, all but the white page: where regions lie.
    """
    labels = _region_labels(truth, drawing, figure)
    nearest, distance = _nearest_label(labels)
    to_ink = _distance_to_ink(drawing)
    beside = (to_ink >= 1) & (to_ink <= _LINE_MARGIN_PX) & (distance <= _LINE_MARGIN_PX + 1) & (nearest > 0)
    inside, count = labels > 0, int(labels.max())
    lab = lab_from_bytes(truth[inside])
    fill = np.stack([_median_by_region(channel, labels[inside], count) for channel in lab.T], axis=1)
    own = lab_from_bytes(truth[beside])
    beside[beside] = np.linalg.norm(own - fill[nearest[beside] - 1], axis=1) <= _ONE_COLOR
    return Regions(truth, labels, beside, nearest)


def region_neighbors(labels: Labels, drawing: Picture) -> list[tuple[int, int]]:
    """Return the pairs of regions that lie side by side with a line of the drawing between them.

    Light and shade of one surface touch as well, but no line parts them: color may run there.

    Args:
        labels: (H, W) int32 of ``Regions``.
        drawing: (H, W) uint8.

    Returns:
        Pairs (smaller label, larger label), sorted.
    """
    nearest, distance = _nearest_label(labels)
    ink = cv2.dilate((drawing < _INK).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    seams: list[NDArray[np.int64]] = []
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        seam = (nearest[one] != nearest[other]) & (distance[one] < _SEAM_PX) & (distance[other] < _SEAM_PX)
        first, second = nearest[one][seam], nearest[other][seam]
        seams.append(np.stack([np.minimum(first, second), np.maximum(first, second), ink[one][seam]], axis=1))
    pairs, where = np.unique(np.concatenate(seams)[:, :2], axis=0, return_inverse=True)
    inked = np.bincount(where.ravel(), weights=np.concatenate(seams)[:, 2], minlength=len(pairs))
    length = np.bincount(where.ravel(), minlength=len(pairs))
    parted = (length >= _SHORTEST_SEAM_PX) & (inked >= _SEAM_INK_SHARE * length)
    return [(int(first), int(second)) for first, second in pairs[parted]]


def _region_labels(truth: Picture, drawing: Picture, figure: Mask) -> Labels:
    """Return (H, W) int32 labels of the connected areas of nearly one color away from lines, largest first.

    Soft shading stays in one region as far as it keeps near the region's median color; where light and
    shade meet at an edge, each is a region. Regions below 0.2 % of the figure are dropped.
    """
    lab = lab_from_bytes(np.asarray(cv2.medianBlur(np.ascontiguousarray(truth), 5), np.uint8))
    flat = figure & (_distance_to_ink(drawing) > _LINE_MARGIN_PX)
    flat[:, 1:] &= np.linalg.norm(np.diff(lab, axis=1), axis=2) < _COLOR_STEP
    flat[1:] &= np.linalg.norm(np.diff(lab, axis=0), axis=2) < _COLOR_STEP
    smallest = max(_SMALLEST_REGION_PX, _SMALLEST_REGION_SHARE * float(np.count_nonzero(figure)))
    rough = _components(flat, smallest)
    near = np.zeros_like(flat)
    for label in range(1, int(rough.max()) + 1):
        inside = rough == label
        pixels = lab[inside]
        near[inside] = np.linalg.norm(pixels - np.median(pixels, axis=0), axis=1) <= _ONE_COLOR
    return _components(near, smallest)


def _distance_to_ink(drawing: Picture) -> NDArray[np.float32]:
    """Return (H, W) float32, the distance in pixels to the nearest line; 0 on lines."""
    return np.asarray(cv2.distanceTransform((drawing >= _INK).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _components(mask: Mask, smallest: float) -> Labels:
    """Return the 4-connected parts of a mask of at least ``smallest`` pixels, numbered from the largest."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] >= smallest]
    number = np.zeros(len(areas) + 1, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    return np.asarray(number[parts])


def _nearest_label(labels: Labels) -> tuple[Labels, NDArray[np.float32]]:
    """Return each pixel's nearest region (H, W) and the distance to it in pixels; 0 everywhere without regions."""
    outside = (labels == 0).astype(np.uint8)
    distance, index = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    label_of_index = np.zeros(int(index.max()) + 1, np.int32)
    label_of_index[index[labels > 0]] = labels[labels > 0]
    return label_of_index[index], np.asarray(distance, np.float32)


def _median_by_region(values: NDArray[Any], labels: Labels, count: int) -> NDArray[np.float32]:
    """Return the median of the values (N,) with each label (N,) from 1 to ``count``; NaN where there is none."""
    order = np.argsort(labels, kind="stable")
    numbers, starts = np.unique(labels[order], return_index=True)
    medians = np.full(count, np.nan, np.float32)
    for number, part in zip(numbers, np.split(values[order], starts[1:]), strict=False):
        medians[number - 1] = np.median(part)
    return medians
