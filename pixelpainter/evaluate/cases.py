"""What a model is asked, and what it and the trivial baselines answer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import DataError
from pixelpainter.figure import figure_mask
from pixelpainter.hints import Hint
from pixelpainter.imaging import letterbox, picture_from_array
from pixelpainter.metrics import Mask, baselines
from pixelpainter.palette import Swatch, palette_code, swatches_of_code
from pixelpainter.settings import Settings
from pixelpainter.train.extract import extract_lines
from pixelpainter.train.pairs import Pair, read_pair

Pixels = NDArray[np.uint8]

# Styles near to what people draw; region borders and pencil shading would tell where the colors are.
EXTRACTORS = ("difference-of-gaussians", "dark-ink", "color-edges", "ridges")
PAPER = 200  # a pixel of a drawing that is lighter lies on no line
BASELINES = ("white", "drawing", "gray", "mean")
ANSWERS = (*BASELINES, "network", "composite")


@dataclass(frozen=True)
class Case:
    """One picture to judge a model by.

    Attributes:
        name: of the pair, without its root: the same in a folder and in a ZIP file.
        truth: (S, S, 3) uint8, sRGB.
        drawing: (S, S) uint8, 255 = paper.
        figure: (S, S) bool, all but the white page.
        whole: (S, S) bool, all but the padding that makes the picture square.
    """

    name: str
    truth: Pixels
    drawing: Pixels
    figure: Mask
    whole: Mask

    @property
    def areas(self) -> dict[str, Mask]:
        """The parts of the square that are measured, by name."""
        return {"figure": self.figure, "whole": self.whole}


def load_case(pair: Pair, size: int) -> Case:
    """Read a pair, draw its lines where it has none, and fit both into a square on white.

    Raises:
        DataError: a file cannot be read, or shows nothing.
    """
    truth, drawing = read_pair(pair)
    name = pair.name.partition("/")[2]
    if drawing is None:
        code = zlib.crc32(name.encode(errors="surrogatepass"))
        drawing = extract_lines(truth, EXTRACTORS[code % len(EXTRACTORS)], np.random.default_rng(code))
    truth, box = letterbox(truth, size, 255)
    figure = figure_mask(truth)
    if not figure.any():
        raise DataError(f"{pair.color}: a blank page; leave it out")
    whole = np.zeros_like(figure)
    whole[box.top : box.top + box.height, box.left : box.left + box.width] = True
    return Case(name, truth, letterbox(drawing, size, 255)[0], figure, whole)


def true_hints(case: Case, count: int) -> list[Hint]:
    """Return true colors at random places of the figure off its lines, always the same for the same picture."""
    rows, columns = np.nonzero(case.figure & (case.drawing >= PAPER))
    order = np.random.default_rng(zlib.crc32(case.name.encode(errors="surrogatepass"))).permutation(len(rows))
    hints = []
    for index in order[:count]:
        x, y = int(columns[index]), int(rows[index])
        red, green, blue = (int(value) for value in case.truth[y, x])
        hints.append(Hint(x=float(x), y=float(y), color=(red, green, blue)))
    return hints


class Asker:
    """Asks a model: the network alone, and what a user gets from Colorizer.

    Args:
        colorizer: the model.
        hints: number of true hints to give it.
        true_palette: whether to give it the picture's own palette.

    Raises:
        DataError: the model reads no hints, or no palette.
    """

    def __init__(self, colorizer: Colorizer, hints: int = 0, true_palette: bool = False) -> None:
        card = colorizer.card
        if hints and card.hints == "none":
            raise DataError(f"{colorizer.file}: this model reads no hints; leave --hints out")
        if true_palette and not card.palette:
            raise DataError(f"{colorizer.file}: this model reads no palette; leave --true-palette out")
        self._colorizer, self._hints, self._true_palette = colorizer, hints, true_palette

    def answers(self, case: Case) -> dict[str, Pixels]:
        """Return (S, S, 3) uint8 pictures by name, in the order of ``ANSWERS``."""
        settings = Settings(hints=tuple(true_hints(case, self._hints)), palette=self._palette(case))
        drawing = picture_from_array(case.drawing)
        return {
            **baselines(case.truth, case.drawing, case.figure),
            "network": self._colorizer.network_picture(drawing, settings),
            "composite": self._colorizer.colorize_picture(drawing, settings),
        }

    def _palette(self, case: Case) -> tuple[Swatch, ...]:
        """Return the true palette, or nothing."""
        if not self._true_palette:
            return ()
        return swatches_of_code(palette_code(case.truth, case.figure, self._colorizer.card.palette))
