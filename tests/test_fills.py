import cv2
import numpy as np
import pytest

from pixelpainter import fills
from pixelpainter.fills import fill_regions, usual_gap

SIDE = 512
SKIN, HAIR, WHITE = (242, 205, 180), (60, 90, 200), (255, 255, 255)


def page():
    return np.full((SIDE, SIDE), 255, np.uint8)


def painted(*parts, color=WHITE):
    """Return a picture of one color with parts (slices, color) painted over it."""
    picture = np.full((SIDE, SIDE, 3), color, np.uint8)
    for part, value in parts:
        picture[part] = value
    return picture


def box(drawing, hole=0):
    """Draw the outline of BOX, 6 pixels wide, with a hole in its upper side."""
    cv2.rectangle(drawing, (100, 100), (400, 400), 0, 6)
    drawing[90:110, 240 : 240 + hole] = 255
    return drawing


BOX = np.s_[100:401, 100:401]


def colors(filled, least=30):
    """Return the colors that cover more than some pixels, the most frequent first."""
    found, count = np.unique(filled.reshape(-1, 3), axis=0, return_counts=True)
    order = np.argsort(-count)
    return [tuple(found[index].tolist()) for index in order if count[index] > least]


def test_each_region_has_one_color_under_lines_too():
    color = painted((BOX, HAIR))
    noisy = np.clip(color + np.random.default_rng(0).normal(0, 6, color.shape), 0, 255).astype(np.uint8)
    filled = fill_regions(box(page()), noisy)
    found = colors(filled)
    assert len(found) == 2 and found[0] == WHITE
    assert np.abs(np.subtract(found[1], HAIR)).max() <= 3
    assert (filled[250, 250] == filled[104, 250]).all()


@pytest.mark.parametrize(("gap", "closed"), [(20, True), (6, False)])
def test_the_gap_that_is_closed(gap, closed):
    color = painted((BOX, (250, 240, 235)))  # too pale to be told from the page by its color
    filled = fill_regions(box(page(), hole=14), color, gap)
    assert (len(colors(filled)) == 2) == closed


def test_the_usual_gap_grows_with_the_drawing():
    assert [usual_gap(2048, 900), usual_gap(100, 4096), usual_gap(1024, 512), usual_gap(9, 9)] == [8, 16, 4, 2]


def test_two_colors_behind_an_open_line_are_parted():
    color = painted((BOX, HAIR))
    color[90:104, 240:300] = HAIR  # color flows through the hole
    filled = fill_regions(box(page(), hole=60), cv2.GaussianBlur(color, (0, 0), 2))
    assert (filled[250, 250] == HAIR).all() and (filled[20, 20] == WHITE).all()
    assert (filled[300, 403] != filled[300, 397]).any() and (filled[300, 110] == HAIR).all()
    assert len(colors(filled)) == 2


def test_three_colors_behind_open_lines_are_parted():
    drawing, inner = box(page(), hole=60), np.s_[180:321, 180:321]
    cv2.rectangle(drawing, (180, 180), (320, 320), 0, 6)
    drawing[310:330, 220:260] = 255
    found = colors(fill_regions(drawing, painted((BOX, HAIR), (inner, SKIN))), least=SIDE)
    assert sorted(found) == sorted([WHITE, HAIR, SKIN])


def test_a_stain_in_the_open_is_no_region():
    filled = fill_regions(box(page()), painted((BOX, SKIN), (np.s_[200:260, 200:280], HAIR)))
    assert colors(filled) == [WHITE, SKIN]


def test_colors_that_the_user_named_are_exact():
    color = painted((BOX, HAIR), (np.s_[410:470, 100:400], SKIN))
    drawing = box(page())
    cv2.rectangle(drawing, (100, 410), (400, 470), 0, 6)
    near, far = (HAIR[0] + 5, HAIR[1] - 4, HAIR[2]), (200, 60, 40)
    named = np.array([near, far], np.uint8)
    assert set(colors(fill_regions(drawing, color, named=named))) == {WHITE, near, SKIN}
    cream = np.array([(250, 250, 240)], np.uint8)
    assert colors(fill_regions(drawing, color, named=cream))[0] == WHITE
    only = np.concatenate([named, [WHITE]]).astype(np.uint8)
    assert set(colors(fill_regions(drawing, color, named=only, only_named=True))) <= {WHITE, near, far}


def test_strips_of_hatching_get_one_color():
    drawing, color = page(), painted()
    cv2.rectangle(drawing, (100, 100), (400, 121), 0, 4)
    color[100:122, 100:401] = HAIR
    for number, x in enumerate(range(110, 390, 10)):
        drawing[100:121, x : x + 3] = 0
        color[100:122, x : x + 10] = np.add(HAIR, [0, 0, (0, 9, 14, 5)[number % 4]])
    assert len(colors(fill_regions(drawing, color, 0))) == 2


def test_large_regions_keep_colors_that_are_seen_to_differ():
    drawing, color = page(), painted(color=HAIR)
    drawing[:, 250:256] = 0
    color[:, 253:] = np.add(HAIR, [0, 16, 16])
    assert len(colors(fill_regions(drawing, color, 0))) == 2


def test_like_colors_do_not_chain_to_unlike_ones():
    drawing, color = page(), painted()
    for number, x in enumerate(range(0, SIDE, 32)):
        drawing[:, x : x + 4] = 0
        color[:, x : x + 32] = 60 + 7 * number  # each step is hardly seen, all are
    filled = fill_regions(drawing, color, 0)
    assert np.ptp(filled[..., 0]) > 60
    assert np.abs(filled.astype(int) - color).max() < 30


def test_a_large_drawing_is_searched_at_a_smaller_size(monkeypatch):
    drawing, color = box(page(), hole=6), painted((BOX, HAIR))
    whole = fill_regions(drawing, color)
    monkeypatch.setattr(fills, "MOST_PIXELS", SIDE * SIDE // 4)
    reduced = fill_regions(drawing, color)
    assert reduced.shape == whole.shape
    differ = (reduced != whole).any(axis=2)
    assert differ.mean() < 0.01 and not differ[drawing == 255].any()


@pytest.mark.parametrize("value", [0, 255])
def test_drawings_without_regions(value):
    filled = fill_regions(np.full((SIDE, SIDE), value, np.uint8), painted(color=HAIR))
    assert colors(filled) == [HAIR]


def test_a_hundred_thousand_regions():
    drawing = np.full((1920, 1920), 255, np.uint8)
    drawing[::6] = 0
    drawing[:, ::6] = 0
    color = np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    filled = fill_regions(drawing, color, 0)
    assert len(np.unique(filled.astype(np.int32) @ np.array([65536, 256, 1]))) > 80_000


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        fill_regions(page(), painted()[1:])
    with pytest.raises(ValueError, match="gap is -1"):
        fill_regions(page(), painted(), -1)
