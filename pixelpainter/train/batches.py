"""Cached pictures to batches: those of training changed at random (`pixelpainter.train.augment`), others as they are.

Every random choice of a step comes from a generator seeded by (run seed, step): see `pixelpainter.train.sampling`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pixelpainter.card import ModelCard
from pixelpainter.train.augment import (
    draw_hint_counts,
    drop_palettes,
    jitter_lines,
    place,
    recolor,
    scatter_hints,
    warp,
)
from pixelpainter.train.cache import Cache
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.objectives import Batch
from pixelpainter.train.sampling import step_generator


class BatchMaker:
    """Makes training and validation batches of one system from a cache.

    Args:
        cache: pictures, their line variants, figures and palettes.
        card: what the network reads.
        config: sizes and augmentation.
        device: where the batch is made.
    """

    def __init__(self, cache: Cache, card: ModelCard, config: TrainConfig, device: torch.device) -> None:
        self._cache, self._card, self._config, self._device = cache, card, config, device

    def training(self, indices: Sequence[int], step: int, process: int = 0) -> Batch:
        """Return the augmented batch of a step; the same arguments give the same batch.

        Args:
            indices: pictures of the cache.
            step: steps done before.
            process: number of the process that trains on it, where several share a step.
        """
        config = self._config
        random = step_generator(config.seed, step, f"batch of {process}" if process else "batch")
        styles = self._cache.lines.shape[1]
        styles = min(config.line_styles or styles, styles)
        variants = torch.randint(styles, (len(indices),), generator=random).tolist()
        pictures = self._gather(indices, variants)
        pictures = place(pictures, config, random)
        flips = (torch.rand(len(indices), generator=random) < config.flip).to(self._device)
        pictures = torch.where(flips[:, None, None, None], pictures.flip(3), pictures)
        pictures = warp(pictures, config.warp, random)
        truth, drawing, figure = pictures[:, :3], pictures[:, 3:4], pictures[:, 4:]
        drawing = jitter_lines(drawing, config.line_jitter, random)
        palette = self._palette(indices)
        if self._card.hints == "none":
            return self._batch(truth, drawing, None, palette)
        palette = drop_palettes(palette, config.palette_dropout, random)
        counts = draw_hint_counts(len(indices), random)
        told = counts > 0
        if palette is not None:
            told |= (palette[..., 3] > 0).any(dim=1)
        truth, palette = recolor(truth, palette, told, config.hue_jitter, random)
        hints = scatter_hints(truth, figure, counts, random)
        return self._batch(truth, drawing, hints, palette)

    def validation(self, indices: Sequence[int], hints: int = 0, with_palette: bool = False) -> tuple[Batch, Tensor]:
        """Return an unaugmented batch, and its (N, S, S) bool figures.

        Args:
            indices: pictures of the cache.
            hints: random hints per picture, the same at every call; must be 0 where the network reads none.
            with_palette: give the true palette instead of none.
        """
        config = self._config
        pictures = self._gather(indices, [0] * len(indices))
        if config.size != config.load_size:
            pictures = functional.interpolate(pictures, (config.size,) * 2, mode="bilinear", antialias=True)
        truth, drawing, figure = pictures[:, :3], pictures[:, 3:4], pictures[:, 4:]
        palette = self._palette(indices)
        if palette is not None and not with_palette:
            palette = torch.zeros_like(palette)
        dots = None
        if self._card.hints != "none":
            random = step_generator(0, min(indices), "validation hints")
            dots = scatter_hints(truth, figure, torch.full((len(indices),), hints), random)
        return self._batch(truth, drawing, dots, palette), figure[:, 0] > 0.5

    def _gather(self, indices: Sequence[int], variants: Sequence[int]) -> Tensor:
        """(N, 5, L, L) float in 0..1: color, one line variant, figure."""
        cache = self._cache
        stacked = np.empty((len(indices), 5, *cache.figure.shape[1:]), np.uint8)
        for picture, index, variant in zip(stacked, indices, variants, strict=True):
            picture[:3], picture[3], picture[4] = cache.color[index], cache.lines[index, variant], cache.figure[index]
        stacked[:, 4] *= 255
        return torch.from_numpy(stacked).to(self._device).float().div_(255)

    def _palette(self, indices: Sequence[int]) -> Tensor | None:
        """(N, colors, 4) palette codes, on the CPU: so few numbers are worked on where they can be read at once."""
        if not self._card.palette:
            return None
        return torch.from_numpy(np.stack([self._cache.palette[index] for index in indices]))

    def _batch(self, truth: Tensor, drawing: Tensor, hints: Tensor | None, palette: Tensor | None) -> Batch:
        """Scale to the network's ranges; truth and drawing come in 0..1, hints as `scatter_hints` gives them.

        All lie on the device but the palette.
        """
        parts = [drawing * 2 - 1, *([] if hints is None else [hints])]
        # Laid out as the networks answer: for another layout torch.compile would translate the critic once more.
        picture, truth = (
            part.contiguous(memory_format=torch.channels_last) for part in (torch.cat(parts, dim=1), truth * 2 - 1)
        )
        palette = None if palette is None else palette.to(self._device)
        return Batch(picture=picture, palette=palette, truth=truth)
