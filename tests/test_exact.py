import numpy as np
import pytest

from pixelpainter.color import lab_from_srgb
from pixelpainter.exact import move_parts, use_palette
from pixelpainter.flats import network_regions
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
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    for part, color in ((UP, SKIN), (MIDDLE, HAIR), (DOWN, DRESS)):
        np.testing.assert_allclose(mean(result, part), color, atol=5)
        before, after = lab_from_srgb(answer[part])[..., 0], lab_from_srgb(result[part])[..., 0]
        np.testing.assert_allclose(np.diff(after[:, [5, 65]]), np.diff(before[:, [5, 65]]), atol=0.6)


def test_paper_and_lines_stay(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    for palette in (PALETTE, [*PALETTE, Swatch((250, 240, 225), 0.1)]):
        result = use_palette(answer, drawing, palette, network_regions(drawing))
        np.testing.assert_array_equal(result[drawing == 0], answer[drawing == 0])
        outside = np.ones(drawing.shape, bool)
        outside[BOX] = False
        np.testing.assert_allclose(result[outside], 1, atol=0.005)


def test_a_patchy_part_becomes_one_color(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    answer[40:46, 30:36] = np.array((190, 110, 110)) / 255  # a patch that is nearer to the dress
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    patch = result[41:45, 31:35].reshape(-1, 3).mean(axis=0)
    assert patch[2] > patch[0]
    distances = np.linalg.norm(patch * 255 - np.array([HAIR, DRESS]), axis=1)
    assert distances[0] < distances[1]


def test_a_large_patch_in_a_closed_part_takes_its_color_too(drawing):
    answer = painted(drawing, (225, 190, 175), HAIR, (180, 70, 70))
    answer[37:58, 55:85] = np.array((150, 75, 115)) / 255  # two fifths of the floor, nearer to the dress
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    assert (result[37:58, 11:85, 2] > result[37:58, 11:85, 0]).all()
    drawing[36:55, 53:55], answer[36:55, 53:55] = 0, 0.1  # a line parts them, but for a hole
    answer[37:58, 55:85] = np.array(DRESS) / 255
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    assert (result[39:52, 57:85, 2] < result[39:52, 57:85, 0]).all()


def test_white_and_black_stay_unless_the_palette_has_them(drawing):
    answer = painted(drawing, (252, 252, 252), (90, 105, 180), (22, 22, 24))
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    for part in (UP, DOWN):
        np.testing.assert_allclose(result[part], answer[part], atol=0.01)
    cream = [*PALETTE, Swatch((250, 240, 225), 0.1), Swatch((20, 12, 24), 0.1)]
    result = use_palette(answer, drawing, cream, network_regions(drawing))
    np.testing.assert_allclose(mean(result, UP), (250, 240, 225), atol=5)
    np.testing.assert_allclose(mean(result, DOWN), (20, 12, 24), atol=5)


def test_the_color_beside_lines_does_not_decide(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    around = np.ones(drawing.shape, bool)
    around[BOX] = False
    around[:6] = around[90:] = False
    around[:, :6] = around[:, 90:] = False
    answer[around] = 0.76  # lines of the answer are blurred
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    np.testing.assert_allclose(result[around], 0.76, atol=0.01)


def test_pale_skin_is_skin_and_not_the_white_of_the_palette(drawing):
    answer = painted(drawing, (228, 213, 208), (90, 105, 180), (180, 70, 70))
    result = use_palette(answer, drawing, [*PALETTE, Swatch((243, 240, 234), 0.1)], network_regions(drawing))
    np.testing.assert_allclose(mean(result, UP), SKIN, atol=5)


def test_a_network_that_paints_pale_colors_means_strong_ones(drawing):
    answer = painted(drawing, (232, 215, 206), (112, 119, 150), (160, 112, 116))
    result = use_palette(answer, drawing, [*PALETTE, Swatch((128, 128, 130), 0.05)], network_regions(drawing))
    for part, color in ((UP, SKIN), (MIDDLE, HAIR), (DOWN, DRESS)):
        np.testing.assert_allclose(mean(result, part), color, atol=8)


def test_what_lines_enclose_but_for_a_hole_is_one_color(drawing):
    drawing[38:57, 20:22] = drawing[38:57, 58:60] = drawing[38:40, 20:60] = drawing[55:57, 20:60] = 0
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    answer[40:55, 22:58] = np.array((180, 70, 70)) / 255
    answer[44:50, 26:36] = np.array((215, 160, 150)) / 255  # a patch that is nearer to the skin
    drawing[38:40, 45:47] = 255
    result = use_palette(answer, drawing, PALETTE, network_regions(drawing))
    np.testing.assert_allclose(mean(result, np.s_[45:49, 50:56]), DRESS, atol=8)
    assert mean(result, np.s_[45:49, 28:34])[1] < 160  # a light red; as skin it would be 205


def test_parts_are_moved_to_the_colors_they_are_given(drawing):
    answer = painted(drawing, (120, 110, 100), (120, 110, 100), (120, 110, 100))
    part = np.full(drawing.shape, 2)
    part[8:35], part[35:61] = 0, 1
    result = move_parts(answer, drawing > 128, part, (HAIR, DRESS))
    np.testing.assert_allclose(mean(result, UP), HAIR, atol=6)
    np.testing.assert_allclose(mean(result, MIDDLE), DRESS, atol=6)
    np.testing.assert_array_equal(result[DOWN], answer[DOWN])
    np.testing.assert_array_equal(result[drawing == 0], answer[drawing == 0])


def test_the_same_answer_gives_the_same_result(drawing):
    answer = np.random.default_rng(0).random((SIDE, SIDE, 3)).astype(np.float32)
    many = [Swatch(tuple(color), 1 / 64) for color in np.random.default_rng(1).integers(0, 256, (64, 3)).tolist()]
    first, second = (use_palette(answer, drawing, many, network_regions(drawing)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 1


def test_a_page_that_is_not_quite_white_stays(drawing):
    answer = painted(drawing, (225, 190, 175), (90, 105, 180), (180, 70, 70))
    outside = network_regions(drawing) == network_regions(drawing)[0, 0]
    answer[outside & (drawing == 255)] = 0.935
    cream = [*PALETTE, Swatch((250, 240, 225), 0.1)]
    result = use_palette(answer, drawing, cream, network_regions(drawing))
    np.testing.assert_allclose(result[:6], 0.935, atol=0.005)
    np.testing.assert_allclose(mean(result, UP), SKIN, atol=5)


def test_pages_without_a_figure_stay(drawing):
    white = np.ones((SIDE, SIDE, 3), np.float32)
    black = np.zeros((SIDE, SIDE), np.uint8)
    for page in (drawing, black):
        assert use_palette(white, page, PALETTE, network_regions(page)) is white
    gray = np.full((SIDE, SIDE, 3), 0.1, np.float32)
    np.testing.assert_array_equal(use_palette(gray, black, PALETTE, network_regions(black)), gray)
