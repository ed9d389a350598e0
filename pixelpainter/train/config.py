"""TrainConfig: everything that decides what a run learns. Stored in each checkpoint; imports no torch."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pixelpainter.card import SystemName
from pixelpainter.errors import TrainingError

PresetName = Literal["pixelpainter", "sketch2paint", "mun", "bundled-128", "bundled-256", "character"]

LINE_STYLES = 4  # drawings of each picture in the cache
MAX_CRITICS = 3  # the fourth would see a picture of 128 pixels as 16, which is smaller than its patches allow
# What the networks halve: a training picture's side is a multiple of this.
MULTIPLE_OF: dict[SystemName, int] = {"pix2pix": 256, "pix2pix-hints": 128}
LARGEST_SIDE = 4096  # as large as a model card allows; a page of this size takes 84 MB in the cache
SEEDS = range(-(2**63), 2**63)  # those of torch
POSITIVE = ("size", "width", "batch_size", "learning_rate", "checkpoint_every", "keep")
BELOW_ONE = ("ema", "beta1", "beta2")
SHARES = ("line_jitter", "flip", "zoom", "warp", "hue_jitter", "palette_dropout")
NOT_NEGATIVE = (
    *("lambda_l1", "lambda_chroma", "lambda_gradient", "lambda_tv", "lambda_perceptual", "lambda_gan"),
    *("samples", "line_styles"),
)
SCALE_OF_JITTER = 286 / 256  # pix2pix (section 6.2): pictures are enlarged to 286 and cropped to 256 at random


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of a run; see `pixelpainter train --help` for what each does.

    Attributes:
        size: side of the training pictures in pixels.
        load_size: side at which pictures are cached; crops of a multiple of ``size`` are taken from it.
        epochs: times through the pictures; 0 where ``samples`` decides.
        samples: training samples in all; 0 = ``epochs`` times the number of pictures.
        checkpoint_every: epochs between checkpoints.
        attention: self-attention where the picture is 1/8 of its size.
        critics: critics in all, each after the first sees the picture half as large as the one before.
        line_jitter: share of drawings whose lines are roughened (width, strength, gaps, grain).
        line_styles: drawings of each picture to choose from, of those that the cache holds; 0 = all, 1 = the given
            drawing alone.
        flip: share of samples that are mirrored.
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
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    attention: bool = False
    adversarial: Literal["none", "bce", "lsgan", "hinge"] = "bce"
    critics: int = 1
    lambda_l1: float = 400.0
    lambda_chroma: float = 0.0
    lambda_gradient: float = 0.0
    lambda_tv: float = 0.0
    lambda_perceptual: float = 0.0
    lambda_gan: float = 1.0
    ema: float = 0.0
    checkpoint_every: float = 7.0
    keep: int = 3
    line_styles: int = 0
    line_jitter: float = 0.5
    flip: float = 0.5
    zoom: float = 0.0
    warp: float = 0.0
    hue_jitter: float = 0.5
    palette_dropout: float = 0.25
    seed: int = 0
    mix: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in load_size and check ranges. Raises TrainingError, which names the option."""
        if self.samples:
            object.__setattr__(self, "epochs", 0)  # it says nothing
        for name in POSITIVE if self.samples else (*POSITIVE, "epochs"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must be a number above 0")
        for name in BELOW_ONE:
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must be at least 0 and below 1")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must lie between 0 and 1")
        for name in NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainingError(f"{_option(name)} is {getattr(self, name)}, it must be a number not below 0")
        if not 1 <= self.critics <= MAX_CRITICS:
            raise TrainingError(f"--critics is {self.critics}, it must be a number from 1 to {MAX_CRITICS}")
        if self.line_styles > LINE_STYLES:
            raise TrainingError(f"--line-styles is {self.line_styles}, it must be a number from 0 to {LINE_STYLES}")
        if self.seed not in SEEDS:
            raise TrainingError(f"--seed is {self.seed}, it must be a number of 64 bits")
        if not self.load_size:
            object.__setattr__(self, "load_size", round(self.size * SCALE_OF_JITTER))
        if self.load_size < self.size:
            raise TrainingError(f"--load-size {self.load_size} is smaller than --size {self.size}")
        if self.load_size > LARGEST_SIDE:
            raise TrainingError(f"pictures are trained on at up to {LARGEST_SIDE} pixels, not at {self.load_size}")

    def check_size(self) -> None:
        """Raise TrainingError if the system's network cannot work at this size."""
        multiple = MULTIPLE_OF[self.system]
        if self.size % multiple:
            raise TrainingError(f"--size {self.size}: {self.system} works at multiples of {multiple}")

    def to_json(self) -> str:
        """Return the configuration as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read what ``to_json`` wrote. Raises TypeError or ValueError for anything else."""
        return cls(**json.loads(text))

    def to_options(self) -> list[str]:
        """Return the configuration as options of `pixelpainter train`, one in each string; they make the same again."""
        options = []
        unused = "epochs" if self.samples else "samples"
        for name, value in dataclasses.asdict(self).items():
            if name == unused:
                continue
            if name == "mix":
                options += [f"--mix {shlex.quote(f'{source}={weight}')}" for source, weight in value.items()]
            elif isinstance(value, bool):
                options.append(_option(name) if value else _option(f"no_{name}"))
            else:
                options.append(f"{_option(name)} {value}")
        return options

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


