"""Several processes that train one network, one for each GPU, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from pixelpainter.errors import TrainingError

PATIENCE = timedelta(hours=12)  # for the first one decoding pictures; torchrun ends all when one dies


@dataclass(frozen=True)
class Processes:
    """Which process of how many this one is.

    What they tell each other here goes through the CPU, so no one waits for a GPU.

    Attributes:
        rank: number of this process; 0 is the one that prints and writes files.
        count: processes in all.
    """

    rank: int = 0
    count: int = 1

    def any(self, mine: bool) -> bool:
        """Return whether a value is true in one of the processes; all of them must ask."""
        if self.count == 1:
            return mine
        value = torch.tensor(int(mine))
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return bool(value)

    def mean(self, mine: Mapping[str, float]) -> dict[str, float]:
        """Return the means over the processes of values by name; all of them must ask for the same names."""
        if self.count == 1:
            return dict(mine)
        values = torch.tensor(list(mine.values()), dtype=torch.float64)
        distributed.all_reduce(values)
        return dict(zip(mine, (values / self.count).tolist(), strict=True))

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.any(False)


ALONE = Processes()


def join_processes(device: torch.device) -> tuple[Processes, torch.device]:
    """Join the other processes that torchrun started, if it started this one.

    Args:
        device: cpu or cuda.

    Returns:
        The processes, and the device of this one.

    Raises:
        TrainingError: there are more processes than GPUs.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return ALONE, device
    count, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if count == 1:
        return ALONE, device
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise TrainingError(
                f"torchrun starts more processes than there are GPUs; use --nproc-per-node {torch.cuda.device_count()}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    return Processes(int(os.environ["RANK"]), count), device
