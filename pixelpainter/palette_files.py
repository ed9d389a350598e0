"""Palettes as the user gives them: a list of colors, the palette file of a paint program, or a picture.

Sources: the GIMP palette format (GIMP 2.10, devel-docs/gpl.txt); "Adobe Photoshop File Formats Specification", color
swatches (.aco), with grays and inks read as GIMP does, for the specification leaves their direction open; the Adobe
Swatch Exchange format (.ase) as paint programs write it.
"""

from __future__ import annotations

import colorsys
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.color import srgb_from_lab
from pixelpainter.errors import InputError
from pixelpainter.imaging import open_picture
from pixelpainter.palette import Swatch, most_different, palette_code, swatches_of_code
from pixelpainter.saving import short_reason, shown_name
from pixelpainter.suffixes import PICTURE_SUFFIXES

MOST_COLORS = 64  # that a network can read (card.py); a file with more is reduced to the most different ones
_MAX_BYTES = 16 << 20  # a palette of a million colors
_PICTURE_SIDE_PX = 512  # a palette needs no detail, and k-means time grows with it
_PICTURE_COLORS = 6  # the parts of a character: skin, hair, clothes
_COLOR = re.compile(r"#?([0-9a-fA-F]{6})(?::([0-9.]+))?")
_KINDS = "a list such as F2CDB4,3C5AC8, a .gpl, .aco or .ase file, or a picture"

Color = tuple[int, int, int]


def parse_palette(text: str) -> tuple[Swatch, ...]:
    """Read a palette as it is written on the command line, ``RRGGBB,RRGGBB:share,...``.

    Raises:
        ValueError: the text is no palette, or has one color only.
    """
    colors: list[Color] = []
    shares: list[float | None] = []
    for part in text.split(","):
        match = _COLOR.fullmatch(part.strip())
        try:
            share = None if match is None or match[2] is None else float(match[2])
            if match is None or share == 0:
                raise ValueError("six hexadecimal digits are needed, and a share is a number above 0")
        except ValueError as error:
            raise ValueError(f"{part.strip()[:40]!r} is not RRGGBB or RRGGBB:share ({error})") from error
        red, green, blue = bytes.fromhex(match[1])
        colors.append((red, green, blue))
        shares.append(share)
    palette = _swatches(colors, shares)
    if len(palette) < 2:
        raise ValueError(f"{text!r} is one color only; a palette has two or more")
    return palette


