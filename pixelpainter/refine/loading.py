"""Loads a diffusion pipeline onto a device. torch, diffusers and transformers are imported by its functions only."""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from pixelpainter.errors import ModelError, first_line
from pixelpainter.extras import require
from pixelpainter.refine.weights import Weights

DiffusionDevice = Literal["auto", "cuda", "mps", "cpu"]
DiffusionDtype = Literal["auto", "float32", "float16", "bfloat16"]

_LENGTH_BYTES, _LONGEST_HEADER = 8, 100_000_000  # of a .safetensors file


def require_diffusion_packages() -> None:
    """Look for the packages of the extra `refine`. Raises MissingExtraError."""
    require("refine", "refine", "torch", "diffusers", "transformers", "accelerate", "safetensors")


def choose_device(device: DiffusionDevice) -> str:
    """Return the kind of device to run on: the one that was named, or the best that works.

    Raises:
        ModelError: the device was named and does not work.
    """
    import torch

    works = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    assert set(works) == set(get_args(DiffusionDevice)) - {"auto"}
    if device == "auto":
        return next(kind for kind, there in works.items() if there)
    if not works[device]:
        others = " or ".join(kind for kind, there in works.items() if there)
        raise ModelError(
            f"--device {device} cannot be used: torch {torch.__version__} finds no such device here; use {others}, or "
            "refine on another machine with --server URL"
        )
    return device


def choose_dtype(dtype: DiffusionDtype, device: str) -> str:
    """Return the number format: half precision where it halves the time, on CUDA, unless one was named."""
    return dtype if dtype != "auto" else "float16" if device == "cuda" else "float32"


def load_pipeline(
    weights: Weights, controlnet: Weights | None, *, device: str, dtype: str, allow_pickle: bool, show_steps: bool
) -> Any:
    """Return a pipeline of diffusers for pictures from pictures, ready on its device.

    Args:
        weights: of Stable Diffusion 1 or 2.
        controlnet: that steers it; None = none.
        device: "cuda", "mps" or "cpu".
        dtype: name of torch's number format.
        allow_pickle: load weights that are pickles.
        show_steps: a progress bar on stderr while it runs, if that is a terminal.

    Raises:
        ModelError: the files are damaged or do not fit together, or the memory is too small.
    """
    import torch

    with hushed(), explained(weights.identity):
        kind = _pipeline_class(controlnet)
        options = {} if controlnet is None else {"controlnet": _load_controlnet(controlnet, allow_pickle)}
        if weights.settings is not None:
            _check_single_file(weights.path)
            pipeline = kind.from_single_file(
                str(weights.path), config=str(weights.settings), local_files_only=True, **options
            )
        else:
            pipeline = kind.from_pretrained(
                str(weights.path),
                variant=weights.variant,
                use_safetensors=None if allow_pickle else True,
                local_files_only=True,
                **options,
            )
        _check_fit(pipeline, controlnet)
        pipeline.set_progress_bar_config(disable=None if show_steps else True, leave=False)  # None: on terminals only
        # The number format is not given above, because the name of that option changed in diffusers.
        return pipeline.to(device, getattr(torch, dtype))


def _pipeline_class(controlnet: Weights | None) -> Any:
    if controlnet is None:
        from diffusers import StableDiffusionImg2ImgPipeline

        return StableDiffusionImg2ImgPipeline
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    return StableDiffusionControlNetImg2ImgPipeline


def _load_controlnet(weights: Weights, allow_pickle: bool) -> Any:
    from diffusers import ControlNetModel

    kind: Any = ControlNetModel  # its methods have no types
    with explained(weights.identity):
        return kind.from_pretrained(
            str(weights.path),
            variant=weights.variant,
            use_safetensors=None if allow_pickle else True,
            local_files_only=True,
        )


def _check_single_file(file: Path) -> None:
    """Raise ModelError if a .safetensors file is no checkpoint of Stable Diffusion 1."""
    if file.suffix != ".safetensors":
        return
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        names = json.loads(stream.read(length)) if length <= _LONGEST_HEADER else {}
    for part in ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."):
        if not any(name.startswith(part) for name in names):
            raise ModelError(
                f"{file}: this is no whole checkpoint of Stable Diffusion 1 (nothing in it is called {part}*); give "
                "one, or a folder of diffusers"
            )


def _check_fit(pipeline: Any, controlnet: Weights | None) -> None:
    """Raise ModelError for what would only fail when the first picture goes through."""
    channels = pipeline.unet.config.in_channels
    if channels != pipeline.vae.config.latent_channels:
        raise ModelError(f"this model was made for another task (its network reads {channels} channels); give another")
    if controlnet is not None:
        width, own = pipeline.unet.config.cross_attention_dim, pipeline.controlnet.config.cross_attention_dim
        if width != own:
            raise ModelError(
                f"the ControlNet {controlnet.identity} is made for another family of models ({own}, not {width} "
                "features of text); give one for this model, or go on without --controlnet"
            )


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what torch and diffusers raise over files and memory to ModelError.

    Args:
        name: of the model, for messages.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # missing and damaged files, foreign shapes, memory: all have their own
        if out_of_memory(error):
            raise ModelError(f"{name}: {memory_advice(error)}") from error
        reason = first_line(error).rstrip(" .")
        raise ModelError(
            f"{name}: the model cannot be loaded ({type(error).__name__}: {reason}); if it was downloaded, do that "
            "again with `pixelpainter models pull --refine`"
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Tell whether this is any of the ways in which torch says that memory ran out."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def memory_advice(error: Exception) -> str:
    """Say what to do when memory ran out."""
    return (
        f"the memory of the device is too small for it ({first_line(error)[:120]}); free some, or try --dtype float16, "
        "a smaller picture, --device cpu, or --server URL"
    )


_LOUD = ("transformers", "diffusers")  # in this order: importing diffusers makes remarks in the name of the other
_hush_lock = threading.Lock()
_hush_state: dict[str, Any] = {"count": 0}


@contextmanager
def hushed() -> Iterator[None]:
    """Keep remarks and bars of diffusers and transformers from the terminal; in several threads at once, too."""
    with _hush_lock:
        if not _hush_state["count"]:
            _hush_state["before"] = [_hush(library) for library in _LOUD]
        _hush_state["count"] += 1
    try:
        yield
    finally:
        with _hush_lock:
            _hush_state["count"] -= 1
            if not _hush_state["count"]:
                for restore in _hush_state.pop("before"):
                    restore()


def _hush(library: str) -> Callable[[], None]:
    """Silence a library, and return what gives it back its voice."""
    voice = importlib.import_module(f"{library}.utils.logging")
    level, has_bars = voice.get_verbosity(), voice.is_progress_bar_enabled()
    voice.set_verbosity(logging.ERROR)
    voice.disable_progress_bar()

    def restore() -> None:
        voice.set_verbosity(level)
        if has_bars:
            voice.enable_progress_bar()

    return restore
