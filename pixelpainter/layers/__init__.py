"""A colored drawing as layers, for programs that artists paint with: OpenRaster, Photoshop, or single PNG files."""

from __future__ import annotations

from pixelpainter.layers.files import LAYER_FILES, LayerFormat, encode_layers
from pixelpainter.layers.stack import Blend, Layer, build_layers, composite

__all__ = ["LAYER_FILES", "Blend", "Layer", "LayerFormat", "build_layers", "composite", "encode_layers"]
