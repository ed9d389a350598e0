"""What a model is asked, and what it and the trivial baselines answer."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import DataError
from pixelpainter.evaluate.regions import Regions, find_regions
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
BLANK = 240  # a drawing without a darker pixel shows nothing
BASELINES = ("white", "drawing", "gray", "mean")
ANSWERS = (*BASELINES, "network", "composite")


@dataclass(frozen=True)
class Case:
    """One picture to judge a model by, (H, W) pixels.

    Attributes:
        name: of the pair.
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8, 255 = paper.
        figure: (H, W) bool, all but the white page.
        whole: (H, W) bool, all but the padding that makes the picture square.
        seed: of all random choices: the same for the same colors, whatever the file's name and place.
    """

    name: str
    truth: Pixels
    drawing: Pixels
    figure: Mask
    whole: Mask
    seed: int

    @property
    def areas(self) -> dict[str, Mask]:
        """The parts of the picture that are measured, by name."""
        return {"figure": self.figure, "whole": self.whole}

    @functools.cached_property
    def regions(self) -> Regions:
        """The regions of the truth."""
        return find_regions(self.truth, self.drawing, self.figure)


def load_case(pair: Pair, size: int | None = None) -> Case:
    """Read a pair, draw its lines where it has none, and fit both into a square on white (None: they keep their size).

    Raises:
        DataError: a file cannot be read, or shows nothing.
    """
    truth, drawing = read_pair(pair)
    seed = zlib.crc32(truth.tobytes())
    if drawing is None:
        drawing = extract_lines(truth, EXTRACTORS[seed % len(EXTRACTORS)], np.random.default_rng(seed))
        if drawing.min() >= BLANK:
            raise DataError(f"{pair.color}: no lines are found in it; leave it out, or give its drawing")
    elif drawing.min() >= BLANK:
        raise DataError(f"{pair.lines or pair.color}: a blank drawing; leave it out")
    whole = np.full(truth.shape[:2], 255, np.uint8)
    if size is not None:
        truth, drawing, whole = (
            letterbox(picture, size, fill)[0] for picture, fill in ((truth, 255), (drawing, 255), (whole, 0))
        )
    figure = figure_mask(truth)
    if not figure.any():
        raise DataError(f"{pair.color}: a blank page; leave it out")
    return Case(pair.name, truth, drawing, figure, whole > 0, seed)


def true_hint(case: Case, x: int, y: int) -> Hint:
    """Return the true color at a pixel as a hint."""
    red, green, blue = (int(value) for value in case.truth[y, x])
    return Hint(x=float(x), y=float(y), color=(red, green, blue))


def true_hints(case: Case, count: int) -> list[Hint]:
    """Return true colors at random places of the figure off its lines, always the same for the same picture."""
    rows, columns = np.nonzero(case.figure & (case.drawing >= PAPER))
    chosen = np.random.default_rng(case.seed).permutation(len(rows))[:count]
    return [true_hint(case, int(columns[index]), int(rows[index])) for index in chosen]


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
