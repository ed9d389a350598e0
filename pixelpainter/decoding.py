"""Turn the bytes of a user's file into a PIL image: identify, limit, load, and name what is wrong."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageFile

from pixelpainter.errors import InputError
from pixelpainter.saving import short_reason, valid_dpi
from pixelpainter.suffixes import SAVE_SUFFIXES

# PIL logs some errors that it also raises; without any handler Python would print them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Format, the first bytes of its files, and PIL's module and class, imported when a file asks for them: all of them
# cost as much as coloring a small drawing. PIL's own factory for JPEG looks for further pictures in the file and
# warns when that list is broken; only the first picture is wanted, so the plain class is used.
_READERS: tuple[tuple[str, tuple[bytes, ...], str, str], ...] = (
    ("PNG", (b"\x89PNG",), "PngImagePlugin", "PngImageFile"),
    ("JPEG", (b"\xff\xd8",), "JpegImagePlugin", "JpegImageFile"),
    ("WEBP", (b"RIFF",), "WebPImagePlugin", "WebPImageFile"),
    ("TIFF", (b"II", b"MM"), "TiffImagePlugin", "TiffImageFile"),
    ("GIF", (b"GIF8",), "GifImagePlugin", "GifImageFile"),
    ("BMP", (b"BM",), "BmpImagePlugin", "BmpImageFile"),
    ("PPM", (b"P",), "PpmImagePlugin", "PpmImageFile"),
    *([("AVIF", (b"\0\0\0",), "AvifImagePlugin", "AvifImageFile")] if ".avif" in SAVE_SUFFIXES else []),
)


def decode_picture(
    stream: BinaryIO, name: str, max_pixels: int, on_size: Callable[[int], object]
) -> ImageFile.ImageFile:
    """Return the loaded first frame. PIL's ``Image.open`` is not used: its pixel limit is one global.

    ``on_size`` is called with the number of pixels before they are decoded.

    Raises:
        InputError: no picture, cut off, or more than ``max_pixels``. Damage raises whatever PIL raises: see
            ``errors_named``.
    """
    _silence_remarks()
    prefix = stream.read(16)
    if not prefix:
        raise InputError(f"{name}: the file is empty")
    factory = _find_reader(prefix)
    if factory is None:
        known = ", ".join(format for format, *_ in _READERS)
        raise InputError(f"{name}: not a picture, or of an unknown kind; PixelPainter reads {known}")
    stream.seek(0)
    image: ImageFile.ImageFile = factory(stream, "")
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InputError(
            f"{name}: {image.width}x{image.height} = {pixels} pixels are more than the limit of {max_pixels}; "
            "raise it with --max-pixels"
        )
    on_size(pixels)
    if image.format == "TIFF":
        _silence_libtiff()
        _correct_resolution(image)
    if image.format == "PNG":
        _match_transparency_to_depth(image)
    image.load()
    if image.format == "PNG" and not _has_png_end(stream):
        raise InputError(f"{name}: the file is cut off; make or fetch it again")
    return image


def count_frames(image: ImageFile.ImageFile, stream: BinaryIO) -> int:
    """Return how many pictures a file holds of which the first one is loaded."""
    with contextlib.suppress(Exception):  # PIL promises nothing about damage behind the first
        if image.format in ("TIFF", "GIF"):  # they look for the others, and would forget what is loaded
            stream.seek(0)
            image = type(image)(stream, "")
        return int(getattr(image, "n_frames", 1))
    return 1


def _find_reader(prefix: bytes) -> Any:
    """Return PIL's class for a file that begins with these 16 bytes, None where there is none."""
    for format, beginnings, module, name in _READERS:
        if prefix.startswith(beginnings):
            plugin = importlib.import_module(f"PIL.{module}")
            accept = Image.OPEN[format][1]
            return getattr(plugin, name) if accept is None or accept(prefix) is True else None
    return None


def _correct_resolution(image: Any) -> None:
    """Forget what PIL makes up for a TIFF without a resolution, and turn it with one that lies on its side.

    PIL turns the pixels of such a TIFF on loading, and only them; its resolution of one that tells none is 1 dpi.
    """
    with contextlib.suppress(Exception):  # PIL promises nothing about damaged tags
        if ExifTags.Base.XResolution not in image.tag_v2:
            image.info.pop("dpi", None)
        dpi = valid_dpi(image.info.get("dpi"))
        if dpi and image.tag_v2.get(ExifTags.Base.Orientation) in (5, 6, 7, 8):
            image.info["dpi"] = (dpi[1], dpi[0])


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


def _silence_remarks() -> None:
    """Let PIL's remarks on damaged EXIF, TIFF tags and animation headers pass in silence, and those on large frames.

    PIL's limit of pixels is not ours (``max_pixels``). ``warnings.catch_warnings`` is not safe in threads, so filters
    are added, the first for two modules only. They are looked for each time because others (pytest) replace the list.
    """
    with _warnings_lock:
        module = warnings.filters[0][3] if warnings.filters else None
        if getattr(module, "pattern", module) != _METADATA_PLUGINS:
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
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
    except Image.DecompressionBombError as error:  # PIL's own limit of frames and tiles, 179 million pixels
        raise InputError(f"{name}: too large for the library that reads it ({short_reason(error)})") from error
    except Exception as error:  # decoders of foreign bytes raise nearly anything
        raise InputError(
            f"{name}: damaged, cut off, or of a rare kind ({short_reason(error)}); make or fetch it again, or save it "
            "as an 8-bit PNG"
        ) from error
