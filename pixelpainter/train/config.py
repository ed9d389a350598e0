"""TrainConfig: everything that decides what a run learns. Stored in each checkpoint; imports no torch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pixelpainter.card import SystemName
from pixelpainter.errors import TrainingError

SCALE_OF_JITTER = 286 / 256  # pix2pix (section 6.2): pictures are enlarged to 286 and cropped to 256 at random


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of a run; see `pixelpainter train --help` for what each does.

    Attributes:
        size: side of the training pictures in pixels.
        load_size: side at which pictures are cached; crops of a multiple of ``size`` are taken from it.
        samples: training samples in all; 0 = ``epochs`` times the number of pictures.
        checkpoint_every: epochs between checkpoints.
        line_jitter: share of drawings whose lines are roughened (width, strength, gaps, grain).
        zoom: share of batches that show the picture smaller on a white page, or a part of it larger.
        warp: share of samples turned, stretched and sheared a little.
        hue_jitter: share of samples with hints or palette whose hue and saturation are shifted, with all that tells.
        palette_dropout: share of samples without palette code.
        ema: decay per step of the averaged weights that validation and export use; 0 = none.
        mix: weight of each picture of a source, 1 where not named.
    """

    system: SystemName
    size: int = 256
    load_size: int = 0
    width: int = 64
    epochs: int = 35
    samples: int = 0
    batch_size: int = 32
    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    schedule: Literal["constant", "cosine"] = "constant"
    adversarial: Literal["none", "bce", "lsgan", "hinge"] = "bce"
    lambda_l1: float = 400.0
    lambda_chroma: float = 0.0
    lambda_gradient: float = 0.0
    lambda_gan: float = 1.0
    ema: float = 0.0
    checkpoint_every: float = 7.0
    keep: int = 3
    line_jitter: float = 0.5
    zoom: float = 0.0
    warp: float = 0.0
    hue_jitter: float = 0.5
    palette_dropout: float = 0.25
    seed: int = 0
    mix: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in load_size and check ranges. Raises TrainingError, which names the option."""
        if not self.load_size:
            object.__setattr__(self, "load_size", round(self.size * SCALE_OF_JITTER))
        positive = ("size", "width", "epochs", "batch_size", "learning_rate", "checkpoint_every", "keep")
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must be a number above 0")
        if not 0 <= self.ema < 1:
            raise TrainingError(f"--ema is {self.ema}, it must be at least 0 and below 1")
        for name in ("line_jitter", "zoom", "warp", "hue_jitter", "palette_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must lie between 0 and 1")
        for name in ("lambda_l1", "lambda_chroma", "lambda_gradient", "lambda_gan", "samples"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must be a number not below 0")
        if self.load_size < self.size:
            raise TrainingError(f"--load-size {self.load_size} is smaller than --size {self.size}")

    def to_json(self) -> str:
        """Return the configuration as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read what ``to_json`` wrote. Raises TypeError or ValueError for anything else."""
        return cls(**json.loads(text))

    def differences(self, other: TrainConfig) -> list[str]:
        """Return "option: mine, not theirs" for every field that differs."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{_option(name)} {mine[name]} (was {theirs[name]})" for name in mine if mine[name] != theirs[name]]


DEFAULTS: dict[SystemName, dict[str, Any]] = {
    "pix2pix": {},
    "pix2pix-hints": {
        "width": 32,
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "schedule": "cosine",
        "adversarial": "none",
        "lambda_l1": 1.0,
        "lambda_chroma": 1.0,
        "lambda_gradient": 0.5,
        "ema": 0.999,
        "zoom": 0.4,
        "warp": 0.5,
    },
}


def make_config(system: SystemName, **options: Any) -> TrainConfig:
    """Return the system's default configuration with every option that is not None laid over it."""
    given = {name: value for name, value in options.items() if value is not None}
    return TrainConfig(system=system, **{**DEFAULTS[system], **given})


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
