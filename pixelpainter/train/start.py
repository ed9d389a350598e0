"""Where trained networks come from: the checkpoints of a run, or an exported model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pixelpainter.errors import ModelError, TrainingError, first_line
from pixelpainter.hub import find_model
from pixelpainter.models import local_path
from pixelpainter.nets.restore import read_export, restore, settle_norms
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.checkpoint import Checkpoint, find_checkpoint
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.loop import State
from pixelpainter.train.objectives import Batch

OF_GENERATORS = ("--system ", "--width ", "--attention ")  # options that decide what network it is
SETTLING_BATCHES = 16  # to measure what the norms of an exported model are fed


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a new run goes on from.

    Attributes:
        samples: training samples that the networks have seen.
        command: that made them.
        messages: what to tell the user.
    """

    samples: int
    command: str
    messages: list[str]


def find_origin(name: str) -> Path:
    """Return what a name stands for: a run folder, a checkpoint, or an exported model, downloaded if need be.

    Raises:
        TrainingError: there is no such thing, or it cannot be downloaded.
    """
    path = local_path(name)
    if path.exists() and path.suffix != ".onnx":
        return path
    try:
        return find_model(name)
    except ModelError as error:
        raise TrainingError(f"--init: there is no such run or checkpoint, and no such model: {error}") from error


def start_from(origin: Path, state: State, config: TrainConfig, make_batch: Callable[[int], Batch]) -> Start:
    """Give fresh networks the weights of trained ones; optimizers stay fresh.

    Args:
        origin: run folder, checkpoint, or exported model (.onnx); the last has no critic.
        state: whose networks are changed.
        config: of the new run.
        make_batch: step number to batch of the new run, on the device.

    Raises:
        TrainingError: there are no readable networks, or they do not fit this system and width.
        ModelError: the exported model cannot be read.
    """
    if origin.suffix == ".onnx":
        return _start_from_export(origin, state, config, make_batch)
    stored, messages = find_checkpoint(origin)
    try:
        state.generator.load_state_dict(stored.inference_weights)
    except RuntimeError as error:
        other = [each for each in config.differences(stored.config) if each.startswith(OF_GENERATORS)]
        raise _misfit(origin, ", ".join(other) or first_line(error)) from error
    message = f"starts from {origin}, step {stored.step}"
    critic = stored.states.get("critic")
    if state.critic is not None and critic is not None:
        if _shapes(critic) == _shapes(state.critic.state_dict()):
            state.critic.load_state_dict(critic)
        else:
            message += ", with a new critic: its own is another network"
    return Start(samples=stored.samples, command=stored.command, messages=[*messages, message])


def _shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}


def _start_from_export(file: Path, state: State, config: TrainConfig, make_batch: Callable[[int], Batch]) -> Start:
    card, weights = read_export(file)
    if card.system != config.system:
        raise TrainingError(f"--init {file}: this is a model of {card.system}; add --system {card.system}")
    generator = SYSTEMS[config.system].make_generator(config)
    try:
        restore(generator, weights)
    except ValueError as error:
        raise _misfit(file, f"{error}; give the --width and --attention that it was trained with") from error
    generator.to(next(state.generator.parameters()).device)

    def forward() -> None:
        for step in range(SETTLING_BATCHES):
            generator(*make_batch(step).inputs)

    settle_norms(generator, forward)
    state.generator.load_state_dict(generator.state_dict())
    return Start(samples=card.samples_seen, command=card.command, messages=[f"starts from {file}"])


def _misfit(origin: Path, reason: str) -> TrainingError:
    return TrainingError(f"--init {origin}: its network is another one than this run's ({reason})")


def load_generator(path: Path) -> tuple[torch.nn.Module, Checkpoint, list[str]]:
    """Return the generator of a checkpoint or run folder in eval mode, averaged weights where kept.

    Returns:
        The generator, its checkpoint, and a message for each newer checkpoint that could not be read.

    Raises:
        TrainingError: there is no readable checkpoint, or its weights are of another network.
    """
    checkpoint, messages = find_checkpoint(path)
    generator = SYSTEMS[checkpoint.config.system].make_generator(checkpoint.config)
    try:
        generator.load_state_dict(checkpoint.inference_weights)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"{path}: the weights do not fit their network ({reason})") from error
    return generator.eval(), checkpoint, messages
