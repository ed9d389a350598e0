"""Take a colored drawing apart into layers, and put layers together again.

From bottom to top:

* ``flats`` (normal): one color per region;
* ``shading`` (multiply): where the picture is darker than its flats;
* ``light`` (add): where it is lighter;
* ``lines`` (normal): black, as opaque as the drawing is dark; where that would be too dark, of the line's own color.

Every program rounds differently: to 8 bits after each layer, or once at the end. So the parts are found from the top
down as whole numbers, and each makes up for the rounding of the one above it. ``below`` is what the three lower
layers have to show: under black lines any number that the lines darken to the picture's. Darkening flats to it by
multiplication is exact after rounding, lightening by addition without. Rounded after each layer the result is the
picture itself. Without rounding, multiplication adds less than half a level and ``below`` at most half a level.

Add, not screen: a sum needs no rounding. OpenRaster knows it as svg:plus, Photoshop as Linear Dodge (Add).

Where a drawing is transparent no layer has anything, and where it is partly transparent (the soft edge of a figure)
one layer has the whole pixel, lines if there is ink, else flats: two layers, each partly opaque, would add up to more.
Hence layers that multiply or add lie on opaque pixels only, where all programs agree what that means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Blend = Literal["normal", "multiply", "add"]

_STRIP_PIXELS = 1 << 15  # at a time: few enough for temporaries to stay in the cache


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, as large as the picture.

    Attributes:
        name: what painting programs call it.
        blend: how it meets what is below: covers it, multiplies it, or is added to it.
        rgb: (H, W, 3) uint8, sRGB, not premultiplied.
        alpha: (H, W) uint8; None = opaque.
    """

    name: str
    blend: Blend
    rgb: Bytes
    alpha: Bytes | None = None

    def __post_init__(self) -> None:
        _check(self.rgb, self.rgb.shape[:2], "rgb", channels=3)
        if self.alpha is not None:
            _check(self.alpha, self.rgb.shape[:2], "alpha")


def build_layers(
    rgb: Bytes, ink: Bytes, flats: Bytes, alpha: Bytes | None = None, *, color: Bytes | None = None
) -> tuple[Layer, ...]:
    """Return the layers flats, shading, light and lines, which together give the picture.

    Args:
        rgb: (H, W, 3) uint8, sRGB: the finished picture.
        ink: (H, W) uint8, 0 line to 255 paper.
        flats: (H, W, 3) uint8, sRGB: one color per region, under lines too.
        alpha: (H, W) uint8; None = opaque.
        color: (H, W, 3) uint8: the picture without its lines, if known. Shading and light then go on under lines;
            else only flats do, which shows when an artist hides or moves a line.

    Raises:
        ValueError: an array has the wrong shape or type.
    """
    _check(rgb, rgb.shape[:2], "rgb", channels=3)
    _check(ink, rgb.shape[:2], "ink")
    _check(flats, rgb.shape[:2], "flats", channels=3)
    if color is not None:
        _check(color, rgb.shape[:2], "color", channels=3)
    below, lines = _lift_lines(rgb, ink, flats if color is None else color)
    shading, light = _shade(flats, below)
    opacity: Bytes = cv2.bitwise_not(ink)  # type: ignore[assignment]
    cover = None
    if alpha is not None:
        _check(alpha, rgb.shape[:2], "alpha")
        flats, cover = _clear(rgb, ink, alpha, flats, shading, light, lines, opacity)
    return (
        Layer("flats", "normal", flats, cover),
        Layer("shading", "multiply", shading, _differs(shading, 255)),
        Layer("light", "add", light, _differs(light, 0)),
        Layer("lines", "normal", lines, opacity),
    )


def composite(layers: Sequence[Layer]) -> tuple[Bytes, Bytes | None]:
    """Return what layers look like together: (H, W, 3) uint8, and (H, W) uint8 alpha or None for opaque.

    Rounded to 8 bits after each layer, as programs do that paint with 8 bits.

    Args:
        layers: bottom to top, all of one size.

    Raises:
        ValueError: there are no layers, or they differ in size.

    Source: W3C Compositing and Blending Level 1, sections 5.8 and 9.1.4: what the OpenRaster layer stack refers to.
    "add" blends like Photoshop's Linear Dodge; over opaque pixels that is section 9.1.14, lighter, too.
    """
    height, width = size_of(layers)
    rgb = np.zeros((height, width, 3), np.uint8)
    alpha = None if layers[0].alpha is None else np.empty((height, width), np.uint8)
    for rows in _strips(height, width):
        color = rgb[rows]
        cover = np.zeros(color.shape[:2], np.uint8)
        for layer in layers:
            _add_layer(color, cover, layer, rows)
        if alpha is not None:
            alpha[rows] = cover
    return rgb, alpha


def size_of(layers: Sequence[Layer]) -> tuple[int, int]:
    """Return height and width of layers. Raises ValueError if there are none, or they differ."""
    sizes = {layer.rgb.shape[:2] for layer in layers}
    if len(sizes) != 1:
        raise ValueError(f"layers of one size are needed, not {len(layers)} layers of sizes {sorted(sizes)}")
    height, width = sizes.pop()
    return height, width


