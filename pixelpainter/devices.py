"""Processors: how many cores may be used, the onnxruntime session on one of them, and why there is no CUDA."""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path
from typing import Any, Literal, get_args

from pixelpainter.errors import ModelError, first_line

Device = Literal["auto", "cpu", "cuda"]

CUDA_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"
_NO_DEVICE = 100  # cuInit's CUDA_ERROR_NO_DEVICE


def load_session(file: Path, *, threads: int, device: Device) -> Any:
    """Return an onnxruntime session that runs on the device.

    Args:
        file: an ONNX model.
        threads: processor cores for one picture.
        device: "auto" = CUDA where it works, else the processor.

    Raises:
        ModelError: the file is no ONNX model, or the device was named and is not active.
        ValueError: there is no such device.
    """
    import onnxruntime

    if device not in get_args(Device):
        raise ValueError(f"device is {device!r}, not one of {', '.join(get_args(Device))}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait take no core from those that read and write other pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # failures come back as exceptions; its warnings mean nothing to users
    failure = ""
    if device != "cpu" and CUDA_PROVIDER in onnxruntime.get_available_providers():
        onnxruntime.set_default_logger_severity(4)  # missing libraries of CUDA are logged before the session is made
        if hasattr(onnxruntime, "preload_dlls"):  # 1.21: finds the libraries of the nvidia-* packages
            onnxruntime.preload_dlls()
        try:
            session = _make_session(file, options, [CUDA_PROVIDER, CPU_PROVIDER])
            if CUDA_PROVIDER in session.get_providers():
                return session
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            failure = first_line(error)
    if device == "cuda":
        raise ModelError(f"CUDA cannot be used: {why_no_cuda(failure)} (--device cpu works everywhere)")
    try:
        return _make_session(file, options, [CPU_PROVIDER])
    except Exception as error:  # the same
        raise ModelError(f"{file}: this is no ONNX model, or a damaged one ({first_line(error)})") from error


def _make_session(file: Path, options: Any, providers: list[str]) -> Any:
    import onnxruntime

    # Its own way of falling back to the processor prints to stdout.
    return onnxruntime.InferenceSession(str(file), options, providers=providers, enable_fallback=False)


def active_device(session: Any) -> Device:
    """Return where a session really runs."""
    return "cuda" if CUDA_PROVIDER in session.get_providers() else "cpu"


def why_no_cuda(failure: str = "") -> str:
    """Say in one line why onnxruntime runs nothing on a GPU here, as far as that can be known.

    Args:
        failure: what onnxruntime said when it was asked to.
    """
    import onnxruntime

    wheels = onnxruntime_wheels()
    names = " and ".join(wheels)
    if len(wheels) > 1:
        return (
            f"{names} are both installed and overwrite each other; run  pip uninstall {' '.join(wheels)}  and then  "
            "pip install onnxruntime-gpu"
        )
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return (
            f"the installed {names or 'onnxruntime'} {onnxruntime.__version__} was built without CUDA; run  "
            f"pip uninstall {names or 'onnxruntime'}  and then  pip install onnxruntime-gpu"
        )
    return (
        driver_problem() or _library_problem(Path(onnxruntime.__file__).parent) or failure or "onnxruntime refused it"
    )


def onnxruntime_wheels() -> list[str]:
    """Return the installed packages that bring the module onnxruntime; there should be one."""
    names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
    return [name for name in names if installed_version(name) is not None]


def installed_version(package: str) -> str | None:
    """Return the version of an installed package without importing it."""
    import importlib.metadata  # 10 ms, and coloring needs no versions

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def driver_problem() -> str:
    """Say what is wrong with the NVIDIA driver; empty if nothing is."""
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        code = ctypes.CDLL(library).cuInit(0)
    except (OSError, AttributeError):
        return f"there is no NVIDIA driver here ({library} cannot be loaded)"
    if code == _NO_DEVICE:
        return "the NVIDIA driver finds no GPU; see `nvidia-smi`, and $CUDA_VISIBLE_DEVICES"
    return f"the NVIDIA driver does not start (error {code}); see `nvidia-smi`" if code else ""


def _library_problem(package: Path) -> str:
    """Say which library onnxruntime's CUDA part lacks; empty if none, or if that cannot be told."""
    for library in package.glob("capi/*onnxruntime_providers_cuda.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            if "Provider_GetHost" not in str(error):  # the part is there, but can be loaded by onnxruntime only
                return f"a library is missing ({first_line(error)}); run  pip install 'onnxruntime-gpu[cuda,cudnn]'"
    return ""


def available_cpus() -> int:
    """Return how many processor cores this process may use: affinity and control-group quota counted."""
    return max(1, math.floor(min(affinity_cpus(), cgroup_cpus())))


def share_cores(cores: int, pictures: int, workers: int | None = None) -> tuple[int, int]:
    """Divide processor cores between pictures, and within one picture.

    Args:
        cores: how many to use.
        pictures: how many there are to color.
        workers: how many pictures to work on at once; None = one per core, for that needs no waiting.

    Returns:
        How many pictures to work on at once, and how many threads the network gets for each.
    """
    workers = workers or max(1, min(cores, pictures))
    return workers, max(1, cores // workers)


def affinity_cpus() -> int:
    """Return how many processor cores the system lets this process run on; quotas not counted."""
    if hasattr(os, "process_cpu_count"):  # Python >= 3.13
        cores = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count()
    return cores or 1


def cgroup_cpus(membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the CPU quota of the control groups (version 1 and 2) of this process; infinity without one."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / group.lstrip("/")
        # Inside a container the group's own folder may not be visible: ask every level up to the root.
        for level in (folder, *folder.parents):
            quota = min(quota, _folder_quota(level))
            if level == base:
                break
    return quota


def _folder_quota(folder: Path) -> float:
    """Return the CPUs that one control group allows: its quota divided by its period."""
    try:
        if (folder / "cpu.max").exists():
            allowed, period = (folder / "cpu.max").read_text().split()
        else:
            allowed = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return math.inf if allowed in ("max", "-1") else int(allowed) / int(period)
    except (OSError, ValueError):
        return math.inf
