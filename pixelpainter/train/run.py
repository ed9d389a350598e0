"""A run folder: start or continue, train, validate, save. The command line prints what this yields."""

from __future__ import annotations

import csv
import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from pixelpainter.card import ModelCard
from pixelpainter.errors import MissingExtraError, TrainingError
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import BatchMaker, Sampler
from pixelpainter.train.cache import Cache
from pixelpainter.train.checkpoint import (
    BEST,
    Checkpoint,
    find_checkpoint,
    keep_newest,
    load_checkpoint,
    mark_best,
    save_checkpoint,
)
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.loop import State, make_state, train
from pixelpainter.train.sources import mix_weights
from pixelpainter.train.validate import evenly, save_grid, validate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_EVERY = 20  # steps between log lines: reading losses waits for the device
VALIDATION_PICTURES = 64  # a sample of the validation set at each checkpoint, so that measuring stays short


@dataclass(frozen=True)
class Progress:
    """What a run reports.

    Attributes:
        step: steps done.
        total_steps: steps of the whole run.
        losses: mean of each loss term since the last report, by name.
        images_per_s: since the last report.
        checkpoint: the file just written, or None.
        metrics: validation figures, where a checkpoint was written.
    """

    step: int
    total_steps: int
    losses: dict[str, float]
    images_per_s: float
    checkpoint: Path | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


