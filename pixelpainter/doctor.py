"""Find out what this installation consists of, and whether it can color drawings."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from pathlib import Path
from typing import Any

import pixelpainter
from pixelpainter.devices import (
    CUDA_PROVIDER,
    Device,
    affinity_cpus,
    available_cpus,
    cgroup_cpus,
    installed_version,
    onnxruntime_wheels,
    why_no_cuda,
)
from pixelpainter.hub import MODEL_VARIABLE
from pixelpainter.models import local_path

# Distributions whose versions matter. None is imported for this: torch alone takes a second.
PACKAGES = (
    "numpy",
    "pillow",
    "opencv-python-headless",
    "opencv-python",
    "typer",
    "huggingface-hub",
    "torch",
    "onnx",
    "diffusers",
    "fastapi",
)


def examine(model: str | None = None, device: Device = "auto") -> dict[str, Any]:
    """Examine this installation, by doing what `colorize` does with a tiny drawing.

    Args:
        model: see `pixelpainter.Colorizer`.
        device: the same.

    Returns:
        What was found, as JSON can hold it. ``problems`` are reasons why `colorize` cannot work, one line each,
        none if it works; ``remarks`` may explain surprises.
    """
    report: dict[str, Any] = {
        "problems": [],
        "remarks": [],
        "versions": _versions(),
        "machine": _machine(),
        "onnxruntime": {},
        "model": {},
        "folders": _folders(),
    }
    try:
        import onnxruntime
    except Exception as error:  # also what broken libraries raise
        report["problems"].append(f"onnxruntime cannot be loaded ({error}); run  pip install onnxruntime")
        return report
    wheels, available = onnxruntime_wheels(), onnxruntime.get_available_providers()
    report["onnxruntime"] = {"packages": wheels, "providers_available": available}
    _try_coloring(report, model, device)
    if len(wheels) > 1 or (
        CUDA_PROVIDER in available and report["onnxruntime"].get("device_active") == "cpu" != device
    ):
        report["remarks"].append(f"CUDA cannot be used: {why_no_cuda()}")
    return report


def _versions() -> dict[str, str]:
    found = {name: installed_version(name) for name in (*onnxruntime_wheels(), *PACKAGES)}
    return {
        "pixelpainter": pixelpainter.__version__,
        "python": platform.python_version(),
        **{name: version for name, version in found.items() if version is not None},
    }


def _machine() -> dict[str, Any]:
    quota = cgroup_cpus()
    return {
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "cpus_by_affinity": affinity_cpus(),
        "cpu_quota": None if math.isinf(quota) else quota,
        "threads_used": available_cpus(),
    }


def _folders() -> dict[str, str]:
    """Return where files are kept; the Hub's own variables decide about its cache."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = os.environ.get("HF_HUB_CACHE") or Path(home) / "hub"
    return {"package": str(Path(__file__).parent), "models_from_the_hub": str(local_path(cache))}


def _try_coloring(report: dict[str, Any], model: str | None, device: Device) -> None:
    """Load the model and color a tiny drawing; note what was used, and what went wrong."""
    try:
        import numpy as np

        from pixelpainter.colorize import Colorizer

        colorizer = Colorizer(model, device=device)
        report["onnxruntime"]["device_active"] = colorizer.device
        origin = f"${MODEL_VARIABLE}" if os.environ.get(MODEL_VARIABLE) else "the package"
        report["model"] = {
            "file": str(colorizer.file),
            "bytes": colorizer.file.stat().st_size,
            "sha256": colorizer.model_hash,
            "named_by": "--model" if model else origin,
            "card": dataclasses.asdict(colorizer.card),
        }
        drawing = np.full((16, 16), 255, np.uint8)
        drawing[8] = 0
        colorizer.colorize(drawing)
    except Exception as error:  # a doctor reports every illness
        known = isinstance(error, pixelpainter.PixelPainterError)
        report["problems"].append(str(error) if known else f"{type(error).__name__}: {error}")
