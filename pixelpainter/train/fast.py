"""The device that networks train on, and what is fastest there: which numbers to calculate in, and compiling or not."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
from pathlib import Path
from typing import Literal

import torch

from pixelpainter.errors import TrainingError

COMPILING_PAYS_FROM = 2000  # steps: translating takes a minute or two


def pick_device(name: Literal["auto", "cuda", "cpu"]) -> torch.device:
    """Return the device of a name. "auto": a GPU where torch sees one. Raises TrainingError where it sees no "cuda"."""
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "--device cuda: this torch sees no CUDA GPU; use --device cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def device_in_words(device: torch.device) -> str:
    """Return what a message calls a device, and the numbers that it calculates in."""
    gpu = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if gpu else f"the CPU, {torch.get_num_threads()} threads"
    return f"{where}, in {str(number_format(device)).removeprefix('torch.')}"


def pays_bf16(device: torch.device) -> bool:
    """Return whether bf16 arithmetic is faster than float32 on the device."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    # Intel's vector units multiply bf16 no faster than float32, and converting costs; its matrix units (AMX), which
    # virtual machines may hide, do, and so do the vector units of AMD.
    return bool(torch.cpu._is_amx_tile_supported()) or not _is_intel()


def _is_intel() -> bool:
    """Return whether the processor is one of Intel's."""
    with contextlib.suppress(OSError):
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(errors="replace")
    return "GenuineIntel" in platform.processor()  # so on Windows


def number_format(device: torch.device) -> torch.dtype:
    """Return the numbers that networks are fastest in on the device; their weights are float32 in any case."""
    if pays_bf16(device):
        return torch.bfloat16
    # A T4 or V100 has float16 in hardware, but not bf16; before them float16 was no faster.
    halves = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0)
    return torch.float16 if halves else torch.float32


def pays_compiling(device: torch.device, steps: int, processes: int = 1) -> bool:
    """Return whether a run of this many steps is faster with torch.compile, the time for compiling included."""
    if device.type != "cuda" or steps < COMPILING_PAYS_FROM:
        return False
    if processes > 1:  # the norms that they share cut the network into pieces too small to be worth it
        return False
    # What compiles for a GPU is Triton, which wants a GPU not older than 2017 and does not come to every system.
    return importlib.util.find_spec("triton") is not None and torch.cuda.get_device_capability(device) >= (7, 0)
