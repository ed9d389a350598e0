"""What a user wants of the diffusion pass, and what every engine for it can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SENSIBLE_STRENGTH = (0.1, 0.5)  # outside: nothing changes, or another picture comes out


@dataclass(frozen=True, kw_only=True)
class RefineSettings:
    """What is wanted of the diffusion pass.

    Attributes:
        strength: how far the result may leave the picture, 0 to 1: the share of the noise schedule that is run.
        steps: of the whole schedule; ``strength * steps`` are run, at least one.
        guidance: how closely the prompt is followed (classifier-free guidance scale).
        prompt: words for what the picture shall be.
        negative_prompt: words for what it shall not be.
        seed: same seed, same machine, same picture.
    """

    strength: float = 0.3
    steps: int = 30
    guidance: float = 7.5
    prompt: str = "high quality anime art, vibrant colors"
    negative_prompt: str = "lowres, blurry, jpeg artifacts, watermark, text"
    seed: int = 0

    def described(self) -> dict[str, Any]:
        """Return the settings as plain values, for metadata and records."""
        return dataclasses.asdict(self)


class Refiner(Protocol):
    """An engine of the diffusion pass: `local.LocalRefiner` or `remote.RemoteRefiner`. Serves many threads."""

    @property
    def identity(self) -> str:
        """Name what decides the result besides picture and settings: the model, its revision, the ControlNet.

        Raises:
            PixelPainterError: the model cannot be loaded, or the server cannot be reached.
        """

    def refine(
        self,
        rgb: NDArray[np.uint8],
        settings: RefineSettings,
        *,
        sketch: NDArray[np.uint8] | None = None,
        on_note: Callable[[str], None] | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Paint over a picture.

        Args:
            rgb: (H, W, 3) uint8 sRGB, of any size.
            settings: what is wanted.
            sketch: (H, W) uint8, 0 ink to 255 paper, the drawing that a ControlNet holds on to; engines without
                one ignore it.
            on_note: is told in one line what the user should know about the result.
            on_step: is called after every step of the model, in the thread of the caller; what it raises ends the
                run, and comes through as it is. Engines elsewhere do not call it.

        Returns:
            (H, W, 3) uint8 sRGB.

        Raises:
            ModelError: the model fails on this picture (black, NaN or flagged by its safety checker, twice), or
                the memory of the device is too small; the message says what to try.
            ServerError: the server refuses or fails.
        """
