"""Open and save pictures: the only place where files of the user are decoded and encoded.

Whatever comes in (16-bit, CMYK, palette, transparent, turned by EXIF, with an ICC profile) leaves as
upright 8-bit sRGB. Every function may be called from many threads at once. decoding.py loads
files, saving.py writes them; both are offered from here.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pixelpainter.decoding import count_frames, decode_picture, errors_named
from pixelpainter.errors import InputError
from pixelpainter.saving import (
    Pixels,
    encode_picture,
    on_white,
    save_picture,
    short_reason,
    shown_name,
    valid_dpi,
)

__all__ = [
    "Letterbox",
    "Picture",
    "encode_picture",
    "letterbox",
    "open_picture",
    "picture_from_array",
    "picture_from_image",
    "save_picture",
]

_EXIF_KEYS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # where PIL looks for EXIF
# What undoes each EXIF orientation, for an array whose first two axes are rows and columns.
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as the rest of the program sees it.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, upright, transparent parts flattened on white.
        alpha: (H, W) uint8, 0 = transparent; None where everything is opaque.
        dpi: horizontal and vertical resolution, None where the source names none.
        format: PIL format name of the source ("PNG"); empty for pictures made in memory.
        frames: how many pictures the source holds; this is the first one.
    """

    rgb: Pixels
    alpha: Pixels | None
    dpi: tuple[float, float] | None
    format: str
    frames: int = 1


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in a square: all in pixels, top and left counted from the square's corner."""

    side: int
    top: int
    left: int
    height: int
    width: int


def open_picture(
    source: Path | BinaryIO, *, max_pixels: int = 150_000_000, on_size: Callable[[int], object] = lambda _: None
) -> Picture:
    """Read a picture file; of an animation, the first frame.

    Args:
        source: a path, or a binary stream (read to its end; it need not be seekable).
        max_pixels: pictures with more pixels than this are refused before they are decoded.
        on_size: called with the number of pixels before they are decoded; it may wait until there is memory for them.

    Raises:
        InputError: the file is missing, unreadable, no picture, damaged, cut off or too large.
    """
    name = shown_name(source if isinstance(source, Path) else getattr(source, "name", "") or "the picture")
    try:
        stream = source.open("rb") if isinstance(source, Path) else io.BytesIO(source.read())
    except IsADirectoryError as error:
        raise InputError(f"{name}: this is a folder; give a picture file") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"{name}: cannot be opened ({short_reason(error)})") from error
    with stream, errors_named(name):
        image = decode_picture(stream, name, max_pixels, on_size)
        return dataclasses.replace(_convert(image), frames=count_frames(image, stream))


def picture_from_image(image: Image.Image) -> Picture:
    """Convert a PIL image like a file: EXIF orientation, ICC profile, transparency, every mode.

    Raises:
        InputError: PIL reads pixels on demand, and the file behind the image is damaged.
    """
    with errors_named("the picture"):
        return _convert(image)


def picture_from_array(array: NDArray[Any]) -> Picture:
    """Make a picture of a uint8 array (H, W), (H, W, 3) or (H, W, 4): gray, sRGB, or sRGB with alpha.

    Raises:
        ValueError: another shape or dtype, no pixels at all, or no array.
    """
    if not isinstance(array, np.ndarray):
        kind = type(array).__name__
        raise ValueError(f"expected a picture or an array, got {kind}; PIL's Image.open makes a picture of a file")
    if array.dtype != np.uint8 or array.ndim < 2 or array.shape[2:] not in ((), (3,), (4,)) or not array.size:
        raise ValueError(f"expected uint8 (H, W), (H, W, 3) or (H, W, 4), got {array.dtype} {array.shape}")
    return _convert(Image.fromarray(array))


