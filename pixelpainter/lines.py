"""Clean a user's drawing: dark lines on white paper, whatever was drawn or photographed.

A drawing with black lines on white paper passes unchanged. What is changed, and only where it must be: white lines on
black are inverted, gray, yellowed or unevenly lit paper is levelled to white, colored pencil counts as ink, and faint
pencil is strengthened for the network. Large black areas, gray fills and screentones are ink, never paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

REDUCED_SIDE_PX = 192  # longest side of the copy on which paper and polarity are measured
WHITE = 247  # paper from here on is white as it is
WHITE_SHARE = 0.02  # so much white in a picture means that its paper is white
GRADUAL_SHARE = 0.3  # unless so much of the picture is darker ...
EXPLAINED_SHARE = 0.8  # ... and so much of that looks like evenly changing light
PAPER_SHARE = 0.3  # so much of a picture must be paper to be levelled
DARKEST_PAPER = 90  # darker pictures are left alone
NEUTRAL = 10  # levels that a channel may differ from the gray: noise and JPEG; more is colored pencil
FAINT = 150  # strokes less dark than this (0 paper to 255) are strengthened for the network ...
STRONG = 210  # ... to this
MOST_GAIN = 4.0
LINE_BLUR = 2.0  # pixels of the reduced copy, in which ...
LINE_STRENGTH, LINE_TINT = 20, 0.2  # ... so much ink is a line; difference between channels as a share of it ...
COLORED_LINES = 0.02  # ... in so much of the ink: lines have colors
PAINT_SIDE_PX = 512  # longest side of the copy on which painted areas are found
COLORED_CHROMA = 18  # difference between the channels, paper divided out
COLORED_SHARE = 0.014  # of the picture's area, without lines: less is no painted picture
ONE_COLOR_SHARE = 0.10  # more is one, even if it is painted in one color
OTHER_COLOR_SHARE = 0.03  # of the painted area


@dataclass(frozen=True)
class Drawing:
    """A cleaned drawing.

    Attributes:
        ink: (H, W) uint8, 255 paper to 0 full ink.
        network: (H, W) uint8, the same for the network: faint pencil is darker.
        lines: what the result multiplies over color: the ink, or (H, W, 3) uint8 sRGB if lines are colored.
        inverted: white lines on black were turned to black on white.
        levelled: gray or unevenly lit paper was made white.
        strengthened: ``network`` is darker than ``ink``.
    """

    ink: Bytes
    network: Bytes
    lines: Bytes
    inverted: bool = False
    levelled: bool = False
    strengthened: bool = False


def clean_drawing(rgb: Bytes) -> Drawing:
    """Return dark lines on white paper for a drawing of any kind; a clean drawing stays as it is.

    Args:
        rgb: (H, W, 3) uint8, sRGB.

    Raises:
        ValueError: the array has the wrong shape or type.
    """
    _check(rgb)
    small = reduced(rgb)
    inverted = _is_white_on_black(_bytes(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)))
    if inverted:
        rgb, small = _bytes(cv2.bitwise_not(rgb)), _bytes(cv2.bitwise_not(small))
    paper = _find_paper(small)
    if paper is not None:
        rgb, small = _levelled(rgb, small, *paper), _levelled(small, small, *paper)
    ink = gray_of(rgb)
    network = strengthen(ink)
    lines = rgb if not inverted and _has_colored_lines(small) else ink  # the negative of a color is another one
    return Drawing(ink, network, lines, inverted, paper is not None, network is not ink)


def strengthen(ink: Bytes) -> Bytes:
    """Return ink (H, W) uint8 with faint strokes as dark as a pen's, for the network; the same array if they are."""
    gain = _stroke_gain(ink)
    return ink if gain == 1 else _bytes(cv2.bitwise_not(cv2.convertScaleAbs(cv2.bitwise_not(ink), alpha=gain)))


