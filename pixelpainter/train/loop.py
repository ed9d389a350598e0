"""The training loop: one step of generator and critic, and the state it moves."""

from __future__ import annotations

import copy
import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pixelpainter.errors import TrainingError
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.fast import number_format
from pixelpainter.train.objectives import Batch, Objective
from pixelpainter.train.processes import ALONE, Processes
from pixelpainter.train.sampling import step_generator

AHEAD = 2  # batches made while the GPU trains, each by a thread of its own


@dataclass
class State:
    """What a run changes: networks, their averages, optimizers, the scale of float16 losses, and the steps done."""

    generator: nn.Module
    ema: nn.Module | None
    critic: nn.Module | None
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer | None
    scaler: torch.amp.GradScaler | None = None
    step: int = 0

    @property
    def inference_generator(self) -> nn.Module:
        """The averaged generator where one is kept, else the generator itself."""
        return self.generator if self.ema is None else self.ema

    def parts(self) -> dict[str, Any]:
        """The parts that have a state dict, by name; None where the run has none."""
        return {
            "generator": self.generator,
            "ema": self.ema,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
            "scaler": self.scaler,
        }

    def state_dicts(self) -> dict[str, dict[str, Any] | None]:
        """Return every part's state dict by name."""
        return {name: None if part is None else part.state_dict() for name, part in self.parts().items()}

    def check_numbers(self) -> None:
        """Raise TrainingError if a weight is no longer a number: such networks are not worth keeping."""
        for name in ("generator", "critic"):
            network = getattr(self, name)
            if network is not None and not all(bool(value.isfinite().all()) for value in network.parameters()):
                raise TrainingError(
                    f"a weight of the {name} is no longer a number at step {self.step}; "
                    "start again in another --run with a lower --learning-rate; "
                    "--init takes the networks of an earlier checkpoint, if there is one"
                )

    def load(self, states: dict[str, dict[str, Any] | None], step: int) -> None:
        """Continue from stored state dicts. Raises TrainingError when they are of other networks."""
        for name, part in self.parts().items():
            stored = states.get(name)
            if part is None or (name == "scaler" and not stored):  # it was trained elsewhere, in other numbers
                continue
            if stored is None:
                raise TrainingError(f"the checkpoint holds no {name}; start over with --fresh")
            try:
                part.load_state_dict(stored)
            except (RuntimeError, ValueError) as error:
                reason = str(error).partition("\n")[0]
                raise TrainingError(f"the checkpoint's {name} does not fit ({reason}); use --fresh") from error
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


def make_state(config: TrainConfig, device: torch.device, processes: Processes = ALONE) -> State:
    """Return fresh networks and optimizers for a configuration, weights decided by its seed alone."""
    system = SYSTEMS[config.system]
    torch.manual_seed(config.seed)

    def place(module: nn.Module) -> nn.Module:
        if processes.count > 1 and device.type == "cuda":  # on a CPU there is none; each process norms by its part
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        betas = (config.beta1, config.beta2)
        return torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=betas, fused=True)

    generator = place(system.make_generator(config))
    critic = place(system.make_critic(config)) if system.make_objective(config).uses_critic else None
    return State(
        generator=generator,
        ema=copy.deepcopy(generator).requires_grad_(False) if config.ema else None,
        critic=critic,
        generator_optimizer=optimizer(generator),
        critic_optimizer=None if critic is None else optimizer(critic),
        scaler=torch.amp.GradScaler(device.type) if number_format(device) == torch.float16 else None,
    )


def average_weight(decay: float, step: int) -> float:
    """Return the weight with which the averaged weights take in those after a step, counted from 0.

    After n steps the decay is min(decay, (1 + n) / (10 + n)), so that an average of a short run is not mostly made of
    the untrained weights it started from; the first step is copied.
    """
    return max(9 / (10 + step), 1 - decay) if step else 1.0