def letterbox(array: Pixels, side: int, fill: int | tuple[int, ...]) -> tuple[Pixels, Letterbox]:
    """Fit a picture into a square, centered, keeping its aspect ratio as far as whole pixels allow.

    Args:
        array: (H, W) or (H, W, C) uint8, C from 1 to 4.
        side: side of the square in pixels.
        fill: value around the picture, one number or one per channel.

    Returns:
        (side, side) or (side, side, C) uint8, and where in it the picture lies (at least 1 pixel each way).

    Raises:
        ValueError: not such an array, no pixels, or ``side`` below 1.
    """
    channels = array.shape[2:]
    if (
        array.dtype != np.uint8
        or channels not in ((), (1,), (2,), (3,), (4,))
        or array.ndim < 2
        or not array.size
        or side < 1
    ):
        raise ValueError(f"expected uint8 (H, W) or (H, W, 1-4) and side >= 1, got {array.dtype} {array.shape}, {side}")
    longest = max(array.shape[:2])
    height, width = (max(1, round(length * side / longest)) for length in array.shape[:2])
    # Area keeps thin lines when shrinking; linear never overshoots when enlarging.
    method = cv2.INTER_AREA if side < longest else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(array), (width, height), interpolation=method)
    box = Letterbox(side, (side - height) // 2, (side - width) // 2, height, width)
    square = np.empty((side, side, *channels), np.uint8)
    square[:] = fill
    square[box.top : box.top + height, box.left : box.left + width] = small.reshape(height, width, *channels)
    return square, box


def _convert(image: Image.Image) -> Picture:
    """Return upright 8-bit sRGB on white, with alpha."""
    image.load()
    color, alpha = _split_alpha(image)
    profile = image.info.get("icc_profile")
    rgb = np.array((_in_srgb(color, profile) if profile else color).convert("RGB"))
    dpi = _read_dpi(image)
    orientation = _exif(image, ExifTags.Base.Orientation)
    if isinstance(orientation, int) and orientation in _UPRIGHT:
        rgb = np.ascontiguousarray(_UPRIGHT[orientation](rgb))
        alpha = None if alpha is None else np.ascontiguousarray(_UPRIGHT[orientation](alpha))
        dpi = (dpi[1], dpi[0]) if dpi and orientation >= 5 else dpi
    if alpha is not None and int(alpha.min()) == 255:
        alpha = None
    if alpha is not None:
        rgb = on_white(rgb, alpha)
    return Picture(rgb=rgb, alpha=alpha, dpi=dpi, format=image.format or "")


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    """Return the colors as an image in mode L, RGB or CMYK, and the alpha channel (H, W) if there is one."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values, transparent = np.asarray(image), image.info.get("transparency")
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8) if isinstance(transparent, int) else None
        return Image.fromarray(_to_eight_bits(values, *_tiff_range(image))), alpha
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        gray = image.mode in ("L", "LA")
        image = image.convert("LA" if gray else "RGBA")
        return image.convert("L" if gray else "RGB"), np.array(image.getchannel("A"))
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _tiff_range(image: Image.Image) -> tuple[int, bool]:
    """Return the largest value that the samples of a TIFF can have, 0 if unknown, and whether 0 is white.

    PIL unpacks samples of 12 bits and signed ones as they are, and turns white-is-zero of up to 8 bits only.
    """
    tags = getattr(image, "tag_v2", None) or {}
    try:
        bits, signed = int(tags.get(258, (0,))[0]), tags.get(339, (1,))[0] == 2
        return (1 << bits - signed) - 1 if 8 < bits <= 16 else 0, tags.get(262) == 0
    except Exception:  # PIL promises nothing about damaged tags
        return 0, False


def _to_eight_bits(values: NDArray[Any], largest: int, inverted: bool) -> Pixels:
    """Scale unsigned 16-bit, signed 32-bit or float values (H, W) to uint8; without a range, judge by the largest."""
    if values.dtype.kind == "u":
        values = values >> max((largest or 65535).bit_length() - 8, 0)
        return (255 - values if inverted else values).astype(np.uint8)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
        top = largest or float(values.max(initial=0, where=np.isfinite(values)))
        if values.dtype.kind == "f" and top <= 2:  # 0 to 1, and a little more where a filter overshot
            values = values * 255
        elif largest:
            values = values * (255 / largest)
        elif 255 < top <= 65535:
            values = values // 256
        elif top > 65535:
            values = values * (255 / top)
        values = np.rint(np.clip(values, 0, 255))
        return values.astype(np.uint8)


def _in_srgb(color: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image (L, RGB, CMYK) by its ICC profile; a broken or foreign profile changes nothing."""
    from PIL import ImageCms  # most drawings have no profile

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(color.mode, color.mode):
            return color
        intent = ImageCms.Intent.PERCEPTUAL
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), color.mode, "RGB", intent)
        # Most profiles are sRGB itself: 3 ms to find out, 30 ms per megapixel and rounding errors to apply.
        if color.mode == "RGB":
            steps = np.linspace(0, 255, 9).astype(np.uint8)
            colors = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3))
            probe, answer = (np.asarray(image, np.int16) for image in (colors, transform.apply(colors)))
            if np.abs(probe - answer).max() <= 1:
                return color
        return transform.apply(color)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return color


def _exif(image: Image.Image, tag: int) -> Any:
    """Return one EXIF value, None where it is absent or EXIF is damaged: no reason to refuse a picture."""
    # Asking PIL loads its TIFF reader, 8 ms; `_exif` is what the caller's own `getexif()` left.
    if not (image.info.keys() & _EXIF_KEYS or hasattr(image, "tag_v2") or getattr(image, "_exif", True)):
        return None
    try:
        return image.getexif().get(tag)
    except Exception:  # PIL promises nothing about damaged EXIF
        return None


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Return the resolution that the file names; WebP and AVIF name it only in EXIF."""
    dpi = valid_dpi(image.info.get("dpi"))
    if dpi is None and _exif(image, ExifTags.Base.ResolutionUnit) == 2:
        dpi = valid_dpi([_exif(image, tag) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution)])
    return dpi
