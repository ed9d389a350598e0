import numpy as np
import pytest

from pixelpainter.color import ciede2000, lab_from_srgb
from pixelpainter.follow import ALL_FOLLOW, follow_share, hint_colors, hold_back, palette_with_hints
from pixelpainter.hints import Hint, draw_hints
from pixelpainter.imaging import Letterbox

SIDE = 64
USUAL = np.array([[0.2, -0.4, 0.0, 0.7], [1.0, 0.6, 0.2, 0.2], [-0.9, -0.9, -0.8, 0.1]], np.float32)


def dots(*colors, radius=None):
    hints = [Hint(4 + 8 * (i % 7), 4 + 8 * (i // 7), color, radius) for i, color in enumerate(colors)]
    return draw_hints(hints, (SIDE, SIDE), Letterbox(SIDE, 0, 0, SIDE, SIDE))


RED, BLUE = (220, 30, 40), (20, 60, 200)


def test_each_dot_counts_once_whatever_its_size():
    assert hint_colors(dots()).shape == (0, 3)
    found = hint_colors(dots(RED, BLUE, RED, radius=3))
    np.testing.assert_allclose(np.sort(found[:, 0]) * 255, [20, 220, 220], atol=0.5)


def test_one_hint_leaves_the_palette_and_many_make_it():
    for none in ((), (RED,)):
        assert palette_with_hints(USUAL, dots(*none)) is USUAL
    two, many = palette_with_hints(USUAL, dots(RED, BLUE)), palette_with_hints(USUAL, dots(*[RED, RED, BLUE] * 10))
    for code in (two, many):
        assert code.shape == USUAL.shape
        assert code.dtype == np.float32
        assert code[:, 3].sum() == pytest.approx(1, abs=1e-5)
        assert (np.diff(code[:, 3]) <= 0).all()

    def share(code, color):
        distance = ciede2000(lab_from_srgb((code[:, :3] + 1) / 2), lab_from_srgb(np.array(color) / 255))
        return code[distance < 1, 3].sum()

    assert 0 < share(two, RED) + share(two, BLUE) < 0.5
    assert share(many, RED) == pytest.approx(2 * share(many, BLUE), rel=0.01)
    assert share(many, RED) + share(many, BLUE) > 0.85
    np.testing.assert_allclose(two[0, :3], USUAL[0, :3])  # the largest of the usual colors still leads


def test_a_palette_full_of_hints():
    colors = [(i * 25, 255 - i * 25, (i * 90) % 256) for i in range(10)]
    code = palette_with_hints(USUAL, dots(*colors))
    assert code.shape == USUAL.shape
    assert code[:, 3].sum() == pytest.approx(1, abs=1e-5)


def test_regions_without_a_hint_follow_as_hints_get_many():
    answer, plain = np.full((SIDE, SIDE, 3), 0.8, np.float32), np.full((SIDE, SIDE, 3), 0.2, np.float32)
    labels = np.ones((SIDE, SIDE), np.int32)
    labels[32:] = 2
    paper = np.ones((SIDE, SIDE), bool)
    expected = {1: 0.2, 5: 0.5, ALL_FOLLOW: 0.8, ALL_FOLLOW + 3: 0.8}
    for count, lower in expected.items():
        result = hold_back(answer, plain, dots(*[RED] * count), labels, paper)
        np.testing.assert_allclose(result[:32], 0.8, atol=1e-6)
        np.testing.assert_allclose(result[32:], lower, atol=1e-6)
    assert follow_share(dots()) == 0


def test_a_hint_on_a_line_is_in_no_region():
    answer, plain = np.full((SIDE, SIDE, 3), 0.8, np.float32), np.full((SIDE, SIDE, 3), 0.2, np.float32)
    labels, paper = np.ones((SIDE, SIDE), np.int32), np.ones((SIDE, SIDE), bool)
    paper[:10, :10] = False
    np.testing.assert_allclose(hold_back(answer, plain, dots(RED), labels, paper), plain)
