"""The weights of VGG-16, downloaded when a run asks for the perceptual loss."""

from __future__ import annotations

import functools

import torch

from pixelpainter.errors import ModelError, TrainingError
from pixelpainter.nets.published import fetch_weights, weights_file
from pixelpainter.nets.vgg import VGGFeatures

# Published by torchvision; the end of the name is the start of the file's SHA-256, which the download checks.
WEIGHTS = "https://download.pytorch.org/models/vgg16-397923af.pth"
SIZE = "528 MB"


@functools.lru_cache(maxsize=1)
def load_features(device: torch.device) -> VGGFeatures:
    """Return VGG-16's first layers with their published weights, from torch's cache or else from the network.

    Raises:
        TrainingError: the weights cannot be had.
    """
    try:
        weights = fetch_weights(WEIGHTS, download=True)
        features = VGGFeatures(weights["features.0.weight"].shape[0])
        features.load_state_dict({name: weights[name] for name in features.state_dict()})
    except ModelError as error:
        raise TrainingError(f"--lambda-perceptual needs VGG-16 ({SIZE}): {error}; or train without it") from error
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise TrainingError(f"{weights_file(WEIGHTS)}: these are not the weights of VGG-16; delete the file") from error
    return features.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]
