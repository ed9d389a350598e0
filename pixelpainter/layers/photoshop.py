"""Write layers as a Photoshop document.

psd-tools writes the parts of the file. Its own way to make a document (PSDImage) composites all layers in floating
point when it saves, which takes gigabytes for a large page, so the parts are put together here.

Source: Adobe Photoshop File Formats Specification, 2019.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

from pixelpainter.errors import MissingExtraError, OutputError
from pixelpainter.layers.stack import Blend, Bytes, Layer, composite, size_of
from pixelpainter.saving import on_white

if TYPE_CHECKING:
    from psd_tools.psd.header import FileHeader
    from psd_tools.psd.image_data import ImageData
    from psd_tools.psd.image_resources import ImageResources
    from psd_tools.psd.layer_and_mask import ChannelDataList, LayerRecord

_MOST_SIDE_PX = 30_000
_MOST_BYTES = (1 << 31) - 1
_BLEND_MODES: dict[Blend, bytes] = {"normal": b"norm", "multiply": b"mul ", "add": b"lddg"}


def write_photoshop(layers: Sequence[Layer], stream: BinaryIO, dpi: tuple[float, float] | None) -> None:
    """Write layers, bottom to top, as a Photoshop document with 8 bits per channel.

    Args:
        layers: all of one size.
        stream: to write to; it must be seekable.
        dpi: resolution.

    Raises:
        MissingExtraError: psd-tools is not installed.
        OutputError: the picture is too large for the format.
    """
    try:
        from psd_tools.constants import ColorMode
        from psd_tools.psd import PSD, ChannelImageData, LayerInfo, LayerRecords
        from psd_tools.psd.header import FileHeader
        from psd_tools.psd.layer_and_mask import LayerAndMaskInformation
    except ImportError as error:
        raise MissingExtraError("colorize --layers psd", "layers", "psd-tools") from error
    height, width = size_of(layers)
    if max(height, width) > _MOST_SIDE_PX:
        raise OutputError(f"{width}x{height} pixels are too many for PSD, at most {_MOST_SIDE_PX} a side; use ora")
    transparent = layers[0].alpha is not None
    header = FileHeader(channels=4 if transparent else 3, height=height, width=width, color_mode=ColorMode.RGB)
    packed = [_pack_layer(layer) for layer in layers]
    merged = _pack_merged(layers, header)
    if sum(len(channel.data) for _, channels in packed for channel in channels) + len(merged.data) > _MOST_BYTES:
        raise OutputError(f"layers of {width}x{height} pixels take more than the 2 GB of a PSD file; use ora")
    info = LayerInfo(
        # A negative count says: the fourth channel of the merged picture is its transparency.
        layer_count=-len(layers) if transparent else len(layers),
        layer_records=LayerRecords([record for record, _ in packed]),  # type: ignore[misc]
        channel_image_data=ChannelImageData([channels for _, channels in packed]),  # type: ignore[misc]
    )
    PSD(
        header=header,
        image_resources=_make_resources(dpi),
        layer_and_mask_information=LayerAndMaskInformation(layer_info=info),
        image_data=merged,
    ).write(stream)


def _make_resources(dpi: tuple[float, float] | None) -> ImageResources:
    """Return what the file says about the picture: there is a merged one, and its resolution."""
    from psd_tools.constants import Resource
    from psd_tools.psd.image_resources import ImageResource, ImageResources

    resources = ImageResources.new()
    if dpi is not None:
        across, down = (min(round(value * 65536), (1 << 32) - 1) for value in dpi)  # 16 bits behind the point
        per_inch = inches = 1
        data = struct.pack(">I2HI2H", across, per_inch, inches, down, per_inch, inches)
        resources[Resource.RESOLUTION_INFO] = ImageResource(key=Resource.RESOLUTION_INFO, data=data)
    return resources


def _pack_layer(layer: Layer) -> tuple[LayerRecord, ChannelDataList]:
    """Return what describes a layer, and its channels, compressed."""
    from psd_tools.constants import BlendMode, ChannelID, Compression
    from psd_tools.psd.layer_and_mask import ChannelData, ChannelDataList, ChannelInfo, LayerRecord

    height, width = layer.rgb.shape[:2]
    identifiers = [ChannelID.TRANSPARENCY_MASK, ChannelID.CHANNEL_0, ChannelID.CHANNEL_1, ChannelID.CHANNEL_2]
    channels = ChannelDataList()
    for identifier in identifiers:
        channel = ChannelData(Compression.RLE)
        plane = layer.alpha if identifier < 0 else _plane(layer.rgb, identifier)
        if plane is None:
            plane = np.full((height, width), 255, np.uint8)
        channel.set_data(plane.tobytes(), width, height, 8)
        channels.append(channel)
    record = LayerRecord(
        bottom=height,
        right=width,
        channel_info=[
            ChannelInfo(identifier, 2 + len(channel.data))
            for identifier, channel in zip(identifiers, channels, strict=True)
        ],
        blend_mode=BlendMode(_BLEND_MODES[layer.blend]),
        name=layer.name,
    )
    return record, channels


def _pack_merged(layers: Sequence[Layer], header: FileHeader) -> ImageData:
    """Return the finished picture, for programs that read no layers; transparent pixels are mixed with white."""
    from psd_tools.constants import Compression
    from psd_tools.psd.image_data import ImageData

    rgb, alpha = composite(layers)
    planes = []
    if alpha is not None:
        planes.append(alpha.tobytes())
        for top in range(0, len(rgb), 256):  # in strips: no second picture in memory
            rows = slice(top, top + 256)
            rgb[rows] = on_white(rgb[rows], alpha[rows])
    merged = ImageData(Compression.RLE)
    merged.set_data([_plane(rgb, index).tobytes() for index in range(3)] + planes, header)
    return merged


def _plane(rgb: Bytes, index: int) -> Bytes:
    return cv2.extractChannel(rgb, index)  # type: ignore[return-value]
