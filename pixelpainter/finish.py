"""From the network's small picture to what the user gets: a full-size picture, or its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.compose import compose
from pixelpainter.imaging import Letterbox

if TYPE_CHECKING:
    from pixelpainter.layers.stack import Layer
    from pixelpainter.settings import Settings

Bytes = NDArray[np.uint8]

_STRIP = 256  # rows at once: no second picture in memory


@dataclass(frozen=True, eq=False)
class Painting:
    """A drawing with its colors.

    Attributes:
        ink: (H, W) uint8, 0 line to 255 paper: what is multiplied over the color.
        drawing: (H, W) uint8, the same with faint pencil darker.
        alpha: (H, W) uint8, that of the user's picture; None = opaque.
        color: (S, S, 3) float32, sRGB in [0, 1]: the steered answer of the network.
        box: where the drawing lies in it.
    """

    ink: Bytes
    drawing: Bytes
    alpha: Bytes | None
    color: NDArray[np.float32]
    box: Letterbox

    def picture(self, settings: Settings) -> Bytes:
        """Return (H, W, 3) uint8, sRGB: with one color per region and with lines, as the settings say."""
        if not settings.flat and (self.alpha is None or settings.lines != "original"):
            return compose(self.ink, self.color, self.box, lines=settings.lines)
        layer = compose(self.ink, self.color, self.box, lines="none")
        if settings.flat:
            layer = self._flats(layer, settings)
        return layer if settings.lines == "none" else _with_lines(layer, self.ink, self.alpha)

    def layers(self, settings: Settings) -> tuple[Layer, ...]:
        """Return what `picture` gives as flats, shading, light and lines; with lines "none", those are empty.

        Raises:
            ValueError: the settings ask for the network's own lines.
        """
        from pixelpainter.layers.stack import build_layers

        if settings.lines == "model":
            raise ValueError("layers hold the drawing's own lines or none, not those of the network's picture")
        color = compose(self.ink, self.color, self.box, lines="none")
        flats = self._flats(color, settings)
        if settings.flat:
            color = flats
        if settings.lines == "none":
            return build_layers(color, np.full_like(self.ink, 255), flats, self.alpha)
        return build_layers(_with_lines(color.copy(), self.ink, self.alpha), self.ink, flats, self.alpha, color=color)

    def _flats(self, layer: Bytes, settings: Settings) -> Bytes:
        from pixelpainter.fills import fill_regions  # costs a single picture some milliseconds

        return fill_regions(self.drawing, layer, settings.gap)


def _with_lines(layer: Bytes, ink: Bytes, alpha: Bytes | None) -> Bytes:
    """Multiply lines over color.

    In a picture that gets its transparency back, ``ink`` was flattened on white: half transparent black is gray in it,
    and would become half transparent gray.

    Args:
        layer: (H, W, 3) uint8, the color; it is overwritten.
        ink: (H, W) uint8, flattened.
        alpha: (H, W) uint8; None = opaque.
    """
    for top in range(0, len(ink), _STRIP):
        rows = slice(top, top + _STRIP)
        lines = ink[rows]
        if alpha is not None:
            opacity = np.maximum(alpha[rows], 1)
            lines = np.asarray(cv2.bitwise_not(cv2.divide(cv2.bitwise_not(lines), opacity, scale=255)), np.uint8)
        strip = layer[rows]
        cv2.multiply(strip, cv2.cvtColor(lines, cv2.COLOR_GRAY2RGB), dst=strip, scale=1 / 255)
    return layer
