from pathlib import Path

import numpy as np
import pytest

from pixelpainter.errors import InputError
from pixelpainter.hints import Hint, draw_hints, off_lines, parse_hint
from pixelpainter.imaging import Letterbox
from pixelpainter.suffixes import is_side_car

WIDE = Letterbox(side=64, top=16, left=0, height=32, width=64)  # a picture twice as wide as high


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10,20,FF8000", Hint(10, 20, (255, 128, 0))),
        (" 10.5, 20 ,#ff8000, 6", Hint(10.5, 20, (255, 128, 0), 6)),
        ("-5,3,000000", Hint(-5, 3, (0, 0, 0))),
    ],
)
def test_hints_are_read_as_written(text, hint):
    assert parse_hint(text) == hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10,20",
        "10,20,red",
        "10,20,FFF",
        "10,20,GG0000",
        "a,20,FF0000",
        "1,2,FF0000,0",
        "1,2,FF0000,3,4",
        "nan,2,FF0000",
        "inf,2,FF0000",
        "1,2,FF0000,-3",
        "1,2,FF0000,nan",
        "1;2;FF0000",
        "1,2,##FF0000",
    ],
)
def test_wrong_hints_say_what_was_expected(text):
    with pytest.raises(ValueError, match=r"is not x,y,RRGGBB or x,y,RRGGBB,radius \(such as 120,80,FFCC99\)"):
        parse_hint(text)


def test_a_hint_is_a_dot_at_its_place_in_its_color():
    drawn = draw_hints([Hint(100, 50, (255, 0, 51))], (400, 200), WIDE)
    assert drawn.shape == (4, 64, 64)
    assert drawn.dtype == np.float32
    rows, columns = np.nonzero(drawn[3])
    assert set(drawn[3].flat) == {0, 1}
    # 100 of 400 -> 16 of 64; 50 of 200 -> 8 of 32, below 16 rows of margin
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (23, 25, 15, 17)
    assert len(rows) == 9
    np.testing.assert_allclose(drawn[:3, 24, 16], [1, -1, -0.6], atol=1e-6)
    assert not drawn[:, drawn[3] == 0].any()


def test_radius_is_in_pixels_of_the_picture_and_never_vanishes():
    wide = draw_hints([Hint(200, 100, (9, 9, 9), 25)], (400, 200), WIDE)[3]
    assert np.nonzero(wide.any(axis=0))[0].tolist() == list(range(28, 37))  # 25 pixels = 4 network pixels
    assert draw_hints([Hint(200, 100, (9, 9, 9), 0.1)], (400, 200), WIDE)[3].sum() == 1


def test_hints_in_the_corners_stay_in_the_picture():
    corners = [Hint(x, y, (0, 255, 0)) for x in (0, 399) for y in (0, 199)]
    drawn = draw_hints(corners, (400, 200), WIDE)
    assert drawn[3, [16, 16, 47, 47], [0, 63, 0, 63]].tolist() == [1, 1, 1, 1]
    assert drawn[3, :16].sum() == drawn[3, 48:].sum() == 0


def test_a_later_hint_covers_an_earlier_one():
    drawn = draw_hints([Hint(5, 5, (0, 0, 0), 9), Hint(5, 5, (255, 255, 255))], (64, 32), WIDE)
    assert drawn[:3, 21, 5].tolist() == [1, 1, 1]
    assert drawn[:3, 21, 9].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(("x", "y"), [(400, 10), (10, 200), (-1, 10), (10, -0.5)])
def test_a_hint_outside_is_refused_with_the_size(x, y):
    with pytest.raises(InputError, match="400 pixels wide and 200 high"):
        draw_hints([Hint(x, y, (0, 0, 0))], (400, 200), WIDE)


@pytest.mark.parametrize("color", [(0, 0), (0, 0, 256), (-1, 0, 0)])
def test_wrong_colors_are_the_callers_mistake(color):
    with pytest.raises(ValueError, match="color"):
        Hint(1, 1, color)


def paper_without(*columns):
    """The network's square, with a line in each of these columns."""
    paper = np.ones((64, 64), bool)
    paper[:, list(columns)] = False
    return paper


def test_a_hint_on_a_line_moves_to_the_nearest_paper():
    hint = Hint(102, 50, (1, 2, 3))  # column 16 of the network, row 24
    line = paper_without(*range(13, 18))
    (moved,), lost = off_lines([hint], (400, 200), WIDE, line)
    assert lost == 0
    rows, columns = np.nonzero(draw_hints([moved], (400, 200), WIDE)[3])
    assert (columns.mean(), rows.mean()) == (18, 24)
    assert (moved.color, moved.radius) == (hint.color, None)


def test_hints_that_touch_paper_stay():
    hints = [Hint(100, 50, (1, 2, 3)), Hint(300, 100, (4, 5, 6), 2)]
    assert off_lines(hints, (400, 200), WIDE, paper_without(15, 16)) == (hints, 0)


def test_a_hint_far_from_paper_is_left_out_and_counted():
    hints = [Hint(100, 50, (1, 2, 3)), Hint(300, 100, (4, 5, 6))]
    kept, lost = off_lines(hints, (400, 200), WIDE, paper_without(*range(8, 32)))
    assert (kept, lost) == (hints[1:], 1)
    assert off_lines(hints, (400, 200), WIDE, np.zeros((64, 64), bool)) == ([], 2)
    with pytest.raises(InputError, match="outside"):
        off_lines([Hint(400, 0, (0, 0, 0))], (400, 200), WIDE, paper_without())


def test_near_is_measured_in_a_straight_line():
    paper = np.zeros((64, 64), bool)
    paper[24 + 4, 16 + 4] = True  # 5.7 pixels away
    assert off_lines([Hint(102, 50, (1, 2, 3))], (400, 200), WIDE, paper) == ([], 1)
    paper[24 + 3, 16 + 2] = True
    ((moved,), _) = off_lines([Hint(102, 50, (1, 2, 3))], (400, 200), WIDE, paper)
    assert (int(moved.x * 64 / 400), int(moved.y * 32 / 200)) == (18, 11)


def test_a_huge_radius_fills_the_picture_only():
    drawn = draw_hints([Hint(1, 1, (0, 0, 0), 1e9)], (400, 200), WIDE)
    assert drawn[3].sum() == 32 * 64
    assert drawn[3, 16:48].all()


def test_side_cars_are_known_by_their_names():
    assert all(is_side_car(Path(name)) for name in ("a.hints.png", "sub/A.HINTS.JSON"))
    assert not any(is_side_car(Path(name)) for name in ("a.png", "hints.png", "a.hints.jpg", "a.json"))
