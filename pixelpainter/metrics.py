"""Measures of a colored picture against its truth, none of which needs a downloaded network.

Pictures are sRGB (H, W, 3) uint8, drawings (H, W) uint8 with 0 ink and 255 paper, masks (H, W) bool.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

MOST_DECIBELS = 100.0  # of equal pictures too: one infinite value would be the mean of all
WINDOW, SIGMA = 11, 1.5  # pixels, of the Gaussian window of SSIM
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents of MS-SSIM, finest scale first
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the constants of SSIM, which keep it from dividing by 0


def psnr(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB over the pixels of the mask (None: all).

    Args:
        result: (H, W, 3) uint8, sRGB.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        dB, at most ``MOST_DECIBELS``; NaN for an empty mask.
    """
    mask = _all_if_none(mask, truth)
    if not mask.any():
        return math.nan
    error = float(np.square(result[mask].astype(np.float64) - truth[mask]).mean())
    return min(10 * math.log10(255**2 / error), MOST_DECIBELS) if error else MOST_DECIBELS


def ssim(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the mean structural similarity around the pixels of the mask (None: all).

    As in the paper, only pixels count around which the whole window lies in the picture; of the channels the mean.

    Args:
        result: (H, W, 3) uint8, sRGB, H and W at least 11.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        At most 1; NaN where no pixel counts.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13 (2004): Gaussian window of 11 pixels, sigma 1.5.
    """
    similarity, _ = _similarity(result.astype(np.float64), truth.astype(np.float64))
    return float(_channel_means(similarity, _all_if_none(mask, truth).astype(np.float64)).mean())


def ms_ssim(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the multiscale structural similarity around the pixels of the mask (None: all).

    At each scale, places count by the part of them that lies in the mask; the rest is as for ``ssim``. Contrasts
    below 0 count as 0.

    Args:
        result: (H, W, 3) uint8, sRGB, H and W at least 176: 11 on the coarsest scale.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        0 to 1; NaN where no pixel counts on some scale.

    Source: Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity for image quality assessment" (2003).
    """
    levels = [picture.astype(np.float64) for picture in (result, truth, _all_if_none(mask, truth))]
    product = np.ones(3)
    for scale, exponent in enumerate(SCALES, start=1):
        similarity, contrast = _similarity(levels[0], levels[1])
        means = _channel_means(similarity if scale == len(SCALES) else contrast, levels[2])
        product *= np.maximum(means, 0) ** exponent
        levels = [_halved(level) for level in levels]
    return float(product.mean())


def _similarity(result: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Return similarity, and its factor for contrast and structure, (H - 10, W - 10, 3) each."""
    mean, true_mean = _blurred(result), _blurred(truth)
    variance, true_variance = _blurred(result**2) - mean**2, _blurred(truth**2) - true_mean**2
    covariance = _blurred(result * truth) - mean * true_mean
    contrast = (2 * covariance + _CONTRAST) / (variance + true_variance + _CONTRAST)
    return (2 * mean * true_mean + _LUMINANCE) / (mean**2 + true_mean**2 + _LUMINANCE) * contrast, contrast


def _blurred(picture: Floats) -> Floats:
    """Return the means over the windows that lie in the picture, without those at its border."""
    return _inner(np.asarray(cv2.GaussianBlur(picture, (WINDOW, WINDOW), SIGMA), np.float64))


def _inner(array: Floats) -> Floats:
    """Return the middle pixels of the windows that lie in a picture."""
    return array[WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]


def _channel_means(values: Floats, weights: Floats) -> Floats:
    """Return (3,), the means of (H - 10, W - 10, 3) with the weights (H, W); NaN where all of these are 0."""
    inner = _inner(weights)
    total = inner.sum()
    return np.tensordot(inner, values, axes=2) / total if total else np.full(3, math.nan)


def _halved(array: Floats) -> Floats:
    """Return the means of 2x2 pixels."""
    height, width = (length // 2 for length in array.shape[:2])
    even = array[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.float64)


def colorfulness(rgb: Picture, mask: Mask | None = None) -> float:
    """Return how colorful the pixels of the mask (None: all) are: 0 gray, about 30 moderate, 100 extreme.

    Source: D. Hasler, S. Suesstrunk, "Measuring colorfulness in natural images", Human Vision and
    Electronic Imaging VIII (2003), the metric M3.
    """
    pixels = rgb[_all_if_none(mask, rgb)].astype(np.float64)
    if not len(pixels):
        return math.nan
    red_green = pixels[:, 0] - pixels[:, 1]
    yellow_blue = (pixels[:, 0] + pixels[:, 1]) / 2 - pixels[:, 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def baselines(truth: Picture, drawing: Picture, figure: Mask) -> dict[str, Picture]:
    """Return the trivial answers that every PSNR has to be read beside.

    Args:
        truth: (H, W, 3) uint8, sRGB.
        drawing: (H, W) uint8.
        figure: (H, W) bool, the true silhouette.

    Returns:
        (H, W, 3) uint8 pictures: ``white`` page, the ``drawing`` itself, middle ``gray`` (128) in the
        true silhouette on white, the figure's ``mean`` color there.
    """
    white = np.full_like(truth, 255)
    gray, mean = white.copy(), white.copy()
    gray[figure] = 128
    if figure.any():
        mean[figure] = np.round(truth[figure].mean(axis=0)).astype(np.uint8)
    return {"white": white, "drawing": np.repeat(drawing[..., None], 3, axis=2), "gray": gray, "mean": mean}


def _all_if_none(mask: Mask | None, picture: Picture) -> Mask:
    """Return the mask, or a mask of all pixels."""
    return np.ones(picture.shape[:2], np.bool_) if mask is None else mask