# Recipes by name. The first three are those of the source projects; what a source does not say is as in pix2pix. All
# three train on the given drawing alone, as it is.
_AS_GIVEN: dict[str, Any] = {"line_styles": 1, "line_jitter": 0.0}
PRESETS: dict[PresetName, dict[str, Any]] = {
    "pixelpainter": {  # 14,224 pairs resized to 256, no jitter; lambda from a sweep of 10 to 800
        "system": "pix2pix",
        "lambda_l1": 400.0,
        "epochs": 35,
        "batch_size": 32,
        "load_size": 256,
        "flip": 0.0,
        "checkpoint_every": 7.0,
        "keep": 3,
        **_AS_GIVEN,
    },
    "sketch2paint": {  # as in the paper, with its jitter and batch size
        "system": "pix2pix",
        "lambda_l1": 100.0,
        "epochs": 100,
        "batch_size": 1,
        "load_size": 286,
        "flip": 0.5,
        "checkpoint_every": 5.0,
        **_AS_GIVEN,
    },
    "mun": {  # the study of Memorial University; it reports epochs 110 and 150, so every tenth is measured
        "system": "pix2pix",
        "lambda_l1": 100.0,
        "epochs": 150,
        "batch_size": 16,
        "load_size": 256,
        "flip": 0.5,
        "checkpoint_every": 10.0,
        **_AS_GIVEN,
    },
    # The recipe of the model that comes with the program, in two runs: the second starts from the first with --init.
    # Its own first run was two: 90,000 samples without warp, and 72,000 with it at 0.7 of the learning rate.
    "bundled-128": {
        "system": "pix2pix-hints",
        "size": 128,
        "load_size": 288,
        "samples": 162_000,
        "checkpoint_every": 1.0,
    },
    "bundled-256": {
        "system": "pix2pix-hints",
        "load_size": 288,
        "samples": 14_400,
        "batch_size": 16,
        "learning_rate": 3e-4,
        "adversarial": "hinge",
        "lambda_gan": 0.02,
        "checkpoint_every": 0.6,
    },
    "character": {  # some 20 pictures of one character, from a network that can color (--init): minutes on a CPU
        "system": "pix2pix-hints",
        "samples": 1600,
        "batch_size": 8,
        "learning_rate": 2e-4,
        "ema": 0.98,
        "hue_jitter": 0.0,  # its own colors are what is to be learned,
        "palette_dropout": 0.7,  # most often without being told
        "checkpoint_every": 20.0,
    },
}


def make_config(system: SystemName | None = None, preset: PresetName | None = None, **options: Any) -> TrainConfig:
    """Return a configuration: a system's defaults, over them a preset's row, over it every option that is not None.

    An epochs option takes the place of a preset's samples, and with another size the preset's load_size changes in
    proportion.

    Raises:
        TrainingError: a value is out of range, or two contradict each other; the message names the option.
    """
    row = dict(PRESETS[preset]) if preset else {}
    of_preset = row.pop("system", None)
    chosen: SystemName = system or of_preset or "pix2pix"
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("samples") and "epochs" in given:
        raise TrainingError("--epochs and --samples both say how long to train: leave out one")
    if "epochs" in given:
        row.pop("samples", None)
    if "size" in given and "load_size" in row:
        row["load_size"] = round(row["load_size"] * given["size"] / row.get("size", TrainConfig.size))
    return TrainConfig(system=chosen, **{**DEFAULTS[chosen], **row, **given})


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