def read_palette(text: str, *, max_pixels: int = 150_000_000) -> tuple[Swatch, ...]:
    """Read a palette: a list of colors (see `parse_palette`), or the name of a file.

    Args:
        text: the list or the name. A name counts where there is such a file.
        max_pixels: larger pictures are refused.

    Returns:
        2 to MOST_COLORS different colors, largest share first.

    Raises:
        ValueError: the text is neither.
        InputError: the file holds no palette, or one color only.
    """
    if not os.path.lexists(text) and ("," in text or _COLOR.fullmatch(text.strip())):
        return parse_palette(text)
    path = Path(text)
    name = shown_name(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None and path.suffix.lower() in PICTURE_SUFFIXES:
        palette = picture_palette(open_picture(path, max_pixels=max_pixels).rgb)
    elif reader is None and not os.path.exists(path):  # noqa: PTH110 (a name that is too long is none)
        raise ValueError(f"{text!r} is neither a file nor a palette; give {_KINDS}")
    elif reader is None:
        raise InputError(f"{name}: no palette of a known kind; give {_KINDS}")
    else:
        palette = _read_file(path, name, reader)
    if len(palette) < 2:
        raise InputError(
            f"{name}: there {'is one color' if palette else 'are no colors'} in it; a palette has two or more"
        )
    return palette


def picture_palette(rgb: NDArray[np.uint8]) -> tuple[Swatch, ...]:
    """Return the main colors of the figure in a picture (H, W, 3) uint8, largest share first."""
    from pixelpainter.figure import figure_mask

    scale = _PICTURE_SIDE_PX / max(rgb.shape[:2])
    if scale < 1:
        size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
        # An area filter would add mixed colors at every edge.
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return swatches_of_code(palette_code(rgb, figure_mask(rgb), _PICTURE_COLORS))


def _swatches(colors: Sequence[Color], shares: Sequence[float | None] = ()) -> tuple[Swatch, ...]:
    """Return a palette; where no share is given, earlier colors cover more (half of the first, a third, ...)."""
    if not colors:
        return ()
    given = [share for share in shares if share is not None]
    if given:
        usual = sum(given) / len(given)
        weights = [usual if share is None else share for share in shares]
    else:
        weights = [1 / number for number in range(1, len(colors) + 1)]
    total = sum(weights)
    return most_different(
        [Swatch(color, weight / total) for color, weight in zip(colors, weights, strict=True)], MOST_COLORS
    )


def _read_file(path: Path, name: str, read: Callable[[bytes], Iterator[Color]]) -> tuple[Swatch, ...]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be opened ({short_reason(error)})") from error
    if len(data) > _MAX_BYTES:
        raise InputError(f"{name}: the file is too large for a palette")
    try:
        return _swatches(list(read(data)))
    except struct.error as error:
        raise InputError(f"{name}: the palette is cut off; save it again") from error
    except ValueError as error:
        raise InputError(f"{name}: no palette, or a damaged one ({short_reason(error)}); save it again") from error


def _read_gpl(data: bytes) -> Iterator[Color]:
    """Yield the colors of a GIMP palette, which Krita, Inkscape and Aseprite write too. Raises ValueError."""
    lines = data.decode("utf-8-sig", "replace").splitlines()
    if not lines or lines[0].strip() != "GIMP Palette":
        raise ValueError("the first line is not 'GIMP Palette'")
    for number, line in enumerate(lines[1:], 2):
        fields = line.split()
        if not fields or fields[0].startswith("#") or re.match(r"[A-Za-z]+:", line):
            continue
        if len(fields) < 3 or not all(field.isdecimal() and int(field) <= 255 for field in fields[:3]):
            raise ValueError(f"line {number} is no color")
        red, green, blue = map(int, fields[:3])
        yield red, green, blue


def _read_aco(data: bytes) -> Iterator[Color]:
    """Yield the swatches of Photoshop. Raises ValueError, struct.error."""
    version, count = struct.unpack_from(">HH", data)
    if version not in (1, 2):
        raise ValueError(f"version {version} is unknown")
    place = 4
    for _ in range(count):
        space, *values = struct.unpack_from(">5H", data, place)
        place += 10
        if version == 2:  # a name follows
            place += 4 + 2 * int(struct.unpack_from(">I", data, place)[0])
        first, second, third, fourth = (value / 65535 for value in values)
        if space == 0:
            yield _bytes(first, second, third)
        elif space == 1:
            yield _bytes(*colorsys.hsv_to_rgb(first, second, third))
        elif space == 2:  # 0 is all ink
            yield _bytes(first * fourth, second * fourth, third * fourth)
        elif space == 7:
            a, b = struct.unpack(">2h", struct.pack(">2H", *values[1:3]))
            yield _from_lab(values[0] / 100, a / 100, b / 100)
        elif space == 8:
            yield _bytes(*[1 - values[0] / 10_000] * 3)
        else:
            raise ValueError(f"color space {space} is unknown")


def _read_ase(data: bytes) -> Iterator[Color]:
    """Yield the swatches of an Adobe Swatch Exchange file. Raises ValueError, struct.error."""
    if data[:4] != b"ASEF":
        raise ValueError("it does not begin with ASEF")
    (blocks,) = struct.unpack_from(">I", data, 8)
    place = 12
    for _ in range(blocks):
        kind, length = struct.unpack_from(">HI", data, place)
        block = data[place + 6 : place + 6 + length]
        place += 6 + length
        if kind != 1:  # begin and end of groups
            continue
        start = 2 + 2 * int(struct.unpack_from(">H", block)[0])
        model = block[start : start + 4]
        count = {b"RGB ": 3, b"CMYK": 4, b"LAB ": 3, b"Gray": 1}.get(model)
        if count is None:
            raise ValueError(f"color model {model.decode('latin-1').strip()!r} is unknown")
        values = struct.unpack_from(f">{count}f", block, start + 4)
        if model == b"RGB ":
            yield _bytes(*values)
        elif model == b"CMYK":
            yield _bytes(*((1 - ink) * (1 - values[3]) for ink in values[:3]))
        elif model == b"LAB ":
            yield _from_lab(values[0] * 100, values[1], values[2])
        else:
            yield _bytes(*values * 3)


_READERS: dict[str, Callable[[bytes], Iterator[Color]]] = {".gpl": _read_gpl, ".aco": _read_aco, ".ase": _read_ase}


def _from_lab(lightness: float, a: float, b: float) -> Color:
    # The files mean the white of print (D50); Lab values of one color under both whites differ little.
    return _bytes(*srgb_from_lab(np.array([lightness, a, b])).tolist())


def _bytes(red: float, green: float, blue: float) -> Color:
    """Return sRGB bytes of values in [0, 1]; those out of range are clipped. Raises ValueError: not a number."""
    values = [round(min(max(value, 0.0), 1.0) * 255) for value in (red, green, blue) if value == value]
    if len(values) != 3:
        raise ValueError("a color is not a number")
    return values[0], values[1], values[2]
