import pytest
import torch
from torch import nn
from torch.nn import functional

from pixelpainter.nets.attention import SelfAttention
from pixelpainter.nets.hint_unet import HintUNet, ResizeConv
from pixelpainter.nets.pix2pix import MultiScaleCritic, PatchCritic, UNetGenerator
from pixelpainter.nets.vgg import VGGFeatures

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(network):
    return sum(value.numel() for value in network.parameters())


# pix2pix


def test_published_numbers_of_parameters():
    with torch.device("meta"):
        assert count(UNetGenerator()) == 54_414_531
        assert count(PatchCritic()) == 2_768_705


def test_published_layers_of_the_generator():
    """Channels, bias, norm and dropout of each layer, as systems.md lists them."""
    with torch.device("meta"):
        network = UNetGenerator()

    def shape(layer):
        layers = list(layer) if isinstance(layer, nn.Sequential) else [layer]
        conv = next(part for part in layers if isinstance(part, nn.Conv2d | nn.ConvTranspose2d))
        assert (conv.kernel_size, conv.stride, conv.padding) == ((4, 4), (2, 2), (1, 1))
        kinds = " ".join(type(part).__name__ for part in layers)
        return conv.in_channels, conv.out_channels, conv.bias is not None, kinds

    down, up = "LeakyReLU Conv2d", "ReLU ConvTranspose2d"
    assert [shape(layer) for layer in network.encoder] == [
        (3, 64, True, "Conv2d"),
        (64, 128, False, f"{down} BatchNorm2d"),
        (128, 256, False, f"{down} BatchNorm2d"),
        (256, 512, False, f"{down} BatchNorm2d"),
        (512, 512, False, f"{down} BatchNorm2d"),
        (512, 512, False, f"{down} BatchNorm2d"),
        (512, 512, False, f"{down} BatchNorm2d"),
        (512, 512, True, down),
    ]
    assert [shape(layer) for layer in network.decoder] == [
        (512, 512, False, f"{up} BatchNorm2d Dropout"),
        (1024, 512, False, f"{up} BatchNorm2d Dropout"),
        (1024, 512, False, f"{up} BatchNorm2d Dropout"),
        (1024, 512, False, f"{up} BatchNorm2d"),
        (1024, 256, False, f"{up} BatchNorm2d"),
        (512, 128, False, f"{up} BatchNorm2d"),
        (256, 64, False, f"{up} BatchNorm2d"),
        (128, 3, True, f"{up} Tanh"),
    ]
    assert {part.negative_slope for part in network.modules() if isinstance(part, nn.LeakyReLU)} == {0.2}
    assert {part.p for part in network.modules() if isinstance(part, nn.Dropout)} == {0.5}


def test_each_decoder_layer_reads_the_encoder_layer_of_its_size():
    """Decoder layer k reads decoder k - 1 and encoder 9 - k, the latter before the next activation."""
    network = UNetGenerator(width=2).eval()
    encoded, read = [], []
    for layer in network.encoder:
        layer.register_forward_hook(lambda _, __, output: encoded.append(output.clone()))
    for layer in network.decoder:
        layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].clone()))
    with torch.no_grad():
        color = network(torch.rand(1, 1, 256, 256) * 2 - 1)
    assert color.shape == (1, 3, 256, 256)
    assert color.abs().max() <= 1
    assert torch.equal(read[0], encoded[7])
    for depth in range(1, 8):
        assert torch.equal(read[depth][:, -encoded[7 - depth].shape[1] :], encoded[7 - depth])


def test_start_of_the_weights():
    network = UNetGenerator(width=16)
    conv, norm = network.encoder[4][1], network.encoder[4][2]
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert norm.weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert norm.bias.abs().max() == 0


