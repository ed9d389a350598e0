"""Flats and even fills of pictures whose colors are known."""

import cv2
import numpy as np
import pytest

from pixelpainter import flats
from pixelpainter.flats import network_regions, region_colors
from pixelpainter.regions import find_regions

HAIR, SKIN, WHITE = (90, 60, 40), (250, 215, 190), (255, 255, 255)
SIDE = 256


def labelled(*colors: tuple[int, int, int], height: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Stripes of 60 pixels, numbered from 1, and a picture of them with black lines 4 pixels wide between."""
    labels = np.repeat(np.arange(1, len(colors) + 1, dtype=np.int32), 60)[None].repeat(height, 0)
    color = np.array(((0, 0, 0), *colors), np.uint8)[labels]
    for x in range(60, 60 * len(colors), 60):
        color[:, x - 2 : x + 2] = 0
    return labels, color


def test_flats_are_the_colors_between_lines() -> None:
    labels, color = labelled(HAIR, SKIN, WHITE)
    flats = flat_colors(labels, color)
    assert flats.dtype == np.uint8
    assert np.array_equal(flats, np.array(((0, 0, 0), HAIR, SKIN, WHITE), np.uint8)[labels])


def test_flats_of_two_colors_are_one_of_them() -> None:
    labels, color = labelled(SKIN)
    color[:, :25] = HAIR
    assert (flat_colors(labels, color) == SKIN).all()
    color[:, :35] = HAIR
    assert (flat_colors(labels, color) == HAIR).all()


def test_flats_of_noise_and_shade() -> None:
    labels, color = labelled(SKIN, HAIR)
    noise = np.random.default_rng(3).normal(0, 4, color.shape)
    shade = np.where(np.arange(60)[:, None, None] > 42, 0.7, 1.0)
    flats = flat_colors(labels, np.clip(color * shade + noise, 0, 255).astype(np.uint8))
    assert np.abs(flats[0, 0].astype(int) - SKIN).max() <= 3
    assert np.abs(flats[0, -1].astype(int) - HAIR).max() <= 4


def test_narrow_regions_are_not_black_like_their_lines() -> None:
    labels = np.repeat(np.arange(1, 21, dtype=np.int32), 10)[None].repeat(40, 0)
    color = np.full((*labels.shape, 3), SKIN, np.uint8)
    for x in range(0, 200, 10):
        color[:, max(0, x - 3) : x + 3] = 0  # six of ten pixels are line
    assert (flat_colors(labels, color) == SKIN).all()


def test_nearly_white_is_white_and_cream_is_not() -> None:
    labels, color = labelled((252, 250, 249), (252, 250, 235))
    flats = flat_colors(labels, color)
    assert (flats[:, :60] == 255).all()
    assert (flats[:, 60:] == (252, 250, 235)).all()


def test_flats_of_many_regions() -> None:
    labels = np.arange(1, 40_001, dtype=np.int32).reshape(200, 200).repeat(3, 0).repeat(3, 1)
    rows = (labels // 7 % 256).astype(np.uint8)
    color = np.stack([rows // 2, rows // 3, rows // 4], axis=2)  # no white
    assert np.array_equal(flat_colors(labels, color), color)


def test_flats_of_arrays_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        flat_colors(np.ones((4, 5), np.int32), np.zeros((5, 4, 3), np.uint8))


def head(opening: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The network's drawing of a head on white, its outline open at the side, and its true colors with lines."""
    drawing = np.full((SIDE, SIDE), 255, np.uint8)
    color = np.full((SIDE, SIDE, 3), 255, np.uint8)
    cv2.circle(color, (128, 128), 80, SKIN, -1)
    cv2.circle(drawing, (128, 128), 80, 0, 2, cv2.LINE_AA)
    if opening:
        drawing[128 - opening // 2 : 128 + opening // 2, 200:216] = 255
    blurred = cv2.GaussianBlur(drawing, (0, 0), 0.7)
    return drawing, color.astype(np.float32) / 255 * (blurred[..., None].astype(np.float32) / 255)


def flat_colors(labels: np.ndarray, color: np.ndarray) -> np.ndarray:
    return region_colors(labels, color)[labels]


def even_out(answer: np.ndarray, drawing: np.ndarray, amount: float = 0.8) -> np.ndarray:
    return flats.even_out(answer, drawing, network_regions(drawing), amount)


def error(answer: np.ndarray, truth: np.ndarray, part: tuple[slice, slice]) -> float:
    return float(np.abs(answer[part] - truth[part]).mean()) * 255


def test_patches_become_even_inside_and_outside() -> None:
    drawing, truth = head()
    patchy = truth.copy()
    inside, outside = np.s_[140:170, 110:150], np.s_[10:40, 100:150]
    patchy[inside] *= (0.85, 0.95, 1.15)
    patchy[outside] *= (0.6, 0.7, 0.9)
    even = even_out(patchy.clip(0, 1), drawing, 1.0)
    assert error(patchy, truth, inside) > 15
    assert error(even, truth, inside) < 7  # a difference in brightness may be shading
    assert error(even, truth, outside) < 3
    half = even_out(patchy, drawing, 0.5)
    assert 0.35 < error(half, truth, outside) / error(patchy, truth, outside) < 0.65


def test_shading_survives() -> None:
    drawing, truth = head()
    shaded = truth.copy()
    part = np.s_[120:180, 100:128]
    shaded[part] *= 0.85
    even = even_out(shaded, drawing, 1.0)
    drop = float((truth[part] - even[part]).mean() / (truth[part] - shaded[part]).mean())
    assert 0.6 < drop < 0.8


@pytest.mark.parametrize("opening", [2, 16, 40])
def test_two_colors_behind_an_open_line_stay(opening: int) -> None:
    drawing, truth = head(opening)
    labels, _ = find_regions(drawing, gap=2)
    assert (labels[128, 128] == labels[5, 5]) == (opening > 2)
    assert error(even_out(truth, drawing, 1.0), truth, np.s_[:, :]) < 1
    assert error(even_out(truth, drawing, 1.0), truth, np.s_[90:110, 90:150]) < 1
    patchy = truth.copy()
    patchy[90:110, 110:140] *= (0.85, 0.95, 1.15)
    even = even_out(patchy, drawing, 1.0)
    assert error(even, truth, np.s_[90:110, 110:140]) < 0.5 * error(patchy, truth, np.s_[90:110, 110:140])


def test_lines_and_nothing_stay() -> None:
    drawing, truth = head()
    answer = np.random.default_rng(0).random(truth.shape, np.float32)
    assert np.array_equal(even_out(answer, drawing, 0), answer)
    even = even_out(answer, drawing)
    assert even.dtype == np.float32
    assert np.array_equal(even[drawing < 100], answer[drawing < 100])
    assert not np.array_equal(even, answer)
    assert even.min() >= 0
    assert even.max() <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_drawings_without_regions(value: int) -> None:
    answer = np.full((64, 64, 3), 0.4, np.float32)
    assert np.allclose(even_out(answer, np.full((64, 64), value, np.uint8), 1.0), answer, atol=1e-5)


def test_even_out_of_wrong_values() -> None:
    drawing, truth = head()
    with pytest.raises(ValueError, match="do not fit"):
        even_out(truth[1:], drawing)
    with pytest.raises(ValueError, match="do not fit"):
        even_out(truth.astype(np.float64), drawing)
    with pytest.raises(ValueError, match=r"amount is 1\.5"):
        even_out(truth, drawing, 1.5)


def test_pale_stains_on_a_page_become_white() -> None:
    drawing = np.full((96, 96), 255, np.uint8)
    cv2.rectangle(drawing, (30, 30), (70, 70), 0, 2)
    drawing[28:33, 46:54] = 255  # a hole, too wide to be closed
    answer = np.ones((96, 96, 3), np.float32)
    answer[5:20, 5:60], answer[80:90, 5:60] = (0.9, 0.91, 0.94), (0.4, 0.5, 0.7)
    answer[33:69, 33:69] = (0.93, 0.9, 0.88)
    labels = network_regions(drawing)
    page = np.array([labels[0, 0]])
    result = flats.whiten_pages(answer, drawing, labels, page, 0.8)
    np.testing.assert_allclose(1 - result[5:20, 5:60], 0.2 * (1 - answer[5:20, 5:60]), atol=1e-6)
    changed = (result != answer).any(axis=2)
    assert not changed[21:].any()
    assert flats.whiten_pages(answer, drawing, labels, page[:0], 0.8) is answer
