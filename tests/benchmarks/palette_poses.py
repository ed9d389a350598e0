"""Measure whether one palette keeps the colors of a character over several pages.

    python tests/benchmarks/palette_poses.py --generator PATH_TO/procedural_anime.py [--model FILE] [--check]

The generator draws characters; here each one is drawn in several poses on white pages: same hair, face and clothes,
other arms, turn of the head, mouth, framing and pen. All drawings of a character are colored with one palette, the six
largest flat colors of its pages that differ. With ``--reference`` the palette is that of a further page, finished,
which is not measured, and each way is measured a second time with what that page tells of where colors sit.

A part of the character is what has one flat color (skin, hair, a skirt): those count that cover 1.5 % of the figure in
three poses or more. In each drawing, a part has the color of the palette that most of its pixels are nearest to in CIE
Lab; white and black count as colors, too.

* ``same``: the share of drawings in which a part has the color that it has most often, the mean over parts. By chance
  alone it would be what ``shuffled`` says, where parts of a drawing swap their colors at random.
* ``by area``: the same, but parts count by their mean share of the figure.
* ``right``: the share in which that color is the one nearest to the part's true color.

Three ways to use the palette: told to the network; told, and exact; and not told to it, as for a model that reads no
palettes (``exact.use_palette`` alone). ``--check`` ends with status 1 if ``same`` is below 80 % in one of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnxruntime
from machine import processor
from numpy.typing import NDArray
from PIL import Image

import pixelpainter
from pixelpainter.color import lab_from_bytes
from pixelpainter.colorize import Colorizer
from pixelpainter.figure import figure_mask
from pixelpainter.palette import Swatch
from pixelpainter.palette_files import picture_palette
from pixelpainter.reference import Reference
from pixelpainter.settings import Settings
from pixelpainter.steer import steer

SEED = 9_000_000  # from here on, nothing is for training
BAR = 0.80
POSE = ("turn", "roll", "wind", "gaze", "mouth", "arms", "jit", "hold")
PAPER, LEAST_SHARE, LEAST_POSES, COLORS, DIFFERENT = 200, 0.015, 3, 6, 12.0
Picture = NDArray[np.uint8]
Color = tuple[int, int, int]


class Untold(Colorizer):
    """The same network without its palette input: it is always told that there is no palette."""

    def _answer(
        self, small: Picture, dots: NDArray[np.float32], palette: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        nothing = np.zeros((self.card.palette, 4), np.float32) if self.card.palette else None
        return super()._answer(small, dots, nothing)

    def _steered(self, small: Picture, dots: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
        placed = None if settings.reference is None else self._placed(small, settings.reference, None)
        answer = self._answer(small, dots, None)
        return steer(answer, small, dots, even=settings.even, placed=placed, exact=settings.palette)


@dataclass(frozen=True)
class Page:
    """One drawing of a character: (H, W, 3) color, (H, W) lines, (H, W, 3) flats, all uint8."""

    color: Picture
    lines: Picture
    flats: Picture

    def parts(self) -> dict[Color, NDArray[np.bool_]]:
        """Return the paper (H, W) of each large part of the figure by its flat color; the page is none."""
        paper = self.lines >= PAPER
        figure = figure_mask(self.flats) & paper
        colors, where = np.unique(self.flats[figure], axis=0, return_inverse=True)
        found = {}
        for number, color in enumerate(colors.tolist()):
            share = np.count_nonzero(where == number) / max(len(where), 1)
            if share >= LEAST_SHARE and color != [255, 255, 255]:
                found[color[0], color[1], color[2]] = (self.flats == color).all(axis=2) & figure
        return found


def load_generator(path: Path) -> Any:
    """Import the generator from its file."""
    specification = importlib.util.spec_from_file_location("generator", path)
    assert specification is not None and specification.loader is not None
    module = ModuleType("generator")
    sys.modules["generator"] = module
    specification.loader.exec_module(module)
    return module


def draw_pages(generator: Any, character: int, poses: int, size: int) -> Iterator[Page]:
    """Yield drawings of one character in several poses."""
    make, background = generator.make_character, generator.background
    calls: list[int] = []

    def posed(numbers: random.Random, light: int) -> dict[str, Any]:
        calls.append(1)
        own, pose = make(random.Random(f"character {character}"), light), make(numbers, light)
        own |= {key: pose[key] for key in POSE}
        own["eyes"] |= {key: pose["eyes"][key] for key in ("state", "wink_side")}
        if own["outfit"]["bottom"] != "straight":
            own["legs"] = pose["legs"]
        return dict(own)

    generator.make_character, generator.background = posed, lambda *_: None
    try:
        number = SEED + 1000 * character
        while poses:
            calls.clear()
            color, lines, flats = generator.render(number, size, flats=True)
            number += 1
            if len(calls) == 1:  # in some pictures there are two figures
                poses -= 1
                rgb, flat = (np.asarray(image.convert("RGB")) for image in (color, flats))
                yield Page(rgb, np.asarray(lines.convert("L")), flat)
    finally:
        generator.make_character, generator.background = make, background


def own_palette(pages: list[Page]) -> tuple[Swatch, ...]:
    """Return the palette that the artist of these pages would name."""
    shares: dict[Color, float] = defaultdict(float)
    for page in pages:
        for color, part in page.parts().items():
            shares[color] += float(part.mean())
    chosen: dict[Color, float] = {}
    for color, share in sorted(shares.items(), key=lambda item: -item[1]):
        lab = lab_from_bytes(np.array([color, *chosen], np.uint8))
        if len(chosen) < COLORS and (np.linalg.norm(lab[1:] - lab[0], axis=1) > DIFFERENT).all():
            chosen[color] = share
    return tuple(Swatch(color, share / sum(chosen.values())) for color, share in chosen.items())


def colors_to_tell(swatches: tuple[Swatch, ...]) -> NDArray[np.float32]:
    """Return the colors of a palette, white and black, (N, 3) in CIE Lab."""
    return lab_from_bytes(np.array([swatch.color for swatch in swatches] + [(255,) * 3, (0,) * 3], np.uint8))


def true_color(color: Color, palette: NDArray[np.float32]) -> int:
    """Return the number of the color (N, 3) in CIE Lab that a part's own color is nearest to."""
    return int(np.linalg.norm(palette - lab_from_bytes(np.array(color, np.uint8)), axis=1).argmin())