def test_published_layers_of_the_critic():
    with torch.device("meta"):
        layers = list(PatchCritic().layers)
        assert PatchCritic().eval()(torch.empty(1, 1, 256, 256), torch.empty(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert [type(layer).__name__ for layer in layers] == [
        *("Conv2d", "LeakyReLU"),
        *("Conv2d", "BatchNorm2d", "LeakyReLU") * 3,
        "Conv2d",
    ]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels, conv.stride[0], conv.bias is not None) for conv in convolutions] == [
        (6, 64, 2, True),
        (64, 128, 2, False),
        (128, 256, 2, False),
        (256, 512, 1, False),
        (512, 1, 1, True),
    ]


@pytest.mark.parametrize("spectral", [False, True])
def test_one_verdict_sees_70_pixels(spectral):
    critic = PatchCritic(drawing_channels=1, width=4, spectral=spectral).eval()
    drawing = torch.rand(1, 1, 256, 256, requires_grad=True)
    color = torch.rand(1, 3, 256, 256, requires_grad=True)
    critic(drawing, color)[0, 0, 15, 15].backward()
    for seen in (drawing.grad[0].abs().sum(0), color.grad[0].abs().sum(0)):
        rows, columns = seen.any(dim=1).nonzero()[:, 0], seen.any(dim=0).nonzero()[:, 0]
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (97, 166, 97, 166)
        assert seen[97:167, 97:167].count_nonzero() == 70 * 70


def test_spectral_norm_takes_the_place_of_batch_norm():
    critic = PatchCritic(drawing_channels=1, width=4, spectral=True)
    for _ in range(30):  # power iterations
        critic(torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32))
    convolutions = [layer for layer in critic.layers if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 5
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in critic.modules())
    for conv in convolutions:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)
        assert conv.bias is not None


def test_a_critic_of_the_drawing_as_it_is_has_four_channels():
    assert PatchCritic(drawing_channels=1, width=4).layers[0].in_channels == 4


# pix2pix-hints


