"""Rewrites a trained generator for inference: same answers, fewer and faster operations.

BatchNorm is folded into the convolution before it. A 4x4 stride-2 padding-1 transposed convolution becomes a 2x2
convolution with 4 x the channels, a pixel shuffle and a crop of one pixel: onnxruntime runs that faster, and can run
it in int8, which it cannot do for transposed convolutions.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pixelpainter.nets.hint_unet import DecoderLayer, ResizeConv

_TAPS = torch.tensor([[2, 0], [3, 1]])  # of a 4-tap kernel, those of phase 0 and of phase 1
# Index into (..., 4, 4) that gives (..., phase down, phase across, tap down, tap across)
SUBPIXEL_TAPS = (..., _TAPS[:, None, :, None], _TAPS[None, :, None, :])


class SubpixelUp(nn.Module):
    """A 4x4 stride-2 padding-1 transposed convolution, computed as convolution and pixel shuffle.

    Output pixel ``o = 2j + phase - 1`` of the transposed convolution sums input ``j - 1`` times tap ``phase + 2`` and
    input ``j`` times tap ``phase``, for j from 0 to n: a 2-tap convolution over the input padded by one.
    """

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        geometry = (transposed.kernel_size, transposed.stride, transposed.padding)
        assert geometry == ((4, 4), (2, 2), (1, 1)), f"rewriting is only exact for 4x4 stride 2, not {geometry}"
        inputs, outputs = transposed.in_channels, transposed.out_channels
        kernel = transposed.weight.detach()[SUBPIXEL_TAPS]
        # (in, out, phase down, phase across, tap down, tap across); the pixel shuffle wants the phases innermost
        kernel = kernel.permute(1, 2, 3, 0, 4, 5).reshape(outputs * 4, inputs, 2, 2)
        self.conv = nn.Conv2d(inputs, outputs * 4, 2, padding=1, bias=transposed.bias is not None)
        self.conv.weight = nn.Parameter(kernel.contiguous())
        if transposed.bias is not None:
            self.conv.bias = nn.Parameter(transposed.bias.detach().repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return functional.pixel_shuffle(self.conv(x), 2)[:, :, 1:-1, 1:-1]


def deployed(generator: nn.Module) -> nn.Module:
    """Return a copy of a generator in eval mode, rewritten for inference; the original stays as it is."""
    return _rewritten(copy.deepcopy(generator).eval().requires_grad_(False))


def _rewritten(module: nn.Module) -> nn.Module:
    if isinstance(module, ResizeConv):
        return SubpixelUp(_as_transposed(module))
    if isinstance(module, nn.ConvTranspose2d):
        return SubpixelUp(module)
    if isinstance(module, nn.Dropout):
        return nn.Identity()
    if isinstance(module, DecoderLayer):
        assert isinstance(module.up, ResizeConv) and isinstance(module.norm, nn.BatchNorm2d)
        folded = fuse_conv_bn_eval(_as_transposed(module.up), module.norm, transpose=True)
        module.up, module.norm = SubpixelUp(folded), nn.Identity()
        return module
    if isinstance(module, nn.Sequential):
        module = _with_norms_folded(module)
    for name, child in module.named_children():
        setattr(module, name, _rewritten(child))
    return module


def _with_norms_folded(layers: nn.Sequential) -> nn.Sequential:
    folded: list[nn.Module] = []
    for layer in layers:
        before = folded[-1] if folded else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.ConvTranspose2d):
            folded[-1] = fuse_conv_bn_eval(before, layer, transpose=isinstance(before, nn.ConvTranspose2d))
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


def _as_transposed(layer: ResizeConv) -> nn.ConvTranspose2d:
    kernel = layer.transposed_kernel()
    inputs, outputs = kernel.shape[:2]
    transposed = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=layer.bias is not None).eval()
    transposed.weight = nn.Parameter(kernel.detach())
    if layer.bias is not None:
        transposed.bias = nn.Parameter(layer.bias.detach())
    return transposed
