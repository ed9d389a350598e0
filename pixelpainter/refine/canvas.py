"""Pictures of any size on a canvas that a diffusion model is at home on: padded, in overlapping tiles, or reduced.

A model paints well near the area that it was trained on, and its sides are multiples of some number. So:

* A picture of up to 1.5 times that area goes through whole, padded to the multiple with its own border.
* A larger one goes through in up to 16 tiles that overlap, and are blended smoothly where they do.
* A still larger one is reduced to what 16 tiles cover. What changes there is brought up to the full size and added
  to the picture, so that its own fine detail stays: Burt and Adelson's Laplacian pyramid with its base exchanged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_TILES = 16
_WHOLE = 1.5  # times the native area
_OVERLAP = 1 / 8  # of the native side, at least
_SHRINK = 0.97  # from one try to the next for the largest size that few enough tiles cover

# Paints over a tile (h, w, 3) uint8 with the drawing's part (h, w) uint8, if any; also told the number of the tile.
Paint = Callable[[NDArray[np.uint8], NDArray[np.uint8] | None, int], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a picture goes through the model.

    Attributes:
        size: height and width that it is reduced to.
        side: height and width of a tile, multiples of what the model needs; larger than the picture where it is small.
        tops: first rows of the tiles.
        lefts: first columns.
    """

    size: tuple[int, int]
    side: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return len(self.tops) * len(self.lefts)


def make_plan(height: int, width: int, *, native: int, multiple: int) -> Plan:
    """Decide how a picture goes through the model.

    Args:
        height: of the picture, at least 1.
        width: the same.
        native: side of the square that the model was trained on.
        multiple: what the sides of its pictures must be multiples of.
    """
    whole = _round_up(height, multiple), _round_up(width, multiple)
    if math.prod(whole) <= _WHOLE * native**2:
        return Plan(size=(height, width), side=whole, tops=(0,), lefts=(0,))
    scale = 1.0
    while True:
        size = max(1, round(height * scale)), max(1, round(width * scale))
        (tops, rows), (lefts, columns) = (_spread(length, native, multiple) for length in size)
        if len(tops) * len(lefts) <= MAX_TILES:
            return Plan(size=size, side=(rows, columns), tops=tops, lefts=lefts)
        scale *= _SHRINK


def paint_over(rgb: NDArray[np.uint8], sketch: NDArray[np.uint8] | None, plan: Plan, paint: Paint) -> NDArray[np.uint8]:
    """Let a model paint over a picture of any size.

    Args:
        rgb: (H, W, 3) uint8.
        sketch: (H, W) uint8, or None.
        plan: of `make_plan`, for this size.
        paint: the model.

    Returns:
        (H, W, 3) uint8.
    """
    if plan.size == rgb.shape[:2]:
        return _paint_tiles(rgb, sketch, plan, paint)
    small = _reduce(rgb, plan.size)
    painted = _paint_tiles(small, None if sketch is None else _reduce(sketch, plan.size), plan, paint)
    change = painted.astype(np.int16) - small
    full = cv2.resize(change, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    full += rgb
    return np.clip(full, 0, 255).astype(np.uint8)


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _spread(length: int, native: int, multiple: int) -> tuple[tuple[int, ...], int]:
    """Return where tiles start along a side, and how long they are."""
    longest = max(multiple, math.floor(native * math.sqrt(_WHOLE)) // multiple * multiple)
    if length <= longest:
        return (0,), _round_up(length, multiple)
    overlap = max(1, round(native * _OVERLAP))
    count = math.ceil((length - overlap) / (longest - overlap))
    side = min(longest, _round_up(math.ceil((length + (count - 1) * overlap) / count), multiple))
    return tuple(round((length - side) * index / (count - 1)) for index in range(count)), side


def _reduce(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _paint_tiles(
    rgb: NDArray[np.uint8], sketch: NDArray[np.uint8] | None, plan: Plan, paint: Paint
) -> NDArray[np.uint8]:
    """Paint tile by tile, and blend them where they overlap."""
    height, width = rgb.shape[:2]
    beyond = (0, max(0, plan.side[0] - height)), (0, max(0, plan.side[1] - width))
    rgb = np.pad(rgb, (*beyond, (0, 0)), mode="edge")
    sketch = None if sketch is None else np.pad(sketch, beyond, mode="edge")
    if plan.tiles == 1:
        return paint(rgb, sketch, 0)[:height, :width]
    share = np.outer(_ramp(plan.side[0], plan.tops), _ramp(plan.side[1], plan.lefts))[..., None]
    total, weight = np.zeros(rgb.shape, np.float32), np.zeros((*rgb.shape[:2], 1), np.float32)
    for number, (top, left) in enumerate(itertools.product(plan.tops, plan.lefts)):
        tile = np.s_[top : top + plan.side[0], left : left + plan.side[1]]
        painted = paint(rgb[tile], None if sketch is None else sketch[tile], number)
        total[tile] += share * painted
        weight[tile] += share
    total /= weight
    return np.rint(total, out=total).astype(np.uint8)[:height, :width]


def _ramp(side: int, starts: tuple[int, ...]) -> NDArray[np.float32]:
    """Return how much a tile counts along one of its sides, (side,) float32: less and less where others overlap it."""
    step = max((after - start for start, after in itertools.pairwise(starts)), default=side)
    overlap = side - step
    if overlap == 0:
        return np.ones(side, np.float32)
    place = np.arange(side) + 0.5
    nearest = np.minimum(np.minimum(place, side - place) / overlap, 1)
    return np.asarray(np.sin(nearest * math.pi / 2) ** 2, np.float32)
