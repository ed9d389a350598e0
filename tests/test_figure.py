import numpy as np
from tiny import two_boxes

from pixelpainter.figure import figure_mask


def test_figure_mask_keeps_white_inside_and_drops_the_page():
    truth, _ = two_boxes()
    truth[50:60, 50:60] = 255
    figure = figure_mask(truth)
    expected = np.zeros((120, 160), bool)
    expected[19:102, 19:142] = True
    assert (figure == expected).mean() > 0.999 and figure[50:60, 50:60].all() and not figure[0].any()


def test_figure_mask_of_colored_background_is_everything_and_of_white_nothing():
    truth, _ = two_boxes()
    truth[(truth == 255).all(axis=2)] = (240, 230, 140)
    assert figure_mask(truth).all()
    assert not figure_mask(np.full((9, 9, 3), 250, np.uint8)).any()


def test_figure_mask_finds_page_that_touches_the_border_in_parts():
    picture = np.full((40, 40, 3), 255, np.uint8)
    picture[18:22] = picture[:, 18:22] = (10, 200, 10)  # a cross parts the page in four
    assert (figure_mask(picture) == (picture[..., 0] == 10)).all()
