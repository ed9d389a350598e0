"""Measure what fine-tuning on some pictures of one character gives on other pictures of it.

    python tests/benchmarks/character.py --generator PATH_TO/procedural_anime.py [--init MODEL] [--check]

The generator draws each character in many poses, as in palette_poses.py. On the first pictures of each this runs

    pixelpainter train PICTURES --preset character --init MODEL
    pixelpainter export RUN

and then colors the lines of the other pictures with three models: the one that was started from; the same, told the
palette of the pictures trained on; and the fine-tuned one, told nothing. ``dB`` is PSNR inside the figure; ``right``
the share of the character's parts (skin, hair, a skirt) whose color is nearest to the true one among those of the
palette, white and black. ``--check`` ends with status 1 unless the fine-tuned model is the best of the three in both.
``--sheet`` saves what the README shows: some of the last character's other pictures, drawn, colored by the model that
was started from, by the fine-tuned one, and as they should be.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import processor
from palette_poses import Page, assigned, colors_to_tell, draw_pages, load_generator, own_palette, true_color
from PIL import Image
from quality_sheets import save_sheet, thumbnail
from startup import print_machine

from pixelpainter import metrics
from pixelpainter.colorize import Colorizer
from pixelpainter.figure import figure_mask
from pixelpainter.palette import Swatch

SHOWN = 5  # pictures on the sheet


@dataclass
class Tally:
    """Figures of one way to color: of each picture, and of each part of each picture."""

    decibels: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def add(self, colorizer: Colorizer, pages: list[Page], told: tuple[Swatch, ...], own: tuple[Swatch, ...]) -> None:
        """Color the pages, told a palette or nothing, and compare with the truth; ``own`` is the true palette."""
        palette = colors_to_tell(own)
        for page in pages:
            colored = colorizer.colorize(Image.fromarray(page.lines), **({"palette": told} if told else {}))
            result = np.asarray(colored)
            self.decibels.append(metrics.psnr(result, page.color, figure_mask(page.color)))
            for color, part in page.parts().items():
                self.right.append(assigned(result, part, palette) == true_color(color, palette))

    def line(self, name: str) -> str:
        """Return a line of the table."""
        return f"{name:36} {np.mean(self.decibels):6.2f} {np.mean(self.right):7.1%}"


def save_pairs(pages: list[Page], folder: Path) -> Path:
    """Write pictures as `pixelpainter train` reads them."""
    for kind in ("color", "lines"):
        (folder / kind).mkdir(parents=True)
        for number, page in enumerate(pages):
            Image.fromarray(getattr(page, kind)).save(folder / kind / f"{number:03}.png")
    return folder


def fine_tune(pages: list[Page], others: list[Page], init: str, folder: Path) -> tuple[Path, float]:
    """Return the exported model, and the minutes that it took."""
    program, run, model = [sys.executable, "-m", "pixelpainter"], str(folder / "run"), str(folder / "her.onnx")
    training, held_out = save_pairs(pages, folder / "her"), save_pairs(others, folder / "others")
    started = time.perf_counter()
    options = ["--validation", str(held_out), "--preset", "character", "--init", init, "--cache", str(folder / "cache")]
    for command in (["train", str(training), *options, "--run", run], ["export", run, "-o", model]):
        subprocess.run([*program, *command], check=True, capture_output=True)
    return Path(model), (time.perf_counter() - started) / 60


def save_results(pages: list[Page], before: Colorizer, after: Colorizer, file: Path) -> None:
    """Save a sheet: drawings, what two models make of them, and the truth."""
    drawings = [Image.fromarray(page.lines) for page in pages]
    rows = [("drawings", [page.lines for page in pages])]
    for name, colorizer in ((before.file.name, before), ("fine-tuned", after)):
        rows.append((name, [np.asarray(colorizer.colorize(drawing)) for drawing in drawings]))
    rows.append(("as drawn by the artist", [page.color for page in pages]))
    save_sheet([(name, [thumbnail(picture) for picture in pictures]) for name, pictures in rows], file)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True, help="procedural_anime.py")
    parser.add_argument("--init", default="bundled", help="run or model to start from")
    parser.add_argument("--characters", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=20, help="to train on, of each character")
    parser.add_argument("--others", type=int, default=10, help="to measure on, of each character")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--first", type=int, default=0, help="number of the first character")
    parser.add_argument("--sheet", type=Path, help="picture to save")
    parser.add_argument("--check", action="store_true", help="exit with 1 if fine-tuning does not pay")
    arguments = parser.parse_args()
    generator, before = load_generator(arguments.generator), Colorizer(arguments.init)
    nothing, palette, tuned = (Tally() for _ in range(3))
    minutes = []
    for character in range(arguments.first, arguments.first + arguments.characters):
        pages = list(draw_pages(generator, character, arguments.pictures + arguments.others, arguments.size))
        pages, others = pages[: arguments.pictures], pages[arguments.pictures :]
        own = own_palette(pages)
        with tempfile.TemporaryDirectory() as folder:
            model, took = fine_tune(pages, others, arguments.init, Path(folder))
            minutes.append(took)
            nothing.add(before, others, (), own)
            palette.add(before, others, own, own)
            tuned.add(after := Colorizer(model), others, (), own)
            if arguments.sheet:
                save_results(others[:SHOWN], before, after, arguments.sheet)
    print_machine()
    print(f"{processor()}; {arguments.characters} characters, {arguments.pictures} pictures each to train on, ", end="")
    print(f"{arguments.others} others measured, {len(tuned.right)} parts; {np.mean(minutes):.1f} minutes each\n")
    print(f"{'':36} {'dB':>6} {'right':>7}")
    tallies = {arguments.init: nothing, f"{arguments.init}, told the palette": palette, "fine-tuned": tuned}
    for name, tally in tallies.items():
        print(tally.line(name))
    best = [max(np.mean(getattr(tally, kind)) for tally in tallies.values()) for kind in ("decibels", "right")]
    if arguments.check and best != [np.mean(tuned.decibels), np.mean(tuned.right)]:
        sys.exit(1)


if __name__ == "__main__":
    main()