def _add_layer(color: Bytes, cover: Bytes, layer: Layer, rows: slice) -> None:
    """Put rows of a layer over what is below: its color (h, W, 3) and alpha (h, W), both overwritten."""
    if layer.alpha is None and layer.blend == "normal":
        color[:], cover[:] = layer.rgb[rows], 255
        return
    alpha = np.full_like(cover, 255) if layer.alpha is None else layer.alpha[rows]
    if not alpha.any():
        return
    source, below = layer.rgb[rows].astype(np.float32), color.astype(np.float32)
    opacity, under = alpha[..., None] / np.float32(255), cover[..., None] / np.float32(255)
    if layer.blend == "normal":
        blended = source
    elif layer.blend == "multiply":
        blended = source * below
        blended /= 255
    else:
        blended = np.minimum(source + below, 255)
    total = opacity + under * (1 - opacity)
    divisor = np.maximum(total, np.float32(1e-6))
    mixed = source * (opacity * (1 - under) / divisor)
    mixed += blended * (opacity * under / divisor)
    mixed += below * (under * (1 - opacity) / divisor)
    mixed += 0.5
    color[:] = mixed
    cover[:] = total[..., 0] * 255 + np.float32(0.5)


def _lift_lines(rgb: Bytes, ink: Bytes, wanted: Bytes) -> tuple[Bytes, Bytes]:
    """Return what must be below the lines to give the picture, and the color of the lines, both (H, W, 3) uint8.

    Below lines it is as near to ``wanted`` as can be.
    """
    below, lines = rgb.copy(), np.zeros_like(rgb)
    for rows in _strips(*ink.shape):
        inked = ink[rows] < 255
        values, paper = rgb[rows][inked].astype(np.int32), ink[rows][inked, None].astype(np.int32)
        black = (values <= paper).all(axis=1, keepdims=True)
        divisor = np.maximum(paper, 1)
        # Black lines: low and high times paper / 255 round to the value. Else: some line color from 0 to 255 fits.
        low = np.where(black, -(255 * (1 - 2 * values) // (2 * divisor)), -(255 * (255 - paper - values) // divisor))
        high = np.where(black, 255 * (2 * values + 1) // (2 * divisor), 255 * values // divisor)
        fits = wanted[rows][inked].astype(np.int32)
        fits = np.where(paper == 0, fits, np.clip(fits, np.maximum(low, 0), np.minimum(high, 255)))
        below[rows][inked] = fits
        if not black.all():
            opacity = 255 - paper
            own = (2 * (255 * values - fits * paper) + opacity) // (2 * opacity)
            lines[rows][inked] = np.where(black, 0, own)
    return below, lines


def _shade(flats: Bytes, below: Bytes) -> tuple[Bytes, Bytes]:
    """Return what flats must be multiplied with and what must be added to give ``below``, both (H, W, 3) uint8."""
    flat, wanted = np.ogrid[:256, :256]
    # The nearest number to 255 wanted / flat gives wanted exactly, for flat / 255 of its rounding is less than a half.
    factors = np.minimum((510 * wanted + flat) // np.maximum(2 * flat, 1), 255)
    table = np.where(wanted < flat, factors, 255).astype(np.uint8).ravel()
    shading = np.empty_like(below)
    for rows in _strips(*below.shape[:2]):
        shading[rows] = table[flats[rows].astype(np.uint16) << 8 | below[rows]]
    return shading, cv2.subtract(below, flats)  # type: ignore[return-value]


def _clear(
    rgb: Bytes,
    ink: Bytes,
    alpha: Bytes,
    flats: Bytes,
    shading: Bytes,
    light: Bytes,
    lines: Bytes,
    opacity: Bytes,
) -> tuple[Bytes, Bytes]:
    """Empty all layers where the picture is not opaque, and give partly transparent pixels to lines or flats.

    Overwrites all layers but the flats. Returns new flats, and their alpha.
    """
    hollow = alpha < 255
    shading[hollow], light[hollow], opacity[hollow], lines[hollow] = 255, 0, 0, 0
    flats, cover = flats.copy(), np.where(hollow, np.uint8(0), np.uint8(255))
    partly = hollow & (alpha > 0)
    for place, colors, covers in ((partly & (ink < 255), lines, opacity), (partly & (ink == 255), flats, cover)):
        colors[place], covers[place] = rgb[place], alpha[place]
    return flats, cover


def _differs(rgb: Bytes, value: int) -> Bytes:
    """Return (H, W) uint8, 255 where a pixel is not of this value, else 0."""
    same = (value, value, value)
    return cv2.bitwise_not(cv2.inRange(rgb, same, same))  # type: ignore[return-value]


def _strips(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows."""
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        yield slice(top, top + step)


def _check(array: NDArray[Any], size: tuple[int, ...], name: str, *, channels: int | None = None) -> None:
    wanted = (*size, channels) if channels else size
    if array.dtype != np.uint8 or array.shape != wanted or len(size) != 2 or not array.size:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not uint8 {wanted}")
