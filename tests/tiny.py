"""Tiny pictures, configurations and networks for the tests of training and export."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pixelpainter.palette import palette_code
from pixelpainter.train.cache import Cache
from pixelpainter.train.config import TrainConfig, make_config
from pixelpainter.train.objectives import Batch

VARIANTS = 2
LEFT, RIGHT, SHADE = (230, 120, 110), (80, 110, 210), (190, 90, 84)  # colors of two_boxes


def two_boxes():
    """A white page with a figure of two boxes side by side, a line between and around; the left one has a shade."""
    truth = np.full((120, 160, 3), 255, np.uint8)
    drawing = np.full((120, 160), 255, np.uint8)
    truth[20:100, 20:80], truth[20:100, 80:140] = LEFT, RIGHT
    truth[20:100, 20:40] = SHADE
    cv2.rectangle(drawing, (20, 20), (140, 100), 0, 2)
    cv2.line(drawing, (80, 20), (80, 100), 0, 2)
    truth[drawing < 128] = 20
    return truth, drawing


def make_cache(count: int = 4, side: int = 128, seed: int = 0, manifest: str = "m" * 64) -> Cache:
    """Return pictures of two colored boxes on white with outlines; the second line variant is a lighter first."""
    random = np.random.default_rng(seed)
    color = np.full((count, 3, side, side), 255, np.uint8)
    lines = np.full((count, VARIANTS, side, side), 255, np.uint8)
    figure = np.zeros((count, side, side), np.uint8)
    for index in range(count):
        for part in range(2):
            top, left = random.integers(side // 16, side // 3, 2) + part * side // 4
            inside = np.s_[top : top + side // 3, left : left + side // 3]
            color[index][:, *inside] = random.integers(40, 230, 3, np.uint8)[:, None, None]
            figure[index][inside] = 1
            lines[index, 0][inside] = 0
            lines[index, 0, top + 2 : top + side // 3 - 2, left + 2 : left + side // 3 - 2] = 255
        lines[index, 1] = 128 + lines[index, 0] // 2
    palettes = [palette_code(color[i].transpose(1, 2, 0), figure[i].astype(bool)) for i in range(count)]
    return Cache(
        names=[f"boxes/{index}" for index in range(count)],
        sources=["even" if index % 2 == 0 else "odd" for index in range(count)],
        color=color,
        lines=lines,
        figure=figure,
        palette=np.stack(palettes),
        manifest=manifest,
    )


def hints_config(**options: object) -> TrainConfig:
    """Return a configuration of pix2pix-hints that trains in no time."""
    small = {"size": 128, "load_size": 128, "width": 4, "batch_size": 2, "samples": 12}
    return make_config("pix2pix-hints", **{**small, **options})


def plain_config(**options: object) -> TrainConfig:
    """Return a configuration of pix2pix that trains in a short time; its critic does not get smaller with the width."""
    small = {"size": 256, "load_size": 256, "width": 2, "batch_size": 2, "samples": 12}
    return make_config("pix2pix", **{**small, **options})


def make_batch(config: TrainConfig, step: int) -> Batch:
    """Return a batch that depends on the step alone."""
    random = torch.Generator().manual_seed(step)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random) * 2 - 1

    count, side = config.batch_size, config.size
    hinted = config.system == "pix2pix-hints"
    return Batch(
        picture=uniform(count, 5 if hinted else 1, side, side),
        palette=uniform(count, 6, 4) if hinted else None,
        truth=uniform(count, 3, side, side),
    )


def shake(network: nn.Module, seed: int = 0) -> None:
    """Move every weight and every BatchNorm statistic away from its start, so that mixing them up shows."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value += 0.1 * torch.randn(value.shape, generator=random, dtype=value.dtype)
        for name, value in network.named_buffers():
            if name.endswith("running_mean"):
                value += 0.3 * torch.randn(value.shape, generator=random, dtype=value.dtype)
            if name.endswith("running_var"):
                value *= 0.5 + torch.rand(value.shape, generator=random, dtype=value.dtype)
