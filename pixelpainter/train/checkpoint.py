"""Checkpoints: everything a run needs to go on, in one file that is either whole or absent."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pixelpainter.atomic import new_file
from pixelpainter.errors import TrainingError, first_line
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.folder import BEST, checkpoint_file, checkpoints

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A stored moment of a run.

    Attributes:
        config: the run's configuration.
        manifest: SHA-256 of the training pictures' names and contents.
        validation: the same of the validation pictures; empty without them, or where it is not known.
        command: the command line that made it.
        step: steps done.
        samples: training samples seen by these weights, earlier runs they started from included.
        metrics: validation figures by name.
        states: state dicts by name: generator, ema, critic, generator_optimizer, critic_optimizer, scaler (None where
            unused).
    """

    config: TrainConfig
    manifest: str
    command: str
    step: int
    samples: int
    metrics: dict[str, float]
    states: dict[str, dict[str, Any] | None]
    validation: str = ""

    @property
    def inference_weights(self) -> dict[str, Any]:
        """The averaged weights where the run keeps them, else the generator's."""
        weights = self.states["ema"] or self.states["generator"]
        assert weights is not None
        return weights


def save_checkpoint(checkpoint: Checkpoint, run: Path) -> Path:
    """Write ``run/step_NNNNNNNN.pt`` atomically and return its path. Raises TrainingError when it cannot be written."""
    record = {
        "pixelpainter_checkpoint": FORMAT,
        "config": checkpoint.config.to_json(),
        "manifest": checkpoint.manifest,
        "validation": checkpoint.validation,
        "command": checkpoint.command,
        "step": checkpoint.step,
        "samples": checkpoint.samples,
        "metrics": dict(checkpoint.metrics),
        "states": checkpoint.states,
    }
    path = checkpoint_file(run, checkpoint.step)
    try:
        run.mkdir(parents=True, exist_ok=True)
        with new_file(path, overwrite=True) as file:
            torch.save(record, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainingError(
            f"{path}: cannot write the checkpoint ({error}); free space or choose another --run"
        ) from error
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Raises TrainingError for a missing, torn or foreign file."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch looks at no checksums
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{damaged} in it is damaged")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign files, which are refused below
            record = torch.load(path, map_location="cpu", weights_only=True)
        if record["pixelpainter_checkpoint"] != FORMAT:
            raise TrainingError(
                f"{path}: checkpoint format {record['pixelpainter_checkpoint']}, this program reads {FORMAT}"
            )
        return Checkpoint(
            config=TrainConfig.from_json(record["config"]),
            manifest=record["manifest"],
            validation=record.get("validation", ""),
            command=record["command"],
            step=record["step"],
            samples=record["samples"],
            metrics=record["metrics"],
            states=record["states"],
        )
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such checkpoint") from error
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise TrainingError(f"{path}: not a readable checkpoint, torn or foreign ({first_line(error)})") from error
    except TrainingError:
        raise
    except Exception as error:  # torch says what it finds in files of others in many ways
        raise TrainingError(f"{path}: not a checkpoint of PixelPainter ({type(error).__name__})") from error


def find_checkpoint(path: Path) -> tuple[Checkpoint, list[str]]:
    """Load a checkpoint file, or the newest readable one of a run folder; the best one where no other can be read.

    Returns:
        The checkpoint, and a message for each newer file that could not be read.

    Raises:
        TrainingError: there is none that can be read.
    """
    if not path.is_dir():
        return load_checkpoint(path), []
    messages: list[str] = []
    best = path / BEST
    for file in [*reversed(checkpoints(path)), *([best] if best.exists() else [])]:
        try:
            return load_checkpoint(file), messages
        except TrainingError as error:
            messages.append(f"{error}; trying another")
    advice = "train anew with --fresh" if messages else "name that of a run"
    raise TrainingError("; ".join([*messages, f"{path}: no readable checkpoint in this folder; {advice}"]))


def mark_best(path: Path) -> None:
    """Make ``best.pt`` beside a checkpoint another name of it, atomically."""
    temporary = path.with_name(f".{BEST}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, temporary)
    temporary.replace(path.with_name(BEST))


def keep_newest(run: Path, count: int, step: int) -> None:
    """Delete all but the newest ``count`` checkpoints of a run up to a step; what claims to be later is not its own."""
    own = [path for path in checkpoints(run) if path <= checkpoint_file(run, step)]
    for path in own[:-count]:
        path.unlink(missing_ok=True)
