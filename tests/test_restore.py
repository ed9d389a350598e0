"""Networks come back from their exports: same answers, and norms that can be trained."""

import copy

import onnx
import pytest
import torch
from tiny import hints_config, make_batch, make_cache, plain_config, shake

from pixelpainter.errors import ModelError
from pixelpainter.export import export, make_card
from pixelpainter.hub import BUNDLED_MODEL
from pixelpainter.nets.restore import read_export, restore, settle_norms
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.checkpoint import Checkpoint
from pixelpainter.train.loop import make_state, train

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def make_generator(config):
    return SYSTEMS[config.system].make_generator(config)


def exported(generator, config, precision, file):
    checkpoint = Checkpoint(config=config, manifest="", command="", step=0, samples=7, metrics={}, states={})
    export(generator, checkpoint, make_card(checkpoint, precision), make_cache(4, config.size), file)
    return file


def trained_network(config):
    """A network that has learned a little, so that int8 holds it, with statistics in its norms."""
    state = make_state(config, CPU)
    for _ in train(state, config, lambda step: make_batch(config, step), 4, CPU):
        pass
    if config.system == "pix2pix":
        shake(state.generator)  # it starts with answers near 0
    if config.attention:
        with torch.no_grad():
            state.generator.attention.gain.fill_(2.0)
    return state.generator.eval()


def answer(generator, config):
    with torch.no_grad():
        return generator(*make_batch(config, 99).inputs)


CONFIGS = {
    "hints": hints_config(width=8, adversarial="none", ema=0.0),
    "hints, attention": hints_config(width=8, adversarial="none", ema=0.0, attention=True),
    "pix2pix": plain_config(width=2, adversarial="none"),
    "pix2pix, attention": plain_config(width=4, adversarial="none", attention=True),
}
# int8 has rounded the weights, so it is compared on the average
LARGEST, MEAN = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.5}, {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.03}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_network_comes_back(config, precision, tmp_path):
    generator = trained_network(config)
    card, weights = read_export(exported(generator, config, precision, tmp_path / "net.onnx"))
    assert (card.system, card.samples_seen) == (config.system, 7)
    back = make_generator(config)
    shake(back, seed=5)  # nothing of what it held may stay
    restore(back, weights)
    expected = answer(generator, config)
    difference = (answer(back.eval(), config) - expected).abs()
    assert expected.std() > 0.01
    assert difference.max() < LARGEST[precision]
    assert difference.mean() < MEAN[precision]


@pytest.mark.parametrize("name", ["hints", "hints, attention", "pix2pix"])
def test_norms_learn_what_comes_in_and_answers_stay(name, tmp_path):
    config = CONFIGS[name]
    generator = trained_network(config)
    back = make_generator(config)
    restore(back, read_export(exported(generator, config, "fp32", tmp_path / "net.onnx"))[1])
    for layer in back.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    inputs = make_batch(config, 99).inputs
    expected = answer(back.eval(), config)

    def training_error(network):
        """How far answers are from those above where norms go by the batch itself."""
        with torch.no_grad():
            return (copy.deepcopy(network).train()(*inputs) - expected).abs().max()

    assert training_error(back) > 0.1
    settle_norms(back, lambda: back(*inputs))
    assert not back.training
    assert (answer(back, config) - expected).abs().max() < 1e-4
    assert training_error(back) < 1e-3
    settle_norms(back, lambda: [back(*make_batch(config, step).inputs) for step in range(3)])
    assert (answer(back, config) - expected).abs().max() < 1e-4


def test_a_norm_keeps_its_own_scale():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    shake(network)
    with torch.no_grad():
        network[1].weight.mul_(2.0)
    x = torch.randn(4, 2, 8, 8)
    with torch.no_grad():
        expected = network.eval()(x)
    settle_norms(network.train(), lambda: network(x))
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(network.train()(x), expected, rtol=0, atol=1e-5)


def test_the_bundled_model_comes_back():
    """Width and names of the released file are those of the network in this program."""
    card, weights = read_export(BUNDLED_MODEL)
    restore(make_generator(hints_config(width=32)), weights)
    assert card.system == "pix2pix-hints"
    assert card.samples_seen > 100_000


def test_weights_of_another_network(tmp_path):
    config = CONFIGS["hints"]
    _, weights = read_export(exported(trained_network(config), config, "fp32", tmp_path / "net.onnx"))
    with pytest.raises(ValueError, match=r"encoder.0.weight is \(8, 5, 4, 4\) and should be \(4, 5, 4, 4\)"):
        restore(make_generator(hints_config(width=4)), weights)
    with pytest.raises(ValueError, match=r"it has no attention.gain|it has no attention.query_key_value.weight"):
        restore(make_generator(CONFIGS["hints, attention"]), weights)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_part_of_a_network_is_dropped(tmp_path, precision):
    config = CONFIGS["hints, attention"]
    _, weights = read_export(exported(trained_network(config), config, precision, tmp_path / "net.onnx"))
    with pytest.raises(ValueError, match=r"it has attention.out.bias, which this network has not"):
        restore(make_generator(CONFIGS["hints"]), weights)


def test_files_that_are_no_export(tmp_path):
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(BUNDLED_MODEL.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"torn.onnx: this is no ONNX model, or a damaged one"):
        read_export(torn)
    foreign = tmp_path / "foreign.onnx"
    graph = onnx.helper.make_graph([], "nothing", [], [])
    onnx.save(onnx.helper.make_model(graph), foreign)
    with pytest.raises(ModelError, match=r"foreign.onnx: this ONNX file has no PixelPainter model card"):
        read_export(foreign)
