"""Regions of drawings whose regions are known."""

import cv2
import numpy as np
import pytest

from pixelpainter.regions import find_paper, find_regions


def room(gap: int, width: int = 5) -> np.ndarray:
    """Two rooms with a line between them that has a hole, inside a frame; paper around."""
    ink = np.full((240, 320), 255, np.uint8)
    cv2.rectangle(ink, (40, 40), (280, 200), 0, width)
    cv2.line(ink, (160, 40), (160, 200), 0, width)
    if gap:
        ink[120 : 120 + gap, 150:171] = 255
    return ink


@pytest.mark.parametrize("gap", [0, 1, 2, 5, 8, 13])
def test_gaps_are_closed(gap: int) -> None:
    labels, count = find_regions(room(gap), gap=gap)
    assert count == 3
    assert labels[5, 5] == 1  # the largest
    assert labels[100, 100] != labels[100, 220]
    assert (labels[50:190, 50:150] == labels[100, 100]).all()
    assert (labels[50:190, 170:270] == labels[100, 220]).all()


@pytest.mark.parametrize("angle", [20, 45, 77])
def test_gaps_of_any_direction(angle: int) -> None:
    turn = cv2.getRotationMatrix2D((160, 120), angle, 1)
    ink = cv2.warpAffine(room(8), turn, (320, 320), flags=cv2.INTER_LINEAR, borderValue=255)
    labels, count = find_regions(ink, gap=8)
    left, right = (np.rint(turn @ (x, 100, 1)).astype(int) for x in (100, 220))
    assert count == 3
    assert labels[left[1], left[0]] != labels[right[1], right[0]]


def test_wider_holes_are_open() -> None:
    labels, count = find_regions(room(16), gap=8)
    assert count == 2
    assert labels[100, 100] == labels[100, 220] != labels[5, 5]
    assert find_regions(room(4), gap=0)[1] == 2


def test_small_regions_with_a_gap_survive() -> None:
    """An eye narrower than twice the gap, whose own outline has a hole of 2 pixels, beside a large gap."""
    ink = room(8)
    cv2.circle(ink, (100, 100), 8, 0, 2)
    ink[99:101, 104:112] = 255
    labels, count = find_regions(ink, gap=8)
    assert count == 4
    assert labels[100, 100] == 4 != labels[100, 130]
    assert 80 < np.count_nonzero(labels == 4) < 300


def test_bays_and_hatching_are_no_regions() -> None:
    """Strands that get thinner, hatching, and lines that end inside: all of it belongs to the room."""
    ink = room(0)
    for x in range(50, 110, 6):
        cv2.line(ink, (x, 60), (x + 20, 100), 0, 2, cv2.LINE_AA)
    cv2.line(ink, (195, 80), (218, 180), 0, 3, cv2.LINE_AA)
    cv2.line(ink, (245, 80), (222, 180), 0, 3, cv2.LINE_AA)
    assert find_regions(ink, gap=8)[1] == 3


@pytest.mark.parametrize(("width", "count"), [(13, 2), (20, 3)])
def test_a_strand_hardly_wider_than_its_waist_is_one_region(width: int, count: int) -> None:
    ink = np.full((120, 320), 255, np.uint8)
    ink[40 : 42 + width, 40:280] = 0
    ink[41 : 41 + width, 41:279] = 255
    waist = (width - 8) // 2
    ink[40 : 41 + waist, 150:170] = ink[49 + waist : 42 + width, 150:170] = 0
    assert find_regions(ink, gap=8)[1] == count


def test_screentone_is_paper() -> None:
    ink = room(8)
    for x in range(50, 150, 14):
        for y in range(52, 190, 14):
            cv2.circle(ink, (x, y), 4, 0, -1)
    assert find_regions(ink, gap=8)[1] == 3


def test_lines_are_shared_to_their_middle() -> None:
    labels, _ = find_regions(room(0, width=9), gap=8)
    line = labels[100, 150:171]
    assert set(line.tolist()) == {labels[100, 100], labels[100, 220]}
    assert abs(np.count_nonzero(line == labels[100, 100]) - 10.5) < 2


def test_faint_lines_and_black_areas() -> None:
    ink = np.full((300, 300), 255, np.uint8)
    cv2.rectangle(ink, (30, 30), (130, 130), 180, 1)  # faint pencil
    ink[30:131, 170:271] = np.random.default_rng(2).integers(0, 14, (101, 101))  # black hair, a photograph's noise
    labels, count = find_regions(ink, gap=8)
    assert count == 3
    assert len({int(labels[10, 10]), int(labels[80, 80]), int(labels[80, 220])}) == 3
    assert find_paper(ink)[80, 220] == 1
    assert find_paper(ink)[80, 30] == 0


def test_every_pixel_has_a_number_and_the_largest_comes_first() -> None:
    random = np.random.default_rng(5)
    ink = np.full((300, 400), 255, np.uint8)
    for _ in range(40):
        cv2.line(ink, *(tuple(random.integers(0, 400, 2).tolist()) for _ in range(2)), 0, int(random.integers(1, 6)))
    labels, count = find_regions(ink, gap=4)
    sizes = np.bincount(labels.ravel())
    assert labels.dtype == np.int32
    assert labels.shape == ink.shape
    assert count > 50
    assert sizes[0] == 0
    assert len(sizes) == count + 1
    assert (np.diff(sizes[1:]) <= 0).all()
    assert sizes[-1] > 0


@pytest.mark.parametrize("gap", [0, 8, 1000])
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 2), (60, 4000)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_drawings_without_lines_are_one_region(shape: tuple[int, int], value: int, gap: int) -> None:
    labels, count = find_regions(np.full(shape, value, np.uint8), gap=gap)
    assert count == 1
    assert (labels == 1).all()


def test_a_hundred_thousand_regions() -> None:
    ink = np.full((1896, 1896), 255, np.uint8)
    ink[::6] = ink[:, ::6] = 0
    labels, count = find_regions(ink, gap=8)
    assert count == 316 * 316
    assert labels.max() == count


def test_noise_ends() -> None:
    noise = np.random.default_rng(1).integers(0, 2, (500, 500), np.uint8) * np.uint8(255)
    assert find_regions(noise, gap=8)[0].min() == 1


@pytest.mark.parametrize(
    "ink", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)]
)
def test_wrong_arrays(ink: np.ndarray) -> None:
    with pytest.raises(ValueError, match="ink is"):
        find_regions(ink)


def test_negative_gap() -> None:
    with pytest.raises(ValueError, match="gap is -1"):
        find_regions(room(0), gap=-1)
