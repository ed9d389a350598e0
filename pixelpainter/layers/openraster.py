"""Write layers as an OpenRaster file, which Krita, GIMP, MyPaint and others open.

Source: https://www.openraster.org, File Layout Specification and Layer Stack Specification.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from pixelpainter.layers.stack import Blend, Bytes, Layer, composite, size_of
from pixelpainter.saving import encode_picture

_OPERATORS: dict[Blend, str] = {"normal": "svg:src-over", "multiply": "svg:multiply", "add": "svg:plus"}
_THUMBNAIL_SIDE_PX = 256


def write_openraster(
    layers: Sequence[Layer],
    stream: BinaryIO,
    dpi: tuple[float, float] | None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write layers, bottom to top, as an OpenRaster file.

    Args:
        layers: all of one size.
        stream: to write to; it must be seekable.
        dpi: resolution; stored as whole numbers, as the format wants.
        metadata: texts to store in the merged picture.
    """
    with zipfile.ZipFile(stream, "w") as archive:
        _add(archive, "mimetype", b"image/openraster")  # must be first and stored
        _add(archive, "stack.xml", _describe(layers, dpi))
        for index, layer in enumerate(layers):
            _add(archive, _file_of(index), encode_picture(layer.rgb, format="PNG", alpha=layer.alpha, dpi=dpi))
        rgb, alpha = composite(layers)
        merged = encode_picture(rgb, format="PNG", alpha=alpha, dpi=dpi, metadata=metadata)
        _add(archive, "mergedimage.png", merged)
        _add(archive, "Thumbnails/thumbnail.png", _thumbnail(rgb, alpha))


def _describe(layers: Sequence[Layer], dpi: tuple[float, float] | None) -> bytes:
    """Return stack.xml, which lists layers from top to bottom."""
    height, width = size_of(layers)
    image = ElementTree.Element("image", version="0.0.3", w=str(width), h=str(height))
    if dpi is not None:
        image.attrib.update(xres=str(round(dpi[0])), yres=str(round(dpi[1])))
    stack = ElementTree.SubElement(image, "stack")
    for index, layer in reversed(list(enumerate(layers))):
        attributes = {"name": layer.name, "src": _file_of(index), "composite-op": _OPERATORS[layer.blend]}
        ElementTree.SubElement(stack, "layer", attributes, x="0", y="0", opacity="1.0", visibility="visible")
    ElementTree.indent(image)
    data: bytes = ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True)
    return data


def _file_of(index: int) -> str:
    return f"data/layer{index}.png"


def _thumbnail(rgb: Bytes, alpha: Bytes | None) -> bytes:
    """Return a PNG as large as the format allows."""
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    image.thumbnail((_THUMBNAIL_SIDE_PX, _THUMBNAIL_SIDE_PX))
    pixels = np.asarray(image)
    return encode_picture(pixels[..., :3], format="PNG", alpha=None if alpha is None else pixels[..., 3])


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file, stored: PNG is compressed already. Its date is 1980, so that equal layers give equal files."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
