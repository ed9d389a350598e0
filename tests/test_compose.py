"""Compositing on drawings whose true colors are known."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from pixelpainter.compose import color_layer, compose

SIDE = 64  # of the network's square in these tests


@dataclass(frozen=True)
class Box:
    side: int
    top: int
    left: int
    height: int
    width: int


def shrink(picture: np.ndarray, side: int = SIDE) -> tuple[np.ndarray, Box]:
    """Letterbox into a white square with the area filter: (S, S, 3) float32 in [0, 1]."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    box = Box(side, (side - size[1]) // 2, (side - size[0]) // 2, size[1], size[0])
    square = np.ones((side, side, 3), np.float32)
    small = cv2.resize(picture.astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA)
    square[box.top : box.top + box.height, box.left : box.left + box.width] = small
    return square, box


def scene(height: int = 512, width: int = 384) -> tuple[np.ndarray, np.ndarray]:
    """True colors without lines (H, W, 3) and the drawing (H, W): head, hair, dress, small eyes, thin strands."""
    color = np.full((height, width, 3), 255, np.uint8)
    ink = np.full((height, width), 255, np.uint8)

    def area(points: list[tuple[int, int]], fill: tuple[int, int, int]) -> None:
        outline = np.array(points, np.int32)
        cv2.fillPoly(color, [outline], fill)
        cv2.fillPoly(ink, [outline], 255)
        cv2.polylines(ink, [outline], True, 0, 5, cv2.LINE_AA)

    area([(90, 330), (290, 330), (340, 490), (40, 490)], (40, 60, 150))
    area([(70, 60), (310, 50), (330, 300), (60, 310)], (120, 60, 40))
    area([(110, 110), (270, 110), (260, 290), (190, 320), (120, 290)], (250, 215, 190))
    area([(135, 180), (165, 180), (165, 205), (135, 205)], (40, 160, 80))
    area([(215, 180), (245, 180), (245, 205), (215, 205)], (40, 160, 80))
    for left in (110, 128, 146):
        area([(left, 95), (left + 16, 95), (left + 8, 170)], (120, 60, 40))
    return color, ink


def answer_for(color: np.ndarray, ink: np.ndarray, side: int = SIDE) -> tuple[np.ndarray, Box]:
    """The best answer that a network could give: the truth with its lines, shrunk."""
    return shrink((color.astype(np.float32) * (ink[..., None] / 255)).astype(np.uint8), side)


