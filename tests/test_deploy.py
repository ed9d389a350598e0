import copy

import pytest
import torch
from tiny import shake
from torch import nn

from pixelpainter.nets.deploy import SubpixelUp, deployed
from pixelpainter.nets.hint_unet import HintUNet, ResizeConv
from pixelpainter.nets.pix2pix import UNetGenerator


@pytest.mark.parametrize("bias", [False, True])
def test_subpixel_up_is_the_transposed_convolution(bias):
    torch.manual_seed(0)
    transposed = nn.ConvTranspose2d(3, 5, 4, 2, 1, bias=bias).double()
    x = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    found = SubpixelUp(transposed)(x)
    assert found.shape == (2, 5, 12, 14)
    torch.testing.assert_close(found, transposed(x), rtol=0, atol=1e-12)


def test_other_geometries_are_refused():
    with pytest.raises(AssertionError, match="only exact for 4x4 stride 2"):
        SubpixelUp(nn.ConvTranspose2d(3, 5, 2, 2, 0))


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda: UNetGenerator(width=2), [(2, 1, 256, 256)]),
        (lambda: HintUNet(width=4), [(2, 5, 128, 128), (2, 6, 4)]),
        (lambda: HintUNet(width=4, palette=0, blocks=1), [(2, 5, 128, 128)]),
        (lambda: UNetGenerator(width=4, attention=True), [(2, 1, 256, 256)]),
        (lambda: HintUNet(width=4, attention=True), [(2, 5, 128, 128), (2, 6, 4)]),
    ],
)
def test_a_deployed_generator_answers_like_the_trained_one(make, shapes):
    torch.manual_seed(0)
    generator = make().double()
    shake(generator)
    before = copy.deepcopy(generator.state_dict())
    inputs = [torch.rand(shape, dtype=torch.float64) * 2 - 1 for shape in shapes]
    rewritten = deployed(generator)
    with torch.no_grad():
        found, expected = rewritten(*inputs), copy.deepcopy(generator).eval()(*inputs)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    slow = nn.BatchNorm2d | nn.ConvTranspose2d | nn.Dropout | ResizeConv
    assert not [module for module in rewritten.modules() if isinstance(module, slow)]
    assert generator.training  # the trained one stays as it was
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert all(value.requires_grad for value in generator.parameters())
