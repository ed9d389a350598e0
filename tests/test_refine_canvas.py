"""Pictures of any size come back in their own size, and nothing of the tiles is seen in them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelpainter.refine.canvas import MAX_TILES, make_plan, paint_over

NATIVE, MULTIPLE = 64, 16


def plan_of(rgb, native=NATIVE, multiple=MULTIPLE):
    return make_plan(*rgb.shape[:2], native=native, multiple=multiple)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def give_back(tile, sketch, number):
    return tile


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
@settings(max_examples=200)
def test_plans_cover_the_picture(height, width):
    plan = make_plan(height, width, native=512, multiple=64)
    assert plan.tiles <= MAX_TILES
    for length, side, starts in zip(plan.size, plan.side, (plan.tops, plan.lefts), strict=True):
        assert side % 64 == 0 and starts[0] == 0
        assert all(start < after < start + side - 32 for start, after in itertools.pairwise(starts))
        assert starts[-1] + side == length if len(starts) > 1 else length <= side < length + 64
    assert plan.side[0] * plan.side[1] <= 1.5 * 512**2


@pytest.mark.parametrize(
    ("height", "width", "side", "tiles", "scale"),
    [
        (512, 512, (512, 512), 1, 1),
        (768, 512, (768, 512), 1, 1),  # a portrait as these models are asked for
        (1, 1, (64, 64), 1, 1),
        (1, 5000, (64, 5056), 1, 1),
        (1024, 1024, (576, 576), 4, 1),
        (2000, 2000, (576, 576), 16, 1),
        (3000, 2000, (576, 576), 15, 0.78),
        (1, 100_000, (64, 576), 16, 0.08),
    ],
)
def test_sizes(height, width, side, tiles, scale):
    plan = make_plan(height, width, native=512, multiple=64)
    assert (plan.side, plan.tiles) == (side, tiles)
    assert plan.size[1] / width == pytest.approx(scale, abs=0.02)


@pytest.mark.parametrize("size", [(1, 1), (63, 65), (64, 64), (200, 130), (700, 90), (1, 5000), (5000, 1), (400, 400)])
def test_what_is_given_back_is_the_picture(size):
    rgb = picture(*size)
    assert np.array_equal(paint_over(rgb, None, plan_of(rgb), give_back), rgb)


def test_the_model_sees_its_sizes_and_the_border_of_the_picture():
    rgb, seen = picture(63, 65), []

    def paint(tile, sketch, number):
        seen.append((tile, sketch, number))
        return tile

    sketch = rgb[..., 0]
    paint_over(rgb, sketch, plan_of(rgb), paint)
    ((tile, part, number),) = seen
    assert tile.shape == (64, 80, 3) and number == 0
    assert np.array_equal(part, tile[..., 0])
    assert (
        np.array_equal(tile[:63, :65], rgb) and (tile[:63, 65:] == rgb[:, 64:]).all() and (tile[63] == tile[62]).all()
    )


def test_tiles_and_their_parts_of_the_sketch():
    rgb, seen = picture(200, 130), []

    def paint(tile, sketch, number):
        seen.append(number)
        assert tile.shape == (64, 64, 3) and np.array_equal(sketch, tile[..., 1])
        return tile

    paint_over(rgb, rgb[..., 1], plan_of(rgb), paint)
    assert seen == list(range(12))


def test_seams_vanish():
    """Tiles of quite different colors run into each other."""
    rgb = np.full((200, 130, 3), 128, np.uint8)
    result = paint_over(rgb, None, plan_of(rgb), lambda tile, _, number: np.full_like(tile, 40 if number % 2 else 200))
    steps = max(int(np.abs(np.diff(result.astype(int), axis=axis)).max()) for axis in (0, 1))
    assert np.ptp(result) > 100
    assert steps <= 160 * np.pi / 2 / 8 + 1  # the slope of the ramp over the least overlap


def test_large_pictures_keep_their_detail():
    """A change of color arrives in full, and the finest pattern, which no reduced picture holds, stays."""
    pattern = np.indices((800, 800)).sum(0) % 2 * 20
    rgb = np.repeat((100 + pattern)[..., None], 3, 2).astype(np.uint8)
    plan = plan_of(rgb)
    assert plan.size < (400, 400)
    result = paint_over(rgb, None, plan, lambda tile, _, number: tile + np.array([30, 0, 250], np.uint8))
    assert np.array_equal(result[..., :2], rgb[..., :2] + np.array([30, 0], np.uint8))
    assert np.array_equal(result[..., 2], rgb[..., 2] - 6)  # it wraps in the tile: 250 is -6
    dark = paint_over(rgb, None, plan, lambda tile, _, number: np.zeros_like(tile))
    assert dark.max() <= 10 and dark.min() == 0  # clipped, not wrapped
