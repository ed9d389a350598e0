import json

import numpy as np
import pytest
from PIL import Image

from pixelpainter.errors import InputError
from pixelpainter.hints import Hint
from pixelpainter.imaging import Letterbox
from pixelpainter.strokes import read_hints

WIDE = Letterbox(side=64, top=16, left=0, height=32, width=64)  # a picture twice as wide as high


def save(path, rgba):
    Image.fromarray(rgba).save(path)
    return path


@pytest.fixture
def rgba():
    """A transparent page of 400x200."""
    return np.zeros((200, 400, 4), np.uint8)


def strokes(path):
    hints, (layer,) = read_hints(path)
    assert hints == ()
    return layer


def test_strokes_are_drawn_at_their_place_in_their_color(tmp_path, rgba):
    rgba[50:75, 100:150] = (255, 0, 51, 255)
    rgba[100:150, 200:300] = (0, 128, 255, 255)
    drawn = strokes(save(tmp_path / "s.png", rgba)).draw((400, 200), WIDE)
    assert (drawn.shape, drawn.dtype, set(drawn[3].flat)) == ((4, 64, 64), np.float32, {0, 1})
    expected = np.zeros((64, 64))
    expected[24:28, 16:24] = 1  # 50 of 200 -> 8 of 32, below 16 rows of margin
    expected[32:40, 32:48] = 1
    np.testing.assert_array_equal(drawn[3], expected)
    np.testing.assert_allclose(drawn[:3, 25, 20], [1, -1, -0.6], atol=1e-6)
    np.testing.assert_allclose(drawn[:3, 35, 40], [-1, 128 / 127.5 - 1, 1], atol=1e-6)
    assert not drawn[:, drawn[3] == 0].any()


def test_thin_strokes_count_and_dust_does_not(tmp_path, rgba):
    rgba[100, 50:350] = (255, 0, 0, 255)
    rgba[20, 20] = (0, 255, 0, 255)
    drawn = strokes(save(tmp_path / "s.png", rgba)).draw((400, 200), WIDE)
    assert drawn[3, 32, 9:55].all()
    assert drawn[3].sum() <= 49
    np.testing.assert_allclose(drawn[:3, 32, 20], [1, -1, -1], atol=1e-6)


def test_soft_strokes_keep_their_color_and_faint_ones_are_none(tmp_path, rgba):
    rgba[50:75, 100:150] = (200, 100, 40, 140)
    rgba[100:150, 200:300] = (0, 0, 0, 90)
    drawn = strokes(save(tmp_path / "s.png", rgba)).draw((400, 200), WIDE)
    assert drawn[3].sum() == 32
    np.testing.assert_allclose((drawn[:3, 25, 20] + 1) * 127.5, [200, 100, 40], atol=2)


def test_strokes_over_a_drawing_smaller_than_the_network(tmp_path):
    rgba = np.zeros((10, 20, 4), np.uint8)
    rgba[5, 4:8] = (255, 255, 255, 255)
    drawn = strokes(save(tmp_path / "s.png", rgba)).draw((20, 10), WIDE)
    rows, columns = np.nonzero(drawn[3])
    assert 3 * 12 <= len(rows) <= 4 * 14
    assert (rows.min(), rows.max()) in [(31, 34), (32, 34), (32, 35)]
    assert 11 <= columns.min() <= 13 and 24 <= columns.max() <= 26


def test_strokes_of_another_size_are_refused(tmp_path, rgba):
    rgba[50:75, 100:150] = 255
    layer = strokes(save(tmp_path / "s.png", rgba))
    with pytest.raises(InputError, match=r"s\.png: the strokes are 400x200 pixels, the drawing 200x400"):
        layer.draw((200, 400), WIDE)


def test_pictures_without_strokes_are_refused(tmp_path, rgba):
    with pytest.raises(InputError, match=r"none\.png: there is no stroke"):
        read_hints(save(tmp_path / "none.png", rgba))
    with pytest.raises(InputError, match=r"page\.png: this picture has no transparency"):
        read_hints(save(tmp_path / "page.png", np.full((9, 9, 3), 255, np.uint8)))
    with pytest.raises(InputError, match=r"missing\.png: cannot be opened"):
        read_hints(tmp_path / "missing.png")
    rgba[5, 5] = 255
    with pytest.raises(InputError, match="pixels"):
        read_hints(save(tmp_path / "large.png", rgba), max_pixels=100)


def test_the_digest_changes_with_color_and_place(tmp_path, rgba):
    digests = set()
    for place, color in (((5, 5), 255), ((5, 6), 255), ((5, 5), 254)):
        page = rgba.copy()
        page[place] = (color, 0, 0, 255)
        digests.add(strokes(save(tmp_path / "s.png", page)).digest)
    assert len(digests) == 3
    again = rgba.copy()
    again[5, 5] = (255, 0, 0, 255)
    assert strokes(save(tmp_path / "other.png", again)).digest in digests


def test_lists_of_hints(tmp_path):
    path = tmp_path / "h.JSON"
    items = ["10,20,FF8000", [30, 40.5, "#3060c0", 6], [1, 2, "000000", None]]
    expected = (Hint(10, 20, (255, 128, 0)), Hint(30, 40.5, (0x30, 0x60, 0xC0), 6), Hint(1, 2, (0, 0, 0)))
    for content in (items, {"hints": items, "lines": "original"}):
        path.write_text(json.dumps(content))
        assert read_hints(path) == (expected, ())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"3",
        b'"10,20,FF8000"',
        b"{}",
        b"[3]",
        b"[null]",
        b'["10,20"]',
        b'[{"x": 1}]',
        b'[[1, 2, "FF00"]]',
        b'[[NaN, 2, "FF0000"]]',
        b"[" * 100_000,
        b'{"hints": "many"}',
    ],
)
def test_wrong_lists_are_one_clear_error(tmp_path, content):
    path = tmp_path / "h.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"h\.json: .*expected \[\"120,80,FFCC99\"") as raised:
        read_hints(path)
    assert len(str(raised.value)) < 400 + len(str(tmp_path))


def test_a_missing_list(tmp_path):
    with pytest.raises(InputError, match=r"h\.json: cannot be opened"):
        read_hints(tmp_path / "h.json")
