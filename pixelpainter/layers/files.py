"""Save layers in the format that is asked for, so that a file is either whole or untouched."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from pixelpainter.atomic import new_file
from pixelpainter.errors import OutputError
from pixelpainter.layers.openraster import write_openraster
from pixelpainter.layers.photoshop import write_photoshop
from pixelpainter.layers.stack import Layer, size_of
from pixelpainter.saving import encode_picture, save_picture, short_reason, shown_name, valid_dpi

LayerFormat = Literal["ora", "psd", "png"]

LAYER_FILES = ("1_flats.png", "2_shading_multiply.png", "3_light_add.png", "4_lines.png")
"""What a folder of layers holds, from bottom to top."""

_WRITERS = {"ora": write_openraster, "psd": write_photoshop}


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


def save_layers(
    target: Path | BinaryIO,
    layers: Sequence[Layer],
    format: LayerFormat,
    *,
    dpi: tuple[float, float] | None = None,
    overwrite: bool = False,
) -> None:
    """Write layers as one OpenRaster or Photoshop file, or as PNG files in a folder.

    Args:
        target: path of the file, or of the folder for "png", which is made if need be; "ora" and "psd" can also be
            written to a stream.
        layers: bottom to top, all of one size.
        format: "ora", "psd", or "png": 1_flats.png, 2_shading_multiply.png, 3_light_add.png and 4_lines.png.
        dpi: resolution to store, 1 to 65535.
        overwrite: whether existing files are replaced; if not, a file that appears meanwhile is safe too.

    Raises:
        MissingExtraError: "psd" needs psd-tools, which is not installed.
        OutputError: a file exists or cannot be written, or the format cannot hold so large a picture.
        ValueError: wrong value of an argument.
    """
    if format not in get_args(LayerFormat):
        raise ValueError(f"format is {format!r}, not one of {', '.join(get_args(LayerFormat))}")
    if dpi is not None and valid_dpi(dpi) is None:
        raise ValueError(f"dpi is {dpi}, not two numbers from 1 to 65535")
    size_of(layers)
    if isinstance(target, Path):
        (_save_folder if format == "png" else _save_file)(target, layers, format, dpi, overwrite)
    elif format == "png":
        raise ValueError("layers as PNG files go to a folder, not to a stream")
    elif target.seekable():
        _WRITERS[format](layers, target, dpi)
    else:
        whole = io.BytesIO()
        _WRITERS[format](layers, whole, dpi)
        whole.seek(0)
        shutil.copyfileobj(whole, target)


def _save_file(
    path: Path, layers: Sequence[Layer], format: LayerFormat, dpi: tuple[float, float] | None, overwrite: bool
) -> None:
    name = shown_name(path)
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{name}: exists already; use --overwrite to replace it")
    try:
        with new_file(path, overwrite=overwrite) as stream:
            _WRITERS[format](layers, stream, dpi)
    except OutputError as error:  # it does not know the name
        raise OutputError(f"{name}: {error}") from error
    except FileExistsError as error:
        raise OutputError(f"{name}: appeared meanwhile; use --overwrite to replace it") from error
    except OSError as error:
        raise OutputError(f"{name}: cannot be written ({short_reason(error)})") from error


def _save_folder(
    folder: Path, layers: Sequence[Layer], _: LayerFormat, dpi: tuple[float, float] | None, overwrite: bool
) -> None:
    paths = [
        folder / f"{number}_{layer.name}{'' if layer.blend == 'normal' else '_' + layer.blend}.png"
        for number, layer in enumerate(layers, 1)
    ]
    for path in paths:
        if not overwrite and os.path.lexists(path):
            raise OutputError(f"{shown_name(path)}: exists already; use --overwrite to replace it")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown_name(folder)}: the folder cannot be made ({short_reason(error)})") from error
    for path, layer in zip(paths, layers, strict=True):
        save_picture(layer.rgb, path, alpha=layer.alpha, dpi=dpi, overwrite=overwrite)
