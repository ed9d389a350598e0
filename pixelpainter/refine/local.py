"""The diffusion pass on this machine: Stable Diffusion paints over a picture, with or without a ControlNet.

Importing this module is cheap; torch and diffusers are loaded with the first picture, or by `LocalRefiner.load`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import ModelError
from pixelpainter.refine.canvas import MAX_TILES, Plan, make_plan, paint_over
from pixelpainter.refine.engine import Engine
from pixelpainter.refine.loading import (
    DiffusionDevice,
    DiffusionDtype,
    choose_device,
    choose_dtype,
    hushed,
    load_pipeline,
    require_diffusion_packages,
)
from pixelpainter.refine.settings import RefineSettings
from pixelpainter.refine.weights import Weights, find_weights


class LocalRefiner:
    """Runs a diffusion model on this machine. Serves many threads, one picture at a time."""

    def __init__(
        self,
        model: str,
        *,
        controlnet: str | None = None,
        device: DiffusionDevice = "auto",
        dtype: DiffusionDtype = "auto",
        allow_pickle: bool = False,
        quiet: bool = False,
    ) -> None:
        """Take down what to run; nothing is loaded yet.

        Args:
            model: name of a preset, ``owner/repo[@revision][:FILE.safetensors]`` on the Hub, a folder of diffusers,
                or a .safetensors file.
            controlnet: "lineart-anime", one on the Hub, or a folder; None = none.
            device: "auto" = CUDA, else Apple's GPU, else the processor.
            dtype: "auto" = float16 on CUDA, else float32.
            allow_pickle: load weights that are pickles where there are no safetensors; they can run code.
            quiet: show no progress on stderr.

        Raises:
            MissingExtraError: a package of the extra `refine` is not installed.
            ValueError: there is no such device or dtype.
        """
        if device not in get_args(DiffusionDevice):
            raise ValueError(f"device is {device!r}, not one of {', '.join(get_args(DiffusionDevice))}")
        if dtype not in get_args(DiffusionDtype):
            raise ValueError(f"dtype is {dtype!r}, not one of {', '.join(get_args(DiffusionDtype))}")
        require_diffusion_packages()
        self.model, self.controlnet = model, controlnet
        self._wanted_device, self._wanted_dtype = device, dtype
        self._allow_pickle, self._quiet = allow_pickle, quiet
        self._lock = threading.RLock()
        self._find_lock = threading.Lock()  # another one: who asks for the identity does not wait for pictures
        self._weights: tuple[Weights, Weights | None] | None = None
        self._pipeline: Any = None

    @property
    def device(self) -> str:
        """The kind of device that it runs on: "cuda", "mps" or "cpu".

        Raises:
            ModelError: the device that was asked for does not work.
        """
        return choose_device(self._wanted_device)

    @property
    def dtype(self) -> str:
        """The number format that it runs in.

        Raises:
            ModelError: the device that was asked for does not work.
        """
        return choose_dtype(self._wanted_dtype, self.device)

    @property
    def identity(self) -> str:
        """Name what decides the result besides picture and settings: models with commits or hashes, dtype, device.

        Raises:
            ModelError: a model cannot be found or downloaded, or the device does not work.
        """
        weights, controlnet = self._find()
        parts = [weights.identity, f"ControlNet {controlnet.identity}" if controlnet else "", self.dtype, self.device]
        return ", ".join(part for part in parts if part)

    def load(self) -> None:
        """Load the models now, and not with the first picture.

        Raises:
            ModelError: they cannot be found, downloaded or loaded.
        """
        with self._lock:
            if self._pipeline is not None:
                return
            weights, controlnet = self._find()
            self._pipeline = load_pipeline(
                weights,
                controlnet,
                device=self.device,
                dtype=self.dtype,
                allow_pickle=self._allow_pickle,
                show_steps=not self._quiet,
            )

    def refine(
        self,
        rgb: NDArray[np.uint8],
        settings: RefineSettings,
        *,
        sketch: NDArray[np.uint8] | None = None,
        on_note: Callable[[str], None] | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Paint over a picture, see `settings.Refiner`.

        At least one step of denoising always runs: where ``strength * steps`` is less than 1, the schedule gets so
        many more steps that one of them is run, with the noise that the strength stands for. Pictures that are too
        large for the model go through in tiles or reduced, see `canvas`.

        Args:
            rgb: (H, W, 3) uint8 sRGB, of any size from 1x1.
            settings: what is wanted.
            sketch: (H, W) uint8, 0 ink to 255 paper, of the same size; only a ControlNet looks at it.
            on_note: is told in one line what the user should know about the result.
            on_step: is called after every step of the model, of each tile; what it raises ends the run, and comes
                through as it is.

        Returns:
            (H, W, 3) uint8 sRGB.

        Raises:
            ModelError: the model cannot be loaded; it answers with a black, broken or flagged picture twice; the
                memory is too small.
            ValueError: the settings or the arrays are none that can be painted.
        """
        _check(rgb, settings, sketch)
        note = on_note or (lambda text: None)
        with self._lock:
            self.load()
            plan = make_plan(*rgb.shape[:2], native=self._native(), multiple=self._multiple())
            self._tell(plan, rgb, settings, sketch, note)
            engine = Engine(self._pipeline, device=self.device, dtype=self.dtype, on_note=note, on_step=on_step)
            part = None if self.controlnet is None else sketch
            return paint_over(rgb, part, plan, partial(engine.paint, settings))

    def _find(self) -> tuple[Weights, Weights | None]:
        """Return the files of the models, after downloading them if need be."""
        with self._find_lock:
            if self._weights is None:
                look = partial(find_weights, allow_pickle=self._allow_pickle, quiet=self._quiet)
                weights = look(self.model)
                held = look(self.controlnet, option="--controlnet") if self.controlnet is not None else None
                if weights.is_controlnet:
                    raise ModelError(f"{self.model}: this is a ControlNet; name it with --controlnet, beside a model")
                if held is not None and not held.is_controlnet:
                    raise ModelError(f"{self.controlnet}: this is no ControlNet, but a whole model; use --model")
                self._weights = weights, held
            return self._weights

    def _native(self) -> int:
        """Return the side of the square that the model was trained on."""
        side = self._pipeline.unet.config.sample_size
        return int(side if isinstance(side, int) else max(side)) * int(self._pipeline.vae_scale_factor)

    def _multiple(self) -> int:
        """Return what sides must be multiples of: each level of the networks but the last halves the picture."""
        halvings = len(self._pipeline.unet.config.block_out_channels) - 1
        return int(self._pipeline.vae_scale_factor) << halvings

    def _tell(
        self,
        plan: Plan,
        rgb: NDArray[np.uint8],
        settings: RefineSettings,
        sketch: NDArray[np.uint8] | None,
        note: Callable[[str], None],
    ) -> None:
        """Say what the user would not expect of the result."""
        if plan.size != rgb.shape[:2]:
            note(
                f"refined at {plan.size[1]}x{plan.size[0]} in {plan.tiles} tiles (at most {MAX_TILES}); finer detail "
                "is the picture's own"
            )
        elif plan.tiles > 1:
            note(f"refined in {plan.tiles} tiles of {plan.side[1]}x{plan.side[0]} that overlap")
        if self.controlnet is not None and sketch is None:
            note("the ControlNet was not used: it needs a drawing to hold on to")
        tokenizer = self._pipeline.tokenizer
        for name, words in (("prompt", settings.prompt), ("negative prompt", settings.negative_prompt)):
            with hushed():
                length = len(tokenizer(words).input_ids)
            if length > tokenizer.model_max_length:
                note(f"the model reads the first {tokenizer.model_max_length - 2} of {length - 2} tokens of the {name}")


def _check(rgb: NDArray[np.uint8], settings: RefineSettings, sketch: NDArray[np.uint8] | None) -> None:
    """Raise ValueError for what cannot be painted."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ValueError(f"the picture is {rgb.dtype} of shape {rgb.shape}, not uint8 (H, W, 3)")
    if sketch is not None and (sketch.shape != rgb.shape[:2] or sketch.dtype != np.uint8):
        raise ValueError(f"the sketch is {sketch.dtype} of shape {sketch.shape}, not uint8 {rgb.shape[:2]}")
    if not 0 < settings.strength <= 1:
        raise ValueError(f"strength is {settings.strength}, not above 0 and up to 1")
    if settings.steps < 1:
        raise ValueError(f"steps is {settings.steps}, not at least 1")
    if not (math.isfinite(settings.guidance) and settings.guidance >= 0):
        raise ValueError(f"guidance is {settings.guidance}, not 0 or more")
