"""The training loop: one step of generator and critic, and the state it moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pixelpainter.errors import TrainingError
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import step_generator
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.objectives import Batch, Objective

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass
class State:
    """What a run changes: networks, their averages, optimizers, and the number of steps done."""

    generator: nn.Module
    ema: AveragedModel | None
    critic: nn.Module | None
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer | None
    step: int = 0

    @property
    def inference_generator(self) -> nn.Module:
        """The averaged generator where one is kept, else the generator itself."""
        return self.generator if self.ema is None else self.ema.module

    def parts(self) -> dict[str, Any]:
        """The parts that have a state dict, by name; None where the run has none."""
        return {
            "generator": self.generator,
            "ema": self.ema.module if self.ema is not None else None,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
        }

    def state_dicts(self) -> dict[str, dict[str, Any] | None]:
        """Return every part's state dict by name."""
        return {name: None if part is None else part.state_dict() for name, part in self.parts().items()}

    def load(self, states: dict[str, dict[str, Any] | None], step: int) -> None:
        """Continue from stored state dicts. Raises TrainingError when they are of other networks."""
        for name, part in self.parts().items():
            stored = states.get(name)
            if part is None:
                continue
            if stored is None:
                raise TrainingError(f"the checkpoint holds no {name}; start over with --fresh")
            try:
                part.load_state_dict(stored)
            except (RuntimeError, ValueError) as error:
                reason = str(error).partition("\n")[0]
                raise TrainingError(f"the checkpoint's {name} does not fit ({reason}); use --fresh") from error
        if self.ema is not None:
            self.ema.n_averaged.fill_(step)  # 0 would make the next update a copy
        self.step = step


@dataclass(frozen=True)
class Record:
    """Log record of one step.

    Attributes:
        step: steps done, this one included.
        terms: loss terms by name, scalar tensors on the training device: reading one waits for the device.
    """

    step: int
    terms: dict[str, Tensor]


def make_state(config: TrainConfig, device: torch.device) -> State:
    """Return fresh networks and optimizers for a configuration, weights decided by its seed alone."""
    system = SYSTEMS[config.system]
    torch.manual_seed(config.seed)

    def place(module: nn.Module) -> nn.Module:
        return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        betas = (config.beta1, config.beta2)
        return torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=betas, fused=True)

    generator = place(system.make_generator(config))
    critic = place(system.make_critic(config)) if system.make_objective(config).uses_critic else None
    ema = AveragedModel(generator, multi_avg_fn=ramped_average(config.ema), use_buffers=True)
    return State(
        generator=generator,
        ema=ema if config.ema else None,
        critic=critic,
        generator_optimizer=optimizer(generator),
        critic_optimizer=None if critic is None else optimizer(critic),
    )


def ramped_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the rule by which averaged weights follow the trained ones.

    After n steps the decay is min(decay, (1 + n) / (10 + n)), so that an average of a short run is not mostly made of
    the untrained weights it started from.
    """

    def update(averages: Tensors, currents: Tensors, count: Tensor | int) -> None:
        # Arithmetic on a tensor, where count is one: reading it would wait for the device.
        ramp = 9 / (10 + torch.as_tensor(count, dtype=torch.float32))
        weight = ramp.clamp(min=1 - decay)
        for average, current in zip(averages, currents, strict=True):
            if average.is_floating_point():
                average.lerp_(current, weight)
            else:
                average.copy_(current)

    return update


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of a step: constant, or half a cosine that falls to zero at ``total_steps``."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(step / total_steps, 1.0)))


def pays_bf16(device: torch.device) -> bool:
    """Return whether bf16 arithmetic is faster than float32 on the device."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def train(
    state: State,
    config: TrainConfig,
    make_batch: Callable[[int], Batch],
    total_steps: int,
    device: torch.device,
) -> Iterator[Record]:
    """Train from ``state.step`` to ``total_steps``, yielding a record after each step.

    Args:
        state: changed in place; may be saved whenever a record has been yielded.
        config: rates and losses.
        make_batch: step number to batch, on the device; must depend on nothing but the number.
        total_steps: steps of the whole run, those already done included.
        device: of the networks.
    """
    objective = SYSTEMS[config.system].make_objective(config)
    bf16 = pays_bf16(device)
    while state.step < total_steps:
        # Dropout draws from the global generator: seeded per step, so that a resumed run repeats it.
        torch.manual_seed(step_generator(config.seed, state.step, "dropout").initial_seed())
        rate = learning_rate(config, state.step, total_steps)
        batch = make_batch(state.step)
        terms = _step(state, objective, batch, rate, partial(torch.autocast, device.type, torch.bfloat16, enabled=bf16))
        state.step += 1
        yield Record(state.step, terms)


def _step(
    state: State, objective: Objective, batch: Batch, rate: float, autocast: Callable[[], torch.autocast]
) -> dict[str, Tensor]:
    """Update critic and generator once; the generator runs forward once for both.

    Each network runs in an autocast block of its own: leaving it drops the cached bf16 weights, which are stale after
    an update.
    """
    state.generator.train()
    with autocast():
        fake = state.generator(*batch.inputs).float()
    terms: dict[str, Tensor] = {}
    if state.critic is not None and state.critic_optimizer is not None:
        state.critic.train()
        with autocast():
            critic_terms = objective.critic_terms(fake.detach(), batch, state.critic)
        _update(state.critic_optimizer, critic_terms, rate)
        terms |= {f"critic_{name}": value.detach() for name, value in critic_terms.items()}
        state.critic.requires_grad_(False)  # spares the critic's weight gradients in the generator's backward pass
    with autocast():
        generator_terms = objective.generator_terms(fake, batch, state.critic)
    _update(state.generator_optimizer, generator_terms, rate)
    if state.critic is not None:
        state.critic.requires_grad_(True)
    if state.ema is not None:
        state.ema.update_parameters(state.generator)
    return terms | {name: value.detach() for name, value in generator_terms.items()}


def _update(optimizer: torch.optim.Optimizer, terms: dict[str, Tensor], rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()
