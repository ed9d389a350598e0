"""Measure training steps, images per second: ours against a plain textbook step on the same batch in memory.

    python tests/benchmarks/train_speed.py [--system pix2pix] [--device cuda] [--threads 2] [--compile]

The textbook step is the one below: float32, NCHW, eager, torch's default Adam, as tutorials write it. Both have
the same networks, losses and batch; decoding and augmentation are left out of both. Steps of the two alternate, and a
ratio is that of the median times. Exit status 1: a ratio is below the bar (1.8 on a CPU with fast bf16, 4 on CUDA).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from startup import print_machine
from torch import Tensor, nn
from torch.nn import functional

from pixelpainter.card import SystemName
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.compiling import compile_networks
from pixelpainter.train.config import TrainConfig, make_config
from pixelpainter.train.fast import pays_bf16
from pixelpainter.train.loop import make_state, train
from pixelpainter.train.objectives import Batch

BARS = {"cpu": 1.8, "cuda": 4.0}
SOURCE_SAMPLES = 35 * 14_224  # the whole recipe of the source project, published as 4.2 hours on a T4


@dataclass
class Textbook:
    """Networks and optimizers as a tutorial makes them."""

    config: TrainConfig
    device: torch.device

    def __post_init__(self) -> None:
        """Make the parts."""
        config, system = self.config, SYSTEMS[self.config.system]
        torch.manual_seed(config.seed)
        betas = (config.beta1, config.beta2)
        self.generator = system.make_generator(config).to(self.device)
        self.critic = None if config.adversarial == "none" else system.make_critic(config).to(self.device)
        self.average = copy.deepcopy(self.generator) if config.ema else None
        self.generator_adam = torch.optim.Adam(self.generator.parameters(), config.learning_rate, betas)
        if self.critic is not None:
            self.critic_adam = torch.optim.Adam(self.critic.parameters(), config.learning_rate, betas)

    def step(self, batch: Batch) -> None:
        """Train the critic on real and fake, then the generator on the critic and the truth."""
        fake = self.generator(*batch.inputs)
        if self.critic is not None:
            self.critic_adam.zero_grad()
            loss = 0.5 * (self.verdict(batch.truth, batch, 1.0) + self.verdict(fake.detach(), batch, 0.0))
            loss.backward()
            self.critic_adam.step()
            self.critic.requires_grad_(False)
        self.generator_adam.zero_grad()
        loss = self.config.lambda_l1 * functional.l1_loss(fake, batch.truth)
        if self.critic is not None:
            loss = loss + self.verdict(fake, batch, 1.0)
        if self.config.lambda_chroma:
            loss = loss + self.config.lambda_chroma * (chroma(fake) - chroma(batch.truth)).abs().mean()
        if self.config.lambda_gradient:
            step = fake - batch.truth
            across, down = step[..., 1:] - step[..., :-1], step[..., 1:, :] - step[..., :-1, :]
            loss = loss + self.config.lambda_gradient * (across.abs().mean() + down.abs().mean())
        loss.backward()
        self.generator_adam.step()
        if self.critic is not None:
            self.critic.requires_grad_(True)
        if self.average is not None:
            self.follow(self.average)

    def verdict(self, color: Tensor, batch: Batch, target: float) -> Tensor:
        """Binary cross entropy of the critic's logits."""
        assert self.critic is not None
        logits = self.critic(batch.drawing, color)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    @torch.no_grad()
    def follow(self, average: nn.Module) -> None:
        """Move the averaged weights a little."""
        for mine, current in zip(average.parameters(), self.generator.parameters(), strict=True):
            mine.mul_(self.config.ema).add_(current, alpha=1 - self.config.ema)


def chroma(color: Tensor) -> Tensor:
    """Two color differences."""
    return torch.stack([color[:, 0] - color[:, 1], color[:, 2] - (color[:, 0] + color[:, 1]) / 2], dim=1)


def make_batch(config: TrainConfig, device: torch.device) -> Batch:
    """Return a batch of noise; speed does not depend on what is in it."""
    card = SYSTEMS[config.system].card
    count, side = config.batch_size, config.size
    picture = torch.rand(count, card.input_channels, side, side, device=device) * 2 - 1
    palette = torch.rand(count, card.palette, 4, device=device) if card.palette else None
    return Batch(picture=picture, palette=palette, truth=torch.rand(count, 3, side, side, device=device) * 2 - 1)


def measure(system: SystemName, arguments: argparse.Namespace, device: torch.device) -> float:
    """Print images per second of both, and return their ratio."""
    config = make_config(system, batch_size=arguments.batch_size)
    batch, textbook = make_batch(config, device), Textbook(config, device)
    state = make_state(config, device)
    if arguments.compile:
        compile_networks(state)
    layout = torch.channels_last  # as `BatchMaker` makes it
    picture, truth = (part.contiguous(memory_format=layout) for part in (batch.picture, batch.truth))
    same = Batch(picture, batch.palette, truth)
    ours = train(state, config, lambda step: same, 10**9, device)
    steps: dict[str, Callable[[], object]] = {"textbook": lambda: textbook.step(batch), "ours": lambda: next(ours)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(arguments.warm_up + arguments.rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(arguments.steps):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_ >= arguments.warm_up:
                times[name].append(time.perf_counter() - started)
    ours.close()
    speed = {name: config.batch_size * arguments.steps / statistics.median(seconds) for name, seconds in times.items()}
    ratio = speed["ours"] / speed["textbook"]
    critic = "no critic" if state.critic is None else "with critic"
    print(
        f"{system:14} width {config.width}, {critic}, {config.size}x{config.size}, batch {config.batch_size}:"
        f"  textbook {speed['textbook']:8.2f} images/s,  ours {speed['ours']:8.2f} images/s,  ratio {ratio:.2f}"
    )
    if system == "pix2pix":
        hours = SOURCE_SAMPLES / speed["ours"] / 3600
        print(f"{'':14} the source's recipe, {SOURCE_SAMPLES:,} samples, would take {hours:.2f} h at this speed")
    return ratio


def main() -> None:
    """Measure each system and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", action="append", choices=list(SYSTEMS), help="default: all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    parser.add_argument("--batch-size", type=int, help="default: 32 on CUDA, 8 on a CPU")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2, help="rounds that do not count")
    parser.add_argument("--steps", type=int, help="in a round; default: 20 on CUDA, 1 on a CPU")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    arguments.batch_size = arguments.batch_size or (32 if on_gpu else 8)
    arguments.steps = arguments.steps or (20 if on_gpu else 1)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print_machine()
    where = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    bf16 = pays_bf16(device)
    print(f"torch {torch.__version__}, {where}, bf16 {bf16}, compile {arguments.compile}\n")
    ratios = [measure(system, arguments, device) for system in arguments.system or SYSTEMS]
    if not on_gpu and not bf16:
        print("\nno bar for a CPU on which bf16 is no faster than float32")
        return
    bar = BARS[device.type]
    print(f"\nbar: {bar}")
    sys.exit(min(ratios) < bar)


if __name__ == "__main__":
    main()
