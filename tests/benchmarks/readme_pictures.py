"""Make the sheet of typical results that the README shows.

    python tests/benchmarks/readme_pictures.py --data VALIDATION [--procedural DIR] --out .readme/typical.webp

Nobody chooses the pictures: of each source named in SOURCES the ranks in RANKS are taken, when its pictures are ordered
by how much better (PSNR inside the figure) the result without hints is than gray; of the pencil drawings, and of
procedural ones, the middle of their names. Columns: the drawing, no hints, 5 hints of the true colors at random places,
20 hints, the original.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from quality import sketches
from quality_measures import Case, load_case, random_hints
from quality_sheets import Row, save_sheet, thumbnail

from pixelpainter import metrics
from pixelpainter.colorize import Colorizer
from pixelpainter.train.sources import find_pairs

SOURCES, RANKS = ("nova", "learntocoderpg"), (0.25, 0.5, 0.75)
PENCIL = "revoy"


def row_of(colorizer: Colorizer, case: Case) -> Row:
    """Return the cells of one picture."""
    drawing, hints = Image.fromarray(case.drawing), random_hints(case, 20)
    results = [np.asarray(colorizer.colorize(drawing, hints=hints[:count])) for count in (0, 5, 20)]
    return case.name, [thumbnail(picture) for picture in (case.drawing, *results, case.truth)]


def ranked(colorizer: Colorizer, cases: list[Case]) -> list[Case]:
    """Return the cases from the worst to the best result without hints."""

    def gain(case: Case) -> float:
        result = np.asarray(colorizer.colorize(Image.fromarray(case.drawing)))
        gray = metrics.baselines(case.truth, case.drawing, case.figure)["gray"]
        return metrics.psnr(result, case.truth, case.figure) - metrics.psnr(gray, case.truth, case.figure)

    return sorted(cases, key=gain)


def main() -> None:
    """Save the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--procedural", type=Path, help="folder of drawings with color, seeds not trained on")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    colorizer = Colorizer(arguments.model)
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
