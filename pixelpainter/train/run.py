"""A run folder: start or continue, train, validate, save. The command line prints what this yields."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from pixelpainter.atomic import clean_leftovers
from pixelpainter.card import ModelCard
from pixelpainter.errors import TrainingError
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.cache import Cache
from pixelpainter.train.checkpoint import (
    Checkpoint,
    find_checkpoint,
    keep_newest,
    load_checkpoint,
    mark_best,
    save_checkpoint,
)
from pixelpainter.train.compiling import compile_networks, compile_where_it_pays
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.folder import BEST, has_checkpoints, only_run, sample_grid, write_errors
from pixelpainter.train.health import Health, memory_in_words
from pixelpainter.train.journal import Journal
from pixelpainter.train.loop import make_state, train
from pixelpainter.train.objectives import Batch
from pixelpainter.train.perceptual import load_features
from pixelpainter.train.processes import ALONE, Processes
from pixelpainter.train.sampling import Sampler
from pixelpainter.train.sources import mix_weights
from pixelpainter.train.start import start_from
from pixelpainter.train.validate import evenly, save_grid, validate

OPTIONS_FREE = ("--keep ", "--checkpoint-every ")  # may change while a run goes on: they decide nothing it learns
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
        init: checkpoint, run folder or exported model whose networks to start from, or None.
        processes: those that train together; each makes its part of every batch, the first writes the files.
        compiled: translate the networks with torch.compile; None = where that pays and works.

    Raises:
        TrainingError: the folder holds a run of another configuration or of other data, or cannot be written.
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
        processes: Processes = ALONE,
        compiled: bool | None = None,
    ) -> None:
        self.config, self.folder, self.device = config, folder, device
        self.processes = processes
        self.manifest = training.manifest
        self.validation_manifest = "" if validation is None else validation.manifest
        self.card: ModelCard = dataclasses.replace(SYSTEMS[config.system].card, size=config.size)
        config.check_size()
        if config.batch_size % processes.count:
            raise TrainingError(f"--batch-size {config.batch_size} cannot be shared by {processes.count} processes")
        if config.lambda_perceptual:
            load_features(device)
        count = len(training.names)
        weights = mix_weights(training.names, training.sources, config.mix) if config.mix else None
        self._sampler = Sampler(count, weights, config.batch_size, config.seed)
        self._batches = BatchMaker(training, self.card, config, device)
        self._validation = None if validation is None else BatchMaker(validation, self.card, config, device)
        self._validation_pictures = evenly(0 if validation is None else len(validation.names), VALIDATION_PICTURES)
        samples = config.samples or config.epochs * count
        self.total_steps = max(samples // config.batch_size, 1)
        steps_between = min(config.checkpoint_every * count / config.batch_size, self.total_steps)
        self._steps_between = max(round(steps_between), 1)
        self._command = command
        self._earlier_samples = 0
        self._best: float | None = None  # score of the best checkpoint, once one was looked for
        self.stop_requested = False  # set by a signal handler: the run saves after the step under way, and ends
        self.on_step: Callable[[int], object] = lambda step: None  # called with the steps done, after each of them
        self.messages: list[str] = []
        with memory_in_words(config):
            self.state = make_state(config, device, processes)
        self._continue_or_start(init)
        if processes.rank == 0:
            with write_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                clean_leftovers([folder])
        if compiled is None:
            left = self.total_steps - self.state.step
            self.messages += compile_where_it_pays(self.state, config, self._make_batch, left, device, processes.count)
        elif compiled:
            compile_networks(self.state)

    def _continue_or_start(self, init: Path | None) -> None:
        if has_checkpoints(self.folder):
            stored, messages = find_checkpoint(self.folder)
            self.messages += messages
            different = [each for each in self.config.differences(stored.config) if not each.startswith(OPTIONS_FREE)]
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
            if stored.validation and stored.validation != self.validation_manifest:
                self.messages.append(f"validates on other pictures than before: {BEST} is chosen anew")
        elif init is not None:
            start = start_from(init, self.state, self.config, self._batch_of_all)
            self.messages += start.messages
            self._earlier_samples = start.samples
            self._command = f"{start.command} && {self._command}"

    def __iter__(self) -> Iterator[Progress]:
        """Train to the end, or until ``stop_requested``; saves at checkpoints and before it ends.

        Raises:
            TrainingError: a loss is no longer a number, the critic has collapsed, memory is not enough, or the run
                folder cannot be written.
        """
        alone = only_run(self.folder) if self.processes.rank == 0 else contextlib.nullcontext()
        with write_errors(self.folder), memory_in_words(self.config), alone:
            yield from self._train()

    def _train(self) -> Iterator[Progress]:
        journal, health = Journal(self.folder, self.state.step), Health()
        done, since, sums = self.state.step, time.monotonic(), dict[str, torch.Tensor]()
        records = train(self.state, self.config, self._make_batch, self.total_steps, self.device, self.processes)
        with contextlib.closing(journal), contextlib.closing(records):
            for record in records:
                self.on_step(record.step)
                for name, value in record.terms.items():
                    sums[name] = sums[name] + value if name in sums else value
                stopping = self.processes.any(self.stop_requested) or record.step == self.total_steps
                due = stopping or record.step % self._steps_between == 0
                if record.step % LOG_EVERY and not due:
                    continue
                steps, seconds = record.step - done, time.monotonic() - since
                losses = self.processes.mean({name: float(value) / steps for name, value in sums.items()})
                health.check(losses, record.step)
                images_per_s = steps * self.config.batch_size / max(seconds, 1e-9)
                progress = Progress(record.step, self.total_steps, losses, images_per_s)
                if self.processes.rank == 0:
                    # Written down before the checkpoint: what a kill separates from it comes again, and is struck out.
                    journal.write("losses", record.step, {**losses, "images_per_s": images_per_s})
                    if due:
                        figures = self.measure()
                        journal.write("metrics", record.step, figures)
                        if figures:
                            journal.show("samples", record.step, sample_grid(self.folder, record.step))
                        progress = dataclasses.replace(progress, checkpoint=self.save(figures), metrics=figures)
                if due:
                    self.processes.wait()
                yield progress
                if stopping:
                    return
                done, since, sums = record.step, time.monotonic(), {}

    def _batch_of_all(self, step: int) -> Batch:
        """The batch of a step that all processes share."""
        return self._batches.training(self._sampler(step), step)

    def _make_batch(self, step: int) -> Batch:
        """The part of a step's batch that falls to this process."""
        rank = self.processes.rank
        return self._batches.training(self._sampler(step)[rank :: self.processes.count], step, rank)

    def _best_score(self) -> float:
        """Score of ``best.pt``; minus infinity without a readable one that was measured on the same pictures."""
        try:
            best = load_checkpoint(self.folder / BEST)
        except TrainingError:
            return -math.inf
        same = best.validation in ("", self.validation_manifest)
        return score(best.metrics) if same and best.metrics else -math.inf

    def best_in_words(self) -> str:
        """Say in a sentence which checkpoint is the best one, and what at; nothing where none was measured."""
        try:
            best = load_checkpoint(self.folder / BEST)
        except TrainingError:
            return ""
        decibels = f"{score(best.metrics):.2f} dB PSNR inside the figure, mean of all ways of asking"
        return f"{BEST} is step {best.step} with {decibels}. "

    def measure(self) -> dict[str, float]:
        """Validate and write a sample grid; return the figures, none where there is nothing to validate on."""
        self.state.check_numbers()
        if self._validation is None:
            return {}
        generator, grid = self.state.inference_generator, sample_grid(self.folder, self.state.step)
        # Batches of other sizes than in training are not worth compiling for.
        with torch.compiler.set_stance("force_eager"):
            figures = validate(generator, self._validation, self.card, self._validation_pictures)
            save_grid(generator, self._validation, self.card, self._validation_pictures, grid)
        return figures

    def save(self, figures: dict[str, float]) -> Path:
        """Write a checkpoint, name the best one, drop old ones; return the file."""
        checkpoint = Checkpoint(
            config=self.config,
            manifest=self.manifest,
            validation=self.validation_manifest,
            command=self._command,
            step=self.state.step,
            samples=self._earlier_samples + self.state.step * self.config.batch_size,
            metrics=figures,
            states=self.state.state_dicts(),
        )
        path = save_checkpoint(checkpoint, self.folder)
        if self._best is None:
            self._best = self._best_score()
        if figures and score(figures) > self._best:
            self._best = score(figures)
            mark_best(path)
        keep_newest(self.folder, self.config.keep, self.state.step)
        return path


def score(figures: dict[str, float]) -> float:
    """Return what the best checkpoint is best at: mean PSNR inside the figure over the ways of asking, in dB."""
    return fmean(
        value for name, value in figures.items() if name.startswith("psnr_") and not name.startswith("psnr_baseline_")
    )
