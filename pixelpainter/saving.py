"""Encode pictures and write them so that a file is either whole or untouched."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pixelpainter.atomic import new_file
from pixelpainter.errors import OutputError, shorten
from pixelpainter.suffixes import SAVE_SUFFIXES

LONGEST_REASON = 200  # letters

Pixels = NDArray[np.uint8]

_ALPHA_FORMATS = frozenset({"PNG", "WEBP", "TIFF", "AVIF"})
_EXIF_FORMATS = frozenset({"JPEG", "WEBP", "TIFF", "AVIF"})
_QUALITY = {"JPEG": 95, "WEBP": 90, "AVIF": 90}
# Colored pages are smooth: run lengths of Paeth differences come out as small as a search for repetitions. Seven
# pages 1024 high, 6 colored drawings and a cartoon, took 171 ms and 3.87 MB so; with PIL 276 ms and 4.39 MB at level 1,
# 429 ms and 3.90 MB at 4, 1004 ms and 3.78 MB at 6.
_PNG_OPTIONS = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV 4.11
    _PNG_OPTIONS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]
_DPI_RANGE = (1.0, 65535.0)  # what JPEG can store


def save_picture(
    rgb: Pixels,
    path: Path,
    *,
    alpha: Pixels | None = None,
    dpi: tuple[float, float] | None = None,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a picture so that the path holds either the whole picture or what it held before.

    Args:
        rgb: (H, W, 3) uint8, sRGB.
        path: where to; its suffix names the format unless ``format`` does.
        alpha: (H, W) uint8; in a format without transparency the picture is flattened on white.
        dpi: resolution to store, 1 to 65535, where the format has a place for it.
        format: PIL format name, one of the values of ``SAVE_SUFFIXES``.
        quality: 1 to 100, for JPEG, WebP (100 is lossless) and AVIF.
        overwrite: whether an existing file is replaced; if not, a file that appears meanwhile is safe too.
        metadata: texts to store, see ``encode_picture``.

    Raises:
        OutputError: the suffix is unknown, the file exists, or it cannot be written.
        ValueError: wrong shape, dtype or range of an argument.
    """
    name = shown_name(path)
    format = format or SAVE_SUFFIXES.get(path.suffix.lower())
    if format is None:
        raise OutputError(f"{name}: cannot write this kind of file; use one of {', '.join(sorted(SAVE_SUFFIXES))}")
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{name}: exists already; use --overwrite to replace it")
    try:
        data = encode_picture(rgb, format=format, alpha=alpha, dpi=dpi, quality=quality, metadata=metadata)
    except OutputError as error:
        raise OutputError(f"{name}: {error}") from error
    try:
        with new_file(path, overwrite=overwrite) as stream:
            stream.write(data)
    except FileExistsError as error:
        raise OutputError(f"{name}: appeared meanwhile; use --overwrite to replace it") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{name}: cannot be written ({short_reason(error)})") from error


