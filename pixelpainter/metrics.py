"""Measures of a colored picture against its truth, none of which needs a downloaded network.

Pictures are sRGB (H, W, 3) uint8, drawings (H, W) uint8 with 0 ink and 255 paper, masks (H, W) bool.
PSNR and SSIM come from scikit-image, which the extra ``train`` brings.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.errors import MissingExtraError

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]

_PAPER = 240  # a pixel whose darkest channel reaches this is near white, lossy compression considered
_INK = 200  # a pixel of a drawing below this belongs to a line
_LINE_MARGIN_PX = 3  # color this near to a line counts as "beside" it
_COLOR_STEP = 2.5  # Lab distance between neighboring pixels above which an edge runs between them
_ONE_COLOR = 10.0  # Lab distance from the median color up to which a region is "nearly one color"
_SMALLEST_REGION_SHARE = 0.002  # of the figure; smaller ones are eyes, buttons and seams
_SMALLEST_REGION_PX = 24
_SEAM_PX = 8.0  # two regions meet where both are within this distance: a line and its margins
_SEAM_INK_SHARE = 0.75  # of the seam between two regions must be ink for a line to part them
_SHORTEST_SEAM_PX = 6


def figure_mask(color: Picture) -> Mask:
    """Return where the figure of a picture is.

    The background is what is near white and connected to the border; white inside the figure belongs
    to the figure. A picture with a colored background is all figure.

    Args:
        color: (H, W, 3) uint8, sRGB.

    Returns:
        (H, W) bool, True inside the figure.
    """
    # three per-channel minima are twenty times faster than min(axis=2)
    darkest = np.minimum(np.minimum(color[..., 0], color[..., 1]), color[..., 2])
    # a frame of paper joins all white that touches the border, so one fill from the corner finds it
    paper = cv2.copyMakeBorder((darkest >= _PAPER).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(paper, None, (0, 0), 2, flags=4)
    return np.asarray(paper[1:-1, 1:-1] != 2)


def psnr(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB over the pixels of the mask (None: all).

    Args:
        result: (H, W, 3) uint8, sRGB.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        dB; infinite for equal pictures, NaN for an empty mask.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    metrics = _scikit_image_metrics()
    mask = _all_if_none(mask, truth)
    if not mask.any():
        return float("nan")
    with np.errstate(divide="ignore"):  # equal pictures: infinite, as documented
        return float(metrics.peak_signal_noise_ratio(truth[mask], result[mask], data_range=255))


def ssim(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the mean structural similarity over the pixels of the mask (None: all).

    Args:
        result: (H, W, 3) uint8, sRGB, H and W at least 11.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        At most 1; NaN for an empty mask.

    Raises:
        MissingExtraError: scikit-image is not installed.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13 (2004): Gaussian window of 11 pixels, sigma 1.5.
    """
    metrics = _scikit_image_metrics()
    mask = _all_if_none(mask, truth)
    if not mask.any():
        return float("nan")
    window: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, similarity = metrics.structural_similarity(truth, result, data_range=255, channel_axis=2, full=True, **window)
    return float(similarity[mask].mean())


