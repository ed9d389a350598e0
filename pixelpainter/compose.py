"""Put the network's small color picture under the user's full-size lines.

The network answers at about 256 pixels, with its own blurred lines in the answer; the drawing has 2048. Scaling the
answer up would give every line a dark halo and carry color across it. Instead the drawing decides where colors may
mix. It is cut into *cells*, one per pixel of the answer, and every cell into the *pieces* that lines cut it into. The
colors of the pieces are found by least squares:

* a cell's answer is the sum of its pieces' colors, each times the light that the drawing lets through there. How
  strong and how blurred the network draws lines is measured first, on the same picture;
* pieces that touch at the border of two cells have similar colors, the more so the longer they touch, and pieces
  on two sides of a line have nothing to do with each other.

Cells far from lines keep the network's answer. The full-size color layer is interpolated between touching pieces only.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.lines import multiply_lines
from pixelpainter.pieces import Bytes, Floats, Indices, Links, Pieces, cut, find_links
from pixelpainter.unmix import solve_colors

LineMode = Literal["original", "model", "none"]

# Pixels of the working drawing for one value of the answer: at least FEW (twice the drawing's own, where it is small),
# so that slopes of lines survive; at most MANY: more adds time, not color, for the answer has one value per cell.
FEW, MANY = 4, 8


class LetterboxLike(Protocol):
    """Where the drawing lies in the network's square, in its pixels (``imaging.Letterbox``)."""

    @property
    def top(self) -> int: ...  # noqa: D102
    @property
    def left(self) -> int: ...  # noqa: D102
    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102


def compose(ink: Bytes, color: Floats, box: LetterboxLike, *, lines: LineMode = "original") -> Bytes:
    """Return the colored picture at the size of the drawing.

    Args:
        ink: (H, W) uint8, 255 paper to 0 full ink: what is multiplied over the color.
        color: (S, S, 3) float32, sRGB in [0, 1]: the network's answer for the letterboxed drawing.
        box: where the drawing lies in the answer.
        lines: ``original`` multiplies ``ink`` over the color, ``none`` gives the color alone, ``model`` is the answer
            as the network painted it, with its own lines.

    Returns:
        (H, W, 3) uint8, sRGB.

    Raises:
        ValueError: an array has the wrong shape or type, or the box does not fit the answer.
    """
    if lines not in get_args(LineMode):
        raise ValueError(f"lines is {lines!r}, not one of {', '.join(get_args(LineMode))}")
    _check(ink, color, box)
    if lines == "model":
        answer = _to_bytes(_cropped(color, box))
        return _resized(answer, ink.shape[1], ink.shape[0], cv2.INTER_CUBIC)
    layer = color_layer(ink, color, box)
    return multiply_lines(layer, ink) if lines == "original" else layer


