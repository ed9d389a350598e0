from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pixelpainter.palette import Swatch, code_of_swatches, most_different, palette_code, swatches_of_code

SKIN, HAIR, DRESS = (242, 205, 180), (60, 90, 200), (200, 40, 60)


def flags(*colors, size=120):
    """A picture of equal vertical stripes and a figure that is all of it."""
    picture = np.zeros((size, size, 3), np.uint8)
    for i, stripe in enumerate(np.array_split(np.arange(size), len(colors))):
        picture[:, stripe] = colors[i]
    return picture, np.ones((size, size), bool)


def as_bytes(rows):
    return np.round((rows[:, :3] + 1) * 127.5).astype(int)


def test_flat_colors_come_back_with_their_shares_largest_first():
    picture, figure = flags(SKIN, HAIR, DRESS, SKIN)
    code = palette_code(picture, figure)
    assert code.shape == (6, 4) and code.dtype == np.float32
    np.testing.assert_allclose(as_bytes(code[:1]), [SKIN], atol=1)
    assert {tuple(row) for row in as_bytes(code[1:3])} == {HAIR, DRESS}
    np.testing.assert_allclose(code[:, 3], [0.5, 0.25, 0.25, 0, 0, 0], atol=0.01)
    assert not code[3:].any()


def test_only_the_figure_counts():
    picture, figure = flags(SKIN, HAIR)
    figure[:, 60:] = False
    code = palette_code(picture, figure, colors=3)
    np.testing.assert_allclose(as_bytes(code[:1]), [SKIN], atol=1)
    assert code[0, 3] == 1 and not code[1:].any()


def test_empty_figure_is_all_zeros():
    picture, figure = flags(SKIN, HAIR)
    assert not palette_code(picture, np.zeros_like(figure)).any()


def test_ink_takes_no_row_and_black_hair_does():
    picture, figure = flags(SKIN, DRESS)
    picture[::12] = picture[1::12] = 10  # strokes: a sixth of the picture
    code = palette_code(picture, figure)
    np.testing.assert_allclose(as_bytes(code[:2])[np.argsort(code[:2, 0])], [DRESS, SKIN], atol=1)
    assert not code[2:].any()
    picture[:40] = 10
    code = palette_code(picture, figure)
    assert as_bytes(code[:1]).max() <= 12
    assert code[0, 3] == pytest.approx(0.36, abs=0.06)


def test_a_figure_of_strokes_alone_has_their_color():
    picture, figure = flags((10, 10, 10), SKIN)
    figure[:] = False
    figure[:, 30] = True
    np.testing.assert_allclose(as_bytes(palette_code(picture, figure)[:1]), [(10, 10, 10)], atol=1)


def test_many_colors_fill_all_rows_and_sum_to_one():
    picture = np.random.default_rng(0).integers(80, 256, (60, 60, 3), dtype=np.uint8)
    code = palette_code(picture, np.ones((60, 60), bool), colors=5)
    assert (code[:, 3] > 0).all() and (np.diff(code[:, 3]) <= 0).all()
    assert code[:, 3].sum() == pytest.approx(1)
    assert np.abs(code[:, :3]).max() <= 1


def test_the_same_in_every_thread_and_for_every_layout():
    picture = np.random.default_rng(1).integers(80, 256, (80, 80, 3), dtype=np.uint8)
    figure = np.ones((80, 80), bool)
    first = palette_code(picture, figure)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: palette_code(np.asfortranarray(picture), figure), range(24)))
    assert all((code == first).all() for code in codes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 3)])
def test_tiny_pictures(shape):
    code = palette_code(np.full((*shape, 3), 200, np.uint8), np.ones(shape, bool))
    assert code[0, 3] == 1 and not code[1:].any()


def test_wrong_arguments_are_value_errors():
    picture, figure = flags(SKIN)
    with pytest.raises(ValueError, match="shape"):
        palette_code(picture, figure[:5])
    with pytest.raises(ValueError, match="shape"):
        palette_code(picture[..., 0], figure)
    with pytest.raises(ValueError, match="colors"):
        palette_code(picture, figure, colors=0)


def test_the_most_different_colors_stay_and_the_others_give_them_their_shares():
    near = tuple(value + 3 for value in SKIN)
    swatches = [Swatch(HAIR, 0.3), Swatch(near, 0.1), Swatch(SKIN, 0.4), Swatch(DRESS, 0.2)]
    kept = most_different(swatches, 3)
    assert [swatch.color for swatch in kept] == [SKIN, HAIR, DRESS]
    assert [swatch.share for swatch in kept] == pytest.approx([0.5, 0.3, 0.2])
    assert most_different([Swatch(SKIN, 0.5), Swatch(SKIN, 0.5)], 4) == (Swatch(SKIN, 1.0),)
    assert most_different([], 4) == ()


def test_chosen_colors_become_a_code_and_back():
    swatches = (Swatch(SKIN, 0.5), Swatch(HAIR, 0.3), Swatch(DRESS, 0.2))
    code = code_of_swatches(swatches, 6)
    assert code.shape == (6, 4) and code.dtype == np.float32 and not code[3:].any()
    np.testing.assert_allclose(as_bytes(code[:3]), [SKIN, HAIR, DRESS], atol=0)
    back = swatches_of_code(code)
    assert [swatch.color for swatch in back] == [SKIN, HAIR, DRESS]
    assert [swatch.share for swatch in back] == pytest.approx([0.5, 0.3, 0.2])
    assert code_of_swatches(swatches, 2).shape == (2, 4)


@pytest.mark.parametrize(("color", "share"), [((0, 0, 256), 0.5), ((0, 0), 0.5), ((0, 0, 0), 1.1), ((0, 0, 0), -0.1)])
def test_wrong_swatches_are_the_callers_mistake(color, share):
    with pytest.raises(ValueError, match=r"color|share"):
        Swatch(color, share)