def assigned(result: Picture, part: NDArray[np.bool_], palette: NDArray[np.float32]) -> int:
    """Return the number of the color (N, 3) in CIE Lab that most pixels of a part are nearest to."""
    lab = lab_from_bytes(result[part])
    nearest = np.linalg.norm(lab[:, None] - palette[None], axis=2).argmin(axis=1)
    return int(np.bincount(nearest).argmax())


@dataclass
class Tally:
    """What one way to use the palette gave: figures of each part."""

    areas: list[float]
    same: list[float]
    shuffled: list[float]
    right: list[float]

    def line(self, name: str) -> str:
        """Return a line of the table."""
        same, shuffled, right = (np.mean(values) for values in (self.same, self.shuffled, self.right))
        by_area = np.average(self.same, weights=self.areas)
        return f"{name:36} {same:7.1%} {shuffled:9.1%} {by_area:8.1%} {right:7.1%}"


def measure(
    colorizer: Colorizer,
    pages: list[Page],
    swatches: tuple[Swatch, ...],
    reference: Reference | None,
    exact: bool,
    tally: Tally,
    seed: int,
) -> None:
    """Color the pages of one character, and add what became of its parts."""
    palette = colors_to_tell(swatches)
    found: dict[Color, list[int]] = defaultdict(list)
    mixed: dict[Color, list[int]] = defaultdict(list)
    areas: dict[Color, list[float]] = defaultdict(list)
    numbers = np.random.default_rng(seed)
    for page in pages:
        drawing = Image.fromarray(page.lines)
        result = np.asarray(
            colorizer.colorize(drawing, palette=swatches, reference=reference, exact=exact, lines="none")
        )
        parts = page.parts()
        for color, part in parts.items():
            areas[color].append(np.count_nonzero(part) / sum(map(np.count_nonzero, parts.values())))
        got = [assigned(result, part, palette) for part in parts.values()]
        for color, own, other in zip(parts, got, numbers.permutation(got).tolist(), strict=True):
            found[color].append(own)
            mixed[color].append(other)
    for color, own in found.items():
        if len(own) >= LEAST_POSES:
            true = true_color(color, palette)
            tally.areas.append(float(np.mean(areas[color])))
            tally.same.append(np.bincount(own).max() / len(own))
            tally.shuffled.append(np.bincount(mixed[color]).max() / len(own))
            tally.right.append(own.count(true) / len(own))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True, help="procedural_anime.py")
    parser.add_argument("--model", type=Path, help="ONNX file; default: the bundled model")
    parser.add_argument("--characters", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first character")
    parser.add_argument("--poses", type=int, default=6)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--reference", action="store_true", help="take the palette of another page")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bar is missed")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    generator = load_generator(arguments.generator)
    told, untold = Colorizer(arguments.model, threads=1), Untold(arguments.model, threads=1)
    ways = {"not told to the network": (untold, False)}
    if told.card.palette:
        ways = {"told": (told, False), "told, exact": (told, True)} | ways
    finished = ("", ", reference") if arguments.reference else ("",)
    tallies = {name + more: Tally([], [], [], []) for more in finished for name in ways}
    for character in range(arguments.first, arguments.first + arguments.characters):
        *pages, last = draw_pages(generator, character, arguments.poses + 1, arguments.size)
        reference = Reference(last.color, picture_palette(last.color))
        swatches = reference.palette if arguments.reference else own_palette(pages)
        for more in finished:
            for name, (colorizer, exact) in ways.items():
                used = reference if more else None
                measure(colorizer, pages, swatches, used, exact, tallies[name + more], character)
    print(f"{told.file.name}: {arguments.characters} characters in {arguments.poses} poses, {arguments.size} pixels, ")
    parts = len(next(iter(tallies.values())).same)
    print(f"{parts} parts; PixelPainter {pixelpainter.__version__}, {processor()}, 1 thread, ", end="")
    print(f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, OpenCV {cv2.__version__}\n")
    print(f"{'palette':36} {'same':>7} {'shuffled':>9} {'by area':>8} {'right':>7}")
    for name, tally in tallies.items():
        print(tally.line(name))
    if arguments.check and min(np.mean(tally.same) for tally in tallies.values()) < BAR:
        sys.exit(1)


if __name__ == "__main__":
    main()
