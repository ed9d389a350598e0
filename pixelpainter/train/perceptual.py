"""The weights of VGG-16, downloaded when a run asks for the perceptual loss."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path

import torch

from pixelpainter.errors import TrainingError
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
    file = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS.rpartition("/")[2]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            weights = torch.hub.load_state_dict_from_url(
                WEIGHTS, map_location="cpu", check_hash=True, weights_only=True
            )
        kept = {name: value for name, value in weights.items() if name in VGGFeatures(1).state_dict()}
        features = VGGFeatures(kept["features.0.weight"].shape[0])
        features.load_state_dict(kept)
    except Exception as error:  # of networks, disks and, in many ways, files that are damaged or something else
        if file.exists():
            raise TrainingError(f"{file}: damaged, or not the weights of VGG-16; delete it, and try again") from error
        reason = str(getattr(error, "reason", error)).partition("\n")[0]
        raise TrainingError(
            f"--lambda-perceptual needs the weights of VGG-16 ({SIZE}), and they cannot be had from {WEIGHTS} "
            f"({reason}); put the file into {file.parent}, or train without this option"
        ) from error
    return features.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]
