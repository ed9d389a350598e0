"""Measures of an answer against the truth.

VIF comes from torchmetrics, LPIPS from `perceptual`; the others, which need numbers for each pixel, from this package.
"Inside the figure" means: PSNR, SSIM, CIEDE2000 and colorfulness over the pixels of the figure; MS-SSIM and LPIPS, each
place of each scale or layer weighted by its part of the figure, and VIF, to which white adds nothing, of pictures that
are white outside the true figure. Regions lie in it. The whole picture is measured in the same way: all but the padding
that makes it square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional.image import visual_information_fidelity

from pixelpainter.color import ciede2000, lab_from_bytes
from pixelpainter.evaluate.cases import Case, Pixels
from pixelpainter.evaluate.regions import Regions
from pixelpainter.metrics import colorfulness, ms_ssim, psnr, ssim

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


def measure(
    case: Case, answers: Mapping[str, Pixels], device: torch.device, lpips: nn.Module | None = None
) -> dict[str, dict[str, Values]]:
    """Return the values of all answers: area -> answer -> measure; NaN where an area has no place to measure at.

    Args:
        case: truth, drawing and figure.
        answers: (S, S, 3) uint8 pictures by name.
        device: where torch computes.
        lpips: network of LPIPS, see `perceptual.Lpips`; None: not measured.
    """
    found = {area: {name: Values() for name in answers} for area in AREAS}
    lab = lab_from_bytes(case.truth)
    for name, picture in answers.items():
        difference = ciede2000(lab_from_bytes(picture), lab)
        for area, mask in case.areas.items():
            found[area][name] = {
                "PSNR": psnr(picture, case.truth, mask),
                "SSIM": ssim(picture, case.truth, mask),
                "CIEDE2000": float(difference[mask].mean()),
                "colorfulness": colorfulness(picture, mask),
            }
            if len(mask) >= MS_SSIM_SIDE:
                found[area][name]["MS-SSIM"] = ms_ssim(only(picture, mask), only(case.truth, mask), mask)
        found["figure"][name] |= _of_regions(case.regions, picture, difference)
    for area, mask in case.areas.items():
        for measure_name, values in _by_torch(case, answers, mask, device, lpips).items():
            for name, value in zip(answers, values.tolist(), strict=True):
                found[area][name][measure_name] = value
    return found


def _of_regions(regions: Regions, picture: Pixels, difference: NDArray[np.float32]) -> Values:
    """Return what regions tell of a picture with these CIEDE2000 (S, S)."""
    errors = regions.color_errors(difference)
    middle = float(np.median(errors)) if len(errors) else math.nan
    return dict(zip(REGION_MEASURES, (middle, regions.bleeding(difference), regions.halo(picture)), strict=True))


def only(picture: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Return the picture, white outside the mask."""
    return np.asarray(np.where(mask[..., None], picture, 255), np.uint8)


def stack(pictures: Sequence[Pixels], device: torch.device) -> Tensor:
    """Return (N, 3, S, S) float32, 0..255, of (S, S, 3) uint8 pictures."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float()


def _by_torch(
    case: Case, answers: Mapping[str, Pixels], mask: NDArray[np.bool_], device: torch.device, lpips: nn.Module | None
) -> dict[str, Tensor]:
    """Return what torch measures inside a mask, (N,) each."""
    shown = stack([only(picture, mask) for picture in answers.values()], device)
    truth = stack([only(case.truth, mask)], device).expand_as(shown)
    found: dict[str, Tensor] = {}
    if shown.shape[-1] >= VIF_SIDE:  # of distances from white: single precision must not drown in large squares
        found["VIF"] = visual_information_fidelity(shown - 255, truth - 255, reduction="none")
    if lpips is not None:
        found["LPIPS"] = lpips(shown, truth, torch.from_numpy(mask[None]).to(shown))
    return found
