import cv2
import numpy as np
import pytest

from pixelpainter import Colorizer
from pixelpainter.imaging import picture_from_array
from pixelpainter.line_layer import on_paper

SIDE = 240


def strokes(width=3):
    """Return how opaque the ink of a figure is: a closed head on an open body."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(ink, (120, 80), 50, 255, width, cv2.LINE_AA)
    cv2.ellipse(ink, (120, 240), (80, 110), 0, 200, 340, 255, width, cv2.LINE_AA)
    return ink


def layer(color, alpha):
    """Return a picture of one color with an alpha channel."""
    return picture_from_array(np.dstack([np.full((SIDE, SIDE, 3), color, np.uint8), alpha]))


def with_area(color, radius):
    """Return black line art with a filled circle in the head."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., 3] = strokes()
    cv2.circle(pixels, (120, 80), radius, (*color, 255), -1)
    return picture_from_array(pixels)


@pytest.mark.parametrize("color", [(0, 0, 0), (90, 60, 30), (40, 110, 230), (170, 170, 170)])
@pytest.mark.parametrize("width", [1, 9])
def test_lines_on_nothing_lie_on_paper(color, width):
    picture = layer(color, strokes(width))
    drawing = on_paper(picture)
    assert drawing.alpha is None
    np.testing.assert_array_equal(drawing.rgb, picture.rgb)


@pytest.mark.parametrize("color", [(255, 255, 255), (235, 225, 230)])
def test_white_lines_become_black(color):
    drawing = on_paper(layer(color, strokes()))
    assert drawing.alpha is None
    np.testing.assert_array_equal(drawing.rgb, 255 - strokes()[..., None].repeat(3, axis=2))


def test_black_areas_and_a_few_fills_are_line_art():
    assert on_paper(with_area((0, 0, 0), 48)).alpha is None
    assert on_paper(with_area((255, 255, 255), 20)).alpha is None
    open_lines = strokes()
    open_lines[:131] = 0
    assert on_paper(layer((0, 0, 0), open_lines)).alpha is None


def test_a_figure_that_was_cut_out_keeps_its_transparency():
    for picture in (
        with_area((255, 255, 255), 48),
        with_area((150, 140, 130), 48),  # on gray paper
        layer((255, 255, 255), np.full((SIDE, SIDE), 90, np.uint8)),  # nothing but thin paper
        layer((0, 0, 0), np.zeros((SIDE, SIDE), np.uint8)),  # nothing at all
        picture_from_array(np.full((SIDE, SIDE, 3), 255, np.uint8)),
    ):
        assert on_paper(picture) is picture


def test_line_art_on_nothing_is_colored_as_on_paper(plain_model):
    colorizer = Colorizer(plain_model, threads=1)
    wanted = np.asarray(colorizer.colorize(255 - strokes()))
    for color in (0, 255):
        result = colorizer.colorize(layer((color, color, color), strokes()))
        assert result.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(result), wanted)