def colorfulness(rgb: Picture, mask: Mask | None = None) -> float:
    """Return how colorful the pixels of the mask (None: all) are: 0 gray, about 30 moderate, 100 extreme.

    Source: D. Hasler, S. Suesstrunk, "Measuring colorfulness in natural images", Human Vision and
    Electronic Imaging VIII (2003), the metric M3.
    """
    pixels = rgb[_all_if_none(mask, rgb)].astype(np.float64)
    if not len(pixels):
        return float("nan")
    red_green = pixels[:, 0] - pixels[:, 1]
    yellow_blue = (pixels[:, 0] + pixels[:, 1]) / 2 - pixels[:, 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def baselines(truth: Picture, drawing: Picture, figure: Mask) -> dict[str, Picture]:
    """Return the trivial answers that every PSNR has to be read beside.

    Args:
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8.
        figure: (H, W) bool, the true silhouette.

    Returns:
        (H, W, 3) uint8 pictures: ``white`` page, the ``drawing`` itself, middle ``gray`` (128) in the
        true silhouette on white, the figure's ``mean`` color there.
    """
    white = np.full_like(truth, 255)
    gray, mean = white.copy(), white.copy()
    gray[figure] = 128
    if figure.any():
        mean[figure] = np.round(truth[figure].mean(axis=0)).astype(np.uint8)
    return {"white": white, "drawing": np.repeat(drawing[..., None], 3, axis=2), "gray": gray, "mean": mean}


def region_labels(truth: Picture, drawing: Picture) -> Labels:
    """Return the regions of a truth picture: connected areas of nearly one color, away from lines.

    Soft shading stays in one region as far as it keeps near the region's median color; where light and
    shade meet at an edge, each is a region. Regions below 0.2 % of the figure are dropped.

    Args:
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8.

    Returns:
        (H, W) int32: 0 in no region, else 1 to the number of regions, largest region first.
    """
    figure = figure_mask(truth)
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


def region_neighbors(labels: Labels, drawing: Picture) -> list[tuple[int, int]]:
    """Return the pairs of regions that lie side by side with a line of the drawing between them.

    Light and shade of one surface touch as well, but no line parts them: color may run there.

    Args:
        labels: (H, W) int32 from ``region_labels``.
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


def region_ciede2000(result: Picture, truth: Picture, labels: Labels) -> NDArray[np.float32]:
    """Return the color error of each region: the median over its pixels of CIEDE2000.

    The median of the pixels, not the difference of mean colors: a patchy fill with the right mean is
    wrong, a few stray pixels are not.

    Args:
        result: (H, W, 3) uint8, sRGB.
        truth: (H, W, 3) uint8, sRGB.
        labels: (H, W) int32, 0 in no region.

    Returns:
        (labels.max(),) float32, region 1 first; NaN for a label without pixels.
    """
    inside = labels > 0
    error = ciede2000(lab_from_bytes(result[inside]), lab_from_bytes(truth[inside]))
    return _median_by_region(error, labels[inside], int(labels.max()))


def bleeding(result: Picture, truth: Picture, drawing: Picture) -> float:
    """Return how much worse color is beside lines than inside the regions they enclose.

    Mean over the pixels 1 to 3 px from ink of their CIEDE2000 to the truth minus the median of the
    region they belong to. Only pixels where the truth shows that region's color count, so that the
    truth's own blurred lines are not taken for bleeding.

    Args:
        result: (H, W, 3) uint8, sRGB.
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8.

    Returns:
        Excess CIEDE2000: 0 no bleeding, negative if color is better beside lines; NaN without regions.
    """
    beside, nearest, labels = _beside_lines(truth, drawing)
    if not beside.any():
        return float("nan")
    error = ciede2000(lab_from_bytes(result[beside]), lab_from_bytes(truth[beside]))
    return float((error - region_ciede2000(result, truth, labels)[nearest[beside] - 1]).mean())


def halo(result: Picture, truth: Picture, drawing: Picture) -> float:
    """Return how much lighter color is beside lines than inside its region, compared with the truth.

    Over the same pixels as ``bleeding``: CIE L minus the median L of the region, for the result minus
    for the truth.

    Returns:
        Difference of CIE L: below 0 a dark halo, above 0 a light one; NaN without regions.
    """
    beside, nearest, labels = _beside_lines(truth, drawing)
    if not beside.any():
        return float("nan")
    inside, count = labels > 0, int(labels.max())

    def excess(picture: Picture) -> NDArray[np.float32]:
        usual = _median_by_region(lab_from_bytes(picture[inside])[:, 0], labels[inside], count)
        return np.asarray(lab_from_bytes(picture[beside])[:, 0] - usual[nearest[beside] - 1])

    return float((excess(result) - excess(truth)).mean())


def _beside_lines(truth: Picture, drawing: Picture) -> tuple[Mask, Labels, Labels]:
    """Return the pixels beside lines where the truth shows its region's color, nearest regions, and regions."""
    labels = region_labels(truth, drawing)
    nearest, distance = _nearest_label(labels)
    to_ink = _distance_to_ink(drawing)
    beside = (to_ink >= 1) & (to_ink <= _LINE_MARGIN_PX) & (distance <= _LINE_MARGIN_PX + 1) & (nearest > 0)
    inside, count = labels > 0, int(labels.max())
    lab = lab_from_bytes(truth[inside])
    fill = np.stack([_median_by_region(channel, labels[inside], count) for channel in lab.T], axis=1)
    own = lab_from_bytes(truth[beside])
    beside[beside] = np.linalg.norm(own - fill[nearest[beside] - 1], axis=1) <= _ONE_COLOR
    return beside, nearest, labels


def _scikit_image_metrics() -> Any:
    """Return skimage.metrics, or say which extra brings it."""
    try:
        import skimage.metrics
    except ImportError as error:
        raise MissingExtraError("evaluate", "train", "scikit-image") from error
    return skimage.metrics


def _all_if_none(mask: Mask | None, picture: Picture) -> Mask:
    """Return the mask, or a mask of all pixels."""
    return np.ones(picture.shape[:2], np.bool_) if mask is None else mask


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
