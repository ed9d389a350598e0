"""Contact sheets: what the figures of quality.py look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

CELL = 256  # pixels
CAPTION = 14
PER_SHEET = 20

Row = tuple[str, list[NDArray[np.uint8]]]  # caption and the row's cells


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture fitted into a white square cell, (CELL, CELL, 3) uint8."""
    return np.asarray(ImageOps.pad(Image.fromarray(picture).convert("RGB"), (CELL, CELL), color="white"))


def save_sheet(rows: Sequence[Row], file: Path, columns: int = 1) -> None:
    """Save rows of cells, several rows side by side, each with its caption above."""
    if not rows:
        return
    row_width = CELL * max(len(cells) for _, cells in rows)
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (row_width + 8), lines * (CELL + CAPTION)), "#dddddd")
    draw = ImageDraw.Draw(sheet)
    for number, (caption, cells) in enumerate(rows):
        left, top = number % columns * (row_width + 8), number // columns * (CELL + CAPTION)
        draw.text((left + 2, top + 1), caption, fill="black")
        for column, cell in enumerate(cells):
            sheet.paste(Image.fromarray(cell), (left + column * CELL, top + CAPTION))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)


def save_ranked_sheets(rows: Sequence[tuple[float, Row]], folder: Path) -> None:
    """Save the best, the median and the worst rows by score: best.png, median.png, worst.png."""
    ranked = [row for _, row in sorted(rows, key=lambda item: -item[0])]
    middle = max(0, len(ranked) // 2 - PER_SHEET // 2)
    for name, chosen in (
        ("best", ranked[:PER_SHEET]),
        ("median", ranked[middle : middle + PER_SHEET]),
        ("worst", ranked[-PER_SHEET:]),
    ):
        save_sheet(chosen, folder / f"{name}.png", columns=2)
