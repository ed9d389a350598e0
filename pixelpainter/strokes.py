"""Hints from files: strokes painted on a transparent picture, and lists of hints in JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError
from pixelpainter.hints import Hint, parse_hint
from pixelpainter.imaging import Letterbox, open_picture
from pixelpainter.saving import short_reason, shown_name

_OPAQUE = 128  # alpha from which a pixel belongs to a stroke
_COVERED = 0.25  # of a network pixel that strokes must cover to count there
_THINNEST = 0.8  # pixels: a stroke as thin as this counts, however large the drawing is
_STRIP = 256  # rows at once: no second picture in memory
_EXAMPLE = '["120,80,FFCC99", [200, 40, "3060C0", 12]]'


@dataclass(frozen=True, eq=False)
class Strokes:
    """Colored strokes over a drawing.

    Attributes:
        name: what messages call them.
        rgb: (H, W, 3) uint8, sRGB; of no meaning beside the strokes.
        mask: (H, W) bool, True on a stroke.
        digest: SHA-256 of both.
    """

    name: str
    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the digest."""
        digest = hashlib.sha256(repr(self.mask.shape).encode())
        digest.update(np.ascontiguousarray(self.mask).data)
        digest.update(np.ascontiguousarray(self.rgb).data)
        object.__setattr__(self, "digest", digest.hexdigest())

    def draw(self, size: tuple[int, int], box: Letterbox) -> NDArray[np.float32]:
        """Draw the strokes the way the network reads hints.

        Args:
            size: (width, height) of the drawing.
            box: where the drawing lies in the network's square.

        Returns:
            (4, side, side) float32: sRGB in [-1, 1] (0 where there is no stroke) and a mask of 0 and 1.

        Raises:
            InputError: drawing and strokes differ in size.
        """
        height, width = self.mask.shape
        if (width, height) != size:
            raise InputError(
                f"{self.name}: the strokes are {width}x{height} pixels, the drawing {size[0]}x{size[1]}; "
                "paint them on a transparent layer of the drawing's size"
            )
        drawn = np.zeros((4, box.side, box.side), np.float32)
        inside = drawn[:, box.top : box.top + box.height, box.left : box.left + box.width]  # a view
        color, covered = self._shrunk(box) if width >= box.width else self._enlarged(box)
        inside[:3, covered] = color[covered].T / 127.5 - 1
        inside[3, covered] = 1
        return drawn

    def _shrunk(self, box: Letterbox) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean color of the strokes in each network pixel (h, w, 3), 0 to 255, and where there is one."""
        height, width = self.mask.shape
        cells = box.height * box.width
        sums, counts = np.zeros((cells, 3)), np.zeros(cells)
        for top in range(0, height, _STRIP):
            mask = self.mask[top : top + _STRIP]
            rows, columns = np.nonzero(mask)
            cell = (rows + top) * box.height // height * box.width + columns * box.width // width
            pixels = self.rgb[top : top + _STRIP][mask]
            counts += np.bincount(cell, minlength=cells)
            for channel in range(3):
                sums[:, channel] += np.bincount(cell, pixels[:, channel], minlength=cells)
        zoom = max(height / box.height, width / box.width)
        enough = min(_COVERED, _THINNEST / zoom) * height * width / cells
        color = sums / np.maximum(counts, 1)[:, None]
        return color.reshape(box.height, box.width, 3), (counts >= enough).reshape(box.height, box.width)

    def _enlarged(self, box: Letterbox) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Do what `_shrunk` does for a drawing smaller than the network's square."""
        near: dict[str, Any] = {"dsize": (box.width, box.height), "interpolation": cv2.INTER_NEAREST}
        covered = cv2.resize(self.mask.astype(np.uint8), **near) > 0
        return np.asarray(cv2.resize(self.rgb, **near), np.float64), np.asarray(covered)


def read_hints(path: Path, *, max_pixels: int = 150_000_000) -> tuple[tuple[Hint, ...], tuple[Strokes, ...]]:
    """Read a file of hints: a JSON list, or a transparent picture with colored strokes.

    An item of a list is a text as on the command line, ``"x,y,RRGGBB"``, or a list ``[x, y, "RRGGBB"]``, both with
    a radius at the end if wanted. The settings that a colored picture holds, ``{"hints": [...]}``, are read too.

    Args:
        path: a file; what it holds is told by its suffix.
        max_pixels: larger pictures are refused.

    Returns:
        The hints and the strokes in it; one of both is empty.

    Raises:
        InputError: the file is missing, damaged, or holds neither.
    """
    if path.suffix.lower() != ".json":
        return (), (read_strokes(path, max_pixels=max_pixels),)
    name = shown_name(path)
    try:
        return parse_list(path.read_bytes(), name), ()
    except OSError as error:
        raise InputError(f"{name}: cannot be opened ({short_reason(error)})") from error


def parse_list(data: bytes | str, name: str) -> tuple[Hint, ...]:
    """Read a list of hints in JSON, see `read_hints`.

    Args:
        data: the JSON.
        name: what messages call it.

    Raises:
        InputError: it is damaged, or no list of hints.
    """
    try:
        items = json.loads(data)
        if isinstance(items, dict):
            items = items["hints"]
        if not isinstance(items, list):
            raise ValueError("no list")
        return tuple(_hint(item) for item in items)
    except KeyError as error:
        raise InputError(f"{name}: there is no list of hints; expected {_EXAMPLE}") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no hints
        raise InputError(f"{name}: no list of hints ({short_reason(error)}); expected {_EXAMPLE}") from error


def _hint(item: object) -> Hint:
    """Read an item of a list. Raises ValueError."""
    if isinstance(item, list):
        item = ",".join(str(part) for part in item if part is not None)
    if not isinstance(item, str):
        raise ValueError(f"{str(item)[:40]!r} is no hint")
    return parse_hint(item)


def read_strokes(source: Path | BinaryIO, *, max_pixels: int = 150_000_000) -> Strokes:
    """Read strokes from a transparent picture.

    Args:
        source: a path, or a binary stream with a ``name`` for messages.
        max_pixels: larger pictures are refused.

    Raises:
        InputError: the picture cannot be read, has no transparency, or nothing else.
    """
    picture = open_picture(source, max_pixels=max_pixels)
    name = shown_name(source if isinstance(source, Path) else source.name)
    if picture.alpha is None:
        raise InputError(f"{name}: this picture has no transparency; paint strokes on a transparent layer, save as PNG")
    mask = picture.alpha >= _OPAQUE
    if not mask.any():
        raise InputError(f"{name}: there is no stroke in this picture; all of it is transparent")
    rgb = picture.rgb.copy()
    soft = mask & (picture.alpha < 255)
    if soft.any():  # take the white away that it was flattened on
        ink = (255.0 - rgb[soft]) * 255 / picture.alpha[soft][:, None]
        rgb[soft] = np.clip(255.5 - ink, 0, 255).astype(np.uint8)
    return Strokes(name, rgb, mask)
