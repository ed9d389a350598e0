"""Make the sheet of typical results that the README shows.

    python tests/benchmarks/readme_pictures.py --data VALIDATION [--procedural DIR] --out .readme/typical.webp

Nobody chooses the pictures: of each source named in SOURCES the ranks in RANKS are taken, when its pictures are ordered
by how much better (PSNR inside the figure) the result without hints is than gray; of the pencil drawings, and of
procedural ones, the middle of their names. Columns: the drawing, no hints, 5 hints of the true colors at random places,
20 hints, the original.

    python tests/benchmarks/readme_pictures.py --generator PATH_TO/procedural_anime.py --out .readme/pages.webp

Three pages of one character, the first of palette_poses.py, on which nothing was trained: as drawn, colored with
nothing, with one palette (shown at the right), and with a finished page as reference (at the right).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from palette_poses import draw_pages, load_generator, own_palette
from PIL import Image
from quality import sketches
from quality_sheets import Row, save_sheet, thumbnail

from pixelpainter import metrics
from pixelpainter.colorize import Colorizer
from pixelpainter.evaluate.cases import Case, load_case, true_hints
from pixelpainter.palette_files import picture_palette
from pixelpainter.reference import Reference
from pixelpainter.train.sources import find_pairs

SOURCES, RANKS = ("nova", "learntocoderpg"), (0.25, 0.5, 0.75)
PENCIL = "revoy"
PAGES = 3


def row_of(colorizer: Colorizer, case: Case) -> Row:
    """Return the cells of one picture."""
    drawing, hints = Image.fromarray(case.drawing), true_hints(case, 20)
    results = [np.asarray(colorizer.colorize(drawing, hints=hints[:count])) for count in (0, 5, 20)]
    return case.name, [thumbnail(picture) for picture in (case.drawing, *results, case.truth)]


def ranked(colorizer: Colorizer, cases: list[Case]) -> list[Case]:
    """Return the cases from the worst to the best result without hints."""

    def gain(case: Case) -> float:
        result = np.asarray(colorizer.colorize(Image.fromarray(case.drawing)))
        gray = metrics.baselines(case.truth, case.drawing, case.figure)["gray"]
        return metrics.psnr(result, case.truth, case.figure) - metrics.psnr(gray, case.truth, case.figure)

    return sorted(cases, key=gain)


def rows_of_pages(colorizer: Colorizer, generator: Path) -> list[Row]:
    """Return what one palette and one reference make of several pages."""
    *pages, finished = draw_pages(load_generator(generator), 0, PAGES + 1, 512)
    drawings, palette = [Image.fromarray(page.lines) for page in pages], own_palette(pages)
    strip = np.full((512, 512, 3), 255, np.uint8)
    for number, swatch in enumerate(palette):
        strip[number * 512 // len(palette) :, 156:356] = swatch.color
    words = ",".join(f"{bytes(swatch.color).hex()}:{swatch.share:.2f}" for swatch in palette)
    ways = {
        "no colors said": ({}, np.full_like(strip, 255)),
        f"--palette {words}": ({"palette": palette}, strip),
        "--reference finished.png": (
            {
                "reference": Reference(finished.color, swatches := picture_palette(finished.color)),
                "palette": swatches,
            },
            finished.color,
        ),
    }
    rows = [("drawings", [thumbnail(page.lines) for page in pages])]
    for name, (said, shown) in ways.items():
        results = [np.asarray(colorizer.colorize(drawing, **said)) for drawing in drawings]
        rows.append((name, [thumbnail(picture) for picture in (*results, shown)]))
    return rows


def main() -> None:
    """Save the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="validation pictures")
    parser.add_argument("--generator", type=Path, help="procedural_anime.py: show several pages of one character")
    parser.add_argument("--procedural", type=Path, help="folder of drawings with color, seeds not trained on")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    colorizer = Colorizer(arguments.model)
    if arguments.generator:
        save_sheet(rows_of_pages(colorizer, arguments.generator), arguments.out)
        return
    pairs, rows = find_pairs([arguments.data]), []
    for source in SOURCES:
        cases = ranked(colorizer, [load_case(pair) for pair in pairs if pair.source == source])
        rows += [row_of(colorizer, cases[int(rank * (len(cases) - 1))]) for rank in RANKS]
    if arguments.procedural:
        drawn = find_pairs([arguments.procedural])
        rows.append(row_of(colorizer, load_case(drawn[len(drawn) // 2])))
    pencil = [(name, sketch) for name, sketch in sketches(arguments.data) if PENCIL in name]
    for name, sketch in pencil[len(pencil) // 2 :][:1]:
        result = thumbnail(np.asarray(colorizer.colorize(sketch).convert("RGB")))
        blank = np.full_like(result, 255)
        rows.append((name, [thumbnail(np.asarray(sketch)), result, blank, blank, blank]))
    save_sheet(rows, arguments.out)


if __name__ == "__main__":
    main()
