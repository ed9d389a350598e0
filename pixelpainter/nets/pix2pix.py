"""The pix2pix networks: a U-Net generator and a 70x70 PatchGAN critic.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017), appendix 6.1.
Norm and dropout of the innermost decoder layers differ between re-implementations; we follow the paper: BatchNorm on
every decoder layer but the last, dropout on the first three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pixelpainter.nets.attention import LEVEL, SelfAttention

DROPOUT_LAYERS = 3  # decoder layers, counted from the innermost, that carry dropout 0.5


class UNetGenerator(nn.Module):
    """U-Net of 4x4 stride-2 convolutions: line drawing to color.

    Args:
        width: channels of the outermost layer; doubled inwards up to 8 x width.
        levels: number of halvings; the side of the input must be a multiple of ``2 ** levels``.
        attention: self-attention in the decoder, where the picture is 1/8 of its size.
    """

    def __init__(self, width: int = 64, levels: int = 8, attention: bool = False) -> None:
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(levels)]
        self.encoder = nn.ModuleList([nn.Conv2d(3, channels[0], 4, 2, 1)])
        for level in range(1, levels):
            innermost = level == levels - 1
            layers: list[nn.Module] = [
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels[level - 1], channels[level], 4, 2, 1, bias=innermost),
            ]
            # No norm on the innermost layer: at batch size 1 it would see a single value per channel.
            self.encoder.append(nn.Sequential(*layers, *([] if innermost else [nn.BatchNorm2d(channels[level])])))
        self.decoder = nn.ModuleList()
        for depth, level in enumerate(reversed(range(1, levels))):
            inputs = channels[level] * (1 if depth == 0 else 2)
            outputs = channels[level - 1]
            layers = [
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
            ]
            self.decoder.append(nn.Sequential(*layers, *([nn.Dropout(0.5)] if depth < DROPOUT_LAYERS else [])))
        self.decoder.append(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * channels[0], 3, 4, 2, 1), nn.Tanh()))
        self.attention = SelfAttention(channels[LEVEL - 1]) if attention else None
        self.apply(normal_init)

    def forward(self, picture: Tensor) -> Tensor:
        """Color a drawing.

        Args:
            picture: (N, 1, H, W) float, -1 (ink) to 1 (paper).

        Returns:
            (N, 3, H, W) float, sRGB in [-1, 1].
        """
        x: Tensor = picture.expand(-1, 3, -1, -1)  # the published network reads the drawing as an RGB picture
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = self.decoder[0](skips.pop())
        for layer in self.decoder[1:]:
            if self.attention is not None and len(skips) == LEVEL:
                x = self.attention(x)
            x = layer(torch.cat([x, skips.pop()], dim=1))
        return x


class PatchCritic(nn.Module):
    """PatchGAN: one logit for each overlapping 70x70 patch of drawing and color together.

    Args:
        drawing_channels: 3 repeats the drawing as RGB, as published; 1 leaves it as it is.
        width: channels of the first layer.
        spectral: spectral norm on every convolution instead of BatchNorm (Miyato et al. 2018).
    """

    def __init__(self, drawing_channels: int = 3, width: int = 64, spectral: bool = False) -> None:
        super().__init__()
        self.drawing_channels = drawing_channels
        layers: list[nn.Module] = []
        inputs = drawing_channels + 3
        for outputs, stride in ((width, 2), (width * 2, 2), (width * 4, 2), (width * 8, 1)):
            norm = bool(layers) and not spectral  # no norm on the first layer
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, 1, bias=not norm))
            layers += [nn.BatchNorm2d(outputs)] if norm else []
            layers.append(nn.LeakyReLU(0.2))
            inputs = outputs
        layers.append(nn.Conv2d(inputs, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        self.apply(normal_init)
        if spectral:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, drawing: Tensor, color: Tensor) -> Tensor:
        """Judge a coloring.

        Args:
            drawing: (N, 1, H, W) float in [-1, 1].
            color: (N, 3, H, W) float, sRGB in [-1, 1].

        Returns:
            (N, 1, H/8 - 2, W/8 - 2) logits, positive for "real".
        """
        logits: Tensor = self.layers(torch.cat([drawing.expand(-1, self.drawing_channels, -1, -1), color], dim=1))
        return logits


class MultiScaleCritic(nn.Module):
    """Several critics of one kind: the first sees the picture, each other one the half of what the one before saw.

    Source: Wang et al., "pix2pixHD" (CVPR 2018), section 3.2.

    Args:
        critics: from the one for the whole picture to the one for the smallest.
    """

    def __init__(self, critics: list[PatchCritic]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, drawing: Tensor, color: Tensor) -> list[Tensor]:
        """Judge a coloring; arguments and each critic's logits are as those of `PatchCritic`."""
        verdicts = []
        for number, critic in enumerate(self.critics):
            if number:
                drawing, color = functional.avg_pool2d(drawing, 2), functional.avg_pool2d(color, 2)
            verdicts.append(critic(drawing, color))
        return verdicts


def normal_init(module: nn.Module) -> None:
    """Initialise as the paper does (appendix 6.2): weights N(0, 0.02); norm scales N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
