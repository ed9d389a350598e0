"""Real or colored by the program? A small critic, trained afresh, tells how easily the two are told apart."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

PATCH, SIDE = 48, 256  # pixels; pictures are shrunk to SIDE first, so that traces of compression tell nothing
PATCHES_PER_PICTURE = 16
STEPS, BATCH = 200, 64


def accuracy(real: Mapping[str, NDArray[np.uint8]], fake: Mapping[str, NDArray[np.uint8]]) -> float:
    """Return the share of held-out patches that the critic tells right: 0.5 no difference, 1 all of them.

    Args:
        real: name -> (H, W, 3) uint8 picture.
        fake: the same names -> results of the same size.

    Returns:
        Accuracy on the patches of the held-out pictures; NaN with fewer than eight pictures.
    """
    names = sorted(real, key=lambda name: zlib.crc32(name.encode()))
    if len(names) < 8:
        return float("nan")
    half = len(names) // 2
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a net gains nothing from more, and loses much on a busy machine
    critic = _fit(*_patches(names[:half], real, fake))
    patches, labels = _patches(names[half:], real, fake)
    with torch.no_grad():
        right = (critic(patches).flatten() > 0) == (labels > 0.5)
    return float(right.float().mean())


def _fit(patches: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Train the critic on patches (N, 3, PATCH, PATCH) and labels (N,), 1 = real."""
    critic = nn.Sequential(
        *(nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 1)),
    )
    optimizer = torch.optim.Adam(critic.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        chosen = torch.randint(len(patches), (BATCH,), generator=generator)
        batch = patches[chosen]
        if torch.rand((), generator=generator) < 0.5:
            batch = batch.flip(3)
        loss = nn.functional.binary_cross_entropy_with_logits(critic(batch).flatten(), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return critic.eval()


def _patches(
    names: list[str], real: Mapping[str, NDArray[np.uint8]], fake: Mapping[str, NDArray[np.uint8]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return patches (N, 3, PATCH, PATCH) in [-1, 1] at the same random places of both pictures, and labels (N,)."""
    patches, labels = [], []
    for name in names:
        random = np.random.default_rng(zlib.crc32(name.encode()))
        pair = [shrink(real[name]), shrink(fake[name])]
        height, width = pair[0].shape[:2]
        found = 0
        for _ in range(4 * PATCHES_PER_PICTURE):  # a page's background looks the same in both: try elsewhere
            y, x = random.integers(0, height - PATCH + 1), random.integers(0, width - PATCH + 1)
            cuts = [picture[y : y + PATCH, x : x + PATCH] for picture in pair]
            if (cuts[0].min(axis=2) >= 240).mean() > 0.5 or found == PATCHES_PER_PICTURE:
                continue
            patches += cuts
            labels += [1.0, 0.0]
            found += 1
    stacked = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1, torch.tensor(labels)


def shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with its longest side shrunk to SIDE, and padded with white where it is below PATCH."""
    height, width = picture.shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bottom, right = max(0, PATCH - size[1]), max(0, PATCH - size[0])
    return np.asarray(cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
