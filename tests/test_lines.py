"""Cleaning drawings: what must change, and above all what must not."""

import cv2
import numpy as np
import pytest

from pixelpainter.lines import clean_drawing, gray_of, is_colored

HEIGHT, WIDTH = 300, 400


def pen_drawing() -> np.ndarray:
    """A figure of black lines on white, (300, 400) uint8."""
    page = np.full((HEIGHT, WIDTH), 255, np.uint8)
    cv2.circle(page, (200, 130), 80, 0, 2, cv2.LINE_AA)
    cv2.ellipse(page, (200, 250), (120, 60), 0, 180, 360, 0, 3, cv2.LINE_AA)
    cv2.line(page, (40, 20), (360, 60), 0, 2, cv2.LINE_AA)
    cv2.circle(page, (170, 120), 12, 0, 2, cv2.LINE_AA)
    cv2.circle(page, (230, 120), 12, 0, 2, cv2.LINE_AA)
    return page


def rgb(gray: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def uneven_light() -> np.ndarray:
    """Light from the upper left that falls to two thirds, (300, 400, 1) float in (0, 1]."""
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    return (1 - 0.3 * ((x - 0.1) ** 2 + (y - 0.1) ** 2))[..., None]


def test_clean_drawing_is_not_touched() -> None:
    page = pen_drawing()
    drawing = clean_drawing(rgb(page))
    np.testing.assert_array_equal(drawing.ink, page)
    np.testing.assert_array_equal(drawing.network, page)
    assert not (drawing.inverted or drawing.levelled or drawing.strengthened)


def test_manga_blacks_grays_and_screentones_on_white_are_not_touched() -> None:
    page = pen_drawing()
    page[20:240, 20:150] = 0
    page[40:200, 280:380] = 170
    page[220:290:4, 170:390:4] = 0
    drawing = clean_drawing(rgb(page))
    np.testing.assert_array_equal(drawing.ink, page)
    assert not (drawing.inverted or drawing.levelled)


def test_soft_shading_on_white_is_not_paper() -> None:
    page = pen_drawing().astype(np.float32)
    page[:, 320:] *= np.linspace(1, 0.85, 80)
    drawing = clean_drawing(rgb(page.astype(np.uint8)))
    assert not drawing.levelled
    np.testing.assert_array_equal(drawing.ink, page.astype(np.uint8))


def test_mostly_black_manga_page_is_not_inverted() -> None:
    page = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(page, (200, 150), 90, 255, -1)
    drawing = clean_drawing(rgb(page))
    assert not drawing.inverted and not drawing.levelled
    np.testing.assert_array_equal(drawing.ink, page)


def test_white_on_black_becomes_dark_on_white() -> None:
    page = pen_drawing()
    drawing = clean_drawing(rgb(255 - page))
    assert drawing.inverted
    np.testing.assert_array_equal(drawing.ink, page)


def test_chalk_on_a_blackboard() -> None:
    page = pen_drawing()
    board = 45 + (255 - page.astype(np.float32)) * 0.7
    drawing = clean_drawing(rgb(board.astype(np.uint8)))
    assert drawing.inverted and drawing.levelled
    assert np.median(drawing.ink) == 255
    assert drawing.network[page < 40].mean() < 90


@pytest.mark.parametrize("tone", [(200, 200, 200), (244, 232, 196), (170, 190, 220)])
def test_colored_paper_is_levelled_to_white(tone: tuple[int, int, int]) -> None:
    page = pen_drawing()
    paper = (page[..., None] / 255 * np.array(tone)).astype(np.uint8)
    drawing = clean_drawing(paper)
    assert drawing.levelled and not drawing.inverted
    assert (drawing.ink[page == 255] >= 250).all()
    assert (drawing.ink[page == 0] == 0).all()
    assert not is_colored(paper)


def test_photographed_page_is_levelled_and_keeps_its_black_and_gray_areas() -> None:
    page = pen_drawing()
    page[60:200, 20:130] = 0
    page[90:220, 300:380] = 150
    noise = np.random.default_rng(0).normal(0, 2, (HEIGHT, WIDTH, 1))
    photo = np.clip(page[..., None] * uneven_light() * np.array([0.93, 0.9, 0.8]) + noise, 0, 255).astype(np.uint8)
    drawing = clean_drawing(photo)
    assert drawing.levelled
    white = cv2.erode((page == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (drawing.ink[white] >= 250).mean() > 0.97
    assert drawing.ink[60:200, 20:130].max() < 25
    assert abs(float(np.median(drawing.ink[95:215, 305:375])) - 150) < 30
    assert not is_colored(photo)


def test_faint_pencil_is_strengthened_for_the_network_only() -> None:
    page = pen_drawing()
    faint = (255 - (255 - page.astype(np.float32)) * 0.3).astype(np.uint8)
    drawing = clean_drawing(rgb(faint))
    assert drawing.strengthened
    np.testing.assert_array_equal(drawing.ink, faint)
    assert drawing.network[page == 0].max() < 100
    assert (drawing.network[page == 255] == 255).all()


@pytest.mark.parametrize("pencil", [(90, 150, 235), (230, 60, 60), (250, 230, 90)])
def test_colored_pencil_is_ink(pencil: tuple[int, int, int]) -> None:
    page = pen_drawing()
    share = (255 - page[..., None]) / 255
    drawn = (255 - share * (255 - np.array(pencil))).astype(np.uint8)
    drawing = clean_drawing(drawn)
    assert drawing.ink[page == 0].max() <= min(pencil) + 12
    assert (drawing.ink[page == 255] == 255).all()
    np.testing.assert_array_equal(drawing.lines, drawn)
    assert not is_colored(drawn)


def test_lines_are_colored_where_the_drawing_is() -> None:
    page = rgb(pen_drawing())
    assert clean_drawing(page).lines.ndim == 2
    red, green, blue = cv2.split(cv2.resize(page, None, fx=4, fy=4))
    seams = cv2.merge([np.roll(red, 1, axis=1), green, np.roll(blue, -1, axis=1)])
    assert clean_drawing(seams).lines.ndim == 2  # channels of a scan that lie a little apart
    accent = page.copy()
    cv2.circle(accent, (170, 120), 12, (200, 60, 60), 2, cv2.LINE_AA)
    np.testing.assert_array_equal(clean_drawing(accent).lines, accent)
    assert clean_drawing(255 - accent).lines.ndim == 2  # on black, its negative
    yellowed = (accent * (np.array([235, 220, 180]) / 255)).astype(np.uint8)
    lines = clean_drawing(yellowed).lines
    assert (lines[140:160, 190:210] == 255).all() and np.ptp(lines[120, 182]) > 80 and np.ptp(lines[130, 120]) < 10


def test_gray_of_neutral_pixels_is_exact() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(gray_of(rgb(levels)), levels)


def test_painted_picture_is_colored_and_gray_one_is_not() -> None:
    picture = rgb(pen_drawing())
    cv2.circle(picture, (200, 130), 76, (255, 220, 190), -1)
    cv2.ellipse(picture, (200, 250), (110, 50), 0, 180, 360, (60, 90, 200), -1)
    assert is_colored(picture)
    assert not is_colored(rgb(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)))


def test_dense_hatching_with_two_pencils_is_not_painted() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for x in range(20, 380, 6):
        cv2.line(picture, (x, 20), (x, 280), (60, 90, 230) if x < 200 else (230, 60, 60), 2)
    assert not is_colored(picture)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 2), (10, 3000)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_degenerate_pictures(shape: tuple[int, int], value: int) -> None:
    picture = np.full((*shape, 3), value, np.uint8)
    drawing = clean_drawing(picture)
    assert drawing.ink.shape == drawing.network.shape == shape
    assert drawing.ink.dtype == drawing.network.dtype == np.uint8
    assert not drawing.inverted
    assert not is_colored(picture)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="not uint8"):
        clean_drawing(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="not uint8"):
        is_colored(np.zeros((4, 4, 3), np.float32))
