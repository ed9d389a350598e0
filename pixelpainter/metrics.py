"""Measures of a colored picture against its truth, none of which needs a downloaded network.

Pictures are sRGB (H, W, 3) uint8, drawings (H, W) uint8 with 0 ink and 255 paper, masks (H, W) bool.
PSNR and SSIM come from scikit-image, which the extra ``train`` brings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import MissingExtraError

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def psnr(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB over the pixels of the mask (None: all).

    Args:
        result: (H, W, 3) uint8, sRGB.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        dB; infinite for equal pictures, NaN for an empty mask.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    metrics = _scikit_image_metrics()
    mask = _all_if_none(mask, truth)
    if not mask.any():
        return float("nan")
    with np.errstate(divide="ignore"):  # equal pictures: infinite, as documented
        return float(metrics.peak_signal_noise_ratio(truth[mask], result[mask], data_range=255))


def ssim(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Return the mean structural similarity over the pixels of the mask (None: all).

    Args:
        result: (H, W, 3) uint8, sRGB, H and W at least 11.
        truth: (H, W, 3) uint8, sRGB.
        mask: (H, W) bool, the pixels that count.

    Returns:
        At most 1; NaN for an empty mask.

    Raises:
        MissingExtraError: scikit-image is not installed.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13 (2004): Gaussian window of 11 pixels, sigma 1.5.
    """
    metrics = _scikit_image_metrics()
    mask = _all_if_none(mask, truth)
    if not mask.any():
        return float("nan")
    window: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, similarity = metrics.structural_similarity(truth, result, data_range=255, channel_axis=2, full=True, **window)
    return float(similarity[mask].mean())


def colorfulness(rgb: Picture, mask: Mask | None = None) -> float:
    """Return how colorful the pixels of the mask (None: all) are: 0 gray, about 30 moderate, 100 extreme.

    Source: D. Hasler, S. Suesstrunk, "Measuring colorfulness in natural images", Human Vision and
    Electronic Imaging VIII (2003), the metric M3.
    """
    pixels = rgb[_all_if_none(mask, rgb)].astype(np.float64)
    if not len(pixels):
        return float("nan")
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


def _scikit_image_metrics() -> Any:
    """Return skimage.metrics, or say which extra brings it."""
    try:
        import skimage.metrics
    except ImportError as error:
        raise MissingExtraError("evaluate", "train", "scikit-image") from error
    return skimage.metrics


def _all_if_none(mask: Mask | None, picture: Picture) -> Mask:
    """Return the mask, or a mask of all pixels."""
    return np.ones(picture.shape[:2], np.bool_) if mask is None else mask