@pytest.mark.parametrize("bias", [False, True])
def test_resize_conv_is_nearest_upsampling_and_a_3x3_convolution(bias):
    layer = ResizeConv(3, 5, bias=bias).double()
    if bias:
        nn.init.normal_(layer.bias)
    x = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    kernel = layer.weight.permute(1, 0, 2, 3).flip(2, 3)  # a transposed convolution applies it mirrored
    enlarged = functional.interpolate(x, scale_factor=2, mode="nearest")
    expected = functional.conv2d(enlarged, kernel, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_resize_conv_draws_no_checkerboard():
    layer = ResizeConv(4, 3)
    inner = layer(torch.ones(1, 4, 8, 8))[0, :, 1:-1, 1:-1]
    assert (inner - inner[:, :1, :1]).abs().max() < 1e-5
    plain = functional.conv_transpose2d(torch.ones(1, 4, 8, 8), torch.randn(4, 3, 4, 4), stride=2, padding=1)
    assert (plain[0, :, 1:-1, 1:-1] - plain[0, :, 1:2, 1:2]).abs().max() > 0.1  # what it avoids


@pytest.mark.parametrize("size", [128, 256])
def test_hint_unet_works_at_both_sizes(size):
    network = HintUNet(width=4)
    color = network(torch.rand(2, 5, size, size), torch.rand(2, 6, 4))
    assert color.shape == (2, 3, size, size)
    assert color.abs().max() <= 1
    color.sum().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_hint_unet_has_seven_levels_and_residual_blocks_at_a_sixteenth():
    network = HintUNet(width=4)
    assert len(network.encoder) == 7
    shapes = []
    for module in network.modules():
        if type(module).__name__ == "ResidualBlock":
            module.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    network(torch.rand(1, 5, 128, 128), torch.rand(1, 6, 4))
    assert shapes == [(1, 32, 8, 8)] * 2
    assert not any(isinstance(module, nn.Dropout) for module in network.modules())


def test_a_fresh_hint_unet_ignores_the_palette():
    network = HintUNet(width=4).eval()
    picture = torch.rand(1, 5, 128, 128)
    with torch.no_grad():
        none = network(picture, torch.zeros(1, 6, 4))
        assert torch.equal(network(picture, torch.rand(1, 6, 4)), none)
        nn.init.normal_(network.decoder[0].film.weight, 0, 0.1)
        assert not torch.equal(network(picture, torch.rand(1, 6, 4)), none)


def test_hint_unet_without_palette_input():
    network = HintUNet(width=4, palette=0)
    assert network(torch.rand(1, 5, 128, 128)).shape == (1, 3, 128, 128)
    assert not [name for name, _ in network.named_parameters() if "film" in name or "palette" in name]


def test_a_forgotten_palette_is_our_bug():
    with pytest.raises(AssertionError, match="needs a palette"):
        HintUNet(width=4)(torch.rand(1, 5, 128, 128))


# options


def test_self_attention_is_that_of_the_formula():
    layer = SelfAttention(16).double()
    nn.init.constant_(layer.gain, 0.7)
    x = torch.randn(2, 16, 3, 5, dtype=torch.float64)
    query, key, value = layer.query_key_value(x).flatten(2).chunk(3, dim=1)  # (2, 2, 15) each
    weights = torch.softmax(torch.einsum("nci,ncj->nij", query, key) / 2**0.5, dim=2)
    found = torch.einsum("nij,ncj->nci", weights, value).reshape(2, 2, 3, 5)
    torch.testing.assert_close(layer(x), x + 0.7 * layer.out(found))


@pytest.mark.parametrize(
    ("network", "inputs", "channels"),
    [
        (UNetGenerator(width=4, attention=True), [(1, 1, 256, 256)], 16),
        (HintUNet(width=4, attention=True), [(1, 5, 256, 256), (1, 6, 4)], 16),
    ],
)
def test_generators_attend_at_32_of_256_and_start_without(network, inputs, channels):
    shapes = []
    network.attention.register_forward_hook(lambda _, given, output: shapes.append((given[0].shape, output.shape)))
    tensors = [torch.rand(shape) for shape in inputs]
    network.eval()
    before = network(*tensors)
    assert shapes == [((1, channels, 32, 32),) * 2]
    attention, network.attention = network.attention, None
    assert torch.equal(network(*tensors), before)  # its gain starts at 0
    network.attention = attention
    network(*tensors).sum().backward()
    assert network.attention.gain.grad.abs().sum() > 0  # and can leave it
    nn.init.constant_(attention.gain, 5.0)
    assert not torch.equal(network(*tensors), before)


def test_without_attention_nothing_is_added():
    for network in (UNetGenerator(width=2), HintUNet(width=4)):
        assert not [name for name in network.state_dict() if "attention" in name]


def test_several_critics_see_halves():
    critics = [PatchCritic(width=2).eval() for _ in range(3)]
    drawing, color = torch.rand(1, 1, 128, 128), torch.rand(1, 3, 128, 128)
    verdicts = MultiScaleCritic(critics)(drawing, color)
    assert [verdict.shape[-1] for verdict in verdicts] == [14, 6, 2]
    for number, critic in enumerate(critics):
        side = 2**number
        small = functional.avg_pool2d(drawing, side), functional.avg_pool2d(color, side)
        torch.testing.assert_close(verdicts[number], critic(*small))


def test_layers_of_vgg_have_the_published_names_and_shapes():
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in VGGFeatures().state_dict().items()}
    numbers = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
    expected = {f"features.{number}.weight": (*channels, 3, 3) for number, channels in numbers.items()}
    expected |= {f"features.{number}.bias": channels[:1] for number, channels in numbers.items()}
    assert shapes == expected


def test_features_of_vgg():
    """Three stages; the published normalisation; frozen, but with gradients to the picture."""
    network = VGGFeatures(width=2)
    picture = (torch.rand(1, 3, 16, 16) * 2 - 1).requires_grad_()
    found = network(picture)
    assert [features.shape for features in found] == [(1, 2, 16, 16), (1, 4, 8, 8), (1, 8, 4, 4)]
    assert all(features.min() >= 0 for features in found)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = ((picture + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]
    first = functional.relu(network.features[2](functional.relu(network.features[0](normal))))
    torch.testing.assert_close(found[0], first)
    found[2].sum().backward()
    assert picture.grad.abs().sum() > 0
    assert not any(value.requires_grad for value in network.parameters())
