import cv2
import numpy as np
import pytest

from pixelpainter import obey as rules
from pixelpainter.flats import network_regions
from pixelpainter.hints import Hint, draw_hints
from pixelpainter.imaging import Letterbox

SIDE = 64
BOX = Letterbox(SIDE, 0, 0, SIDE, SIDE)
LEFT, RIGHT = np.s_[:, :30], np.s_[:, 34:]


def obey(answer, drawing, hints):
    return rules.obey(answer, drawing, hints, network_regions(drawing))


def dots(*hints):
    return draw_hints(hints, (SIDE, SIDE), BOX)


@pytest.fixture
def drawing():
    """Two halves, parted by a line."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    page[:, 31:33] = 0
    return page


@pytest.fixture
def answer(drawing):
    """A slope from dark to light green, left and right alike, and the network's own dark line."""
    color = np.zeros((SIDE, SIDE, 3), np.float32)
    color[...] = (0.2, 0.5, 0.3)
    color[..., 1] += np.linspace(-0.05, 0.05, SIDE)[:, None]
    color[drawing == 0] = 0.1
    return color


def test_the_area_around_a_hint_takes_its_color_and_keeps_its_slope(answer, drawing):
    result = obey(answer, drawing, dots(Hint(15, 32, (255, 0, 0))))
    np.testing.assert_allclose(result[32, 15], (1, 0, 0), atol=0.01)
    np.testing.assert_allclose(result[LEFT][..., 0], 1.0, atol=0.01)
    inner = np.s_[33:60, 15, 1]
    np.testing.assert_allclose(result[inner] - answer[inner], result[33, 15, 1] - answer[33, 15, 1], atol=0.01)


def test_a_patchy_area_is_one(answer):
    wave = np.sin(np.arange(SIDE) * 2 * np.pi / 20) * 28 / 255
    answer[...] = 0.5
    answer[..., 1] += wave[:, None].astype(np.float32)
    page = np.full((SIDE, SIDE), 255, np.uint8)
    result = obey(answer, page, dots(Hint(30, 35, (200, 128, 128))))
    np.testing.assert_allclose((result - answer)[..., 0], 200 / 255 - 0.5, atol=0.01)


def cloud(plain, color):
    """Return what a network answers that follows a hint at (15, 32) near it only."""
    y, x = np.mgrid[:SIDE, :SIDE]
    near = 0.9 * np.exp(-((x - 15) ** 2 + (y - 32) ** 2) / 60)[..., None]
    return (plain + near * (np.array(color) / 255 - plain)).astype(np.float32)


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 40, 40)])
def test_a_hint_that_the_network_follows_near_it_only_colors_all_of_its_area(answer, drawing, color):
    plain = np.full_like(answer, (0.4, 0.5, 0.65))
    labels = network_regions(drawing)
    result = rules.obey(cloud(plain, color), drawing, dots(Hint(15, 32, color)), labels, plain)
    np.testing.assert_allclose(result[LEFT] * 255, np.broadcast_to(color, (SIDE, 30, 3)), atol=4)
    np.testing.assert_allclose(result[RIGHT], cloud(plain, color)[RIGHT], atol=1e-6)
    plain[40:] = (0.9, 0.8, 0.7)  # a line is missing: without the hint, this had another color
    result = rules.obey(cloud(plain, color), drawing, dots(Hint(15, 32, color)), labels, plain)
    np.testing.assert_allclose(result[:36, :30] * 255, np.broadcast_to(color, (36, 30, 3)), atol=4)
    np.testing.assert_allclose(result[44:], cloud(plain, color)[44:], atol=0.01)


def test_hints_of_two_colors_in_an_area_keep_what_the_network_made_of_them(answer):
    page, plain = np.full((SIDE, SIDE), 255, np.uint8), np.full_like(answer, 0.5)
    answer[:44], answer[44:] = (0.8, 0.15, 0.15), (0.1, 0.2, 0.8)
    hints = dots(Hint(32, 36, (220, 30, 30)), Hint(32, 60, (20, 40, 220)))
    result = rules.obey(answer, page, hints, network_regions(page), plain)
    np.testing.assert_allclose(result[:40] * 255, np.broadcast_to((220, 30, 30), (40, SIDE, 3)), atol=4)
    np.testing.assert_allclose(result[48:] * 255, np.broadcast_to((20, 40, 220), (16, SIDE, 3)), atol=4)


def test_light_in_the_area_of_such_a_hint_stays(answer, drawing):
    plain = np.full_like(answer, (0.4, 0.5, 0.65))
    plain[5:15] += 0.1
    black = cloud(plain, (0, 0, 0))
    result = rules.obey(black, drawing, dots(Hint(15, 32, (0, 0, 0))), network_regions(drawing), plain)
    np.testing.assert_allclose(result[10, 5], 0.1, atol=0.02)


def test_a_line_stops_it(answer, drawing):
    result = obey(answer, drawing, dots(Hint(15, 32, (255, 0, 0))))
    np.testing.assert_array_equal(result[RIGHT], answer[RIGHT])


def test_an_edge_of_the_answer_stops_it(answer):
    answer[RIGHT] = (0.9, 0.8, 0.1)
    result = obey(answer, np.full((SIDE, SIDE), 255, np.uint8), dots(Hint(10, 32, (255, 0, 0))))
    np.testing.assert_array_equal(result[:, 36:], answer[:, 36:])
    assert result[32, 5, 0] > 0.95


