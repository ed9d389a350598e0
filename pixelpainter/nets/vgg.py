"""The first layers of VGG-16: features in which two pictures can be compared.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015), configuration D. Layer numbers are those
of torchvision's published weights, so that these load as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = ((1, 1), (2, 2), (4, 4, 4))  # of each stage's convolutions, in multiples of the width
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB in 0..1, as the weights expect


class VGGFeatures(nn.Module):
    """VGG-16 up to its third stage; frozen.

    Args:
        width: channels of the first convolution; 64 as published.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        self.ends: list[int] = []  # numbers of the last activation of each stage: relu1_2, relu2_2, relu3_3
        for stage in CHANNELS:
            for factor in stage:
                layers += [nn.Conv2d(inputs, factor * width, 3, 1, 1), nn.ReLU()]
                inputs = factor * width
            self.ends.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.mean = nn.Buffer(torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.deviation = nn.Buffer(torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, color: Tensor) -> list[Tensor]:
        """Return the features of a picture.

        Args:
            color: (N, 3, H, W) float, sRGB in [-1, 1].

        Returns:
            The activations at the end of each stage, (N, width, H, W), (N, 2 width, H/2, W/2), (N, 4 width, H/4, W/4).
        """
        x = ((color + 1) / 2 - self.mean) / self.deviation
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.ends:
                found.append(x)
        return found