class Run:
    """One training run in its folder.

    Args:
        config: what to learn.
        folder: where checkpoints, logs and sample grids go.
        training: cache of the training pictures.
        validation: cache of the validation pictures, or None.
        device: where to train.
        command: the command line, for the record.
        init: checkpoint or run folder whose networks to start from, or None.

    Raises:
        TrainingError: the folder holds a run of another configuration or of other data.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        training: Cache,
        validation: Cache | None,
        device: torch.device,
        command: str,
        init: Path | None = None,
    ) -> None:
        self.config, self.folder, self.device = config, folder, device
        self.manifest = training.manifest
        self.card: ModelCard = dataclasses.replace(SYSTEMS[config.system].card, size=config.size)
        if config.size % self.card.multiple_of:
            raise TrainingError(f"--size {config.size}: {config.system} works at multiples of {self.card.multiple_of}")
        count = len(training.names)
        weights = mix_weights(training.names, training.sources, config.mix) if config.mix else None
        self._sampler = Sampler(count, weights, config.batch_size, config.seed)
        self._batches = BatchMaker(training, self.card, config, device)
        self._validation = None if validation is None else BatchMaker(validation, self.card, config, device)
        self._validation_pictures = evenly(0 if validation is None else len(validation.names), VALIDATION_PICTURES)
        samples = config.samples or config.epochs * count
        self.total_steps = max(samples // config.batch_size, 1)
        self._steps_between = max(round(config.checkpoint_every * count / config.batch_size), 1)
        self._command = command
        self._earlier_samples = 0
        self.stop_requested = False  # set by a signal handler: the run saves after the step under way, and ends
        self.messages: list[str] = []
        self.state = make_state(config, device)
        self._continue_or_start(init)

    def _continue_or_start(self, init: Path | None) -> None:
        if any(self.folder.glob("step_*.pt")):
            stored, messages = find_checkpoint(self.folder)
            self.messages += messages
            different = self.config.differences(stored.config)
            if stored.manifest != self.manifest:
                different.append("the training pictures")
            if different:
                raise TrainingError(
                    f"{self.folder} holds a run that differs in: {', '.join(different)}; "
                    "repeat its options to continue it, or use --fresh or another --run"
                )
            self.state.load(stored.states, stored.step)
            self._command = stored.command
            self._earlier_samples = stored.samples - stored.step * self.config.batch_size
            self.messages.append(f"continues {self.folder} at step {stored.step} of {self.total_steps}")
        elif init is not None:
            start, messages = find_checkpoint(init)
            self.messages += messages
            load_networks(self.state, start, init)
            self._earlier_samples = start.samples
            self._command = f"{start.command} && {self._command}"
            self.messages.append(f"starts from {init}, step {start.step}")

    def __iter__(self) -> Iterator[Progress]:
        """Train to the end, or until ``stop_requested``; saves at checkpoints and before it ends.

        Raises:
            TrainingError: a loss is no longer a number, or the run folder cannot be written.
        """
        try:
            yield from self._train()
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(
                f"{self.folder}: cannot be written ({reason}); free space or choose another --run"
            ) from error

    def _train(self) -> Iterator[Progress]:
        writer = _summary_writer(self.folder)
        done, since, sums = self.state.step, time.monotonic(), dict[str, torch.Tensor]()
        try:
            for record in train(self.state, self.config, self._make_batch, self.total_steps, self.device):
                for name, value in record.terms.items():
                    sums[name] = sums[name] + value if name in sums else value
                stopping = self.stop_requested or record.step == self.total_steps
                due = stopping or record.step % self._steps_between == 0
                if record.step % LOG_EVERY and not due:
                    continue
                steps, seconds = record.step - done, time.monotonic() - since
                losses = {name: float(value) / steps for name, value in sums.items()}
                _check_finite(losses, record.step)
                progress = Progress(
                    record.step, self.total_steps, losses, steps * self.config.batch_size / max(seconds, 1e-9)
                )
                if due:
                    path, figures = self.save()
                    progress = dataclasses.replace(progress, checkpoint=path, metrics=figures)
                _log(self.folder, writer, progress)
                yield progress
                if stopping:
                    return
                done, since, sums = record.step, time.monotonic(), {}
        finally:
            writer.close()

    def _make_batch(self, step: int) -> Any:
        return self._batches.training(self._sampler(step), step)

    def _best_score(self) -> float:
        """Score of ``best.pt``; minus infinity without a readable one."""
        try:
            return score(load_checkpoint(self.folder / BEST).metrics)
        except TrainingError:
            return -math.inf

    def save(self) -> tuple[Path, dict[str, float]]:
        """Validate, write a checkpoint and a sample grid, drop old checkpoints; return the file and the figures."""
        figures: dict[str, float] = {}
        generator = self.state.inference_generator
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._validation is not None:
            figures = validate(generator, self._validation, self.card, self._validation_pictures)
            grid = self.folder / f"samples_{self.state.step:08d}.png"
            save_grid(generator, self._validation, self.card, self._validation_pictures, grid)
        checkpoint = Checkpoint(
            config=self.config,
            manifest=self.manifest,
            command=self._command,
            step=self.state.step,
            samples=self._earlier_samples + self.state.step * self.config.batch_size,
            metrics=figures,
            states=self.state.state_dicts(),
        )
        path = save_checkpoint(checkpoint, self.folder)
        if figures and score(figures) > self._best_score():
            mark_best(path)
        keep_newest(self.folder, self.config.keep)
        return path, figures


def score(figures: dict[str, float]) -> float:
    """Return what the best checkpoint is best at: mean PSNR inside the figure over the ways of asking, in dB."""
    return fmean(
        value for name, value in figures.items() if name.startswith("psnr_") and not name.startswith("psnr_baseline_")
    )


def load_networks(state: State, start: Checkpoint, name: Path) -> None:
    """Start from the networks of a checkpoint; optimizers stay fresh. Raises TrainingError if they do not fit."""
    try:
        state.generator.load_state_dict(start.inference_weights)
        critic = start.states.get("critic")
        if state.critic is not None and critic is not None:
            state.critic.load_state_dict(critic)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"--init {name}: its networks do not fit this system and width ({reason})") from error


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


def _check_finite(losses: dict[str, float], step: int) -> None:
    broken = [name for name, value in losses.items() if value != value or abs(value) == float("inf")]
    if broken:
        raise TrainingError(
            f"loss {', '.join(broken)} is no longer a number at step {step}; "
            "start again with a lower --learning-rate, from the last checkpoint with --init and another --run"
        )


def _summary_writer(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("train", "train", "tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"))


def _log(folder: Path, writer: SummaryWriter, progress: Progress) -> None:
    """Append to losses.csv, metrics.csv and TensorBoard."""
    rows = {"losses.csv": {**progress.losses, "images_per_s": progress.images_per_s}, "metrics.csv": progress.metrics}
    for file, values in rows.items():
        if not values:
            continue
        path = folder / file
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            if new:
                table.writerow(["step", *values])
            table.writerow([progress.step, *(f"{value:.6g}" for value in values.values())])
        for name, value in values.items():
            writer.add_scalar(f"{file.removesuffix('.csv')}/{name}", value, progress.step)
