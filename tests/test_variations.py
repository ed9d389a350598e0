import itertools

import numpy as np
import pytest

from pixelpainter.color import lab_from_bytes
from pixelpainter.variations import invent_palette


def lab(palette):
    return lab_from_bytes(np.array([swatch.color for swatch in palette], np.uint8))


def test_palettes_are_reproducible_and_differ():
    palettes = [invent_palette(3, number) for number in range(13)]
    assert palettes == [invent_palette(3, number) for number in range(13)]
    for first, second in itertools.combinations(palettes, 2):
        assert first[0].color != second[0].color  # hair
        assert np.linalg.norm(lab(first) - lab(second), axis=1).max() > 15
    assert invent_palette(4, 0) != palettes[0]


def test_palettes_are_plausible():
    for number in range(40):
        palette = invent_palette(0, number)
        assert [swatch.share for swatch in palette] == sorted((swatch.share for swatch in palette), reverse=True)
        assert sum(swatch.share for swatch in palette) == pytest.approx(1)
        _, first, skin, second, light, dark = lab(palette)
        assert 20 < np.degrees(np.arctan2(skin[2], skin[1])) < 80 and 10 < np.hypot(skin[1], skin[2]) < 45
        assert light[0] > 90 and dark[0] < 25
        assert all(30 < cloth[0] < 80 and np.hypot(cloth[1], cloth[2]) > 10 for cloth in (first, second))
        assert np.linalg.norm(first - second) > 10


@pytest.mark.parametrize(("seed", "number"), [(-1, 0), (0, -1)])
def test_wrong_numbers_are_the_callers_mistake(seed, number):
    with pytest.raises(ValueError, match="below 0"):
        invent_palette(seed, number)