def multiply_lines(color: Bytes, lines: Bytes, alpha: Bytes | None = None) -> Bytes:
    """Multiply lines over color.

    In a picture that gets its transparency back, lines were flattened on white: half transparent black is gray in
    them, and would become half transparent gray.

    Args:
        color: (H, W, 3) uint8, sRGB; it is overwritten.
        lines: (H, W) or (H, W, 3) uint8, flattened.
        alpha: (H, W) uint8; None = opaque.
    """
    for top in range(0, len(color), 256):  # in strips: no second picture in memory
        rows = slice(top, top + 256)
        strip = lines[rows] if lines.ndim == 3 else cv2.cvtColor(lines[rows], cv2.COLOR_GRAY2RGB)
        if alpha is not None:
            opacity = cv2.cvtColor(np.maximum(alpha[rows], 1), cv2.COLOR_GRAY2RGB)
            strip = cv2.bitwise_not(cv2.divide(cv2.bitwise_not(strip), opacity, scale=255))
        cv2.multiply(color[rows], strip, dst=color[rows], scale=1 / 255)
    return color


def gray_of(rgb: Bytes) -> Bytes:
    """Return (H, W) uint8: the gray of neutral pixels, the darkest channel of colored ones.

    Args:
        rgb: (H, W, 3) uint8, sRGB.
    """
    result = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, len(rgb), 64):  # in strips that fit the cache: four times faster for large pictures
        strip = rgb[top : top + 64]
        gray = cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY)
        red, green, blue = cv2.split(strip)
        darkest = cv2.min(cv2.min(red, green), blue)
        tint = cv2.subtract(cv2.subtract(gray, darkest), np.full_like(gray, NEUTRAL))  # saturates at 0
        cv2.subtract(gray, tint, dst=result[top : top + 64])
    return result


def is_colored(rgb: Bytes) -> bool:
    """Tell whether a picture is already painted; yellowed paper and colored pencil lines do not count.

    Args:
        rgb: (H, W, 3) uint8, sRGB.

    Raises:
        ValueError: the array has the wrong shape or type.
    """
    _check(rgb)
    red, green, blue = cv2.split(rgb)
    if np.array_equal(red, green) and np.array_equal(green, blue):  # most line art; it saves 35 ms at 1024x1024
        return False
    small = reduced(rgb, PAINT_SIDE_PX)
    light = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    paper = np.median(small[light >= _upper(light)], axis=0)
    absorbed = 255 - np.minimum(small * (255 / np.maximum(paper, 1)), 255)
    painted = (np.ptp(absorbed, axis=2) > COLORED_CHROMA).astype(np.uint8)
    areas = cv2.erode(painted, np.ones((9, 9), np.uint8)) > 0  # lines and hatching go, areas stay
    share = float(areas.mean())
    if share < COLORED_SHARE or share > ONE_COLOR_SHARE:
        return share > ONE_COLOR_SHARE
    tint = absorbed[areas] / np.linalg.norm(absorbed[areas], axis=1, keepdims=True)
    typical = np.median(tint, axis=0)
    other = tint @ (typical / np.linalg.norm(typical)) < np.cos(np.radians(14))
    return bool(other.mean() > OTHER_COLOR_SHARE)  # a dense drawing with one colored pencil has one tint


def _check(rgb: Bytes) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"the drawing is {rgb.dtype} {rgb.shape}, not uint8 (H, W, 3)")


def _bytes(picture: NDArray[np.generic]) -> Bytes:
    """Tell the type checker what cv2 returns."""
    assert picture.dtype == np.uint8
    return picture  # type: ignore[return-value]


