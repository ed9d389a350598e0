"""Fills a generator with the weights of an exported file, to train on: the way back from `pixelpainter.nets.deploy`.

The export has lost its norms: they were folded into the convolutions before them. A norm that does nothing but add the
bias gives the same answers; one that can be trained also knows mean and spread of what comes in, which is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pixelpainter.card import ModelCard
from pixelpainter.errors import ModelError, first_line
from pixelpainter.nets.deploy import SUBPIXEL_TAPS, deployed
from pixelpainter.nets.hint_unet import ResizeConv

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, ResizeConv)
OF_LAYERS = ("weight", "bias")  # ends of the names of their parameters
# From the 3 taps of a `ResizeConv` to the 4 of the equal transposed convolution, in each direction.
WIDENED = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])


def read_export(file: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Return the card of an exported network and its parameters by name, in float32.

    Raises:
        ModelError: the file cannot be read, or `pixelpainter export` did not make it.
    """
    import onnx
    from onnx import numpy_helper

    try:
        model = onnx.load(file)
        stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    except Exception as error:  # those of protobuf and of onnx have no common base
        raise ModelError(f"{file}: this is no ONNX model, or a damaged one ({first_line(error)})") from error
    card = ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, str(file))
    found = {}
    for name, values in stored.items():
        plain = name.removesuffix("_quantized")
        # Weights and biases differ in how the quantizer names their steps, of which every output channel has its own.
        steps = stored.get(f"{plain}_scale", stored.get(f"{name}_scale"))
        if plain != name and steps is not None:
            values = values.astype(np.float32) * steps.reshape(-1, *[1] * (values.ndim - 1))
        found[plain] = torch.from_numpy(np.array(values, np.float32))
    return card, found


def restore(generator: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a generator the weights of its export; in eval mode it then answers like the file.

    Args:
        generator: a fresh one, changed in place.
        weights: as `read_export` returns them.

    Raises:
        ValueError: they are of another network.
    """
    used: set[str] = set()

    def take(name: str, like: Tensor) -> Tensor:
        used.add(name)
        return _parameter(weights, name, like)

    deployed_layers = ((name, each) for name, each in deployed(generator).named_modules() if isinstance(each, LAYERS))
    bias: Tensor | None = None
    with torch.no_grad():
        for layer in generator.modules():
            if isinstance(layer, LAYERS):
                name, exported = next(deployed_layers)
                kernel = take(f"{name}.weight", exported.weight)
                bias = None if exported.bias is None else take(f"{name}.bias", exported.bias)
                if bias is not None and isinstance(layer, nn.ConvTranspose2d | ResizeConv):
                    bias = bias[::4]  # the four phases have one
                layer.weight.copy_(_kernel_of(layer, kernel))
                if layer.bias is not None and bias is not None:
                    layer.bias.copy_(bias)
            elif isinstance(layer, nn.BatchNorm2d):
                assert bias is not None and layer.running_mean is not None and layer.running_var is not None
                layer.running_mean.zero_()
                layer.running_var.fill_(1 - layer.eps)
                layer.weight.fill_(1.0)
                layer.bias.copy_(bias)
        for name, parameter in generator.named_parameters():
            if name.rpartition(".")[2] not in OF_LAYERS:
                parameter.copy_(take(name, parameter))
    left = sorted(name for name in weights.keys() - used if name.rpartition(".")[2] in OF_LAYERS)
    if left:
        raise ValueError(f"it has {left[0]}, which this network has not")


def settle_norms(generator: nn.Module, forward: Callable[[], object]) -> None:
    """Let every norm know mean and spread of what comes in; in eval mode the answers stay the same.

    Args:
        generator: changed in place, and in eval mode afterwards.
        forward: runs it over pictures like those to train on.
    """
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def add(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        channels = inputs[0].detach().double().transpose(0, 1).flatten(1)
        ones = torch.ones_like(channels[:, 0]) * channels.shape[1]
        sums[norm] += torch.stack([ones, channels.sum(dim=1), channels.square().sum(dim=1)]).cpu()  # type: ignore[index]

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    generator.eval()
    with torch.inference_mode():
        forward()
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for norm, (count, total, squares) in sums.items():
            assert norm.running_mean is not None and norm.running_var is not None
            mean = total / count
            variance = (squares / count - mean.square()).clamp_(min=0)
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_(factor * (mean.to(factor) - norm.running_mean))
            norm.weight.copy_(factor * (variance.to(factor) + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def _parameter(weights: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Return a parameter in the shape that it must have. Raises ValueError."""
    if name not in weights:
        raise ValueError(f"it has no {name}")
    if weights[name].shape != like.shape:
        raise ValueError(f"{name} is {tuple(weights[name].shape)} and should be {tuple(like.shape)}")
    return weights[name]


def _kernel_of(layer: nn.Module, exported: Tensor) -> Tensor:
    """Return the kernel of a layer for that of the convolution which stands for it in the export."""
    if not isinstance(layer, nn.ConvTranspose2d | ResizeConv):
        return exported
    outputs, inputs = exported.shape[0] // 4, exported.shape[1]
    kernel = torch.zeros(inputs, outputs, 4, 4)
    kernel[SUBPIXEL_TAPS] = exported.reshape(outputs, 2, 2, inputs, 2, 2).permute(3, 0, 1, 2, 4, 5)
    if isinstance(layer, nn.ConvTranspose2d):
        return kernel
    narrow: Tensor = torch.linalg.pinv(WIDENED)  # least squares: int8 has rounded the 16 numbers that 9 decide
    return narrow @ kernel @ narrow.T
