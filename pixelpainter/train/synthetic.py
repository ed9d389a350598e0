"""Pictures drawn from a seed: simple characters and shapes with exact lines and known flats.

They let everyone try training without any data, and give tests a truth. All drawing is done in integers and
Python's own random numbers, so a seed gives the same picture on every machine.
"""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelpainter.errors import OutputError

Color = tuple[int, int, int]
Points = list[tuple[float, float]]  # x, y in units of the picture's side

SKINS: tuple[Color, ...] = ((255, 226, 203), (246, 205, 170), (224, 172, 132), (176, 122, 88), (120, 80, 58))
WHITE: Color = (255, 255, 255)


@dataclass(frozen=True)
class SyntheticPair:
    """A color picture (S, S, 3), its lines (S, S), 255 = paper, and its flats (S, S, 3), all uint8."""

    color: NDArray[np.uint8]
    lines: NDArray[np.uint8]
    flats: NDArray[np.uint8]


class _Canvas:
    """Regions and ink at twice the size; a later part covers the lines of those below it."""

    def __init__(self, side: int) -> None:
        self.side = 2 * side
        self.regions = np.zeros((self.side, self.side), np.uint8)
        self.ink = np.zeros((self.side, self.side), np.uint8)
        self.colors: list[Color] = [WHITE]
        self.pen = max(2, round(self.side / 130))

    def part(self, points: Points, color: Color) -> None:
        """Fill a closed outline with a color and draw it."""
        corners = self._pixels(points)
        self.colors.append(color)
        cv2.fillPoly(self.regions, [corners], len(self.colors) - 1)
        cv2.fillPoly(self.ink, [corners], 0)
        cv2.polylines(self.ink, [corners], True, 255, self.pen)

    def stroke(self, points: Points) -> None:
        """Draw an open line."""
        cv2.polylines(self.ink, [self._pixels(points)], False, 255, self.pen)

    def _pixels(self, points: Points) -> NDArray[np.int32]:
        return np.array([[round(x * self.side), round(y * self.side)] for x, y in points], np.int32)


def draw_pair(seed: int, side: int = 288) -> SyntheticPair:
    """Draw the picture of a seed.

    Args:
        seed: which picture.
        side: height and width, at least 16.

    Returns:
        Color, lines and flats. The flats hold each region's color without shade and lines.
    """
    if side < 16:
        raise ValueError(f"side is {side}, must be at least 16")
    dice = random.Random(seed)
    canvas = _Canvas(side)
    for _ in range(_whole(dice, 0, 2)):
        _draw_shape(canvas, dice)
    if dice.random() < 0.85:
        _draw_character(canvas, dice)
    else:
        for _ in range(_whole(dice, 2, 5)):
            _draw_shape(canvas, dice)
    return _paint(canvas, dice)