def reduced(picture: Bytes, side_px: int = REDUCED_SIDE_PX) -> Bytes:
    """Shrink to a longest side with the area filter; smaller pictures stay."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _bytes(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _has_colored_lines(small: Bytes) -> bool:
    """Decide on a reduced (h, w, 3) cleaned picture; the colored seams that black lines have in scans cancel out."""
    absorbed = cv2.GaussianBlur(cv2.bitwise_not(small), (0, 0), LINE_BLUR)
    strength = absorbed.max(axis=2)
    inked = strength >= LINE_STRENGTH
    colored = inked & (np.ptp(absorbed, axis=2) > LINE_TINT * strength)
    return bool(np.count_nonzero(colored) > COLORED_LINES * np.count_nonzero(inked))


def _is_white_on_black(gray: Bytes) -> bool:
    """Decide on a reduced (h, w) gray picture: mostly dark, and what is light is thin."""
    _, light = cv2.threshold(gray, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark = gray[light == 0]
    share = float(light.mean())
    if not 0.002 < share < 0.4 or float(np.median(dark)) > 100:
        return False
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    thick = cv2.erode(light, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_REPLICATE)
    thick = cv2.dilate(thick, np.ones((7, 7), np.uint8))
    return bool(thick.mean() < 0.6 * share and border.mean() < 0.25)


def _upper(values: NDArray[Any]) -> float:
    """Return the value that four fifths of the values do not exceed; np.percentile would load masked arrays (8 ms)."""
    flat = values.ravel()
    place = 4 * (flat.size - 1) // 5
    return float(np.partition(flat, place)[place])


def _find_paper(small: Bytes) -> tuple[Floats, Floats] | None:
    """Estimate the paper of a reduced picture.

    Returns:
        None when the paper is white; else (h, w) float32, the paper's gray under the light that fell on it, and (3,)
        float32, its color divided by its gray.
    """
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    side = max(3, max(gray.shape) // 14 | 1)  # wider than strokes
    ground = cv2.morphologyEx(gray, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)).astype(np.float32)
    if ground.min() >= WHITE:
        return None  # white everywhere: no need to fit a surface
    surface = _fit_light(ground)
    if surface.min() >= WHITE or surface.max() < DARKEST_PAPER:
        return None
    if (ground > 0.9 * surface).mean() < PAPER_SHARE:
        return None
    shaded = ground < WHITE
    explained = np.abs(ground - surface) < 0.05 * surface
    gradual = shaded.mean() > GRADUAL_SHARE and explained[shaded].mean() > EXPLAINED_SHARE
    if (gray >= WHITE).mean() > WHITE_SHARE and not gradual:
        return None
    on_paper = gray > 0.9 * surface
    if not on_paper.any():
        return None
    color = np.median(small[on_paper] / np.maximum(gray[on_paper], 1)[:, None], axis=0)
    return surface, color.astype(np.float32)


def _fit_light(ground: Floats) -> Floats:
    """Fit light that changes evenly over the page (a cubic surface) to the upper side of (h, w) gray levels.

    A surface this stiff cannot follow the border of a black area or of a gray fill; whatever is darker than it loses
    its weight step by step.
    """
    height, width = ground.shape
    y, x = np.mgrid[-1 : 1 : complex(0, height), -1 : 1 : complex(0, width)]
    terms = np.stack([(x**i * y**j).ravel() for i in range(4) for j in range(4 - i)], axis=1)
    values = ground.ravel().astype(np.float64)
    level = _upper(values)
    fitted = np.full_like(values, level)
    for _ in range(8):
        below = np.maximum(fitted - values, 0) / max(level, 1)
        weights = 1 / (1 + (below / 0.04) ** 2)
        scaled = terms * weights[:, None]
        normal = terms.T @ scaled + 1e-3 * len(values) * np.diag([0.0] + [1.0] * 9)
        fitted = terms @ np.linalg.solve(normal, scaled.T @ (values - level)) + level
    return np.clip(fitted, 1, 255).reshape(height, width).astype(np.float32)


def _levelled(rgb: Bytes, small: Bytes, surface: Floats, color: Floats) -> Bytes:
    """Divide by the paper, so that it becomes white; its grain too."""
    ratio = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) / surface
    grain = np.abs(ratio[ratio > 0.88] - 1)
    white = 1 - min(0.15, 3 * float(np.median(grain)) + 0.02) if grain.size else 0.98
    height, width = rgb.shape[:2]
    channels = []
    for channel, tone in zip(cv2.split(rgb), color, strict=True):
        paper = np.clip(surface * (tone * white), 1, 255).astype(np.uint8)
        full = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
        channels.append(cv2.divide(channel, full, scale=255))
    return _bytes(cv2.merge(channels))


def _stroke_gain(ink: Bytes) -> float:
    """Return the factor that makes faint strokes as dark as a pen's; 1 for drawings that have dark strokes."""
    counts = np.bincount(cv2.bitwise_not(ink).ravel()[:: max(1, ink.size // 1_000_000)], minlength=256)
    strokes = counts[30:]
    total = int(strokes.sum())
    if total < 1e-4 * counts.sum() or total == 0:
        return 1.0
    dark = 30 + int(np.searchsorted(np.cumsum(strokes), 0.95 * total))
    return 1.0 if dark >= FAINT else min(MOST_GAIN, STRONG / dark)
