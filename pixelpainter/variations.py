"""Invents palettes for a figure, to show what else a drawing could look like."""

from __future__ import annotations

import numpy as np

from pixelpainter.color import srgb_from_lab
from pixelpainter.palette import Swatch

# Figures have skin and hair of known colors, whatever they wear.
_SKINS = ("F7DCC8", "F2CDB4", "EAB99A", "D9A27E", "BF8460", "9A6446", "744830")
_HAIRS = (
    *("2B2226", "4A332B", "7A5236", "B98A55", "E8CC8A", "B5502F", "8C2F39", "D8D6DC"),
    *("3C5AC8", "6A4FA3", "D9799B", "4F8F7A", "7FB4D8"),
)
_LIGHT, _DARK = "F3F0EA", "332E3A"
_GOLDEN_DEGREES = 137.508  # from one variation to the next: hues never come near each other twice in a row
_OTHER_DEGREES = (30, 60, 120, 180, 210, 300)  # between the two main colors of clothes
_SHARES = (0.26, 0.24, 0.2, 0.14, 0.1, 0.06)  # hair, clothes, skin, second clothes, light, dark


def invent_palette(seed: int, number: int) -> tuple[Swatch, ...]:
    """Return a palette of six colors: hair, two of clothes, skin, a light and a dark one.

    Args:
        seed: another seed, another series of palettes.
        number: which one of the series, from 0 on; the first 13 have different hair. How many are asked for
            changes none of them.

    Raises:
        ValueError: seed or number is below 0.
    """
    if seed < 0 or number < 0:
        raise ValueError(f"seed {seed} or number {number} is below 0")
    series, own = np.random.default_rng(seed), np.random.default_rng([seed, number])
    hair = _HAIRS[series.permutation(len(_HAIRS))[number % len(_HAIRS)]]
    hue = series.uniform(0, 360) + number * _GOLDEN_DEGREES
    first = _clothes(own, hue)
    second = _clothes(own, hue + float(own.choice(_OTHER_DEGREES)))
    skin = _SKINS[int(own.integers(len(_SKINS)))]
    colors = (_bytes(hair), first, _bytes(skin), second, _bytes(_LIGHT), _bytes(_DARK))
    return tuple(Swatch(color, share) for color, share in zip(colors, _SHARES, strict=True))


def _clothes(random: np.random.Generator, hue: float) -> tuple[int, int, int]:
    """Return a color of a hue in degrees that clothes may have: neither pale nor glaring."""
    light, chroma, angle = random.uniform(38, 74), random.uniform(24, 56), np.deg2rad(hue)
    rgb = srgb_from_lab(np.array([light, chroma * np.cos(angle), chroma * np.sin(angle)]))
    red, green, blue = np.rint(rgb * 255).astype(int).tolist()
    return red, green, blue


def _bytes(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue
