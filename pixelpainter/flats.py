"""One color per region: flats for artists, and even fills for a network that paints in patches.

The color of a region is the one that most of it has, not a mean: where a line is open and two colors share a region,
their mixture would be neither. Pixels near the border of a region count less, for that is where lines are.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.lines import WHITE
from pixelpainter.regions import find_paper, find_regions

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

SAMPLES, MOST_SAMPLES = 128, 400_000  # pixels looked at per region, and in all regions, but for SAMPLES / 16 in each
BINS = 16  # per channel, to find the most frequent color
ALIKE = 0.07  # of the sRGB range: channels that differ less are one color
ROUNDS = 3  # of taking the mean of what is alike
DEEP_PX = 8  # from here on, a pixel is as far from lines as any

SMALL_GAP = 2  # pixels of the network's drawing: a hole that is wider is meant
FAINT = 0.08  # contrast of lines in it: a thin line of a large drawing covers a small part of its pixel
BLURRED_PX = 2.0  # network pixels beside lines are blurred with them and with what is beyond ...
BLURRED_VOTE = 0.02  # ... and count that little
OTHER = 0.2  # of the sRGB range: farther from the main color of its region is another color
SHADE_COST = 0.35  # how much a difference in brightness counts for that, against one in hue or saturation ...
PAPER_COST, PAPER_WHITE = 1.0, 0.96  # ... unless the main color is paper, which has no shade
CONTACT = 1.2  # times the root of its area: a patch that borders on its region for longer is no part of its own
SMALLEST_PART = 12  # pixels
LIGHT_SHARE = 0.3  # of a difference in brightness is evened out, so that shading stays; all of it in a patch
CLEAN, STAIN, CLEAR_COLOR = 0.03, 0.13, 0.25  # of the sRGB range: how far from white a page, a stain, a color may be
FRINGE_PX = 1.0  # sigma of the blur that lines have in the network's answer
BRIGHTEST = 1.15  # times the main color, without losing saturation


Part = tuple[slice, slice]
NEIGHBORS: list[tuple[Part, Part]] = [(np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])]


def region_colors(labels: Numbers, color: Bytes) -> Bytes:
    """Return the color of each region: the most frequent one away from the region's border.

    Args:
        labels: (H, W) int32, numbers of the regions from 1, as ``regions.find_regions`` gives them.
        color: (H, W, 3) uint8, sRGB: the colored picture, with or without its lines.

    Returns:
        (N, 3) uint8, sRGB, from number 0 on. What is nearly white is white.

    Raises:
        ValueError: the arrays do not fit.
    """
    if labels.ndim != 2 or color.shape != (*labels.shape, 3) or color.dtype != np.uint8:
        raise ValueError(f"labels {labels.shape} and color {color.dtype} {color.shape} do not fit")
    inside = np.zeros(labels.shape, np.uint8)
    inside[1:-1, 1:-1] = 1  # the border of the picture is one of regions: there may be a frame
    for one, other in NEIGHBORS:
        border = labels[one] != labels[other]
        inside[one][border] = 0
        inside[other][border] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    places = sample_regions(labels)
    region = labels.ravel()[places]
    weights = np.square(np.minimum(depth.ravel()[places], DEEP_PX)).astype(np.float32) + np.float32(1e-3)
    found = _main_color(region, color.reshape(-1, 3)[places] * np.float32(1 / 255), weights, int(labels.max()) + 1)
    table = np.rint(found * 255).astype(np.uint8)
    table[(table >= WHITE).all(axis=1)] = 255
    return np.asarray(table, np.uint8)


def network_regions(drawing: Bytes) -> Numbers:
    """Return (S, S) int32, the regions of a drawing (S, S) uint8 as a network sees it, see ``regions.find_regions``."""
    return find_regions(drawing, gap=SMALL_GAP, contrast=FAINT)[0]


def even_out(answer: Floats, drawing: Bytes, labels: Numbers, amount: float) -> Floats:
    """Return a network's answer with even fills: in each region, colors are pulled to the main color.

    A patch of another color that lines enclose, but for a hole, is a region of its own. Hue and saturation are evened
    out, brightness much less, so that shading stays.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1], the network's answer.
        drawing: (S, S) uint8, the drawing it was given, 0 ink to 255 paper.
        labels: (S, S) int32, its regions, see ``network_regions``.
        amount: from 0, nothing changes, to 1.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1]. Pixels on lines stay.

    Raises:
        ValueError: the arrays do not fit, or ``amount`` is not from 0 to 1.
    """
    if answer.shape != (*drawing.shape, 3) or answer.dtype != np.float32 or labels.shape != drawing.shape:
        raise ValueError(
            f"drawing {drawing.shape}, labels {labels.shape} and answer {answer.dtype} {answer.shape} do not fit"
        )
    if not 0 <= amount <= 1:
        raise ValueError(f"amount is {amount}, must be from 0 to 1")
    paper = find_paper(drawing, contrast=FAINT)
    distance = cv2.distanceTransform(paper, cv2.DIST_L2, 3)
    votes = np.where(distance > BLURRED_PX, np.float32(1), np.float32(BLURRED_VOTE))
    votes[paper == 0] = 0
    around = cv2.dilate(drawing, np.ones((7, 7), np.uint8))  # a gray area is no fringe of a line
    light = (cv2.GaussianBlur(drawing, (0, 0), FRINGE_PX) + np.float32(1)) / (around + np.float32(1))
    even, other = _evened(answer, labels, votes, light)
    patch, own = own_patches(labels, other > OTHER, paper > 0, SMALLEST_PART)
    if own.any():
        rows, columns = np.nonzero(own[patch])
        place = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        inside = own[patch[place]]
        number = np.where(inside, patch[place], 0)
        even[place][inside] = _evened(answer[place], number, votes[place] * inside, light[place])[0][inside]
    changed = cv2.addWeighted(answer, 1 - amount, even, amount, 0)
    np.clip(changed, 0, 1, out=changed)
    changed[paper == 0] = answer[paper == 0]
    return np.asarray(changed, np.float32)


def whiten_pages(answer: Floats, drawing: Bytes, labels: Numbers, pages: Indices, amount: float) -> Floats:
    """Return a network's answer without pale stains on white pages around the figure.

    What lines enclose but for a hole is no stain, nor is a color that is clearly one: an open outline may end there.

    Args:
        answer: (S, S, 3) float32 sRGB in [0, 1].
        drawing: (S, S) uint8, 0 ink to 255 paper.
        labels: (S, S) int32, its regions, see ``network_regions``.
        pages: which of them are page, see ``obey.find_pages``.
        amount: from 0, nothing changes, to 1.

    Returns:
        (S, S, 3) float32 sRGB in [0, 1].
    """
    if not len(pages):
        return answer
    paper = find_paper(drawing, contrast=FAINT) > 0
    page = np.isin(labels, pages) & paper
    tint = 1 - answer.min(axis=2)
    patch, own = own_patches(labels, page & (tint > CLEAN), paper, SMALLEST_PART)
    share = np.clip((CLEAR_COLOR - tint) / (CLEAR_COLOR - STAIN), 0, amount) * (page & ~own[patch])
    return np.asarray(answer + (1 - answer) * share[..., None], np.float32)


def _evened(answer: Floats, labels: Numbers, votes: Floats, light: Floats) -> tuple[Floats, Floats]:
    """Make each region even.

    Args:
        answer: (h, w, 3) float32, sRGB.
        labels: (h, w) int32, the regions.
        votes: (h, w) float32, how much each pixel counts for the main color of its region.
        light: (h, w) float32 in [0, 1], what blurred lines leave of the light.

    Returns:
        (h, w, 3) the main color of the region, in the pixel's own shade where that may be shading, and (h, w) how far
        the answer is from the main color.
    """
    places = sample_regions(labels)
    count = int(labels.max()) + 1
    main = _main_color(labels.ravel()[places], answer.reshape(-1, 3)[places], votes.ravel()[places], count)
    cost = np.where(main.min(axis=1) >= PAPER_WHITE, np.float32(PAPER_COST), np.float32(SHADE_COST))
    aim = np.take(main, labels, axis=0) * light[..., None]
    brightness, wanted = (cv2.cvtColor(color, cv2.COLOR_RGB2GRAY) for color in (answer, aim))
    shaded = aim * np.minimum(brightness / np.maximum(wanted, 1e-3), np.float32(BRIGHTEST))[..., None]
    difference = answer - shaded
    other = np.sqrt(np.einsum("ijk,ijk->ij", difference, difference)) + cost[labels] * cv2.absdiff(brightness, wanted)
    shaded += np.clip(other / np.float32(OTHER), LIGHT_SHARE, 1)[..., None] * (aim - shaded)
    return shaded, np.asarray(other, np.float32)


def own_patches(labels: Numbers, other: Flags, paper: Flags, smallest: float) -> tuple[Numbers, Flags]:
    """Find patches of other color than their region's that lines enclose but for a hole.

    A patch that the network painted by mistake has its border in the open. What shares a region because a line is
    open touches the rest in that hole only.

    Args:
        labels: (H, W) int32, the regions.
        other: (H, W) bool, where the color is another than the main color of the region.
        paper: (H, W) bool, where no line is.
        smallest: area of the smallest patch, in pixels.

    Returns:
        (H, W) int32, the patches by number, 0 elsewhere; and which numbers are such patches.
    """
    apart = (other & paper).astype(np.uint8)
    for one, two in NEIGHBORS:
        apart[one][labels[one] != labels[two]] = 0
    patches, patch = cv2.connectedComponents(apart, connectivity=4, ltype=cv2.CV_32S)
    area = np.bincount(patch.ravel(), minlength=patches)
    contact = np.zeros(patches)
    rest = (patch == 0) & paper
    for one, two in [*NEIGHBORS, *[(two, one) for one, two in NEIGHBORS]]:
        border = (patch[one] > 0) & rest[two] & (labels[one] == labels[two])
        contact += np.bincount(patch[one][border], minlength=patches)
    own = (contact < CONTACT * np.sqrt(area)) & (area >= smallest)
    own[0] = False
    return np.asarray(patch, np.int32), own


def sample_regions(labels: Numbers) -> Indices:
    """Return places in ``labels``: at random about as many in each large region, all pixels of small ones."""
    size = np.bincount(labels.ravel())
    most = min(SAMPLES, max(SAMPLES // 16, MOST_SAMPLES // len(size)))
    share = (most / np.maximum(size, 1)).astype(np.float32)
    # Multiples of the golden ratio lie evenly in [0, 1), and need no import of numpy.random (Knuth 1998, 6.4).
    chance = np.arange(labels.size, dtype=np.uint32) * np.uint32(2654435769) >> np.uint32(8)
    return np.flatnonzero(chance < share[labels.ravel()] * 2**24)


def _main_color(region: Numbers, color: Floats, weights: Floats, count: int) -> Floats:
    """Return the most frequent color of each region, (count, 3), of samples: their regions (N,), (N, 3) and (N,)."""
    bins = (color * (BINS - 0.01)).astype(np.int64) @ np.array([BINS * BINS, BINS, 1])
    kinds, kind = np.unique(region.astype(np.int64) * BINS**3 + bins, return_inverse=True)
    weight = np.bincount(kind, weights)
    best = np.full(count, -1)
    order = np.argsort(weight, kind="stable")
    best[kinds[order] // BINS**3] = order  # the last one stays: the heaviest
    like = best[region] == kind
    found = np.zeros((count, 3), np.float32)
    for _ in range(ROUNDS):
        near = weights * like
        total = np.maximum(np.bincount(region, near, count), 1e-9)
        for channel in range(3):
            found[:, channel] = np.bincount(region, near * color[:, channel], count) / total
        like = (np.abs(color - found[region]) < ALIKE).all(axis=1)
    return found
