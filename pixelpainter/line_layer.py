"""Line art on a transparent layer, whose alpha is the ink, is a drawing on white paper.

Other transparent drawings are figures that were cut out, or pages with soft edges. They have paper of their own and
keep their transparency. Put on line art, its own transparency would hide all color.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from pixelpainter.imaging import Picture
from pixelpainter.lines import DARKEST_PAPER, Bytes, gray_of, reduced

STROKE_SHARE = 1 / 24  # of the longer side of what is drawn: wider is no stroke
FAINT = 16  # opacity from which a stroke that was made smaller closes an area
WHITE_INK = 0.25  # darkness of ink, from 0 to 1: lighter lines were drawn to be seen on something dark


def on_paper(picture: Picture) -> Picture:
    """Return line art on a transparent layer as black or colored lines on opaque white paper; others stay.

    It is line art if opaque areas wider than a stroke, other than black ones, are smaller than the transparent areas
    that lines enclose, or if there are neither. White lines become black.
    """
    if picture.alpha is None or not picture.alpha.any():
        return picture
    left, top, width, height = cv2.boundingRect(picture.alpha)
    drawn = np.s_[top : top + height, left : left + width]
    rgb, alpha = _with_margin(reduced(picture.rgb[drawn]), 255), _with_margin(reduced(picture.alpha[drawn]), 0)
    if _paper(rgb, alpha) > _holes(alpha):
        return picture
    ink = int(np.sum(255 - gray_of(rgb))) / max(int(np.sum(alpha)), 1)
    lines = cv2.cvtColor(255 - picture.alpha, cv2.COLOR_GRAY2RGB) if ink < WHITE_INK else picture.rgb
    return dataclasses.replace(picture, rgb=np.asarray(lines, np.uint8), alpha=None)


def _with_margin(array: Bytes, value: int) -> Bytes:
    """Return a picture with one more pixel on each side."""
    return np.asarray(cv2.copyMakeBorder(array, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[value] * 3), np.uint8)


def _paper(rgb: Bytes, alpha: Bytes) -> int:
    """Return how many pixels lie in opaque areas that are wider than a stroke and not black."""
    opaque = (alpha > float(alpha.max()) / 2).astype(np.uint8)
    side = max(3, round(max(alpha.shape) * STROKE_SHARE) | 1)
    wide = cv2.morphologyEx(opaque, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0
    light = cv2.erode(rgb.max(axis=2), np.ones((3, 3), np.uint8)) >= DARKEST_PAPER  # without soft edges of black
    return int(np.count_nonzero(wide & light))


def _holes(alpha: Bytes) -> int:
    """Return how many transparent pixels are enclosed."""
    clear = (alpha < FAINT).astype(np.uint8)
    _, areas = cv2.connectedComponents(clear, connectivity=4)
    return int(np.count_nonzero((clear > 0) & (areas != areas[0, 0])))