def off_lines(ink: np.ndarray) -> np.ndarray:
    """Every pixel beside the lines, from their first clear pixel on."""
    return cv2.erode((ink > 250).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def test_no_halo_and_no_bleeding() -> None:
    color, ink = scene()
    answer, box = answer_for(color, ink)
    layer = color_layer(ink, answer, box)
    error = np.abs(layer.astype(int) - color).max(axis=2)[off_lines(ink)]
    bicubic = cv2.resize(answer[:, box.left : box.left + box.width], (384, 512), interpolation=cv2.INTER_CUBIC)
    plain = np.abs(bicubic * 255 - color).max(axis=2)[off_lines(ink)]
    assert np.percentile(error, 99) <= 8 < np.percentile(plain, 90)
    assert error.max() < 60


def test_small_regions_get_their_own_color() -> None:
    color, ink = scene()
    layer = color_layer(ink, *answer_for(color, ink))
    for left in (138, 218):
        eye = layer[185:200, left + 2 : left + 22].reshape(-1, 3)
        np.testing.assert_allclose(eye, np.broadcast_to((40, 160, 80), eye.shape), atol=12)


def test_two_sides_of_a_straight_line() -> None:
    ink = np.full((512, 512), 255, np.uint8)
    cv2.line(ink, (0, 60), (511, 430), 0, 7, cv2.LINE_AA)
    y, x = np.mgrid[0:512, 0:512]
    above = (y < 60 + x * 370 / 511)[..., None]
    color = np.where(above, (230, 40, 60), (30, 200, 120)).astype(np.uint8)
    layer = color_layer(ink, *answer_for(color, ink))
    assert np.abs(layer.astype(int) - color)[off_lines(ink)].max() <= 4


@pytest.mark.parametrize("tone", [0, 100, 170])
def test_colors_meet_under_the_middle_of_a_line(tone: int) -> None:
    ink = np.full((512, 512), 255, np.uint8)
    cv2.line(ink, (40, -10), (470, 520), tone, 15, cv2.LINE_AA)
    y, x = np.mgrid[0:512, 0:512]
    across = (y + 10) * 430 - (x - 40) * 530
    color = np.where((across > 0)[..., None], (250, 230, 60), (40, 60, 200)).astype(np.uint8)
    layer = color_layer(ink, *answer_for(color, ink))
    away = np.abs(across) / np.hypot(430, 530) > 2  # pixels from the middle
    assert np.abs(layer.astype(int) - color)[away].max() <= 6


def test_faint_and_strong_network_lines_leave_no_halo() -> None:
    color, ink = scene()
    for strength in (0.0, 0.5):
        weaker = (255 - (255 - ink) * strength).astype(np.uint8)
        layer = color_layer(ink, *answer_for(color, weaker))
        error = np.abs(layer.astype(int) - color).max(axis=2)[off_lines(ink)]
        assert np.percentile(error, 97) <= 12


def test_blurred_network_lines_leave_little_halo() -> None:
    color, ink = scene()
    answer, box = answer_for(color, ink)
    layer = color_layer(ink, cv2.GaussianBlur(answer, (0, 0), 0.8), box)
    beside = off_lines(ink) & (cv2.erode(ink, np.ones((13, 13), np.uint8)) < 128)
    hair = beside & (color == (120, 60, 40)).all(axis=2)
    hair[90:175, 105:165] = False  # the strands are thinner than the blur
    darker = color[hair].astype(int).mean() - layer[hair].astype(int).mean()
    assert darker < 2
    error = np.abs(layer.astype(int) - color).max(axis=2)[beside]
    assert np.percentile(error, 90) <= 21


def test_shading_inside_a_region_survives() -> None:
    ink = np.full((512, 512), 255, np.uint8)
    cv2.rectangle(ink, (60, 60), (450, 450), 0, 5)
    cv2.line(ink, (256, 60), (256, 300), 0, 5)  # a line that ends inside the region
    x = np.linspace(0, 1, 512, dtype=np.float32)[None, :, None]
    shade = np.broadcast_to(80 + 120 * x * np.array([1, 0.8, 0.5]), (512, 512, 3))
    inside = np.zeros((512, 512, 1), bool)
    inside[60:450, 60:450] = True
    color = np.where(inside, shade, 255).astype(np.uint8)
    layer = color_layer(ink, *answer_for(color, ink))
    error = np.abs(layer.astype(int) - color).max(axis=2)[off_lines(ink)]
    assert error.max() <= 9
    for row in (67, 250, 444):  # beside lines and far from them
        steps = np.abs(np.diff(layer[row, 280:430].astype(int), axis=0))
        assert steps.max() <= 1  # a ramp, not stairs


def test_white_page_stays_white() -> None:
    color, ink = scene()
    layer = color_layer(ink, *answer_for(color, ink))
    page = off_lines(ink) & (color == 255).all(axis=2)
    assert (layer[page] >= 252).all()
    assert (layer[page] == 255).mean() > 0.98


def test_ink_is_multiplied_on_top() -> None:
    color, ink = scene()
    answer, box = answer_for(color, ink)
    layer, picture = compose(ink, answer, box, lines="none"), compose(ink, answer, box)
    expected = layer.astype(np.float64) * ink[..., None] / 255
    assert np.abs(picture - expected).max() <= 0.51
    assert (picture[ink == 0] == 0).all()


def test_model_lines_are_the_answer_itself() -> None:
    color, ink = scene(SIDE, SIDE)
    answer, box = shrink(color)
    picture = compose(ink, answer, box, lines="model")
    np.testing.assert_array_equal(picture, color)


def test_gray_fills_and_black_areas() -> None:
    ink = np.full((512, 512), 255, np.uint8)
    ink[100:300, 100:300] = 140
    ink[320:500, 100:300] = 0
    ink[60:480:6, 330:480:6] = 0
    color = np.full((512, 512, 3), (240, 180, 120), np.uint8)
    layer = color_layer(ink, *answer_for(color, ink))
    error = np.abs(layer.astype(int) - color).max(axis=2)
    assert error[ink > 100].max() <= 6


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5), (3, 2), (10, 3000), (3000, 10), (1, 4000), (64, 64), (37, 53), (700, 1100)]
)
@pytest.mark.parametrize("kind", ["white", "black", "noise"])
def test_sizes(shape: tuple[int, int], kind: str) -> None:
    values = {"white": 255, "black": 0}.get(kind)
    noise = np.random.default_rng(0).integers(0, 2, shape) * 255
    ink = (noise if values is None else np.full(shape, values)).astype(np.uint8)
    answer, box = answer_for(np.full((*shape, 3), (200, 120, 40), np.uint8), np.full(shape, 255, np.uint8))
    for lines in ("original", "model", "none"):
        picture = compose(ink, answer, box, lines=lines)
        assert picture.shape == (*shape, 3) and picture.dtype == np.uint8
    if kind == "white":
        np.testing.assert_allclose(compose(ink, answer, box), np.broadcast_to((200, 120, 40), (*shape, 3)), atol=1)


def test_same_result_every_time_and_from_many_threads() -> None:
    color, ink = scene()
    answer, box = answer_for(color, ink)
    kept = answer.copy(), ink.copy()
    first = compose(ink, answer, box)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: compose(ink, answer, box), range(8)))
    assert all(np.array_equal(first, result) for result in results)
    np.testing.assert_array_equal(answer, kept[0])
    np.testing.assert_array_equal(ink, kept[1])


def test_wrong_arguments_are_refused() -> None:
    color, ink = scene()
    answer, box = answer_for(color, ink)
    with pytest.raises(ValueError, match="lines"):
        compose(ink, answer, box, lines="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ink"):
        compose(color, answer, box)
    with pytest.raises(ValueError, match="color"):
        compose(ink, answer.astype(np.float64), box)
    for top, height in itertools.product((-1, 40), (SIDE, 0)):
        with pytest.raises(ValueError, match="fit"):
            compose(ink, answer, Box(SIDE, top, 0, height, SIDE))
