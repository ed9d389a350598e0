"""Validation while training: figures inside the figure, beside the trivial baselines, and a sample grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pixelpainter import metrics
from pixelpainter.card import ModelCard
from pixelpainter.train.batches import BatchMaker

BATCH_SIZE = 16
RANDOM_HINTS = 20
GRID_ROWS = 8


def ways_to_ask(card: ModelCard) -> dict[str, tuple[int, bool]]:
    """Return the ways a network of this card is asked in validation: name to (hints, with true palette)."""
    ways = {"plain": (0, False)}
    if card.hints != "none":
        ways[f"hints_{RANDOM_HINTS}"] = (RANDOM_HINTS, False)
    if card.palette:
        ways["palette"] = (0, True)
    return ways


def validate(generator: nn.Module, batches: BatchMaker, card: ModelCard, pictures: Sequence[int]) -> dict[str, float]:
    """Measure a generator in eval mode on some pictures of a validation cache.

    Returns:
        By name: PSNR in dB inside the figure for each way of asking and for each trivial baseline; SSIM inside the
        figure and colorfulness divided by the truth's for each way of asking. Means over the pictures.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for start in range(0, len(pictures), BATCH_SIZE):
        indices = pictures[start : start + BATCH_SIZE]
        for way, (hints, with_palette) in ways_to_ask(card).items():
            batch, figures = batches.validation(indices, hints, with_palette)
            results, truths = to_bytes(answer(generator, batch.inputs)), to_bytes(batch.truth)
            drawings, masks = to_bytes(batch.drawing)[..., 0], figures.cpu().numpy()
            for result, truth, drawing, mask in zip(results, truths, drawings, masks, strict=True):
                if not mask.any():
                    continue
                values[f"psnr_{way}"].append(metrics.psnr(result, truth, mask))
                values[f"ssim_{way}"].append(metrics.ssim(result, truth, mask))
                of_truth = max(
                    metrics.colorfulness(truth, mask), 1.0
                )  # 1 of about 30: gray pictures do not divide by 0
                values[f"colorfulness_{way}"].append(metrics.colorfulness(result, mask) / of_truth)
                if way == "plain":
                    for name, picture in metrics.baselines(truth, drawing, mask).items():
                        values[f"psnr_baseline_{name}"].append(metrics.psnr(picture, truth, mask))
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def evenly(count: int, at_most: int) -> list[int]:
    """Return up to ``at_most`` numbers below ``count``, spread evenly: neighbors by name show the same character."""
    return [int(index) for index in np.linspace(0, count - 1, min(count, at_most))]


def answer(generator: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return the generator's answer in eval mode, without gradients: (N, 3, S, S) float32."""
    was_training = generator.training
    generator.eval()
    with torch.inference_mode():
        result: Tensor = generator(*inputs)
    generator.train(was_training)
    return result.float()


def to_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """(N, C, S, S) float in [-1, 1] to (N, S, S, C) uint8."""
    scaled = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).cpu().numpy())


def save_grid(generator: nn.Module, batches: BatchMaker, card: ModelCard, pictures: Sequence[int], path: Path) -> None:
    """Write a PNG of 8 of the pictures: drawing, one column for each way of asking, truth."""
    indices = [pictures[index] for index in evenly(len(pictures), GRID_ROWS)]
    columns: list[NDArray[np.uint8]] = []
    for hints, with_palette in ways_to_ask(card).values():
        batch, _ = batches.validation(indices, hints, with_palette)
        columns.append(to_bytes(answer(generator, batch.inputs)))
    drawings = np.repeat(to_bytes(batch.drawing), 3, axis=3)
    rows = [np.concatenate(row, axis=1) for row in zip(drawings, *columns, to_bytes(batch.truth), strict=True)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)
