"""Networks translated by torch.compile, where that pays and works."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from pixelpainter.errors import first_line
from pixelpainter.train.config import TrainConfig
from pixelpainter.train.fast import pays_compiling
from pixelpainter.train.loop import State, make_state, train
from pixelpainter.train.objectives import Batch


def compile_networks(state: State) -> None:
    """Have torch.compile translate the networks at their first use; names and weights stay as they are."""
    for network in (state.generator, state.critic):
        if network is not None:
            network.compile()


def compile_where_it_pays(
    state: State,
    config: TrainConfig,
    make_batch: Callable[[int], Batch],
    steps: int,
    device: torch.device,
    processes: int,
) -> list[str]:
    """Have the networks translated if the steps left make up for the time, and if it works.

    Returns:
        What to tell the user: nothing, or why they run as they are although it would pay.
    """
    if not pays_compiling(device, steps, processes):
        return []
    reason = _failure(config, make_batch, device)
    gc.collect()  # compiled networks refer to themselves: those that were tried would keep their memory for a while
    if reason:
        return [f"torch.compile does not work here ({reason}); the networks run as they are, which is slower"]
    compile_networks(state)
    return []


def _failure(config: TrainConfig, make_batch: Callable[[int], Batch], device: torch.device) -> str:
    """Return why a step of translated networks fails; nothing where it works.

    Other networks than those of the run are tried, as some faults show when a step is half done: gradients are
    translated in the first backward pass. What was translated serves the others too.
    """
    try:
        state = make_state(config, device)
        compile_networks(state)
        for record in train(state, config, make_batch, 1, device):
            broken = [name for name, value in record.terms.items() if not value.isfinite()]
    except Exception as error:  # compilers have many, of many kinds
        return first_line(error)
    return f"loss {', '.join(broken)} is no number" if broken else ""
