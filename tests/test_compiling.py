import gc
import weakref

import pytest
import torch
from tiny import hints_config, make_cache
from torch import nn

from pixelpainter.errors import TrainingError
from pixelpainter.train import compiling
from pixelpainter.train.run import Run

CONFIG = hints_config(adversarial="hinge", samples=4)
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def compiled(monkeypatch):
    """Let it pay, and note which networks are to be compiled."""
    asked = []
    monkeypatch.setattr(compiling, "pays_compiling", lambda device, steps, processes: True)
    monkeypatch.setattr(nn.Module, "compile", lambda network: asked.append(weakref.ref(network)))
    return asked


def start(folder, compiled=None):
    return Run(CONFIG, folder, make_cache(4, 128), None, CPU, "", compiled=compiled)


def losses(run):
    return [report.losses for report in run]


def test_networks_are_compiled_where_that_works(tmp_path, compiled):
    plain = losses(start(tmp_path / "plain", compiled=False))
    assert compiled == []
    run = start(tmp_path / "run")
    gc.collect()
    assert [network() for network in compiled if network()] == [run.state.generator, run.state.critic]
    assert run.messages == []
    assert losses(run) == plain


def fail(*_):
    raise AssertionError("\nexpected size 128==128, stride 25==1 at dim=1\nError in op: convolution_backward")


def break_forward(network):
    network.register_forward_pre_hook(fail)


def break_backward(network):
    next(network.parameters()).register_hook(fail)


def break_numbers(network):
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)


STRIDE = "expected size 128==128, stride 25==1 at dim=1"
NUMBERS = "loss critic_real, critic_fake, l1, chroma, gradient, gan is no number"


@pytest.mark.parametrize(
    ("broken", "reason"), [(break_forward, STRIDE), (break_backward, STRIDE), (break_numbers, NUMBERS)]
)
def test_where_compiling_fails_networks_run_as_they_are(tmp_path, compiled, monkeypatch, broken, reason):
    plain = losses(start(tmp_path / "plain", compiled=False))
    monkeypatch.setattr(nn.Module, "compile", broken)
    run = start(tmp_path / "run")
    told = f"torch.compile does not work here ({reason}); the networks run as they are, which is slower"
    assert run.messages == [told]
    assert losses(run) == plain
    with pytest.raises((AssertionError, TrainingError)):
        losses(start(tmp_path / "must", compiled=True))
