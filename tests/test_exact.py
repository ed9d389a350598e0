import numpy as np
import pytest

from pixelpainter.color import lab_from_srgb
from pixelpainter.exact import use_palette
from pixelpainter.palette import Swatch

SIDE = 96
SKIN, HAIR, DRESS = (242, 205, 180), (60, 90, 200), (200, 40, 60)
PALETTE = [Swatch(color, 1 / 3) for color in (SKIN, HAIR, DRESS)]
BOX = np.s_[8:88, 8:88]  # the figure; around it lies paper
UP, MIDDLE, DOWN = np.s_[11:32, 11:85], np.s_[37:58, 11:85], np.s_[63:85, 11:85]


@pytest.fixture
def drawing():
    """A box with three floors, all closed by lines 2 pixels thick."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    for edge in (8, 34, 60, 86):
        page[edge : edge + 2, 8:88] = 0
    page[8:88, 8:10] = page[8:88, 86:88] = 0
    return page


def painted(drawing, *floors):
    """What a network might answer: each floor in one color (0 to 255) with a slope of light, black lines."""
    answer = np.ones((SIDE, SIDE, 3), np.float32)
    for rows, color in zip((slice(8, 35), slice(35, 61), slice(61, 88)), floors, strict=True):
        answer[rows, 8:88] = np.array(color, np.float32) / 255
    answer[BOX] *= np.linspace(0.94, 1.0, 80, dtype=np.float32)[None, :, None]
    answer[drawing == 0] = 0.1
    return answer


def mean(picture, part):
    return picture[part].reshape(-1, 3).mean(axis=0) * 255


def test_each_part_takes_the_nearest_color_and_keeps_its_light(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    result = use_palette(answer, drawing, PALETTE, known=True)
    for part, color in ((UP, SKIN), (MIDDLE, HAIR), (DOWN, DRESS)):
        np.testing.assert_allclose(mean(result, part), color, atol=5)
        before, after = lab_from_srgb(answer[part])[..., 0], lab_from_srgb(result[part])[..., 0]
        np.testing.assert_allclose(np.diff(after[:, [5, 65]]), np.diff(before[:, [5, 65]]), atol=0.6)


def test_paper_and_lines_stay(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    for palette in (PALETTE, [*PALETTE, Swatch((250, 240, 225), 0.1)]):
        result = use_palette(answer, drawing, palette, known=True)
        np.testing.assert_array_equal(result[drawing == 0], answer[drawing == 0])
        outside = np.ones(drawing.shape, bool)
        outside[BOX] = False
        np.testing.assert_allclose(result[outside], 1, atol=0.005)


def test_a_patchy_part_becomes_one_color(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    answer[40:46, 30:36] = np.array((190, 110, 110)) / 255  # a patch that is nearer to the dress
    result = use_palette(answer, drawing, PALETTE, known=True)
    patch = result[41:45, 31:35].reshape(-1, 3).mean(axis=0)
    assert patch[2] > patch[0]
    distances = np.linalg.norm(patch * 255 - np.array([HAIR, DRESS]), axis=1)
    assert distances[0] < distances[1]


def test_white_and_black_stay_unless_the_palette_has_them(drawing):
    answer = painted(drawing, (252, 252, 252), (90, 105, 180), (22, 22, 24))
    result = use_palette(answer, drawing, PALETTE, known=True)
    for part in (UP, DOWN):
        np.testing.assert_allclose(result[part], answer[part], atol=0.01)
    cream = [*PALETTE, Swatch((250, 240, 225), 0.1), Swatch((20, 12, 24), 0.1)]
    result = use_palette(answer, drawing, cream, known=True)
    np.testing.assert_allclose(mean(result, UP), (250, 240, 225), atol=5)
    np.testing.assert_allclose(mean(result, DOWN), (20, 12, 24), atol=5)


def test_the_color_beside_lines_does_not_decide(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    around = np.ones(drawing.shape, bool)
    around[BOX] = False
    around[:6] = around[90:] = False
    around[:, :6] = around[:, 90:] = False
    answer[around] = 0.76  # lines of the answer are blurred
    result = use_palette(answer, drawing, PALETTE, known=True)
    np.testing.assert_allclose(result[around], 0.76, atol=0.01)


def test_pale_skin_is_skin_and_not_the_white_of_the_palette(drawing):
    answer = painted(drawing, (228, 213, 208), (90, 105, 180), (180, 70, 70))
    result = use_palette(answer, drawing, [*PALETTE, Swatch((243, 240, 234), 0.1)], known=True)
    np.testing.assert_allclose(mean(result, UP), SKIN, atol=5)


def test_a_network_that_paints_pale_colors_means_strong_ones(drawing):
    answer = painted(drawing, (232, 215, 206), (112, 119, 150), (160, 112, 116))
    result = use_palette(answer, drawing, [*PALETTE, Swatch((128, 128, 130), 0.05)], known=True)
    for part, color in ((UP, SKIN), (MIDDLE, HAIR), (DOWN, DRESS)):
        np.testing.assert_allclose(mean(result, part), color, atol=8)


def test_a_network_that_does_not_know_the_palette_uses_all_of_it(drawing):
    answer = painted(drawing, (235, 205, 185), (120, 95, 80), (165, 140, 125))
    known = use_palette(answer, drawing, PALETTE, known=True)
    assert np.abs(mean(known, UP) - SKIN).max() < 6
    assert np.abs(mean(known, MIDDLE) - mean(known, DOWN)).max() < 90  # brown is brown
    result = use_palette(answer, drawing, PALETTE, known=False)
    np.testing.assert_allclose(mean(result, UP), SKIN, atol=6)
    rest = sorted(mean(result, part).round().tolist() for part in (MIDDLE, DOWN))
    np.testing.assert_allclose(rest, [HAIR, DRESS], atol=8)


def test_the_same_answer_gives_the_same_result(drawing):
    answer = np.random.default_rng(0).random((SIDE, SIDE, 3)).astype(np.float32)
    many = [Swatch(tuple(color), 1 / 64) for color in np.random.default_rng(1).integers(0, 256, (64, 3)).tolist()]
    for known in (True, False):
        first, second = (use_palette(answer, drawing, many, known=known) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 1


def test_pages_without_a_figure_stay(drawing):
    white = np.ones((SIDE, SIDE, 3), np.float32)
    black = np.zeros((SIDE, SIDE), np.uint8)
    for page in (drawing, black):
        assert use_palette(white, page, PALETTE, known=False) is white
    gray = np.full((SIDE, SIDE, 3), 0.1, np.float32)
    np.testing.assert_array_equal(use_palette(gray, black, PALETTE, known=True), gray)
