"""Self-attention over the places of a feature map.

Source: Zhang et al., "Self-Attention Generative Adversarial Networks" (ICML 2019), section 3. Unlike there, the values
have as few channels as keys and queries, and the products are scaled by 1 / sqrt(channels): one call of torch does it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVEL = 3  # generators attend where the picture is halved this many times: 32x32 of 256x256


class SelfAttention(nn.Module):
    """Every place adds what it finds at all places, weighted by likeness; starts as the identity.

    Args:
        channels: of the feature map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = max(channels // 8, 1)
        self.query_key_value = nn.Conv2d(channels, 3 * self.inner, 1)
        self.out = nn.Conv2d(self.inner, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        height, width = int(x.shape[2]), int(x.shape[3])  # plain numbers: shapes in an exported graph are then known
        # (N, 3 inner, H, W) to three of (N, 1 head, H W places, inner)
        joined = self.query_key_value(x).reshape(-1, 1, 3 * self.inner, height * width)
        found = functional.scaled_dot_product_attention(*joined.transpose(2, 3).split(self.inner, dim=3))
        found = found.transpose(2, 3).reshape(-1, self.inner, height, width)
        change: Tensor = self.gain * self.out(found)
        return x + change
