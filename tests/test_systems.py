import dataclasses
from typing import get_args

import pytest
import torch
from tiny import hints_config, plain_config
from torch import nn

from pixelpainter.card import ModelCard, SystemName
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.config import DEFAULTS, make_config
from pixelpainter.train.objectives import ReconstructAndFool
from pixelpainter.train.validate import ways_to_ask

SMALL = {"pix2pix": plain_config(), "pix2pix-hints": hints_config(adversarial="hinge")}


def test_every_name_has_a_row():
    names = set(get_args(SystemName))
    assert set(SYSTEMS) == names
    assert set(DEFAULTS) == names
    assert set(SMALL) == names


@pytest.mark.parametrize("name", get_args(SystemName))
def test_the_card_says_what_the_network_reads(name):
    system = SYSTEMS[name]
    card = system.card
    assert card.system == name
    assert card.size % card.multiple_of == 0
    generator = system.make_generator(SMALL[name]).eval()
    side = card.multiple_of
    inputs = [torch.zeros(2, card.input_channels, side, side)]
    if card.palette:
        inputs.append(torch.zeros(2, card.palette, 4))
    with torch.no_grad():
        color = generator(*inputs)
    assert color.shape == (2, 3 if card.predicts == "rgb" else 2, side, side)
    with pytest.raises(RuntimeError), torch.no_grad():  # the card's multiple is not larger than need be
        generator(torch.zeros(2, card.input_channels, side // 2, side // 2), *inputs[1:])
    with pytest.raises(RuntimeError), torch.no_grad():
        generator(torch.zeros(2, card.input_channels + 1, side, side), *inputs[1:])


@pytest.mark.parametrize("name", get_args(SystemName))
def test_the_critic_judges_what_the_generator_paints(name):
    system = SYSTEMS[name]
    with torch.device("meta"):
        critic = system.make_critic(SMALL[name]).eval()
        assert critic(torch.empty(2, 1, 256, 256), torch.empty(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_default_pix2pix_is_the_published_network():
    config = make_config("pix2pix")
    system = SYSTEMS["pix2pix"]
    with torch.device("meta"):
        assert sum(value.numel() for value in system.make_generator(config).parameters()) == 54_414_531
        assert sum(value.numel() for value in system.make_critic(config).parameters()) == 2_768_705


@pytest.mark.parametrize(("width", "channels"), [(16, 16), (32, 32)])
def test_width_is_a_parameter(width, channels):
    for name, config in (("pix2pix", plain_config(width=width)), ("pix2pix-hints", hints_config(width=width))):
        with torch.device("meta"):
            generator = SYSTEMS[name].make_generator(config)
        first = next(module for module in generator.modules() if isinstance(module, nn.Conv2d))
        assert first.out_channels == channels


@pytest.mark.parametrize("name", get_args(SystemName))
def test_the_objective_takes_its_weights_from_the_configuration(name):
    weights = {"lambda_l1": 7.0, "lambda_chroma": 6.0, "lambda_gradient": 5.0, "lambda_gan": 4.0}
    weights |= {"lambda_tv": 3.0, "lambda_perceptual": 2.0}
    config = make_config(name, adversarial="lsgan", **weights)
    assert SYSTEMS[name].make_objective(config) == ReconstructAndFool(adversarial="lsgan", **weights)


@pytest.mark.parametrize("name", get_args(SystemName))
def test_options_of_the_networks_reach_them(name):
    with torch.device("meta"):
        plain, more = SMALL[name], dataclasses.replace(SMALL[name], attention=True, critics=3)
        names = [set(SYSTEMS[name].make_generator(config).state_dict()) for config in (plain, more)]
        assert {key.partition(".")[0] for key in names[1] - names[0]} == {"attention"}
        assert names[0] < names[1]
        critic = SYSTEMS[name].make_critic(more).eval()
        verdicts = critic(torch.empty(2, 1, 256, 256), torch.empty(2, 3, 256, 256))
    assert [verdict.shape for verdict in verdicts] == [(2, 1, 30, 30), (2, 1, 14, 14), (2, 1, 6, 6)]


def test_ways_to_ask_follow_the_card():
    assert ways_to_ask(SYSTEMS["pix2pix"].card) == {"plain": (0, False)}
    hints = ways_to_ask(SYSTEMS["pix2pix-hints"].card)
    assert hints == {"plain": (0, False), "hints_20": (20, False), "palette": (0, True)}
    no_palette = ModelCard(
        system="pix2pix-hints", reads="lines", predicts="rgb", size=128, multiple_of=128, hints="rgb-mask", palette=0
    )
    assert "palette" not in ways_to_ask(no_palette)