@torch.no_grad()
def _follow(average: nn.Module, current: nn.Module, weight: float) -> None:
    """Move averaged weights and running statistics towards the current ones."""
    pairs = itertools.chain(
        zip(average.parameters(), current.parameters(), strict=True),
        zip(average.buffers(), current.buffers(), strict=True),
    )
    floats = []
    for mine, theirs in pairs:
        if mine.is_floating_point():
            floats.append((mine, theirs))
        else:
            mine.copy_(theirs)
    torch._foreach_lerp_([mine for mine, _ in floats], [theirs for _, theirs in floats], weight)


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of a step.

    Constant; or half a cosine that falls to zero at ``total_steps``; or linear, as in the code of the pix2pix authors:
    constant for the first half, then straight down to zero.
    """
    done = min(step / total_steps, 1.0)
    share = {"constant": 1.0, "linear": min(2 - 2 * done, 1.0), "cosine": 0.5 * (1 + math.cos(math.pi * done))}
    return config.learning_rate * share[config.schedule]


def train(
    state: State,
    config: TrainConfig,
    make_batch: Callable[[int], Batch],
    total_steps: int,
    device: torch.device,
    processes: Processes = ALONE,
) -> Generator[Record, None, None]:
    """Train from ``state.step`` to ``total_steps``, yielding a record after each step.

    Args:
        state: changed in place; may be saved whenever a record has been yielded.
        config: rates and losses.
        make_batch: step number to batch, on the device; must depend on nothing but the number. On a GPU it is called
            from other threads, some steps ahead.
        total_steps: steps of the whole run, those already done included.
        device: of the networks.
        processes: those that share each step; every one makes its part of the batch.
    """
    objective = SYSTEMS[config.system].make_objective(config)
    numbers = number_format(device)
    autocast = partial(torch.autocast, device.type, numbers, enabled=numbers != torch.float32)
    engines = _engines(state, device, processes)
    purpose = f"dropout of {processes.rank}" if processes.rank else "dropout"
    for batch in _ahead(make_batch, range(state.step, total_steps), device):
        # Dropout draws from the global generator: seeded per step, so that a resumed run repeats it.
        torch.manual_seed(step_generator(config.seed, state.step, purpose).initial_seed())
        rate = learning_rate(config, state.step, total_steps)
        terms = _step(state, engines, objective, batch, rate, autocast)
        if state.ema is not None:
            _follow(state.ema, state.generator, average_weight(config.ema, state.step))
        state.step += 1
        yield Record(state.step, terms)


@dataclass(frozen=True)
class _Engines:
    """What runs a state's networks where their own weights learn: themselves, or torch's engine around them."""

    generator: nn.Module
    critic: nn.Module | None


def _engines(state: State, device: torch.device, processes: Processes) -> _Engines:
    def engine(module: nn.Module) -> nn.Module:
        if processes.count == 1:
            return module
        # Sending buffers around would change them between the critic's two forward passes of one backward pass.
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)

    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all batches have one shape: worth trying which kernel is fastest
    return _Engines(engine(state.generator), None if state.critic is None else engine(state.critic))


def _ahead(make_batch: Callable[[int], Batch], steps: range, device: torch.device) -> Iterator[Batch]:
    """Yield the batch of each step; on a GPU the next ones are made meanwhile, in threads and streams of their own."""
    if device.type != "cuda":
        yield from map(make_batch, steps)
        return

    # Of high priority: small kernels that fill the gaps of the training's large ones, instead of queueing behind them.
    streams = [torch.cuda.Stream(device, priority=-1) for _ in range(AHEAD)]

    def make(step: int) -> tuple[Batch, torch.cuda.Event]:
        stream = streams[step % AHEAD]
        with torch.cuda.stream(stream):  # its copies wait for what is on this stream, not for the training
            return make_batch(step), stream.record_event()

    with ThreadPoolExecutor(AHEAD) as threads:
        coming = deque(threads.submit(make, step) for step in steps[:AHEAD])
        for step in steps:
            batch, ready = coming.popleft().result()
            if step + AHEAD in steps:
                coming.append(threads.submit(make, step + AHEAD))
            training = torch.cuda.current_stream(device)
            training.wait_event(ready)
            for tensor in (*batch.inputs, batch.truth):
                tensor.record_stream(training)  # its memory is not given away before the training is done with it
            yield batch


def _step(
    state: State,
    engines: _Engines,
    objective: Objective,
    batch: Batch,
    rate: float,
    autocast: Callable[[], torch.autocast],
) -> dict[str, Tensor]:
    """Update critic and generator once; the generator runs forward once for both.

    Each network runs in an autocast block of its own: leaving it drops the cached weights in bf16 or float16, which are
    stale after an update.
    """
    engines.generator.train()
    with autocast():
        fake = engines.generator(*batch.inputs).float()
    terms: dict[str, Tensor] = {}
    if engines.critic is not None and state.critic is not None and state.critic_optimizer is not None:
        engines.critic.train()
        with autocast():
            critic_terms = objective.critic_terms(fake.detach(), batch, engines.critic)
        _update(state.critic_optimizer, critic_terms, rate, state.scaler)
        terms |= {f"critic_{name}": value.detach() for name, value in critic_terms.items()}
        state.critic.requires_grad_(False)  # spares the critic's weight gradients in the generator's backward pass
    with autocast():
        generator_terms = objective.generator_terms(fake, batch, state.critic)
    _update(state.generator_optimizer, generator_terms, rate, state.scaler)
    if state.scaler is not None:
        state.scaler.update()
    if state.critic is not None:
        state.critic.requires_grad_(True)
    return terms | {name: value.detach() for name, value in generator_terms.items()}


def _update(
    optimizer: torch.optim.Optimizer, terms: dict[str, Tensor], rate: float, scaler: torch.amp.GradScaler | None
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = torch.stack(list(terms.values())).sum()
    if scaler is None:
        loss.backward()
        optimizer.step()
    else:  # small gradients would vanish in float16; a step whose gradients overflow is left out
        scaler.scale(loss).backward()
        scaler.step(optimizer)
