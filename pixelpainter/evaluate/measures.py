"""Measures of an answer against the truth, each through a library.

PSNR, SSIM, MS-SSIM and VIF come from torchmetrics; CIEDE2000, colorfulness and what looks at regions, which it has
not, from this package. "Inside the figure" means: PSNR, SSIM, CIEDE2000 and colorfulness over the pixels of the figure;
MS-SSIM and VIF, which are no sums over pixels, of pictures that are white outside the true figure. Regions lie in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
    visual_information_fidelity,
)

from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.evaluate.cases import Case, Pixels
from pixelpainter.evaluate.regions import find_regions
from pixelpainter.metrics import colorfulness

AREAS = ("figure", "whole")
MEASURES = ("PSNR", "SSIM", "MS-SSIM", "VIF", "CIEDE2000", "colorfulness")
REGION_MEASURES = ("region CIEDE2000", "bleeding", "halo")  # of the figure alone
MS_SSIM_SIDE = 176  # five scales, each half as large, and a window of 11 pixels on the smallest
VIF_SIDE = 41
LPIPS_SIDE = 31  # of which AlexNet's last pooling leaves one pixel
Values = dict[str, float]


def unavailable(size: int) -> dict[str, str]:
    """Return the measures that pictures of this size are too small for, with the reason."""
    sides = {"MS-SSIM": MS_SSIM_SIDE, "VIF": VIF_SIDE, "LPIPS": LPIPS_SIDE}
    return {name: f"needs a --size of at least {side}" for name, side in sides.items() if size < side}


def measure(case: Case, answers: Mapping[str, Pixels], device: torch.device) -> dict[str, dict[str, Values]]:
    """Return the values of all answers: area -> answer -> measure; NaN for what regions tell where there are none.

    Args:
        case: truth, drawing and figure.
        answers: (S, S, 3) uint8 pictures by name.
        device: where torch computes.
    """
    pictures = list(answers.values())
    found = {area: {name: Values() for name in answers} for area in AREAS}
    whole = np.ones_like(case.figure)
    maps = _ssim_maps(pictures, case.truth, device)
    lab = lab_from_bytes(case.truth)
    for index, (name, picture) in enumerate(answers.items()):
        difference = ciede2000(lab_from_bytes(picture), lab)
        for area, mask in (("figure", case.figure), ("whole", whole)):
            found[area][name] |= {
                "PSNR": _psnr(picture[mask], case.truth[mask]),
                "SSIM": float(maps[index][mask].mean()),
                "CIEDE2000": float(difference[mask].mean()),
                "colorfulness": colorfulness(picture, mask),
            }
    regions = find_regions(case.truth, case.drawing)
    for name, picture in answers.items():
        errors = regions.ciede2000(picture)
        middle = float(np.median(errors)) if len(errors) else math.nan
        found["figure"][name] |= dict(
            zip(REGION_MEASURES, (middle, regions.bleeding(picture), regions.halo(picture)), strict=True)
        )
    for area, mask in (("figure", case.figure), ("whole", whole)):
        shown = stack([only(picture, mask) for picture in pictures], device)
        truth = stack([only(case.truth, mask)] * len(pictures), device)
        for measure_name, values in _of_pictures(shown, truth).items():
            for name, value in zip(answers, values.tolist(), strict=True):
                found[area][name][measure_name] = value
    return found


def only(picture: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Return the picture, white outside the mask."""
    return np.asarray(np.where(mask[..., None], picture, 255), np.uint8)


def stack(pictures: Sequence[Pixels], device: torch.device) -> Tensor:
    """Return (N, 3, S, S) float32, 0..255, of (S, S, 3) uint8 pictures."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float()


def _psnr(pixels: Pixels, truth: Pixels) -> float:
    """Return dB over (N, 3) uint8 pixels; infinite for equal ones."""
    return float(
        peak_signal_noise_ratio(torch.from_numpy(pixels).double(), torch.from_numpy(truth).double(), data_range=255.0)
    )


def _ssim_maps(pictures: Sequence[Pixels], truth: Pixels, device: torch.device) -> NDArray[np.float32]:
    """Return (N, S, S) float32: structural similarity around each pixel, mean of the channels.

    Source: Z. Wang et al. (2004), Gaussian window of 11 pixels, sigma 1.5.
    """
    # In single precision, which costs up to 0.0005 where a picture is flat: double takes ten times as long.
    truths = stack([truth] * len(pictures), device)
    _, maps = structural_similarity_index_measure(
        stack(pictures, device), truths, data_range=255.0, reduction="none", return_full_image=True
    )
    return np.asarray(maps.mean(dim=1).cpu().numpy(), np.float32)


def _of_pictures(shown: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return measures that have no value per pixel, (N,) each."""
    found: dict[str, Tensor] = {}
    if shown.shape[-1] >= VIF_SIDE:  # of distances from white: single precision must not drown in large squares
        found["VIF"] = visual_information_fidelity(shown - 255, truth - 255, reduction="none")
    if shown.shape[-1] >= MS_SSIM_SIDE:
        found["MS-SSIM"] = multiscale_structural_similarity_index_measure(
            shown, truth, data_range=255.0, reduction="none"
        )
    return found
