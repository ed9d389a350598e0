import struct
import zlib

import numpy as np
import pytest
from conftest import load
from PIL import Image

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import OutputError
from pixelpainter.painter import Painter
from pixelpainter.preview import COLUMNS, GAP_PX, LABEL_PX, MAX_PAIRS, SIDE_PX, check_sheet, save_sheet


@pytest.fixture(scope="module")
def painter(plain_model):
    return Painter(colorizer=Colorizer(plain_model, threads=1))


def save(path, color, size=(40, 20)):
    Image.new("RGB", size, color).save(path)
    return path


def areas(sheet, *colors):
    """Return how many pixels of the sheet have each color."""
    pixels = np.asarray(sheet).astype(int)
    return [int((np.abs(pixels - color).max(axis=-1) < 3).sum()) for color in colors]


def test_drawing_beside_result(painter, tmp_path):
    white, red = save(tmp_path / "in.png", (250, 250, 250)), save(tmp_path / "out.png", (200, 0, 0))
    assert save_sheet(tmp_path / "new" / "sheet.png", [(white, red)], painter) == 1
    sheet = load(tmp_path / "new" / "sheet.png")
    assert areas(sheet, (250, 250, 250), (200, 0, 0)) == pytest.approx([SIDE_PX * SIDE_PX // 2] * 2, rel=0.02)
    pixels = np.asarray(sheet).astype(int)
    assert np.argmax((pixels == 250).all(axis=-1).any(axis=0)) < np.argmax(
        (pixels == (200, 0, 0)).all(axis=-1).any(axis=0)
    )


def test_white_lines_on_a_transparent_layer_are_seen(painter, tmp_path):
    pixels = np.full((128, 128, 4), 255, np.uint8)
    pixels[..., 3] = 0
    pixels[20:110, 20:24, 3] = pixels[20:110, 100:104, 3] = 255
    pixels[20:24, 20:104, 3] = pixels[106:110, 20:104, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "in.png")
    save_sheet(tmp_path / "sheet.png", [(tmp_path / "in.png", save(tmp_path / "out.png", (200, 0, 0)))], painter)
    assert areas(load(tmp_path / "sheet.png"), (0, 0, 0))[0] > 1000


def test_the_size_is_bounded(painter, tmp_path):
    pairs = []
    for number in range(MAX_PAIRS + 60):
        color = (number * 2, 255 - number * 2, 100)
        pairs.append((save(tmp_path / f"{number}.png", color, (8, 8)), tmp_path / f"{number}.png"))
    assert save_sheet(tmp_path / "sheet.png", pairs, painter) == MAX_PAIRS
    sheet = load(tmp_path / "sheet.png")
    assert sheet.width <= 2300
    assert sheet.height <= 3000
    # Two tiles per pair, and a wider gap after each pair.
    columns = [GAP_PX + SIDE_PX // 2 + number * (2 * SIDE_PX + 3 * GAP_PX) for number in range(COLUMNS)]
    tiles = np.asarray(sheet)[GAP_PX + SIDE_PX // 2 :: SIDE_PX + LABEL_PX + GAP_PX, columns]
    shown = sorted(
        {int(red) // 2 for red, green, blue in tiles.reshape(-1, 3) if blue == 100 and int(red) + green == 255}
    )
    assert len(shown) == MAX_PAIRS
    assert shown[0] == 0
    assert shown[-1] >= 97


def test_what_cannot_be_read_leaves_a_gap(painter, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    red = save(tmp_path / "リ.png", (200, 0, 0))
    assert save_sheet(tmp_path / "sheet.png", [(tmp_path / "bad.png", red), (tmp_path / "none.cbz", red)], painter) == 2
    assert areas(load(tmp_path / "sheet.png"), (200, 0, 0)) == pytest.approx([SIDE_PX * SIDE_PX], rel=0.02)
    assert save_sheet(tmp_path / "empty.png", [], painter) == 0


def test_only_a_sheet_is_replaced(painter, tmp_path):
    mine = save(tmp_path / "mine.png", (1, 2, 3))
    with pytest.raises(OutputError, match="no contact sheet"):
        check_sheet(mine, overwrite=False)
    check_sheet(mine, overwrite=True)
    check_sheet(tmp_path / "new.png", overwrite=False)
    save_sheet(tmp_path / "new.png", [(mine, mine)], painter)
    check_sheet(tmp_path / "new.png", overwrite=False)
    (tmp_path / "text.png").write_text("mine")
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(header + struct.pack(">I", zlib.crc32(header[12:])) + b"\0\0\0\0IDAT")
    for name in ("text.png", "bomb.png"):
        with pytest.raises(OutputError, match="no contact sheet"):
            check_sheet(tmp_path / name, overwrite=False)
    with pytest.raises(OutputError, match=r"\.png"):
        check_sheet(tmp_path / "sheet.jpg", overwrite=False)
