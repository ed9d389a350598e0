"""From the network's small picture to what the user gets: a full-size picture, or its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelpainter.compose import color_layer, compose
from pixelpainter.imaging import Letterbox
from pixelpainter.lines import Drawing, multiply_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixelpainter.layers.stack import Layer
    from pixelpainter.palette import Swatch
    from pixelpainter.settings import Settings

Bytes = NDArray[np.uint8]

MOST_NAMED = 64  # colors of hints: more are a painting, and name none


@dataclass(frozen=True, eq=False)
class Painting:
    """A drawing with its colors.

    Attributes:
        drawing: the drawing, cleaned or as it is.
        alpha: (H, W) uint8, that of the user's picture; None = opaque.
        color: (S, S, 3) float32, sRGB in [0, 1]: the steered answer of the network.
        box: where the drawing lies in it.
        dots: (4, S, S) float32, the hints as ``hints.draw_hints`` gives them; None = no hints.
        exact: the only colors that it has, apart from hints, white and black; none = it may have any.
    """

    drawing: Drawing
    alpha: Bytes | None
    color: NDArray[np.float32]
    box: Letterbox
    dots: NDArray[np.float32] | None = None
    exact: Sequence[Swatch] = ()

    def picture(self, settings: Settings) -> Bytes:
        """Return (H, W, 3) uint8, sRGB: with one color per region and with lines, as the settings say."""
        if settings.lines == "model" and not settings.flat:
            return compose(self.drawing.ink, self.color, self.box, lines="model")
        layer = color_layer(self.drawing.ink, self.color, self.box)
        if settings.flat:
            layer = self._flats(layer, settings)
        return layer if settings.lines == "none" else multiply_lines(layer, self.drawing.lines, self.alpha)

    def layers(self, settings: Settings) -> tuple[Layer, ...]:
        """Return what `picture` gives as flats, shading, light and lines; with lines "none", those are empty.

        Raises:
            ValueError: the settings ask for the network's own lines.
        """
        from pixelpainter.layers.stack import build_layers

        if settings.lines == "model":
            raise ValueError("layers hold the drawing's own lines or none, not those of the network's picture")
        ink = self.drawing.ink
        color = color_layer(ink, self.color, self.box)
        flats = self._flats(color, settings)
        if settings.flat:
            color = flats
        if settings.lines == "none":
            return build_layers(color, np.full_like(ink, 255), flats, self.alpha)
        picture = multiply_lines(color.copy(), self.drawing.lines, self.alpha)
        return build_layers(picture, ink, flats, self.alpha, color=color)

    def _flats(self, layer: Bytes, settings: Settings) -> Bytes:
        from pixelpainter.fills import fill_regions  # costs a single picture some milliseconds

        named = self._named() if settings.saturation == 1 else None
        return fill_regions(self.drawing.network, layer, settings.gap, named, only_named=bool(self.exact))

    def _named(self) -> Bytes | None:
        """Return (K, 3) uint8, sRGB: the colors that the user named; None if there are none, or too many."""
        colors = [swatch.color for swatch in self.exact]
        if colors:
            colors += [(255, 255, 255), (0, 0, 0)]
        if self.dots is not None and self.dots[3].any():
            from pixelpainter.follow import hint_colors

            colors += [tuple(color) for color in np.rint(hint_colors(self.dots) * 255).astype(int).tolist()]
        different = sorted(set(colors))
        return np.array(different, np.uint8) if 0 < len(different) <= MOST_NAMED else None
