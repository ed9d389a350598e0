"""Color hints: small dots with which the user tells the network a color at a place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError
from pixelpainter.imaging import Letterbox

DOT_RADIUS = 1.5  # network pixels: a dot of 3x3, the middle one of the dots in training (1, 3 and 7 wide)


@dataclass(frozen=True)
class Hint:
    """One color at one place of a picture.

    Attributes:
        x: pixels from the left edge of the (upright) picture.
        y: pixels from its top edge.
        color: sRGB, each 0 to 255.
        radius: radius of the dot in pixels of the picture; None = a dot that the network knows well,
            3 of its own pixels wide.
    """

    x: float
    y: float
    color: tuple[int, int, int]
    radius: float | None = None

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError."""
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError(f"hint position {self.x}, {self.y} is not finite")
        if len(self.color) != 3 or not all(0 <= value <= 255 for value in self.color):
            raise ValueError(f"hint color {self.color} is not three values from 0 to 255")
        if self.radius is not None and not 0 < self.radius < math.inf:
            raise ValueError(f"hint radius {self.radius} is not above 0")


def parse_hint(text: str) -> Hint:
    """Read a hint as it is written on the command line, ``x,y,RRGGBB`` or ``x,y,RRGGBB,radius``.

    Raises:
        ValueError: the text is no hint; the message says what was expected.
    """
    parts = [part.strip() for part in text.split(",")]
    color = re.fullmatch(r"#?([0-9a-fA-F]{6})", parts[2]) if len(parts) in (3, 4) else None
    try:
        if color is None:
            raise ValueError("wrong number of parts, or a color that is not six hexadecimal digits")
        red, green, blue = bytes.fromhex(color[1])
        radius = float(parts[3]) if len(parts) == 4 else None
        return Hint(float(parts[0]), float(parts[1]), (red, green, blue), radius)
    except ValueError as error:
        raise ValueError(f"{text!r} is not x,y,RRGGBB or x,y,RRGGBB,radius (such as 120,80,FFCC99): {error}") from error


def draw_hints(hints: Sequence[Hint], size: tuple[int, int], box: Letterbox) -> NDArray[np.float32]:
    """Draw hints the way the network reads them; a later hint covers an earlier one.

    Args:
        hints: the hints, in pixels of the picture.
        size: (width, height) of the picture.
        box: where the picture lies in the network's square.

    Returns:
        (4, side, side) float32: sRGB in [-1, 1] (0 where there is no hint) and a mask of 0 and 1.

    Raises:
        InputError: a hint lies outside the picture.
    """
    width, height = size
    drawn = np.zeros((4, box.side, box.side), np.float32)
    row, column = np.ogrid[: box.height, : box.width]
    inside = drawn[:, box.top : box.top + box.height, box.left : box.left + box.width]  # a view
    for hint in hints:
        if not (0 <= hint.x < width and 0 <= hint.y < height):
            raise InputError(
                f"the hint at {hint.x:g},{hint.y:g} lies outside the picture, which is {width} pixels wide "
                f"and {height} high (0,0 is the top left corner)"
            )
        # Whole network pixels, so that the dot has the same shape wherever it lies.
        center_x, center_y = int(hint.x * box.width / width), int(hint.y * box.height / height)
        radius = DOT_RADIUS if hint.radius is None else max(hint.radius * box.width / width, 0.5)
        dot = (column - center_x) ** 2 + (row - center_y) ** 2 <= radius**2
        inside[:3, dot] = np.array(hint.color, np.float32)[:, None] / 127.5 - 1
        inside[3, dot] = 1
    return drawn
