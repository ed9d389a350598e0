"""Which pictures a step sees, and where its random numbers come from.

Every random choice of a step comes from a generator seeded by (run seed, step), so a resumed run continues exactly as
an uninterrupted one, with no random state to store.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


def step_generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """Return a CPU generator that depends on nothing but the three arguments."""
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Sampler:
    """Which pictures a step sees: endless epochs, shuffled, or drawn by weight with replacement.

    Args:
        count: number of pictures.
        weights: (count,) float64 weights, or None for every picture once an epoch.
        batch_size: pictures per step.
        seed: the run's seed.
    """

    def __init__(self, count: int, weights: np.ndarray | None, batch_size: int, seed: int) -> None:
        self._count, self._batch_size, self._seed = count, batch_size, seed
        self._weights = None if weights is None else torch.from_numpy(np.asarray(weights, np.float64))
        self._orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> list[int]:
        """Return the pictures of a step, ``batch_size`` indices below ``count``."""
        positions = range(step * self._batch_size, (step + 1) * self._batch_size)
        return [int(self._order(position // self._count)[position % self._count]) for position in positions]

    def _order(self, epoch: int) -> Tensor:
        known = self._orders
        if epoch in known:
            return known[epoch]
        random = step_generator(self._seed, epoch, "order")
        if self._weights is None:
            order = torch.randperm(self._count, generator=random)
        else:
            order = torch.multinomial(self._weights, self._count, replacement=True, generator=random)
        # Assigned as a whole: several threads make batches. The epoch before is kept, a step may end it.
        self._orders = {epoch: order} | {key: value for key, value in known.items() if key == epoch - 1}
        return order