def color_layer(ink: Bytes, color: Floats, box: LetterboxLike) -> Bytes:
    """Return the color without lines, at the size of the drawing, changing only where the drawing has lines.

    Args:
        ink: (H, W) uint8, 255 paper to 0 full ink.
        color: (S, S, 3) float32, sRGB in [0, 1].
        box: where the drawing lies in the answer.

    Returns:
        (H, W, 3) uint8, sRGB.

    Raises:
        ValueError: an array has the wrong shape or type, or the box does not fit the answer.
    """
    _check(ink, color, box)
    height, width = ink.shape
    own = max(-(-height // box.height), -(-width // box.width))
    zoom = min(MANY, max(own, min(FEW, 2 * own)))
    drawing = _resized(ink, box.width * zoom, box.height * zoom, cv2.INTER_LINEAR)
    answer = np.ascontiguousarray(_cropped(color, box))
    pieces = cut(drawing, zoom)
    if pieces is None:
        layer = _resized(_to_bytes(answer), box.width * zoom, box.height * zoom, cv2.INTER_LINEAR)
    else:
        links = find_links(pieces)
        layer = _paint(pieces, links, solve_colors(pieces, links, answer.reshape(-1, 3).T))
    return _resized(layer, width, height, cv2.INTER_LINEAR)


def _check(ink: Bytes, color: Floats, box: LetterboxLike) -> None:
    if ink.ndim != 2 or ink.dtype != np.uint8 or ink.size == 0:
        raise ValueError(f"ink is {ink.dtype} {ink.shape}, not uint8 (H, W)")
    if color.ndim != 3 or color.shape[2] != 3 or color.dtype != np.float32:
        raise ValueError(f"color is {color.dtype} {color.shape}, not float32 (S, S, 3)")
    inside = min(box.top, box.left) >= 0 and min(box.height, box.width) > 0
    if not inside or box.top + box.height > color.shape[0] or box.left + box.width > color.shape[1]:
        raise ValueError(f"{box} does not fit a color picture of {color.shape[1]}x{color.shape[0]} pixels")


def _cropped(color: Floats, box: LetterboxLike) -> Floats:
    return color[box.top : box.top + box.height, box.left : box.left + box.width]


def _to_bytes(color: Floats) -> Bytes:
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)


def _resized(picture: Bytes, width: int, height: int, enlarge: int) -> Bytes:
    """Scale to a size; area filter for clear shrinking, ``enlarge`` otherwise."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = picture.shape[0] * picture.shape[1] > 1.5 * height * width  # the area filter is slow near 1
    return _bytes(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else enlarge))


def _bytes(picture: NDArray[Any]) -> Bytes:
    """Tell the type checker what cv2 returns."""
    assert picture.dtype == np.uint8
    return picture


def _paint(pieces: Pieces, links: Links, colors: Floats) -> Bytes:
    """Return (h * zoom, w * zoom, 3) uint8: the colors of the pieces, interpolated between those that touch."""
    height, width = pieces.mixed.shape
    zoom, cells = pieces.zoom, height * width
    near = cv2.dilate(pieces.mixed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beside = near & ~pieces.mixed
    drawn = np.concatenate([np.flatnonzero(beside), np.flatnonzero(pieces.mixed), np.arange(cells, colors.shape[1])])
    patches = _patches(pieces, links, colors, drawn)
    place = np.zeros(colors.shape[1], np.int32)
    place[drawn] = np.arange(len(drawn)) * zoom**2
    pixel = np.arange(zoom**2, dtype=np.int32).reshape(zoom, zoom)
    small = np.full((height, width, 4), 255, np.uint8)
    small[..., :3] = _to_bytes(colors[:, pieces.main].T).reshape(height, width, 3)
    layer = cv2.resize(small, (width * zoom, height * zoom), interpolation=cv2.INTER_LINEAR)
    tiles = layer.view(np.uint32).reshape(height, zoom, width, zoom).transpose(0, 2, 1, 3)  # one number per pixel
    tiles[beside] = patches[: int(beside.sum())].reshape(-1, zoom, zoom)
    tiles[pieces.mixed] = np.take(patches.ravel(), place[pieces.nearest] + pixel)
    _fill_lines(layer.view(np.uint32)[..., 0], pieces)
    return _bytes(cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB))


def _fill_lines(layer: NDArray[np.uint32], pieces: Pieces) -> None:
    """Give every pixel on a line the color of the nearest pixel beside lines, so that colors meet under its middle."""
    height, width = pieces.mixed.shape
    line = np.zeros(layer.shape, np.uint8)
    tiles = line.reshape(height, pieces.zoom, width, pieces.zoom).transpose(0, 2, 1, 3)
    tiles[pieces.mixed] = pieces.clear < 0
    beside = np.flatnonzero(line == 0)
    if not beside.size:
        return
    _, nearest = cv2.distanceTransformWithLabels(line, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inked = line > 0
    layer[inked] = np.take(layer, beside[nearest[inked] - 1])


def _patches(pieces: Pieces, links: Links, colors: Floats, drawn: Indices) -> NDArray[np.uint32]:
    """Return (P, zoom * zoom) uint32, the bytes of RGBA: every drawn piece painted over its whole cell."""
    count, zoom = colors.shape[1], pieces.zoom
    down, right = links.down, ~links.down
    offset = (np.arange(zoom, dtype=np.float32) + 0.5) / zoom - 0.5
    before, after = np.maximum(-offset, 0), np.maximum(offset, 0)
    flat = np.ones(zoom, np.float32)
    weights = [np.outer(before, flat), np.outer(after, flat), np.outer(flat, before), np.outer(flat, after)]
    sides = [
        (links.second[down], links.first[down], links.length[down]),
        (links.first[down], links.second[down], links.length[down]),
        (links.second[right], links.first[right], links.length[right]),
        (links.first[right], links.second[right], links.length[right]),
    ]
    kernel = np.stack([np.outer(flat, flat), *weights]).reshape(5, -1).astype(np.float32)
    table = np.zeros((3, 5, len(drawn)), np.float32)
    table[:, 0] = colors[:, drawn]
    for side, (own, other, length) in enumerate(sides, 1):
        total = np.bincount(own, length, minlength=count)[drawn]
        for channel in range(3):
            seen = np.bincount(own, length * colors[channel, other], minlength=count)[drawn]
            slope = seen / np.maximum(total, 1e-6) - table[channel, 0]
            table[channel, side] = np.where(total > 0, slope, 0)
    patches = np.zeros((len(drawn), zoom * zoom, 4), np.uint8)
    for channel in range(3):
        values = table[channel].T @ kernel
        values *= 255
        values += 0.5
        patches[..., channel] = np.clip(values, 0, 255, out=values)
    return patches.view(np.uint32)[..., 0]
