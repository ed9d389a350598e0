"""The contact sheet of the best and the worst pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pixelpainter.evaluate.cases import Case, Pixels
from pixelpainter.saving import save_picture

CELL = 192  # pixels
CAPTION = 16
GAP = 8
SHOWN = 10  # best and worst each
COLUMNS = ("drawing", "network", "composite", "truth")


@dataclass(frozen=True)
class Row:
    """One picture on the sheet.

    Attributes:
        error: what rows are ranked by, lower is better.
        caption: name and figures.
        cells: (CELL, CELL, 3) uint8 pictures, in the order of ``COLUMNS``.
    """

    error: float
    caption: str
    cells: list[Pixels]


def make_row(case: Case, answers: Mapping[str, Pixels], values: Mapping[str, float]) -> Row:
    """Return the row of a picture; ``values`` are those of the composite inside the figure."""
    pictures = {**answers, "truth": case.truth}
    cells = [np.asarray(Image.fromarray(pictures[name]).resize((CELL, CELL))) for name in COLUMNS]
    caption = f"{case.name}  CIEDE2000 {values['CIEDE2000']:.1f}  PSNR {values['PSNR']:.1f} dB"
    return Row(values["CIEDE2000"], caption, cells)


def save_sheet(best: Sequence[Row], worst: Sequence[Row], file: Path, *, overwrite: bool) -> None:
    """Write the best rows on the left and the worst on the right, each best or worst first.

    Raises:
        OutputError: the file exists and is not to be replaced, has no picture's suffix, or cannot be written.
    """
    width, height = len(COLUMNS) * CELL, CELL + CAPTION
    lines = max(len(best), len(worst))
    sheet = Image.new("RGB", (2 * width + GAP, CAPTION + lines * height), "#dddddd")
    draw = ImageDraw.Draw(sheet)
    for side, (title, rows) in enumerate((("best", best), ("worst", worst))):
        left = side * (width + GAP)
        draw.text((left + 2, 2), f"{title} by CIEDE2000 inside the figure: {', '.join(COLUMNS)}", fill="#aa0000")
        for line, row in enumerate(rows):
            top = CAPTION + line * height
            draw.text((left + 2, top + 2), _plain(row.caption), fill="black")
            for column, cell in enumerate(row.cells):
                sheet.paste(Image.fromarray(cell), (left + column * CELL, top + CAPTION))
    save_picture(np.asarray(sheet), file, overwrite=overwrite)


def _plain(text: str) -> str:
    """Return the text without what PIL's own font cannot draw."""
    return text.encode("latin-1", errors="replace").decode("latin-1")
