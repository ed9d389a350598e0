"""A training step waits for the device nowhere: run on torch's meta device, whose values nobody can read."""

import contextlib
import dataclasses

import pytest
import torch
from tiny import hints_config, make_cache, plain_config

from pixelpainter.systems import SYSTEMS
from pixelpainter.train import augment
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.loop import make_state, train

META = torch.device("meta")
CONFIGS = {
    "hints": hints_config(),
    "every option": hints_config(adversarial="hinge", critics=2, attention=True, lambda_tv=1.0, zoom=1.0, warp=1.0),
    "hints alone": hints_config(palette_dropout=1.0),
    "pix2pix": plain_config(),
}


@pytest.fixture(autouse=True)
def meta_for_a_gpu(monkeypatch):
    """Do without what only a real device has: numbers of half the size, a fused Adam, a generator of its own."""
    plain = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, fused, **options: plain(parameters, **options))
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: contextlib.nullcontext())
    monkeypatch.setattr(augment, "_fields", lambda random, device: random)


def test_the_meta_device_tells_when_a_value_is_read():
    value = torch.zeros((), device=META)
    with pytest.raises(RuntimeError):
        value.item()
    with pytest.raises(NotImplementedError):
        value.cpu()
    with pytest.raises(RuntimeError):
        torch.zeros(3, device=META) + torch.zeros(3)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_neither_batches_nor_steps_read_from_the_device_or_mix_devices(config):
    card = dataclasses.replace(SYSTEMS[config.system].card, size=config.size)
    maker = BatchMaker(make_cache(side=config.load_size), card, config, META)
    pictures = range(config.batch_size)
    records = list(train(make_state(config, META), config, lambda step: maker.training(pictures, step), 3, META))
    assert [record.step for record in records] == [1, 2, 3]
    assert all(value.is_meta for record in records for value in record.terms.values())


def test_validation_batches_lie_on_the_device():
    config = hints_config()
    card = dataclasses.replace(SYSTEMS[config.system].card, size=config.size)
    batch, figures = BatchMaker(make_cache(), card, config, META).validation([0, 1], hints=3, with_palette=True)
    assert all(tensor.is_meta for tensor in (*batch.inputs, batch.truth, figures))
