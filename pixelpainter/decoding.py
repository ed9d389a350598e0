"""Turn the bytes of a user's file into a PIL image: identify, limit, load, and name what is wrong."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from pixelpainter.errors import InputError
from pixelpainter.saving import SAVE_SUFFIXES, short_reason

# PIL logs some errors that it also raises; without any handler Python would print them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# PIL's own factory for JPEG looks for further pictures in the file and warns when that list is
# broken; only the first picture is wanted, so the plain class is used.
_READERS: dict[str, Any] = {
    plugin.format: (plugin, Image.OPEN[plugin.format][1])
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        PpmImagePlugin.PpmImageFile,
    )
}
if ".avif" in SAVE_SUFFIXES:
    _READERS["AVIF"] = Image.OPEN["AVIF"]


def decode_picture(stream: BinaryIO, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Return the loaded first frame. PIL's ``Image.open`` is not used: its pixel limit is one global.

    Raises:
        InputError: no picture, cut off, or more than ``max_pixels``. Damage raises whatever PIL raises: see
            ``errors_named``.
    """
    _silence_metadata_remarks()
    prefix = stream.read(16)
    if not prefix:
        raise InputError(f"{name}: the file is empty")
    accepted = (factory for factory, accept in _READERS.values() if accept(prefix) is True)
    factory = next(accepted, None)
    if factory is None:
        raise InputError(f"{name}: not a picture, or of an unknown kind; PixelPainter reads {', '.join(_READERS)}")
    stream.seek(0)
    image: ImageFile.ImageFile = factory(stream, "")
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InputError(
            f"{name}: {image.width}x{image.height} = {pixels} pixels are more than the limit of {max_pixels}; "
            "raise it with --max-pixels"
        )
    if image.format == "TIFF":
        _silence_libtiff()
    if image.format == "PNG":
        _match_transparency_to_depth(image)
    image.load()
    if image.format == "PNG" and not _has_png_end(stream):
        raise InputError(f"{name}: the file is cut off; make or fetch it again")
    return image


def _match_transparency_to_depth(image: ImageFile.ImageFile) -> None:
    """Scale the transparent color of a PNG as PIL scales its samples to 8 bits, which PIL forgets."""
    transparent, raw = image.info.get("transparency"), image.tile[0][3]
    if isinstance(transparent, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = transparent * (85 if raw == "L;2" else 17)
    elif isinstance(transparent, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in transparent)


def _has_png_end(stream: BinaryIO) -> bool:
    """Tell whether the last chunk of a PNG is there; PIL is content once it has all rows."""
    stream.seek(8)
    while len(header := stream.read(8)) == 8:
        length = int.from_bytes(header[:4])
        if header[4:] == b"IEND":
            return len(stream.read(length + 4)) == length + 4
        stream.seek(length + 4, os.SEEK_CUR)
    return False


_warnings_lock = threading.Lock()
_METADATA_PLUGINS = r"PIL\.(Tiff|Png)ImagePlugin$"


def _silence_metadata_remarks() -> None:
    """Let PIL's remarks on damaged EXIF, TIFF tags and animation headers pass in silence.

    ``warnings.catch_warnings`` is not safe in threads, so a filter is added, for these two modules only.
    It is looked for each time because others (pytest) replace the list of filters.
    """
    with _warnings_lock:
        module = warnings.filters[0][3] if warnings.filters else None
        if getattr(module, "pattern", module) != _METADATA_PLUGINS:
            warnings.filterwarnings("ignore", category=UserWarning, module=_METADATA_PLUGINS)


@functools.cache
def _silence_libtiff() -> None:
    """Keep libtiff from printing its errors: PIL raises one anyway, and lets libtiff write to stderr as well."""
    for library in Path(Image.__file__).parents[1].glob("pillow.libs/libtiff-*"):  # Linux wheels
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


@contextlib.contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Turn what PIL raises for damaged files (OSError, SyntaxError, struct.error, ...) into InputError."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory for this picture") from error
    except Exception as error:  # decoders of foreign bytes raise nearly anything
        raise InputError(f"{name}: damaged or cut off ({short_reason(error)}); make or fetch it again") from error
