"""LPIPS and FID: measures by networks whose published weights are downloaded once.

Neither torchvision nor torch-fidelity is needed, which have no build for every torch: the two networks are written
here, the weights are those that these packages use, and the linear layers of LPIPS are those that torchmetrics has.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelpainter.errors import ModelError
from pixelpainter.evaluate.inception import Inception
from pixelpainter.nets.published import WeightsFile, fetch_weights, identify, weights_file

# Both names end in the first digits of the file's SHA-256.
ALEXNET = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
INCEPTION = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
FEW = 2048  # pictures: with fewer than it has features FID depends on their number more than on their look


class Lpips(nn.Module):
    """Learned perceptual image patch similarity, version 0.1, on AlexNet's features.

    Args:
        heads: five (1, C, 1, 1) tensors, how much each channel of a layer counts; None: those that torchmetrics brings.

    Source: R. Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric" (2018), equation
    1; AlexNet as in A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014).
    """

    taps = (1, 4, 7, 9, 11)  # the layers behind which features are compared
    shift: Tensor
    scale: Tensor

    def __init__(self, heads: list[Tensor] | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        self.heads = nn.ParameterList(published_heads() if heads is None else heads)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor, truths: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return (N,) distances of (N, 3, H, W) float pictures, 0..255, from their truths.

        ``weights``, (N or 1, H, W) float, tell how much each pixel counts; None: all alike, as in the paper. A place of
        a layer counts as much as the pixels it stands for.
        """
        total = torch.zeros(len(pictures), device=pictures.device)
        if weights is None:
            weights = torch.ones_like(pictures[:1, 0])
        x = torch.cat([pictures, truths]) / 127.5 - 1
        x = (x - self.shift) / self.scale
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                unit = x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
                one, other = unit.chunk(2)
                head = self.heads[self.taps.index(index)]
                distance = ((one - other).square() * head).sum(dim=1)
                share = functional.adaptive_avg_pool2d(weights, (distance.shape[1], distance.shape[2]))
                total = total + (distance * share).sum(dim=(1, 2)) / share.sum(dim=(1, 2))
        return total


def published_heads() -> list[Tensor]:
    """Return the linear layers of LPIPS 0.1 on AlexNet, which torchmetrics has on board."""
    file = files("torchmetrics.functional.image") / "lpips_models" / "alex.pth"
    weights = torch.load(io.BytesIO(file.read_bytes()), map_location="cpu", weights_only=True)
    return [weights[f"lin{layer}.model.1.weight"] for layer in range(5)]


class FeatureDistance:
    """FID of many sets of pictures from their truths.

    Args:
        network: (N, 3, H, W) uint8 to (N, F) features.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._features: dict[str, list[Tensor]] = defaultdict(list)

    def add(self, pictures: Mapping[str, Tensor]) -> None:
        """Add one picture (3, H, W) uint8 to each set."""
        with torch.inference_mode():
            features = self._network(torch.stack(list(pictures.values())))
        for name, row in zip(pictures, features.float().cpu(), strict=True):
            self._features[name].append(row.clone())

    def distance(self, name: str, truth: str) -> float:
        """Return the FID of a set from the set of truths; NaN with fewer than two pictures."""
        if len(self._features[name]) < 2:
            return float("nan")
        return frechet_distance(torch.stack(self._features[name]), torch.stack(self._features[truth]))


def frechet_distance(features: Tensor, truths: Tensor) -> float:
    """Return the Frechet distance of two normal distributions with the means and covariances of (N, F) samples.

    With A and B the centered samples over sqrt(N - 1), the covariances are A'A and B'B, and the trace of the root of
    their product is the sum of the singular values of AB': of N x N numbers, while F x F are many in FID.

    Source: M. Heusel et al., "GANs trained by a two time-scale update rule ..." (2017), equation 6.
    """
    means, roots = [], []
    for samples in (features.double(), truths.double()):
        means.append(samples.mean(dim=0))
        root = (samples - means[-1]) / (len(samples) - 1) ** 0.5
        # of many samples, F rows with the same covariance
        roots.append(torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root)
    common = torch.linalg.matrix_norm(roots[0] @ roots[1].T, ord="nuc")
    return float((means[0] - means[1]).square().sum() + sum(root.square().sum() for root in roots) - 2 * common)


@dataclass(frozen=True)
class Networks:
    """What LPIPS and FID are measured with.

    Attributes:
        lpips: None where its weights cannot be had.
        features: network of FID; None where its weights cannot be had.
        unavailable: the reason why, by the measure's name.
        weights: where theirs are from, by the measure's name.
    """

    lpips: nn.Module | None = None
    features: nn.Module | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, WeightsFile] = field(default_factory=dict)


def load_networks(device: torch.device, *, download: bool = True) -> Networks:
    """Return the networks with their published weights, as far as these can be had.

    Args:
        device: where they run.
        download: fetch weights that are not in torch's cache (TORCH_HOME); else only those there are used.
    """
    found: dict[str, nn.Module] = {}
    unavailable: dict[str, str] = {}
    addresses = {"LPIPS": ALEXNET, "FID": INCEPTION}
    makers: dict[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {"LPIPS": load_lpips, "FID": load_inception}
    for name, address in addresses.items():
        try:
            found[name] = makers[name](fetch_weights(address, download=download)).to(device)
        except ModelError as error:
            unavailable[name] = str(error)
    weights = {name: identify(addresses[name]) for name in found}
    return Networks(found.get("LPIPS"), found.get("FID"), unavailable, weights)


def load_lpips(weights: Mapping[str, Tensor]) -> Lpips:
    """Return LPIPS with AlexNet's weights, as torchvision names them. Raises ModelError where they do not fit."""
    network = Lpips()
    convolutions = {key.removeprefix("features."): value for key, value in weights.items() if "features." in key}
    _load(network.features, convolutions, ALEXNET)
    return network


def load_inception(weights: Mapping[str, Tensor]) -> Inception:
    """Return the Inception network with these weights. Raises ModelError where they do not fit."""
    network = Inception()
    _load(network, weights, INCEPTION)
    network.eval().requires_grad_(False)
    return network


def _load(network: nn.Module, weights: Mapping[str, Tensor], address: str) -> None:
    try:
        network.load_state_dict(dict(weights))
    except (RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ModelError(f"its weights in {weights_file(address)} are of another network ({reason})") from error
