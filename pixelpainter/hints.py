"""Color hints: small dots with which the user tells the network a color at a place."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError
from pixelpainter.imaging import Letterbox

if TYPE_CHECKING:
    from pixelpainter.strokes import Strokes

DOT_RADIUS = 1.5  # network pixels: a dot of 3x3, the middle one of the dots in training (1, 3 and 7 wide)
NEAR_PAPER = 4  # network pixels that a hint on a line is moved at most


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
    numbers = np.zeros((box.side, box.side), np.int32)  # of the hint in each pixel, from 1 on
    inside = numbers[box.top : box.top + box.height, box.left : box.left + box.width]  # a view
    for number, hint in enumerate(hints, 1):
        part, dot = _dot(hint, size, box)
        np.copyto(inside[part], number, where=dot)
    values = np.zeros((len(hints) + 1, 4), np.float32)
    values[1:, :3] = np.array([hint.color for hint in hints], np.float32).reshape(-1, 3) / 127.5 - 1
    values[1:, 3] = 1
    return np.ascontiguousarray(values[numbers].transpose(2, 0, 1))


def off_lines(
    hints: Sequence[Hint], size: tuple[int, int], box: Letterbox, paper: NDArray[np.bool_]
) -> tuple[list[Hint], int]:
    """Move the hints that lie on lines to the nearest paper, up to NEAR_PAPER network pixels away.

    Args:
        hints: the hints, in pixels of the picture.
        size: (width, height) of the picture.
        box: where the picture lies in the network's square.
        paper: (side, side) bool, where the network's drawing has no line (``obey.open_paper``).

    Returns:
        The hints with paper below them, in the order given, and the number of those that had none near.

    Raises:
        InputError: a hint lies outside the picture.
    """
    inside = paper[box.top : box.top + box.height, box.left : box.left + box.width]
    kept: list[Hint] = []
    for hint in hints:
        part, dot = _dot(hint, size, box)
        if (inside[part] & dot).any():
            kept.append(hint)
            continue
        x, y = _place(hint, size, box)
        top, left = max(y - NEAR_PAPER, 0), max(x - NEAR_PAPER, 0)
        rows, columns = np.nonzero(inside[top : y + NEAR_PAPER + 1, left : x + NEAR_PAPER + 1])
        distances = (rows + top - y) ** 2 + (columns + left - x) ** 2
        if distances.size and distances.min() <= NEAR_PAPER**2:
            nearest = int(distances.argmin())
            # The middle of a network pixel, so that rounding leads back to it.
            moved_x = (int(columns[nearest]) + left + 0.5) * size[0] / box.width
            moved_y = (int(rows[nearest]) + top + 0.5) * size[1] / box.height
            kept.append(replace(hint, x=moved_x, y=moved_y))
    return kept, len(hints) - len(kept)


def draw_on_paper(
    hints: Sequence[Hint],
    strokes: Sequence[Strokes],
    size: tuple[int, int],
    box: Letterbox,
    paper: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], int]:
    """Draw hints over strokes the way the network reads them, after moving hints off the lines.

    Args:
        hints: the hints, in pixels of the picture.
        strokes: painted over the picture; a later layer covers an earlier one.
        size: (width, height) of the picture.
        box: where the picture lies in the network's square.
        paper: (side, side) bool, see `off_lines`.

    Returns:
        What `draw_hints` returns, and the number of hints that were left out.

    Raises:
        InputError: a hint lies outside the picture, or strokes have another size.
    """
    kept, lost = off_lines(hints, size, box, paper)
    dots = draw_hints(kept, size, box)
    for layer in reversed(strokes):
        dots = np.where(dots[3] > 0, dots, layer.draw(size, box))
    return dots, lost


def _place(hint: Hint, size: tuple[int, int], box: Letterbox) -> tuple[int, int]:
    """Return the column and row of a hint among the network's pixels of the picture. Raises InputError."""
    width, height = size
    if not (0 <= hint.x < width and 0 <= hint.y < height):
        raise InputError(
            f"the hint at {hint.x:g},{hint.y:g} lies outside the picture, which is {width} pixels wide "
            f"and {height} high (0,0 is the top left corner)"
        )
    # Whole network pixels, so that the dot has the same shape wherever it lies.
    return int(hint.x * box.width / width), int(hint.y * box.height / height)


def _dot(hint: Hint, size: tuple[int, int], box: Letterbox) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the rows and columns that a hint's dot touches, and the dot in them (bool). Raises InputError."""
    x, y = _place(hint, size, box)
    radius = DOT_RADIUS if hint.radius is None else max(hint.radius * box.width / size[0], 0.5)
    reach = int(min(radius, box.side))
    rows = slice(max(y - reach, 0), min(y + reach + 1, box.height))
    columns = slice(max(x - reach, 0), min(x + reach + 1, box.width))
    row, column = np.ogrid[rows, columns]
    return (rows, columns), (column - x) ** 2 + (row - y) ** 2 <= radius**2
