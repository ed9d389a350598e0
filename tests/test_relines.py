import cv2
import numpy as np
import pytest

from pixelpainter.errors import InputError
from pixelpainter.lines import clean_drawing
from pixelpainter.refine.relines import fit_drawing, put_lines_back


def drawn(side: int = 256, *, width: int = 3) -> np.ndarray:
    """Return a drawing (side, side, 3) of two boxes that share a wall, antialiased, black on white."""
    page = np.full((side, side), 255, np.uint8)
    for left, right in ((1, 4), (4, 7)):
        corners = [(side * left // 8, side // 8), (side * right // 8, side * 7 // 8)]
        cv2.rectangle(page, *corners, 0, width, cv2.LINE_AA)
    return cv2.cvtColor(page, cv2.COLOR_GRAY2RGB)


def painted(sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return colors, red left of the middle wall and blue right of it, and these with the lines of the drawing."""
    colors = np.empty_like(sketch)
    colors[:, : sketch.shape[1] // 2], colors[:, sketch.shape[1] // 2 :] = (200, 60, 40), (40, 90, 210)
    ink = clean_drawing(sketch).ink
    return colors, (colors * (ink[..., None] / 255)).round().astype(np.uint8)


def refined(picture: np.ndarray, reach: float) -> np.ndarray:
    """Return a picture whose lines are blurred and a little beside their place, as a diffusion model paints them."""
    return cv2.GaussianBlur(np.pad(picture, ((1, 0), (1, 0), (0, 0)), "edge")[:-1, :-1], (0, 0), reach)


@pytest.mark.parametrize("side", [256, 1024])
def test_lines_and_colors_are_those_of_the_drawing(side):
    sketch = drawn(side)
    _, wanted = painted(sketch)
    blurred = refined(wanted, 0.6)
    result = put_lines_back(blurred, clean_drawing(sketch))
    assert (result.shape, result.dtype) == (wanted.shape, np.uint8)
    error = np.abs(result.astype(int) - wanted)
    assert np.abs(blurred.astype(int) - wanted).max() > 100
    assert error.mean() < 0.15
    # More than rounding and corners: only where the colors meet, under the wall between them.
    near_wall = np.abs(np.arange(side) - side // 2) < 4
    assert error[:, ~near_wall].max() <= 25


def test_colors_do_not_cross_a_line():
    sketch = drawn(256, width=1)
    _, wanted = painted(sketch)
    result = put_lines_back(refined(wanted, 0.6), clean_drawing(sketch))
    row = result[128]
    assert (row[122:126, 0] > 150).all()
    assert (row[131:135, 2] > 150).all()


def test_narrow_gaps_keep_their_own_color():
    page = np.full((512, 512), 255, np.uint8)
    for x in range(200, 260, 4):  # hatching: no pixel is far from a line
        cv2.line(page, (x, 50), (x, 460), 0, 1)
    sketch = cv2.cvtColor(page, cv2.COLOR_GRAY2RGB)
    colors = np.full((512, 512, 3), (230, 220, 200), np.uint8)
    colors[40:470, 199:258] = (220, 40, 40)
    result = put_lines_back(colors, clean_drawing(sketch))
    between = result[100:400, 202:255:4]
    assert np.abs(between.astype(int) - (220, 40, 40)).max() <= 2


def test_nothing_changes_away_from_lines():
    sketch = drawn(256)
    random = np.random.default_rng(0).integers(0, 256, sketch.shape, np.uint8)
    result = put_lines_back(random, clean_drawing(sketch))
    ink = clean_drawing(sketch).ink
    far = cv2.distanceTransform((ink > 223).astype(np.uint8), cv2.DIST_L2, 5) > 6
    assert (result[far] == random[far]).all()
    assert (result[ink == 0] == 0).all()


def test_pencil_white_on_black_and_drawings_without_lines():
    sketch = drawn(256)
    colors, wanted = painted(sketch)
    inverted = put_lines_back(refined(wanted, 0.6), clean_drawing(255 - sketch))
    assert np.abs(inverted.astype(int) - put_lines_back(refined(wanted, 0.6), clean_drawing(sketch))).max() <= 1
    faint = clean_drawing(255 - (255 - sketch) // 8)  # strokes of 224
    assert faint.ink.min() > 223
    result = put_lines_back(refined(wanted, 0.6), faint)  # the model made them dark
    assert np.abs(result[128, 32] - colors[128, 32] * (faint.ink[128, 32] / 255)).max() <= 2
    assert faint.ink[128, 32] < 240
    empty = clean_drawing(np.full_like(sketch, 255))
    assert (put_lines_back(wanted, empty) == wanted).all()
    black = clean_drawing(np.zeros_like(sketch))
    assert put_lines_back(wanted, black).shape == wanted.shape


def test_a_single_pixel():
    pixel = np.full((1, 1, 3), 90, np.uint8)
    assert (put_lines_back(pixel, clean_drawing(np.full_like(pixel, 255))) == pixel).all()


@pytest.mark.parametrize("size", [(512, 256), (130, 64), (128, 65), (1, 1)])
def test_a_drawing_of_another_size_is_scaled(size):
    sketch = drawn(256)[:128]
    if size == (1, 1):
        sketch = sketch[:1, :2]
    drawing = fit_drawing(clean_drawing(sketch), size, "a.png")
    assert drawing.ink.shape == drawing.network.shape == size[::-1]


def test_thin_lines_survive_shrinking():
    page = np.full((1024, 1024, 3), 255, np.uint8)
    page[:, 301] = 0
    small = fit_drawing(clean_drawing(page), (128, 128), "a.png")
    assert small.ink.min() < 235
    large = fit_drawing(clean_drawing(page[::8, ::8]), (1024, 1024), "a.png")
    assert large.ink.max() == 255


@pytest.mark.parametrize("size", [(256, 131), (250, 128), (128, 256)])
def test_a_drawing_of_another_ratio_is_refused(size):
    with pytest.raises(
        InputError, match=rf"^a\.png: the drawing has 256x128 pixels and the picture {size[0]}x{size[1]}"
    ):
        fit_drawing(clean_drawing(drawn(256)[:128]), size, "a.png")


def test_wrong_arrays():
    with pytest.raises(ValueError, match="do not fit"):
        put_lines_back(drawn(256)[:128], clean_drawing(drawn(256)))
