import dataclasses
import json
import math

import numpy as np
import pytest

from pixelpainter.hints import Hint
from pixelpainter.palette import Swatch
from pixelpainter.reference import Reference
from pixelpainter.settings import Settings
from pixelpainter.strokes import Strokes

PALETTE = (Swatch((1, 2, 3), 0.5), Swatch((9, 9, 9), 0.5))
MANY = tuple(Hint(1, y, (3, 4, 5)) for y in range(1000))


def strokes(value: int) -> Strokes:
    return Strokes("s.png", np.full((90, 60, 3), value, np.uint8), np.ones((90, 60), bool))


DIFFERENT = [
    {},
    {"lines": "none"},
    {"lines": "model"},
    {"clean": False},
    {"hints": (Hint(1, 2, (3, 4, 5)),)},
    {"hints": (Hint(1, 2, (3, 4, 6)),)},
    {"hints": (Hint(1, 2, (3, 4, 5), 2.0),)},
    {"hints": MANY},
    {"hints": MANY[::-1]},
    {"strokes": (strokes(1),)},
    {"strokes": (strokes(2),)},
    {"palette": PALETTE},
    {"palette": PALETTE, "exact": True},
    {"palette": (Swatch((1, 2, 3), 0.6), Swatch((9, 9, 9), 0.4))},
    {"palette": (Swatch((1, 2, 4), 0.5), Swatch((9, 9, 9), 0.5))},
    {"reference": Reference(np.zeros((9, 9, 3), np.uint8), PALETTE)},
    {"reference": Reference(np.ones((9, 9, 3), np.uint8), PALETTE)},
    {"saturation": 0.5},
    {"even": 0.5},
    {"flat": True},
    {"gap": 0},
    {"gap": 8},
]


def test_the_description_changes_with_every_setting():
    described = [json.dumps(Settings(**changed).described()) for changed in DIFFERENT]
    assert len(set(described)) == len(DIFFERENT)
    tried = {name for changed in DIFFERENT for name in changed}
    assert tried == {field.name for field in dataclasses.fields(Settings)}


def test_the_description_is_short_and_plain():
    assert Settings().described() == {"hints": [], "lines": "original", "clean": True}
    assert Settings(palette=PALETTE, exact=True, hints=(Hint(1, 2, (255, 0, 16), 3),)).described() == {
        "hints": [[1, 2, "FF0010", 3]],
        "palette": [["010203", 0.5], ["090909", 0.5]],
        "exact": True,
        "lines": "original",
        "clean": True,
    }
    assert len(json.dumps(Settings(hints=MANY).described())) < 200


def test_own_hints_cover_the_added_ones():
    own, other, layers = Hint(1, 1, (1, 2, 3)), Hint(2, 2, (1, 2, 3)), (strokes(1), strokes(2))
    added = Settings(hints=(own,), strokes=layers[1:], lines="none").over((other,), layers[:1])
    assert (added.hints, added.strokes, added.lines) == ((other, own), layers, "none")


@pytest.mark.parametrize("wrong", [{"saturation": -1}, {"saturation": math.nan}, {"saturation": math.inf}])
def test_a_saturation_that_is_none(wrong):
    with pytest.raises(ValueError, match="saturation"):
        Settings(**wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_an_evenness_that_is_none(wrong):
    with pytest.raises(ValueError, match="even is"):
        Settings(even=wrong)


def test_regions_that_are_none():
    with pytest.raises(ValueError, match="gap is -1"):
        Settings(gap=-1)
    with pytest.raises(ValueError, match="own lines"):
        Settings(flat=True, lines="model")


def test_exact_needs_a_palette():
    with pytest.raises(ValueError, match="no colors to use"):
        Settings(exact=True)
