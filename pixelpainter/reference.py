"""A finished picture of a character, whose colors others are to have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError
from pixelpainter.imaging import open_picture
from pixelpainter.palette import Swatch
from pixelpainter.palette_files import picture_palette
from pixelpainter.saving import shown_name

LEAST_CHROMA = 16  # levels between the channels: a picture whose main colors have less has no colors to take over
SIDE_PX = 512  # the network sees less, and k-means time grows with it
LINE_STRENGTH, LINE_LEAST = 40.0, 0.008  # of the difference of two Gaussians: what is drawn, and how strong


@dataclass(frozen=True, eq=False)
class Reference:
    """A finished picture.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB; SIDE_PX wide or high is enough.
        palette: its main colors.
        digest: SHA-256 of the picture.
    """

    rgb: NDArray[np.uint8]
    palette: tuple[Swatch, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the digest."""
        digest = hashlib.sha256(repr(self.rgb.shape).encode())
        digest.update(np.ascontiguousarray(self.rgb).data)
        object.__setattr__(self, "digest", digest.hexdigest())

    def drawing(self) -> NDArray[np.uint8]:
        """Return (H, W) uint8, the lines of the picture, 255 = paper: the dark side of each edge.

        Source: Winnemoeller et al., XDoG (2012), with both Gaussians of equal weight.
        """
        light = np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY), np.float32) / 255
        sigma = max(light.shape) / SIDE_PX
        edge = cv2.GaussianBlur(light, (0, 0), 1.6 * sigma) - cv2.GaussianBlur(light, (0, 0), sigma)
        return np.asarray(255.5 - 255 * np.tanh(LINE_STRENGTH * np.maximum(edge - LINE_LEAST, 0))).astype(np.uint8)


def read_reference(path: Path, *, max_pixels: int = 150_000_000) -> Reference:
    """Read a finished picture.

    Raises:
        InputError: the picture cannot be read, or has no color.
    """
    rgb = open_picture(path, max_pixels=max_pixels).rgb
    palette = picture_palette(rgb)
    if len(palette) < 2 or max(max(swatch.color) - min(swatch.color) for swatch in palette) < LEAST_CHROMA:
        raise InputError(f"{shown_name(path)}: this picture has no colors to take over; give a finished, colored one")
    scale = SIDE_PX / max(rgb.shape[:2])
    if scale < 1:
        size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Reference(rgb, palette)
