"""Color spaces: sRGB, linear light, CIE XYZ and CIE Lab for the D65 white, and the CIEDE2000 difference.

The only place with color constants. All functions work on arrays whose last axis holds the three
channels; float32 stays float32, every other dtype is computed and returned as float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]

# sRGB primaries and the D65 white of the 2 degree observer; rows X, Y, Z. The row sums are the white,
# so that neutral grays have a = b = 0. Source: IEC 61966-2-1, digits as computed by B. Lindbloom
# (http://www.brucelindbloom.com/Eqn_RGB_XYZ_Matrix.html).
_XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB)
_WHITE = _XYZ_FROM_RGB.sum(axis=1)
_LAB_EPSILON = 216 / 24389  # CIE 15: (6/29)^3, below it the cube root becomes a straight line
_LAB_KAPPA = 24389 / 27  # CIE 15: (29/3)^3, slope of that line


def linear_from_srgb(rgb: ArrayLike) -> FloatArray:
    """Return linear light of sRGB values.

    Args:
        rgb: any shape, sRGB in [0, 1].

    Returns:
        Same shape, linear light in [0, 1].

    Source: IEC 61966-2-1.
    """
    rgb = _floating(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4).astype(rgb.dtype)


def srgb_from_linear(linear: ArrayLike) -> FloatArray:
    """Return sRGB values of linear light, clipped to the range that a screen can show.

    Args:
        linear: any shape, linear light; values outside [0, 1] are clipped.

    Returns:
        Same shape, sRGB in [0, 1].

    Source: IEC 61966-2-1.
    """
    linear = np.clip(_floating(linear), 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(linear.dtype)


def xyz_from_srgb(rgb: ArrayLike) -> FloatArray:
    """Return CIE XYZ (D65, Y of white is 1) of sRGB values (..., 3) in [0, 1]."""
    linear = linear_from_srgb(rgb)
    return linear @ _XYZ_FROM_RGB.T.astype(linear.dtype)


def srgb_from_xyz(xyz: ArrayLike) -> FloatArray:
    """Return sRGB (..., 3) in [0, 1] of CIE XYZ (D65) values; colors no screen can show are clipped."""
    xyz = _floating(xyz)
    return srgb_from_linear(xyz @ _RGB_FROM_XYZ.T.astype(xyz.dtype))


def lab_from_xyz(xyz: ArrayLike) -> FloatArray:
    """Return CIE Lab of CIE XYZ values.

    Args:
        xyz: (..., 3), CIE XYZ with Y of white 1.

    Returns:
        (..., 3): L in [0, 100], a and b within about [-110, 110] for sRGB colors.

    Source: CIE 15:2004, section 8.2.1.
    """
    xyz = _floating(xyz)
    ratio = xyz / _WHITE.astype(xyz.dtype)
    f: FloatArray = np.where(ratio > _LAB_EPSILON, np.cbrt(ratio), (_LAB_KAPPA * ratio + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def xyz_from_lab(lab: ArrayLike) -> FloatArray:
    """Return CIE XYZ (D65, Y of white is 1) of CIE Lab values (..., 3)."""
    lab = _floating(lab)
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(f**3 > _LAB_EPSILON, f**3, (116 * f - 16) / _LAB_KAPPA)
    return np.asarray(ratio * _WHITE, lab.dtype)


def lab_from_srgb(rgb: ArrayLike) -> FloatArray:
    """Return CIE Lab (..., 3) of sRGB values (..., 3) in [0, 1]."""
    return lab_from_xyz(xyz_from_srgb(rgb))


def srgb_from_lab(lab: ArrayLike) -> FloatArray:
    """Return sRGB (..., 3) in [0, 1] of CIE Lab values (..., 3); colors no screen can show are clipped."""
    return srgb_from_xyz(xyz_from_lab(lab))


def lab_from_bytes(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return CIE Lab (..., 3) float32 of sRGB bytes (..., 3) uint8."""
    lab: NDArray[np.float32] = lab_from_xyz(_LINEAR_OF_BYTE[rgb] @ _XYZ_FROM_RGB.T.astype(np.float32))
    return lab


def ciede2000(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Return the CIEDE2000 color difference of two arrays of CIE Lab colors.

    Args:
        first: (..., 3), CIE Lab.
        second: (..., 3), CIE Lab, broadcast against ``first``.

    Returns:
        (...), differences >= 0; about 1 is the smallest that an eye sees.

    Source: G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula", Color Research and
    Application 30 (2005), equations 2-22, with kL = kC = kH = 1.
    """
    first, second = np.broadcast_arrays(_floating(first), _floating(second))
    chroma = (np.hypot(first[..., 1], first[..., 2]) + np.hypot(second[..., 1], second[..., 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    chroma_1, hue_1 = _chroma_hue(first[..., 1] * stretch, first[..., 2])
    chroma_2, hue_2 = _chroma_hue(second[..., 1] * stretch, second[..., 2])
    gray = chroma_1 * chroma_2 == 0

    turn = (hue_2 - hue_1 + 180) % 360 - 180  # the short way round
    turn = np.where((turn == -180) & (hue_2 > hue_1), 180, turn)
    turn = np.where(gray, 0, turn)
    hue = np.where(gray, hue_1 + hue_2, _mean_hue(hue_1, hue_2))
    lightness = (first[..., 0] + second[..., 0]) / 2
    chroma = (chroma_1 + chroma_2) / 2

    delta_l = second[..., 0] - first[..., 0]
    delta_c = chroma_2 - chroma_1
    delta_h = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.deg2rad(turn / 2))
    weight = _hue_weight(hue)
    scale_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    scale_c = 1 + 0.045 * chroma
    scale_h = 1 + 0.015 * chroma * weight
    rotation = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.deg2rad(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    part_l, part_c, part_h = delta_l / scale_l, delta_c / scale_c, delta_h / scale_h
    square = part_l**2 + part_c**2 + part_h**2 + rotation * part_c * part_h
    return np.asarray(np.sqrt(np.maximum(square, 0)), dtype=first.dtype)


def _chroma_hue(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return chroma and hue angle in [0, 360) degrees; the hue of gray is 0."""
    return np.hypot(a, b), np.rad2deg(np.arctan2(b, a)) % 360


def _mean_hue(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the mean of two hue angles the short way round, in [0, 360) (Sharma et al., equation 14)."""
    total = first + second
    far = np.abs(first - second) > 180
    return np.asarray(np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2)


def _hue_weight(hue: FloatArray) -> FloatArray:
    """Return T of CIEDE2000 (Sharma et al., equation 15)."""
    angle = np.deg2rad(hue)
    return np.asarray(
        1
        - 0.17 * np.cos(angle - np.deg2rad(30))
        + 0.24 * np.cos(2 * angle)
        + 0.32 * np.cos(3 * angle + np.deg2rad(6))
        - 0.20 * np.cos(4 * angle - np.deg2rad(63))
    )


def _floating(values: ArrayLike) -> FloatArray:
    """Return the values as an array of float32 if they are that, else of float64."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


# Linear light of each sRGB byte: reading a table is ten times faster than the power for every pixel.
_LINEAR_OF_BYTE = linear_from_srgb(np.arange(256) / 255).astype(np.float32)
