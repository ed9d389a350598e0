"""Put the user's own lines back over a picture that a diffusion model has painted over.

The model paints lines of its own, blurred and a few pixels beside the drawing's. What lies on and next to the drawing's
lines is replaced by the color beside them, each side by its own, and the drawing is multiplied over that.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import InputError
from pixelpainter.lines import Drawing, multiply_lines

Bytes = NDArray[np.uint8]

LINE = 224  # ink darker than this is a line; above are paper's grain and what JPEG leaves around lines
BLUR = 1 / 512  # of the longer side: how far from a line the model's own line reaches
MOST_SQUEEZE = 0.01  # a drawing whose ratio of sides differs by more than this is another picture's


def fit_drawing(drawing: Drawing, size: tuple[int, int], name: str) -> Drawing:
    """Return a drawing at the size of a picture.

    Args:
        drawing: of any size.
        size: (width, height) of the picture.
        name: of the drawing, for the message.

    Raises:
        InputError: its sides have another ratio.
    """
    width, height = size
    own_height, own_width = drawing.ink.shape
    if (own_width, own_height) == size:
        return drawing
    # A pixel more or less is no other ratio, however small the picture.
    slack = MOST_SQUEEZE * max(own_width * height, own_height * width) + max(own_width, own_height)
    if abs(own_width * height - own_height * width) > slack:
        raise InputError(
            f"{name}: the drawing has {own_width}x{own_height} pixels and the picture {width}x{height}, another ratio "
            "of sides; give the drawing that the picture was made of"
        )
    ink, network, lines = (_resized(plane, width, height) for plane in (drawing.ink, drawing.network, drawing.lines))
    return dataclasses.replace(drawing, ink=ink, network=network, lines=lines)


def put_lines_back(rgb: Bytes, drawing: Drawing) -> Bytes:
    """Return a picture with the lines of a drawing instead of its own.

    Args:
        rgb: (H, W, 3) uint8 sRGB.
        drawing: of the same size.

    Returns:
        (H, W, 3) uint8 sRGB: exactly ``rgb`` away from lines.

    Raises:
        ValueError: the sizes differ.
    """
    if rgb.shape[:2] != drawing.ink.shape or rgb.dtype != np.uint8 or rgb.ndim != 3:
        raise ValueError(f"picture {rgb.dtype} {rgb.shape} and drawing {drawing.ink.shape} do not fit")
    color = _without_lines(rgb, np.asarray(drawing.network < LINE, np.uint8))
    return multiply_lines(color, drawing.lines)


def _without_lines(rgb: Bytes, line: Bytes) -> Bytes:
    """Give every pixel on or next to a line (H, W; 1 = line) the color of the nearest pixel that is farther away.

    Between two lines that are close to each other no pixel is far away; there the ones in the middle count.
    """
    reach = max(2.0, BLUR * max(line.shape))
    far = cv2.distanceTransform(1 - line, cv2.DIST_L2, 5)
    middle = (far > 0) & (far >= cv2.dilate(far, np.ones((3, 3), np.uint8)))
    painted = np.asarray(((far <= reach) & ~middle), np.uint8)
    beside = np.flatnonzero(painted == 0)
    if not beside.size or beside.size == painted.size:
        return rgb.copy()
    _, nearest = cv2.distanceTransformWithLabels(painted, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inked = painted > 0
    color = rgb.copy()
    color[inked] = rgb.reshape(-1, 3)[beside[nearest[inked] - 1]]
    return color


def _resized(plane: Bytes, width: int, height: int) -> Bytes:
    """Scale (h, w) or (h, w, 3): with the area filter, which keeps thin lines, or enlarged without overshoot."""
    method = cv2.INTER_AREA if plane.shape[0] > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=method), np.uint8)
