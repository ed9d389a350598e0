"""Runs a pipeline of diffusers over one tile: its schedule, its noise, and what to do when its answer is no picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelpainter.errors import ModelError
from pixelpainter.refine.canvas import MAX_TILES
from pixelpainter.refine.loading import hushed, memory_advice, out_of_memory
from pixelpainter.refine.settings import RefineSettings

_BLACK, _NOT_BLACK = 8, 32  # brightest levels of a failed answer, and of a picture that is no night
_HOLD = 0.8  # how firmly a ControlNet holds on to the drawing; 1 makes lines harder than they are drawn
_NEXT_NOISE = 0x9E3779B97F4A7C15  # odd and without pattern: tiles and tries get seeds far from those of users
_FLAGGED = "flagged its own picture as unsafe"


class Engine:
    """A loaded pipeline, for the tiles of one picture. Not for several threads at once."""

    def __init__(
        self,
        pipeline: Any,
        *,
        device: str,
        dtype: str,
        on_note: Callable[[str], None],
        on_step: Callable[[], None] | None = None,
    ) -> None:
        """Take a pipeline of `loading.load_pipeline`.

        Args:
            pipeline: with or without a ControlNet.
            device: where it is.
            dtype: its number format.
            on_note: is told when a tile had to be tried again.
            on_step: is called after every step; what it raises ends the run.
        """
        self._pipeline, self._device, self._dtype, self._note = pipeline, device, dtype, on_note
        self._on_step = on_step
        self._ended: BaseException | None = None  # what on_step raised
        self._steered = getattr(pipeline, "controlnet", None) is not None

    def paint(
        self, settings: RefineSettings, rgb: NDArray[np.uint8], sketch: NDArray[np.uint8] | None, number: int
    ) -> NDArray[np.uint8]:
        """Let the pipeline paint over one tile; a failure is tried once more in float32.

        Where the same noise would fail again, because the numbers were exact already or the picture was flagged and
        not broken, the second try has noise of its own.

        Args:
            settings: what is wanted.
            rgb: (h, w, 3) uint8 of sides that the pipeline takes.
            sketch: (h, w) uint8, 0 ink to 255 paper, if any.
            number: of the tile, below `canvas.MAX_TILES`; each has noise of its own.

        Returns:
            (h, w, 3) uint8.

        Raises:
            ModelError: both tries fail, or the memory is too small.
            BaseException: what `on_step` raises.
        """
        picture, failure = self._run(settings, rgb, sketch, number)
        if not failure:
            return picture
        other_noise = self._dtype == "float32" or failure == _FLAGGED
        again = "in float32" + (" with other noise" if other_noise else "")
        self._note(f"the model {failure}: tried once more {again}")
        try:
            self._convert("float32")
            picture, second = self._run(settings, rgb, sketch, number + MAX_TILES * other_noise)
        finally:
            self._convert(self._dtype)
        if second:
            raise ModelError(
                f"the model {failure}, and {second} when it was tried again {again}; try another --seed, --strength "
                "or --prompt, or another --model"
            )
        return picture

    def _convert(self, dtype: str) -> None:
        """Change the number format of the pipeline."""
        import torch

        try:
            with hushed():
                self._pipeline.to(getattr(torch, dtype))
        except Exception as error:
            self._raise_if_memory(error)
            raise

    def _run(
        self, settings: RefineSettings, rgb: NDArray[np.uint8], sketch: NDArray[np.uint8] | None, noise: int
    ) -> tuple[NDArray[np.uint8], str]:
        """Run the pipeline once.

        Returns:
            (h, w, 3) uint8, and what is wrong with it; empty if nothing is.
        """
        import torch
        from PIL import Image

        strength, steps = make_schedule(settings, self._pipeline.scheduler.config.num_train_timesteps)
        try:
            with hushed(), np.errstate(all="ignore"):  # the safety checker is shown NaN, too
                answer = self._pipeline(
                    settings.prompt,
                    image=Image.fromarray(rgb),
                    strength=strength,
                    num_inference_steps=steps,
                    guidance_scale=settings.guidance,
                    negative_prompt=settings.negative_prompt,
                    # On the processor, where the same seed is the same noise for every device.
                    generator=torch.Generator("cpu").manual_seed((settings.seed + noise * _NEXT_NOISE) % 2**64),
                    output_type="np",
                    **(self._steering(rgb, sketch) if self._steered else {}),
                    **({} if self._on_step is None else {"callback_on_step_end": self._step}),
                )
        except Exception as error:
            if error is not self._ended:
                self._raise_if_memory(error)
            raise
        return _judge(answer.images[0], rgb, flagged=any(answer.nsfw_content_detected or ()))

    def _step(self, pipeline: Any, step: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
        """Tell of a step in the way of diffusers, which goes on with the state that is returned."""
        assert self._on_step is not None
        try:
            self._on_step()
        except BaseException as error:
            self._ended = error
            raise
        return state

    def _steering(self, rgb: NDArray[np.uint8], sketch: NDArray[np.uint8] | None) -> dict[str, Any]:
        """Return what a ControlNet is shown: these networks know white lines on black."""
        from PIL import Image

        lines = np.zeros(rgb.shape[:2], np.uint8) if sketch is None else 255 - sketch
        hold = 0.0 if sketch is None else _HOLD
        return {"control_image": Image.fromarray(lines).convert("RGB"), "controlnet_conditioning_scale": hold}

    def _raise_if_memory(self, error: Exception) -> None:
        """Raise ModelError if memory ran out, and give back what is held for nothing."""
        import torch

        if not out_of_memory(error):
            return
        if self._device == "cuda":
            torch.cuda.empty_cache()
        raise ModelError(memory_advice(error)) from error


def make_schedule(settings: RefineSettings, training_steps: int) -> tuple[float, int]:
    """Return strength and steps of which at least one is run: diffusers runs ``int(strength * steps)``.

    Args:
        settings: what is wanted.
        training_steps: of the model's noise schedule.
    """
    longest = training_steps - 1  # with all of them, some schedulers start one step before the first
    strength, steps = max(settings.strength, 1 / longest), min(settings.steps, longest)
    if int(strength * steps) < 1:
        steps = math.ceil(1 / strength)
        steps += int(strength * steps) < 1  # where rounding makes it 0.999...
    return strength, steps


def _judge(values: NDArray[np.float32], rgb: NDArray[np.uint8], *, flagged: bool) -> tuple[NDArray[np.uint8], str]:
    """Return an answer in 0..1 as levels, and what is wrong with it."""
    picture = np.rint(np.nan_to_num(values) * 255).astype(np.uint8)
    if flagged:
        return picture, _FLAGGED
    if not np.isfinite(values).all():
        return picture, "answered with numbers that are none (NaN)"
    if picture.max() <= _BLACK and rgb.max() > _NOT_BLACK:
        return picture, "answered with a black picture"
    return picture, ""