def encode_picture(
    rgb: Pixels,
    *,
    format: str,
    alpha: Pixels | None = None,
    dpi: tuple[float, float] | None = None,
    quality: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a picture file; arguments as for ``save_picture``.

    ``metadata`` becomes text chunks of a PNG (keys: 1 to 79 Latin-1 characters). JPEG, WebP, TIFF and AVIF
    store "Software" under EXIF Software and the rest as lines "key: value" in ImageDescription; BMP and PPM
    store nothing.

    Raises:
        OutputError: the format cannot hold this picture (too many pixels on a side).
        ValueError: wrong shape, dtype or range of an argument.
    """
    if format not in SAVE_SUFFIXES.values():
        raise ValueError(f"format is {format!r}, not one of {', '.join(sorted(set(SAVE_SUFFIXES.values())))}")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ValueError(f"expected rgb uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]):
        raise ValueError(f"expected alpha uint8 {rgb.shape[:2]}, got {alpha.dtype} {alpha.shape}")
    if dpi is not None and valid_dpi(dpi) is None:
        raise ValueError(f"dpi is {dpi}, not two numbers from 1 to 65535")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, not 1 to 100")
    if alpha is not None and format in _ALPHA_FORMATS:
        rgb = np.dstack([rgb, alpha])
    elif alpha is not None:
        rgb = on_white(rgb, alpha)
    stream = io.BytesIO()
    try:
        if format == "PNG":
            return _encode_png(rgb, dpi, metadata or {})
        Image.fromarray(rgb).save(stream, format, **_encoder_options(format, dpi, quality, metadata or {}))
    except (OSError, ValueError, RuntimeError, SystemError, cv2.error) as error:
        size = f"{rgb.shape[1]}x{rgb.shape[0]} pixels"
        raise OutputError(f"a picture of {size} does not fit {format} ({short_reason(error)}); use PNG") from error
    return stream.getvalue()


def _encode_png(pixels: Pixels, dpi: tuple[float, float] | None, metadata: Mapping[str, str]) -> bytes:
    """Return a PNG of (H, W, 3 or 4) pixels. OpenCV writes it, but knows no metadata; they go in after the header."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    data: bytes = cv2.imencode(".png", cv2.cvtColor(pixels, order), _PNG_OPTIONS)[1].tobytes()
    chunks = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in _png_chunks(dpi, metadata)
    )
    header = 8 + 25  # signature and IHDR
    return data[:header] + chunks + data[header:]


def _png_chunks(dpi: tuple[float, float] | None, metadata: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the chunks for resolution and texts. Source: PNG specification, 11.3.3 and 11.3.4.3."""
    if dpi is not None:
        yield b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)  # pixels per meter
    for key, text in metadata.items():
        name = key.encode("latin-1") + b"\0"
        try:
            yield b"tEXt", name + text.encode("latin-1")
        except UnicodeEncodeError:
            yield b"iTXt", name + b"\0\0\0\0" + text.encode("utf-8", "replace")  # not compressed, no language


def _encoder_options(
    format: str, dpi: tuple[float, float] | None, quality: int | None, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keyword arguments for PIL's ``save``."""
    options: dict[str, Any] = {} if dpi is None else {"dpi": dpi}
    if format in _QUALITY:
        options["quality"] = quality or _QUALITY[format]
    if format in ("JPEG", "AVIF"):
        options["subsampling"] = "4:4:4"  # thin colored lines lose their color otherwise
    elif format == "WEBP":
        options["lossless"] = quality == 100
    elif format == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    if format in _EXIF_FORMATS:
        options["exif"] = _make_exif(dpi, metadata)
    return options


def _make_exif(dpi: tuple[float, float] | None, metadata: Mapping[str, str]) -> Image.Exif:
    """Return EXIF with the resolution and the texts, in UTF-8 as other programs write it."""
    exif = Image.Exif()
    rest = "\n".join(f"{key}: {value}" for key, value in metadata.items() if key != "Software")
    for tag, text in ((ExifTags.Base.Software, metadata.get("Software")), (ExifTags.Base.ImageDescription, rest)):
        if text:
            exif[tag] = text.encode()
    if dpi is not None:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = dpi
        exif[ExifTags.Base.ResolutionUnit] = 2  # inches
    return exif


def on_white(rgb: Pixels, alpha: Pixels) -> Pixels:
    """Flatten (H, W, 3) with alpha (H, W) on white, rounded."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((rgb * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def valid_dpi(dpi: Any) -> tuple[float, float] | None:
    """Return the two numbers if they can be a resolution in dots per inch, else None."""
    try:
        x, y = float(dpi[0]), float(dpi[1])
    except (TypeError, ValueError, IndexError, ArithmeticError):
        return None
    low, high = _DPI_RANGE
    return (x, y) if low <= x <= high and low <= y <= high else None


def short_reason(error: Exception) -> str:
    """Return the reason in one short line, without the file name that OSError adds."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shorten(text, LONGEST_REASON) or type(error).__name__


def shown_name(name: object) -> str:
    """Return a file name fit for one line of a message."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]
