"""Makes a network's answer use the colors of a palette, and these only.

Each part of the answer gets the color of the palette that is nearest in CIE Lab. Neighbors decide together, and so
does what lines enclose, so that a patchy fill becomes one color. A part is moved as a whole: its light and shade stay.
White (paper, eyes) and black stay what they are, unless they are colors of the palette.

That holds for a network that was not told the palette, too. To find its main colors first, and give each another color
of the palette, uses more colors, but on two pages of one character the same part got the same color less often.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import lab_from_srgb, srgb_from_lab
from pixelpainter.figure import figure_mask
from pixelpainter.flats import SMALLEST_PART, own_patches
from pixelpainter.obey import find_pages, open_paper
from pixelpainter.palette import Swatch

WHITE, BLACK = (100.0, 0.0, 0.0), (8.0, 0.0, 0.0)  # CIE Lab
NEUTRAL_COST = 6.0  # added to the distance from white, black and gray, so that pale skin is skin
MOST_GAIN = 2.0  # how much stronger than painted the colors may have been meant
GRAY_CHROMA = 8.0  # below it, a color counts as gray
NEUTRAL_REACH = 18.0  # farther from them in Lab, a color is neither white nor black
OWN_NEUTRAL = 14.0  # a palette with a color this near to white (black) has a white (black) of its own
NEIGHBORS = 1 / 32  # of the side: pixels this near decide together
CELL_SHARE = 0.02  # of the picture: in what lines enclose, the whole counts as much as the place; more if smaller
MOST_TOGETHER = 4.0  # how much more the whole may count, in the smallest cells
AGREE, LARGEST_CELL = 0.75, 0.3  # of a cell that must agree to make all of it one color; of the picture it may be
BLUR, LINE_VOTE = 2.0, 0.03  # network pixels beside lines are blurred with them: their colors count that little
UNUSUAL = 4.0  # distance in CIE Lab from the usual color of a part where a pixel counts half
KEPT_HUE = 0.5  # of the differences in hue and chroma inside a part; those of lightness stay whole
SEAM = 0.8  # network pixels over which two colors blend where no line parts them

Floats = NDArray[np.float32]


def use_palette(
    answer: Floats, drawing: NDArray[np.uint8], palette: Sequence[Swatch], labels: NDArray[np.int32]
) -> Floats:
    """Return the answer in the colors of a palette.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1], the network's answer.
        drawing: (S, S) uint8, the drawing it was given, 0 ink to 255 paper.
        palette: the colors; with none, the answer stays.
        labels: (S, S) int32, the regions of the drawing, see ``flats.network_regions``.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1]. Pixels on lines stay.
    """
    if not palette:
        return answer
    paper = open_paper(drawing)
    figure = figure_mask(np.rint(answer * 255).astype(np.uint8)) & paper
    if not figure.any():
        return answer
    lab = np.asarray(lab_from_srgb(answer), np.float32)
    wanted = np.asarray(lab_from_srgb(np.array([swatch.color for swatch in palette]) / 255), np.float32)
    # A network that is not sure paints paler than it should.
    shares = np.array([swatch.share for swatch in palette])
    told = float((np.hypot(*wanted[:, 1:].T) * shares).sum() / max(shares.sum(), 1e-6))
    painted = float(np.hypot(lab[..., 1], lab[..., 2])[figure].mean())
    meant = lab * np.array([1, *[min(max(told / max(painted, 1e-6), 1.0), MOST_GAIN)] * 2], np.float32)
    part = _parts(meant, paper, figure, wanted, np.where(paper, labels, 0))
    part[np.isin(labels, find_pages(answer, labels))] = len(wanted)  # a page that is not quite white is a page
    return _moved(answer, lab, paper, part, wanted)


def move_parts(
    answer: Floats, paper: NDArray[np.bool_], part: NDArray[np.intp], colors: Sequence[tuple[int, int, int]]
) -> Floats:
    """Return the answer with its parts in given colors; light and shade stay.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1].
        paper: (S, S) bool, where no line is.
        part: (S, S) the number of the color that each pixel is to have; pixels with other numbers stay.
        colors: sRGB, each 0 to 255.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1]. Pixels on lines stay.
    """
    wanted = np.asarray(lab_from_srgb(np.array(colors) / 255), np.float32)
    return _moved(answer, np.asarray(lab_from_srgb(answer), np.float32), paper, part, wanted)


def _parts(
    lab: Floats, paper: NDArray[np.bool_], figure: NDArray[np.bool_], wanted: Floats, cells: NDArray[np.int32]
) -> NDArray[np.intp]:
    """Return which color each pixel belongs to (S, S): a row of ``wanted``, or a number above for white and black."""
    votes = np.where(_far_from_lines(paper), np.float32(1), np.float32(LINE_VOTE)) * paper
    side = 2 * max(1, round(len(lab) * NEIGHBORS / 2)) + 1
    around = cv2.blur(votes, (side, side)) + 1e-6
    sizes = np.bincount(cells.ravel(), votes.ravel()) + 1e-6
    together = np.minimum(CELL_SHARE * paper.size / sizes, MOST_TOGETHER).astype(np.float32)

    # A network paints paler than it was told: a gray or white must be clearly nearer than skin.
    biases = NEUTRAL_COST * (np.hypot(*wanted[:, 1:].T) < GRAY_CHROMA)
    costs = np.stack(
        [_distance(lab, color) + np.float32(bias) for color, bias in zip(wanted, biases, strict=True)]
        + _neutral_distances(lab, figure, wanted)
    )
    local = np.stack([cv2.blur(cost * votes, (side, side)) / around for cost in costs])
    whole = np.stack([np.bincount(cells.ravel(), (cost * votes).ravel()) / sizes for cost in costs])
    first = np.bincount((cells * len(costs) + local.argmin(axis=0)).ravel(), votes.ravel(), len(sizes) * len(costs))
    agree = first.reshape(len(sizes), -1).max(axis=1) > AGREE * sizes
    together[agree & (sizes < LARGEST_CELL * paper.size)] = MOST_TOGETHER
    part = np.asarray(np.argmin(local + (together * whole.astype(np.float32))[:, cells], axis=0))
    return _one_color_each(part, cells, paper, len(wanted))


def _one_color_each(
    part: NDArray[np.intp], cells: NDArray[np.int32], paper: NDArray[np.bool_], colors: int
) -> NDArray[np.intp]:
    """Give the parts (S, S) of a cell the color of the palette that most of it has.

    White and black stay, and so do patches that lines enclose but for a hole, and cells that are hardly closed.
    """
    kinds = int(part.max()) + 1
    counts = np.bincount((cells * kinds + part)[paper], minlength=(int(cells.max()) + 1) * kinds).reshape(-1, kinds)
    main = counts.argmax(axis=1)
    closed = (main < colors) & (counts.sum(axis=1) < LARGEST_CELL * paper.size)
    patch, own = own_patches(cells, part != main[cells], paper, SMALLEST_PART)
    return np.where(closed[cells] & (part < colors) & ~own[patch], main[cells], part)


def _distance(lab: Floats, color: Sequence[float] | Floats) -> Floats:
    """Return the distance in CIE Lab of each pixel from a color, (S, S)."""
    return np.asarray(np.linalg.norm(lab - np.asarray(color, np.float32), axis=2), np.float32)


def _neutral_distances(lab: Floats, figure: NDArray[np.bool_], wanted: Floats) -> list[Floats]:
    """Return what it costs a pixel to be called white, and black, two (S, S)."""
    costs: list[Floats] = []
    for color in (WHITE, BLACK):
        distance = _distance(lab, color)
        cost = distance + NEUTRAL_COST + 4 * np.maximum(distance - NEUTRAL_REACH, 0)
        if np.linalg.norm(wanted - np.array(color, np.float32), axis=1).min() < OWN_NEUTRAL:
            # Paper around the figure stays white, even where the palette has a white of its own.
            cost = np.where(figure, np.float32(1e3), distance)
        costs.append(np.asarray(cost, np.float32))
    return costs


def _far_from_lines(paper: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.distanceTransform(paper.astype(np.uint8), cv2.DIST_L2, 3) > BLUR)


def _usual(lab: Floats, areas: NDArray[np.int32]) -> Floats:
    """Return the usual color in each area (M, 3) of pixels (N, 3), hardly moved by those of another color."""
    count = int(areas.max(initial=0)) + 1
    weights = np.ones(len(lab), np.float32)
    usual = np.zeros((count, 3), np.float32)
    for _ in range(4):
        total = np.bincount(areas, weights, count) + 1e-6
        for channel in range(3):
            usual[:, channel] = np.bincount(areas, weights * lab[:, channel], count) / total
        distance = np.linalg.norm(lab - usual[areas], axis=1)
        weights = 1 / (1 + (distance / UNUSUAL) ** 2)
    return usual


def _moved(answer: Floats, lab: Floats, paper: NDArray[np.bool_], part: NDArray[np.intp], wanted: Floats) -> Floats:
    """Return the answer (S, S, 3) with each connected part moved to its color."""
    shift, hue, kept = np.zeros_like(lab), lab[..., 1:].copy(), np.ones(part.shape, np.float32)
    for number, color in enumerate(wanted):
        _, areas = cv2.connectedComponents(((part == number) & paper).astype(np.uint8), connectivity=4)
        inside = areas > 0
        usual = _usual(lab[inside], areas[inside])
        shift[inside] = (color - usual)[areas[inside]]
        hue[inside], kept[inside] = color[1:], KEPT_HUE
    far = _far_from_lines(paper)
    blurred = [
        np.where(far, cv2.GaussianBlur(plane, (0, 0), SEAM), plane)  # beside lines, nothing may come from beyond
        for plane in (*shift.transpose(2, 0, 1), *hue.transpose(2, 0, 1), kept)
    ]
    moved = lab + np.stack(blurred[:3], axis=2)
    middle = np.stack(blurred[3:5], axis=2)
    moved[..., 1:] = middle + (moved[..., 1:] - middle) * blurred[5][..., None]
    result = answer.copy()
    changed = paper & (np.abs(moved - lab).max(axis=2) > 1e-3)
    result[changed] = srgb_from_lab(moved[changed])
    return result