def test_two_hints_share_an_area(answer):
    page = np.full((SIDE, SIDE), 255, np.uint8)
    answer[...] = 0.5
    result = obey(answer, page, dots(Hint(8, 32, (255, 128, 128)), Hint(56, 32, (0, 128, 128))))
    assert result[32, 8, 0] > 0.97 and result[32, 56, 0] < 0.03
    assert abs(result[32, 32, 0] - 0.5) < 0.02
    assert (np.diff(result[32, 10:55, 0]) <= 1e-6).all()


def test_touching_dots_of_two_colors_count_each(answer, drawing):
    result = obey(answer, drawing, dots(Hint(12, 32, (255, 0, 0), 3), Hint(17, 32, (0, 0, 255), 3)))
    assert result[32, 2, 0] > result[32, 2, 2]
    assert result[32, 27, 2] > result[32, 27, 0]


def test_a_hint_on_a_line_changes_nothing(answer, drawing):
    np.testing.assert_array_equal(obey(answer, drawing, dots(Hint(31.5, 32, (255, 0, 0), 0.5))), answer)


def test_without_hints_nothing_changes(answer, drawing):
    assert obey(answer, drawing, dots()) is answer


def test_a_stroke_through_two_areas_colors_both(answer, drawing):
    stroke = dots()
    stroke[:3, 28:36, 5:60] = np.array([1, -1, -1], np.float32)[:, None, None]
    stroke[3, 28:36, 5:60] = 1
    result = obey(answer, drawing, stroke)
    for half in (LEFT, RIGHT):
        np.testing.assert_allclose(result[half][..., 0], 1, atol=0.01)
    stroke[:, :, 34:] = 0  # only its end is in the line
    np.testing.assert_array_equal(obey(answer, drawing, stroke)[RIGHT], answer[RIGHT])


def test_a_stroke_of_nearly_one_color_is_one(answer, drawing):
    stroke = dots()
    stroke[:3, 20:40, 8:20] = np.linspace(0.3, 0.8, 12, dtype=np.float32)
    stroke[3, 20:40, 8:20] = 1
    np.testing.assert_allclose(obey(answer, drawing, stroke)[32, 15], 0.775, atol=0.03)


def test_many_hints_in_one_area_each_color_what_is_near(answer):
    page = np.full((SIDE, SIDE), 255, np.uint8)
    answer[...] = 0.5
    spots = [(x, y) for x in range(4, 64, 10) for y in range(4, 64, 10)]
    many = [Hint(x + 0.5, y + 0.5, (255, 128, 128) if x < 32 else (0, 128, 128)) for x, y in spots]
    result = obey(answer, page, dots(*many))
    np.testing.assert_allclose(result[:, :28, 0], 1, atol=0.01)
    np.testing.assert_allclose(result[:, 40:, 0], 0, atol=0.01)


def test_a_page_full_of_hints_ends(answer, drawing):
    random = np.random.default_rng(0)
    many = [Hint(*random.uniform(0, SIDE, 2), tuple(random.integers(0, 256, 3).tolist())) for _ in range(10_000)]
    result = obey(answer, drawing, dots(*many))
    assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1


def page_with_a_figure():
    """A white page, a ring on it, and an answer that is white outside and green inside."""
    drawing = np.full((SIDE, SIDE), 255, np.uint8)
    cv2.circle(drawing, (32, 32), 14, 0, 2)
    answer = np.ones((SIDE, SIDE, 3), np.float32)
    cv2.circle(answer, (32, 32), 14, (0.2, 0.7, 0.3), -1)
    return drawing, answer


def test_a_hint_beside_the_figure_does_not_tint_the_page():
    drawing, answer = page_with_a_figure()
    result = obey(answer, drawing, dots(Hint(32, 14, (255, 200, 200))))
    np.testing.assert_allclose(result[14, 32] * 255, (255, 200, 200), atol=2)
    np.testing.assert_array_equal(result[40:, 50:], answer[40:, 50:])
    np.testing.assert_array_equal(result[4, 4], answer[4, 4])


def test_a_hint_in_the_middle_of_the_page_tints_all_of_it():
    drawing, answer = page_with_a_figure()
    result = obey(answer, drawing, dots(Hint(3, 3, (150, 200, 255))))
    np.testing.assert_allclose(result[3, 3] * 255, (150, 200, 255), atol=2)
    np.testing.assert_allclose(result[40, 58] * 255, (150, 200, 255), atol=2)
    np.testing.assert_array_equal(result[32, 32], answer[32, 32])


def test_a_hint_off_the_lines_tints_the_page_evenly():
    drawing, answer = page_with_a_figure()
    result = obey(answer, drawing, dots(Hint(32, 9, (150, 200, 255))))
    np.testing.assert_allclose(result[[4, 4, 60, 60], [4, 60, 4, 60]] * 255, [(150, 200, 255)] * 4, atol=2)


def test_a_hint_in_a_white_figure_with_an_open_outline_leaves_the_page():
    drawing, answer = page_with_a_figure()
    drawing[44:, 28:36], answer[...] = 255, 1
    labels = network_regions(drawing)
    assert labels[32, 32] == labels[0, 0]
    result = obey(answer, drawing, dots(Hint(32, 25, (150, 200, 255))))
    np.testing.assert_allclose(result[25, 32] * 255, (150, 200, 255), atol=2)
    np.testing.assert_array_equal(result[[4, 60, 60], [4, 4, 60]], 1)


def test_many_hints_beside_the_figure_do_not_tint_the_page():
    drawing, answer = page_with_a_figure()
    ring = [(32 + 17 * np.cos(a), 32 + 17 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 30)[:-1]]
    result = obey(answer, drawing, dots(*[Hint(x, y, (255, 200, 200), 0.5) for x, y in ring]))
    assert result[32, 49, 1] < 0.9
    np.testing.assert_array_equal(result[2, 2], answer[2, 2])
