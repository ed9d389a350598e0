"""One contact sheet of a run: each drawing beside its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixelpainter import __version__
from pixelpainter.archives import read_first_page
from pixelpainter.errors import OutputError, PixelPainterError
from pixelpainter.file_painter import Named
from pixelpainter.imaging import open_picture, save_picture
from pixelpainter.line_layer import on_paper
from pixelpainter.painter import Painter
from pixelpainter.saving import short_reason, shown_name
from pixelpainter.suffixes import is_archive

MAX_PAIRS = 40  # 4 across, 10 down: 2200x2950 pixels, whatever the length of the run
COLUMNS = 4
SIDE_PX, GAP_PX, LABEL_PX = 256, 12, 22
_MARK = {"Software": f"PixelPainter {__version__}", "Title": "PixelPainter contact sheet"}


def check_sheet(path: Path, *, overwrite: bool) -> None:
    """Find out before the work whether a contact sheet may be written: an older one is replaced, nothing else.

    Raises:
        OutputError: the name belongs to another file, or is that of no PNG.
    """
    name = shown_name(path)
    if path.suffix.lower() != ".png":
        raise OutputError(f"{name}: a contact sheet is a PNG; name a file ending in .png")
    if not overwrite and path.exists() and not is_sheet(path):
        raise OutputError(f"{name}: exists already and is no contact sheet; use --overwrite to replace it")


def is_sheet(path: Path) -> bool:
    """Tell whether a file is a contact sheet."""
    try:
        with Image.open(path) as image:
            return bool(image.info.get("Title") == _MARK["Title"])
    except Exception:  # no file, no picture, one too large: decoders of foreign bytes raise nearly anything
        return False


def save_sheet(path: Path, pairs: Sequence[tuple[Path, Path]], painter: Painter) -> int:
    """Write a contact sheet.

    Args:
        path: a PNG; an existing one is replaced, see `check_sheet`.
        pairs: drawing and result, files; of an archive its first page is shown. If there are many, as many
            as fit are chosen at equal distances.
        painter: reads the files.

    Returns:
        How many pairs are shown.

    Raises:
        OutputError: the sheet cannot be written.
    """
    count = min(len(pairs), MAX_PAIRS)
    chosen = [pairs[index * len(pairs) // count] for index in range(count)]
    columns = max(1, min(count, COLUMNS))
    rows = max(1, math.ceil(count / columns))
    cell = (2 * SIDE_PX + 3 * GAP_PX, SIDE_PX + LABEL_PX + GAP_PX)
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1] + GAP_PX), (96, 96, 96))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (drawing, result) in enumerate(chosen):
        left, top = number % columns * cell[0] + GAP_PX, number // columns * cell[1] + GAP_PX
        for x, file in ((left, drawing), (left + SIDE_PX + GAP_PX, result)):
            tile = _thumbnail(file, painter)
            if tile is not None:
                height, width = tile.shape[:2]
                sheet.paste(Image.fromarray(tile), (x + (SIDE_PX - width) // 2, top + (SIDE_PX - height) // 2))
        label = drawing.name.encode("latin-1", "replace").decode("latin-1")[:80]  # the font knows no more
        draw.text((left, top + SIDE_PX + 4), label, fill="white", font=font)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown_name(path.parent)}: the folder cannot be made ({short_reason(error)})") from error
    save_picture(np.array(sheet), path, overwrite=True, metadata=_MARK)
    return count


def _thumbnail(file: Path, painter: Painter) -> NDArray[np.uint8] | None:
    """Return a small picture (H, W, 3) uint8 with a longest side of SIDE_PX; None if it cannot be read."""
    try:
        data = read_first_page(file, painter.max_file_bytes) if is_archive(file) else painter.read(file)
        if data is None:
            return None
        rgb = on_paper(open_picture(Named(data, str(file)), max_pixels=painter.max_pixels)).rgb  # white lines are seen
    except PixelPainterError:  # a sheet with a gap is better than none
        return None
    scale = SIDE_PX / max(rgb.shape[:2])
    width, height = (max(1, round(length * scale)) for length in (rgb.shape[1], rgb.shape[0]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)
