"""Encode layers in the format that is asked for."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Literal

from pixelpainter.layers.openraster import write_openraster
from pixelpainter.layers.photoshop import write_photoshop
from pixelpainter.layers.stack import Layer
from pixelpainter.saving import encode_picture

LayerFormat = Literal["ora", "psd", "png"]

LAYER_FILES = ("1_flats.png", "2_shading_multiply.png", "3_light_add.png", "4_lines.png")
"""What a folder of layers holds, from bottom to top."""


def encode_layers(
    layers: Sequence[Layer],
    format: LayerFormat,
    *,
    dpi: tuple[float, float] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> tuple[bytes, ...]:
    """Return the bytes of layers: one OpenRaster or Photoshop file, or one PNG file for each, see ``LAYER_FILES``.

    Args:
        layers: bottom to top, all of one size.
        format: "ora", "psd" or "png".
        dpi: resolution to store, 1 to 65535.
        metadata: texts to store in the merged picture of an OpenRaster file, or in each PNG file.

    Raises:
        MissingExtraError: "psd" needs psd-tools, which is not installed.
        OutputError: the format cannot hold so large a picture.
    """
    if format == "png":
        return tuple(
            encode_picture(layer.rgb, format="PNG", alpha=layer.alpha, dpi=dpi, metadata=metadata) for layer in layers
        )
    stream = io.BytesIO()
    if format == "ora":
        write_openraster(layers, stream, dpi, metadata)
    else:
        write_photoshop(layers, stream, dpi)
    return (stream.getvalue(),)