def write_synthetic(folder: Path, count: int, first_seed: int = 0, side: int = 288) -> None:
    """Write pairs as ``color/``, ``lines/`` and ``flats/`` below a folder, one PNG per seed in each.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        for kind in ("color", "lines", "flats"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(first_seed, first_seed + count):
            pair = draw_pair(seed, side)
            for kind, picture in (("color", pair.color), ("lines", pair.lines), ("flats", pair.flats)):
                Image.fromarray(picture).save(folder / kind / f"synthetic_{seed:07d}.png", compress_level=1)
    except OSError as error:
        raise OutputError(f"{folder}: the synthetic pictures cannot be written ({error.strerror or error})") from error


def _draw_character(canvas: _Canvas, dice: random.Random) -> None:
    skin = SKINS[_whole(dice, 0, len(SKINS) - 1)]
    hair, shirt, other, eyes = (_vivid(dice) for _ in range(4))
    x, y, size = _between(dice, 0.4, 0.6), _between(dice, 0.28, 0.4), _between(dice, 0.15, 0.22)
    length = _between(dice, 0.6, 2.6) * size  # of the hair
    canvas.part(_oval(x, y + 0.35 * length, 1.25 * size, 1.1 * size + 0.5 * length), hair)
    shoulder, hem = y + 1.35 * size, _between(dice, y + 3.0 * size, 1.05)
    for sign in (-1, 1):  # arms
        reach = sign * _between(dice, 1.4, 2.0) * size
        bend = [(x + 0.7 * sign * size, shoulder + 0.1 * size), (x + reach, hem), (x + 0.75 * reach, hem)]
        canvas.part([*bend, (x + 0.5 * sign * size, shoulder + 0.8 * size)], shirt)
        canvas.part(_oval(x + 0.88 * reach, hem, 0.2 * size, 0.2 * size), skin)
    canvas.part(_box(x, y + 0.8 * size, 0.3 * size, 0.75 * size), skin)  # neck
    waist = shoulder + 1.2 * size
    canvas.part(
        [(x - 1.1 * size, 1.05), (x - 0.6 * size, waist), (x + 0.6 * size, waist), (x + 1.1 * size, 1.05)], other
    )
    collar = [(x - 0.35 * size, shoulder), (x, shoulder + 0.4 * size), (x + 0.35 * size, shoulder)]
    top = [(x - 0.9 * size, shoulder + 0.15 * size), *collar, (x + 0.9 * size, shoulder + 0.15 * size)]
    canvas.part([*top, (x + 0.65 * size, waist), (x - 0.65 * size, waist)], shirt)
    for sign in (-1, 1):  # ears
        canvas.part(_oval(x + sign * size, y + 0.15 * size, 0.16 * size, 0.24 * size), skin)
    canvas.part(_oval(x, y, size, 1.12 * size), skin)
    _draw_face(canvas, dice, (x, y, size), eyes)
    _draw_fringe(canvas, dice, (x, y, size), hair)


def _draw_face(canvas: _Canvas, dice: random.Random, head: tuple[float, float, float], eyes: Color) -> None:
    x, y, size = head
    tall, look = _between(dice, 0.18, 0.3) * size, _between(dice, -0.06, 0.06) * size
    for sign in (-1, 1):
        center = x + 0.42 * sign * size
        canvas.part(_oval(center, y + 0.2 * size, 0.22 * size, tall), WHITE)
        canvas.part(_oval(center + look, y + 0.2 * size, 0.13 * size, 0.8 * tall), eyes)
        canvas.part(_oval(center + look, y + 0.2 * size, 0.05 * size, 0.35 * tall), (30, 26, 34))
        canvas.stroke([(center - 0.2 * size, y - 0.22 * size), (center + 0.2 * size, y - 0.25 * size)])
    smile = _between(dice, -0.05, 0.15) * size
    mouth = y + 0.72 * size
    canvas.stroke([(x - 0.2 * size, mouth), (x, mouth + smile), (x + 0.2 * size, mouth)])
    canvas.stroke([(x, y + 0.42 * size), (x + 0.05 * size, y + 0.5 * size)])


def _draw_fringe(canvas: _Canvas, dice: random.Random, head: tuple[float, float, float], hair: Color) -> None:
    x, y, size = head
    cap = [(x + 1.12 * size * math.cos(a), y + 1.3 * size * math.sin(a)) for a in _angles(math.pi, 2 * math.pi, 24)]
    teeth = _whole(dice, 3, 6)
    steps = [(1.12 - 2.24 * step / (2 * teeth)) * size for step in range(1, 2 * teeth)]
    edge = [(x + step, y - (0.65 if k % 2 else _between(dice, 0.0, 0.3)) * size) for k, step in enumerate(steps)]
    canvas.part([*cap, *edge], hair)


def _draw_shape(canvas: _Canvas, dice: random.Random) -> None:
    """Draw an oval, a box, or a star somewhere."""
    x, y = _between(dice, 0.12, 0.88), _between(dice, 0.12, 0.88)
    wide, tall = _between(dice, 0.05, 0.18), _between(dice, 0.05, 0.18)
    kind, corners, turn = _whole(dice, 0, 2), _whole(dice, 4, 7), _between(dice, 0, 2)
    star = [
        (x + radius * math.cos(a), y + radius * math.sin(a))
        for k, a in enumerate(_angles(turn, turn + 2 * math.pi, 2 * corners)[:-1])
        for radius in [wide if k % 2 else 0.5 * wide]
    ]
    canvas.part((_oval(x, y, wide, tall), _box(x, y, wide, 2 * tall), star)[kind], _vivid(dice))


def _paint(canvas: _Canvas, dice: random.Random) -> SyntheticPair:
    """Color the regions, shade their lower right rims, and put the ink on top."""
    colors = np.array(canvas.colors, np.uint8)
    shift, depth = max(1, canvas.side // 50), _whole(dice, 60, 90)
    moved = np.pad(canvas.regions, ((0, shift), (0, shift)), mode="edge")[shift:, shift:]
    percent = np.where((canvas.regions != moved) & (canvas.regions > 0), np.uint16(depth), np.uint16(100))
    ink = canvas.ink.astype(np.uint16)[..., None]  # 16 bits hold 255 * 255, and are the fastest that do
    shaded = colors[canvas.regions].astype(np.uint16) * percent[..., None] // 100
    inked = (shaded * (255 - ink) + _whole(dice, 0, 60) * ink) // 255
    return SyntheticPair(
        color=_halve(inked),
        lines=_halve(255 - ink)[..., 0],
        flats=np.ascontiguousarray(colors[canvas.regions[::2, ::2]]),
    )


def _halve(picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the mean of each 2x2 block of an (2S, 2S, C) picture."""
    sums = picture[::2, ::2] + picture[::2, 1::2] + picture[1::2, ::2] + picture[1::2, 1::2]
    return np.asarray((sums + 2) // 4, np.uint8)


def _oval(x: float, y: float, wide: float, tall: float) -> Points:
    return [(x + wide * math.cos(angle), y + tall * math.sin(angle)) for angle in _angles(0, 2 * math.pi, 48)[:-1]]


def _box(x: float, top: float, wide: float, height: float) -> Points:
    return [(x - wide, top), (x + wide, top), (x + wide, top + height), (x - wide, top + height)]


def _angles(first: float, last: float, steps: int) -> list[float]:
    return [first + (last - first) * step / steps for step in range(steps + 1)]


def _vivid(dice: random.Random) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(dice.random(), _between(dice, 0.35, 0.9), _between(dice, 0.35, 1.0))
    return round(255 * red), round(255 * green), round(255 * blue)


def _between(dice: random.Random, low: float, high: float) -> float:
    return low + (high - low) * dice.random()  # random() alone is promised to stay the same


def _whole(dice: random.Random, low: int, high: int) -> int:
    """Return a whole number from low to high, both included."""
    return low + int(dice.random() * (high - low + 1))
