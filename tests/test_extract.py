import cv2
import numpy as np
import pytest

from pixelpainter.train.extract import EXTRACTORS, extract_lines
from pixelpainter.train.synthetic import draw_pair


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_there_are_at_least_four_and_they_differ() -> None:
    color = draw_pair(3, 160).color
    drawings = {extract_lines(color, name, random()).tobytes() for name in EXTRACTORS}
    assert len(drawings) == len(EXTRACTORS) >= 4


@pytest.mark.parametrize("name", EXTRACTORS)
def test_lines_lie_where_the_picture_has_lines(name: str) -> None:
    for seed in range(3):
        pair = draw_pair(seed, 256)
        drawing = extract_lines(pair.color, name, random(seed))
        assert drawing.shape == pair.lines.shape and drawing.dtype == np.uint8
        truth = (pair.lines < 128).astype(np.uint8)
        near_truth = cv2.dilate(truth, np.ones((7, 7), np.uint8)) > 0
        ink = 255.0 - drawing
        assert ink[near_truth].sum() > 0.6 * ink.sum()  # the rest are the borders of shadows
        found = cv2.dilate((drawing < 220).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert found[truth > 0].mean() > 0.7


@pytest.mark.parametrize("name", EXTRACTORS)
def test_dark_areas_are_not_filled(name: str) -> None:
    color = np.full((200, 200, 3), 255, np.uint8)
    cv2.circle(color, (100, 100), 70, (25, 20, 35), -1)
    for seed in range(4):
        drawing = extract_lines(color, name, random(seed))
        y, x = np.mgrid[:200, :200]
        distance = np.hypot(x - 100, y - 100)
        assert drawing[distance < 55].min() >= 250
        assert drawing[distance > 85].min() >= 250
        assert drawing[abs(distance - 70) < 6].min() < 160


@pytest.mark.parametrize("name", ["color-edges", "region-borders"])
@pytest.mark.parametrize("axis", [0, 1])
def test_colors_of_equal_lightness_are_parted(name: str, axis: int) -> None:
    color = np.full((120, 120, 3), (230, 90, 90), np.uint8)
    color[:, 60:] = (75, 150, 75)
    color = color if axis else color.transpose(1, 0, 2).copy()
    for seed in range(4):
        profile = extract_lines(color, name, random(seed)).mean(axis=1 - axis)
        assert profile[57:63].min() < 200 and profile[:45].min() > 250 and profile[75:].min() > 250


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_generator_decides_the_drawing(name: str) -> None:
    color = draw_pair(1, 128).color
    first = extract_lines(color, name, random(5))
    assert np.array_equal(first, extract_lines(color, name, random(5)))
    assert not np.array_equal(first, extract_lines(color, name, random(6)))


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 300, 3)])
def test_empty_and_odd_pictures_stay_paper(name: str, shape: tuple[int, int, int]) -> None:
    drawing = extract_lines(np.full(shape, 255, np.uint8), name, random())
    assert drawing.shape == shape[:2] and (drawing == 255).all()


def test_unknown_extractor_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="not one of"):
        extract_lines(np.zeros((8, 8, 3), np.uint8), "sobel", random())
