"""Training on a real CUDA GPU: what neither a CPU nor the meta device can show. Skipped where there is none."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny import hints_config, make_batch, make_cache, plain_config

from pixelpainter.errors import TrainingError
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import loop
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.checkpoint import load_checkpoint
from pixelpainter.train.folder import checkpoints
from pixelpainter.train.loop import make_state, train
from pixelpainter.train.run import Run

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STEPS = 4
EVERY_OPTION = {"adversarial": "hinge", "critics": 2, "attention": True, "lambda_tv": 1.0}
CONFIGS = {"hints": hints_config(), "every option": hints_config(**EVERY_OPTION), "pix2pix": plain_config()}

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
    # CUDA's parts of torch warn of much that is no fault of ours, set_sync_debug_mode of itself.
    pytest.mark.filterwarnings("default"),
]


def batches(config, device):
    made = [make_batch(config, step) for step in range(STEPS)]
    parts = [[None if part is None else part.to(device) for part in vars(batch).values()] for batch in made]
    return [type(batch)(*moved) for batch, moved in zip(made, parts, strict=True)]


def losses(config, device, steps=STEPS):
    """Train a fresh network on made-up batches; return the losses of each step by name."""
    made = batches(config, device)
    records = train(make_state(config, device), config, lambda step: made[step], steps, device)
    return [{name: value.item() for name, value in record.terms.items()} for record in records]


def assert_close(ones, others, rtol):
    for one, other in zip(ones, others, strict=True):
        assert one == pytest.approx(other, rel=rtol, abs=rtol)


# A critic magnifies what one device rounds otherwise. Pix2pix has dropout: other random numbers on a GPU.
@pytest.mark.parametrize(("name", "rtol"), [("hints", 2e-3), ("every option", 2e-2)])
def test_a_gpu_learns_what_a_cpu_learns(name, rtol, monkeypatch):
    config = CONFIGS[name]
    assert_close(losses(config, CUDA), losses(config, CPU), 0.05)  # in bf16 or float16
    monkeypatch.setattr(loop, "number_format", lambda device: torch.float32)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert_close(losses(config, CUDA), losses(config, CPU), rtol)


def test_float16_trains(monkeypatch):
    monkeypatch.setattr(loop, "number_format", lambda device: torch.float16)
    assert make_state(CONFIGS["hints"], CUDA).scaler is not None
    assert_close(losses(CONFIGS["hints"], CUDA), losses(CONFIGS["hints"], CPU), 0.05)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_no_step_waits_for_the_gpu(config):
    made = batches(config, CUDA)
    records = train(make_state(config, CUDA), config, lambda step: made[step], STEPS, CUDA)
    next(records)  # the first one tries which kernels are fastest
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        with pytest.raises(RuntimeError, match="synchronizing"):
            made[0].truth.sum().item()
        assert len(list(records)) == STEPS - 1
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_made_ahead_are_those_made_at_once():
    config = hints_config(batch_size=4, zoom=0.5, warp=0.5)
    card = dataclasses.replace(SYSTEMS[config.system].card, size=config.size)
    maker = BatchMaker(make_cache(side=config.load_size), card, config, CUDA)

    def make(step):
        return maker.training(range(4), step)

    for step, batch in enumerate(loop._ahead(make, range(12), CUDA)):
        for one, other in zip(vars(batch).values(), vars(make(step)).values(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert step == 11


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path):
    training = make_cache(8, 128)
    config = hints_config(samples=0, epochs=2, checkpoint_every=1.0, batch_size=4, adversarial="hinge")
    reports = iter(Run(config, tmp_path / "whole", training, None, CUDA, ""))
    next(reports)  # after the first epoch, which is saved
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    assert len(list(reports)) == 1
    again = Run(config, tmp_path / "parts", training, None, CUDA, "")
    assert again.state.step == 2
    assert len(list(again)) == 1
    first, whole = (load_checkpoint(path).states["generator"] for path in checkpoints(tmp_path / "whole"))
    resumed = load_checkpoint(checkpoints(tmp_path / "parts")[-1]).states["generator"]
    name = "encoder.0.weight"
    # A GPU may add in another order each time, and Adam makes much of small gradients: equal but for some weights.
    apart = (resumed[name] - whole[name]).abs().mean()
    assert apart < 0.2 * (whole[name] - first[name]).abs().mean()


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_network_learns_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "number_format", lambda device: torch.float32)
    found = []
    for compiled in (False, True):
        config = hints_config(samples=8, adversarial="hinge")
        run = Run(config, tmp_path / str(compiled), make_cache(8, 128), None, CUDA, "", compiled=compiled)
        found.append([report.losses for report in run])
    assert_close(*found, 0.02)


def test_too_little_memory_is_told_with_the_batch_to_try(tmp_path):
    config = hints_config(width=64, batch_size=8, samples=16)
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(1e-4)
        with pytest.raises(TrainingError, match=r"not enough memory for --batch-size 8 .*; try --batch-size 4"):
            list(Run(config, tmp_path, make_cache(8, 128), None, CUDA, ""))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert checkpoints(tmp_path) == []


def test_the_command_trains_on_the_gpu_and_its_model_colors(command, tmp_path, monkeypatch, drawings):
    monkeypatch.chdir(tmp_path)
    small = ("--system", "pix2pix-hints", "--size", 128, "--width", 8, "--samples", 64, "--batch-size", 8)
    done = command("train", "--synthetic", 9, *small, "--cache", "cache", "--run", "run", "--device", "cuda")
    assert done.status == 0, done.err
    assert torch.cuda.get_device_name() in done.err
    assert command("export", "run", "-o", "model.onnx").status == 0
    assert command("colorize", drawings / "girl.png", "-o", "girl.png", "--model", "model.onnx").status == 0


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_two_gpus_train_one_network(tmp_path):
    options = ("--synthetic", "9", "--system", "pix2pix-hints", "--size", "128", "--width", "8", "--samples", "64")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "--")
    train_command = (*torchrun, "pixelpainter", "train", *options, "--batch-size", "8", "--run", "run", "--cache", "c")
    done = subprocess.run(train_command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    weights = load_checkpoint(checkpoints(tmp_path / "run")[-1]).states["generator"]
    assert all(np.isfinite(value.numpy()).all() for value in weights.values())
