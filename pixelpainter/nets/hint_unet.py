"""The U-Net of `pix2pix-hints`: reads lines, color hints and a palette code.

Same family as ``nets/pix2pix.py`` (4x4 stride-2 encoder, skips by concatenation), with three differences: up-sampling
that cannot draw a checkerboard, residual blocks where the picture is 1/16 of its size, and a palette code that scales
and shifts every decoder layer (Perez et al., "FiLM", AAAI 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelpainter.nets.attention import LEVEL, SelfAttention

PALETTE_FEATURES = 128
RESIDUAL_LEVEL = 4  # residual blocks work on the picture halved this many times


class ResizeConv(nn.Module):
    """Nearest-neighbour up-sampling by 2 and a 3x3 convolution, computed as one transposed convolution.

    Every output pixel sums whole copies of the 3x3 kernel, so no phase of the 2x2 output grid can be favored: the
    cure for checkerboards of Odena et al., "Deconvolution and Checkerboard Artifacts" (Distill 2016). Convolving the
    3x3 kernel with a 2x2 box gives the equal 4x4 stride-2 kernel, at 16 instead of 36 products per input pixel.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.normal_(self.weight, 0.0, (2.0 / (inputs * 9)) ** 0.5)  # He et al. 2015: ReLU comes before

    def transposed_kernel(self) -> Tensor:
        """Return the equal kernel of ``conv_transpose2d(stride=2, padding=1)``, (inputs, outputs, 4, 4)."""
        columns = functional.pad(self.weight, (0, 1)) + functional.pad(self.weight, (1, 0))
        return functional.pad(columns, (0, 0, 0, 1)) + functional.pad(columns, (0, 0, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return functional.conv_transpose2d(x, self.transposed_kernel(), self.bias, stride=2, padding=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with norm, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        change: Tensor = self.body(x)
        return x + change


class DecoderLayer(nn.Module):
    """ReLU, up-sampling convolution, norm, then scale and shift by the palette."""

    def __init__(self, inputs: int, outputs: int, palette_features: int) -> None:
        super().__init__()
        self.up: nn.Module = ResizeConv(inputs, outputs)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.film = nn.Linear(palette_features, 2 * outputs) if palette_features else None
        if self.film is not None:
            nn.init.zeros_(self.film.weight)  # a fresh network ignores the palette
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, palette: Tensor | None) -> Tensor:
        """Map (N, inputs, H, W) and palette features (N, P) to (N, outputs, 2H, 2W)."""
        enlarged: Tensor = self.norm(self.up(functional.relu(x)))
        if self.film is None or palette is None:
            return enlarged
        factors: Tensor = self.film(palette)[:, :, None, None]
        scale, shift = factors.chunk(2, dim=1)
        return enlarged * (1 + scale) + shift


class HintUNet(nn.Module):
    """Lines, hints and palette to color.

    Args:
        width: channels of the outermost layer; doubled inwards up to 8 x width.
        levels: number of halvings; 7 lets one network work at 128 and at 256.
        palette: colors in the palette code; 0 = no palette input.
        blocks: residual blocks at 1/16 of the size.
        attention: self-attention in the decoder, where the picture is 1/8 of its size.
    """

    def __init__(
        self, width: int = 32, levels: int = 7, palette: int = 6, blocks: int = 2, attention: bool = False
    ) -> None:
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(levels)]
        self.encoder = nn.ModuleList([nn.Conv2d(5, channels[0], 4, 2, 1)])
        for level in range(1, levels):
            innermost = level == levels - 1
            conv = nn.Conv2d(channels[level - 1], channels[level], 4, 2, 1, bias=innermost)
            norm = [] if innermost else [nn.BatchNorm2d(channels[level])]
            residual = [ResidualBlock(channels[level]) for _ in range(blocks if level == RESIDUAL_LEVEL - 1 else 0)]
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), conv, *norm, *residual))
        features = PALETTE_FEATURES if palette else 0
        self.palette_features = (
            nn.Sequential(
                nn.Flatten(), nn.Linear(palette * 4, features), nn.ReLU(), nn.Linear(features, features), nn.ReLU()
            )
            if palette
            else None
        )
        self.decoder = nn.ModuleList()
        for level in reversed(range(1, levels)):
            inputs = channels[level] * (1 if level == levels - 1 else 2)
            self.decoder.append(DecoderLayer(inputs, channels[level - 1], features))
        self.last = ResizeConv(2 * channels[0], 3, bias=True)
        self.attention = SelfAttention(channels[LEVEL - 1]) if attention else None

    def forward(self, picture: Tensor, palette: Tensor | None = None) -> Tensor:
        """Color a drawing.

        Args:
            picture: (N, 5, H, W) float: drawing in [-1, 1], hinted sRGB in [-1, 1] (0 where none), hint mask 0 or 1.
            palette: (N, palette, 4) float: sRGB in [-1, 1] and share in [0, 1]; zeros for "no palette".

        Returns:
            (N, 3, H, W) float, sRGB in [-1, 1].
        """
        features = None
        if self.palette_features is not None:
            assert palette is not None, "a network with a palette input needs a palette, zeros for none"
            features = self.palette_features(palette)
        x = picture
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = self.decoder[0](skips.pop(), features)
        for layer in self.decoder[1:]:
            if self.attention is not None and len(skips) == LEVEL:
                x = self.attention(x)
            x = layer(torch.cat([x, skips.pop()], dim=1), features)
        return torch.tanh(self.last(functional.relu(torch.cat([x, skips.pop()], dim=1))))
