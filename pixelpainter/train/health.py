"""Signs that a run cannot go on, in words: numbers that are none, a critic that has collapsed, too little memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch

from pixelpainter.errors import TrainingError
from pixelpainter.train.config import TrainConfig

# A critic whose loss stays below this has won: with BCE it is surer than 0.9999 of every patch, with hinge every
# verdict is beyond the margin. It learns nothing more, and the generator learns no more from it than "wrong".
WON = 1e-4
PATIENCE_STEPS = 300  # for how long; a single run of easy batches is no collapse
# How torch's plain RuntimeErrors say that memory is not enough: the computer's own, that of a GPU which another program
# fills too, and that which its libraries work in.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")


class Health:
    """Watches the losses of a run."""

    def __init__(self) -> None:
        self._won_since: int | None = None

    def check(self, losses: Mapping[str, float], step: int) -> None:
        """Look at mean losses by name since the last look. Raises TrainingError when the run cannot go on."""
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            raise TrainingError(
                f"loss {', '.join(broken)} is no longer a number at step {step}; "
                "start again in another --run with a lower --learning-rate; "
                "--init takes the networks of an earlier checkpoint, if there is one"
            )
        of_critic = [value for name, value in losses.items() if name.startswith("critic_")]
        if not of_critic or sum(of_critic) >= WON:
            self._won_since = None
        elif self._won_since is None:
            self._won_since = step
        elif step - self._won_since >= PATIENCE_STEPS:
            raise TrainingError(
                f"the critic has collapsed: its loss is below {WON} since step {self._won_since}, so the generator "
                "learns nothing more from it; start again from an earlier checkpoint with --init and another --run, "
                "with a higher --lambda-gan, another --adversarial loss, more pictures, or --adversarial none"
            )


@contextlib.contextmanager
def memory_in_words(config: TrainConfig) -> Iterator[None]:
    """Turn torch's errors about memory into a TrainingError that says which smaller batch to try."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _memory_error(config) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        raise _memory_error(config) from error


def _memory_error(config: TrainConfig) -> TrainingError:
    smaller = f"--batch-size {config.batch_size // 2}" if config.batch_size > 1 else "a smaller --width or --size"
    return TrainingError(
        f"not enough memory for --batch-size {config.batch_size} at --size {config.size} and --width {config.width}; "
        f"try {smaller}, with another --run where this one has checkpoints"
    )
