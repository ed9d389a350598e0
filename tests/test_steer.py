import numpy as np
import pytest

from pixelpainter.color import lab_from_srgb
from pixelpainter.hints import Hint, draw_hints
from pixelpainter.imaging import Letterbox
from pixelpainter.palette import Swatch
from pixelpainter.steer import steer

SIDE = 64
PAGE = np.full((SIDE, SIDE), 255, np.uint8)
NO_DOTS = np.zeros((4, SIDE, SIDE), np.float32)


@pytest.fixture
def answer():
    color = np.ones((SIDE, SIDE, 3), np.float32)
    color[8:56, 8:56] = (0.7, 0.4, 0.35)
    return color


def middle(picture):
    return picture[20:40, 20:40].reshape(-1, 3).mean(axis=0)


def test_nothing_asked_changes_nothing(answer):
    assert steer(answer, PAGE, NO_DOTS) is answer


def test_exact_colors_come_before_saturation_and_hints_come_last(answer):
    red = [Swatch((200, 40, 60), 1.0)]
    exact = steer(answer, PAGE, NO_DOTS, exact=red)
    np.testing.assert_allclose(middle(exact) * 255, red[0].color, atol=3)
    gray = steer(answer, PAGE, NO_DOTS, exact=red, saturation=0)
    assert np.ptp(middle(gray)) < 0.01
    assert lab_from_srgb(middle(gray))[0] == pytest.approx(lab_from_srgb(middle(exact))[0], abs=0.5)
    dots = draw_hints([Hint(30, 30, (20, 200, 60))], (SIDE, SIDE), Letterbox(SIDE, 0, 0, SIDE, SIDE))
    hinted = steer(answer, PAGE, dots, exact=red, saturation=0)
    np.testing.assert_allclose(middle(hinted) * 255, (20, 200, 60), atol=3)


def test_even_fills_are_without_stains_on_the_page(answer):
    answer[2:7, 10:50] = (0.88, 0.89, 0.93)
    drawing = PAGE.copy()
    drawing[7:57, 7:57] = 0
    drawing[8:56, 8:56] = 255
    assert steer(answer, drawing, NO_DOTS, even=0.8)[2:6, 12:48].min() > 0.98


@pytest.mark.parametrize("saturation", [-0.1, float("nan"), float("inf")])
def test_a_wrong_saturation_is_the_callers_mistake(answer, saturation):
    with pytest.raises(ValueError, match="saturation"):
        steer(answer, PAGE, NO_DOTS, saturation=saturation)
