"""Session: one model in memory, which loads while the rest of the program starts."""

from __future__ import annotations

import contextlib
import functools
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelpainter.card import ModelCard
from pixelpainter.contract import check_contract
from pixelpainter.devices import Device, active_device, available_cpus, load_session
from pixelpainter.errors import ModelError, first_line
from pixelpainter.hub import find_model, hash_model


class Session:
    """A model that was found and loads in the background; serves many threads at once.

    Attributes:
        file: the ONNX file.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        threads: int | None = None,
        device: Device = "auto",
        quiet: bool = False,
        hashed: bool = False,
    ) -> None:
        """Find a model, download it first if it lies on the Hugging Face Hub only, and begin to load it.

        Args:
            model: path of an ONNX file, or a name as `pixelpainter.hub.find_model` reads it; None = what
                ``PIXELPAINTER_MODEL`` names, or the model that comes with the package.
            threads: processor cores for one picture; None = all that this process may use.
            device: "cpu", "cuda", or "auto": CUDA where it works, else the processor.
            quiet: show nothing on stderr while downloading.
            hashed: once it is loaded, compute ``model_hash`` beside the first picture.

        Raises:
            ModelError: the model is missing; all else that is wrong is raised by what needs the model first.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}, not 1 or more")
        self.file = find_model(model, quiet=quiet)
        self._loaded: Future[tuple[Any, ModelCard]] = Future()
        # Imports hold the interpreter, loading does not: import here, so that loading runs beside the imports that
        # follow, not this one.
        import onnxruntime  # noqa: F401

        wanted = (threads or available_cpus(), device, hashed)
        Thread(target=self._load, args=wanted, name="pixelpainter-model", daemon=True).start()

    def _load(self, threads: int, device: Device, hashed: bool) -> None:
        """Load graph and card, or note why that is impossible."""
        try:
            session = load_session(self.file, threads=threads, device=device)
            card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, str(self.file))
            check_contract(card, session, self.file)
            self._loaded.set_result((session, card))
        except BaseException as error:  # whoever needs the model gets it
            self._loaded.set_exception(error)
        else:
            if hashed:
                with contextlib.suppress(ModelError):  # comes again where the hash is asked for
                    _ = self.model_hash

    @property
    def card(self) -> ModelCard:
        """What the model reads, predicts and was made from.

        Raises:
            ModelError: the model is none of ours, is damaged, or is not for line drawings; or "cuda" was named
                and does not work here: the message says why.
        """
        return self._loaded.result()[1]

    @property
    def device(self) -> Device:
        """Where the model really runs, "cpu" or "cuda". Raises ModelError as `card` does."""
        return active_device(self._loaded.result()[0])

    @functools.cached_property
    def model_hash(self) -> str:
        """SHA-256 of the ONNX file; it takes some 2 ms per megabyte, once. Raises ModelError: it cannot be read."""
        return hash_model(self.file)

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Run the network once.

        Args:
            inputs: (1, ...) float32 each, as `pixelpainter.card` says.

        Returns:
            (3, size, size) float32, about [-1, 1].

        Raises:
            ModelError: as `card` does; or the model cannot be run, or its answer is no picture.
        """
        session, card = self._loaded.result()
        try:
            answer: NDArray[np.float32] = np.asarray(session.run(["color"], inputs)[0])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise ModelError(f"{self.file}: the model cannot be run ({first_line(error)})") from error
        if answer.shape != (1, 3, card.size, card.size) or not np.isfinite(answer).all():
            raise ModelError(
                f"{self.file}: the model's answer is no picture (shape {answer.shape}, or numbers that are not "
                "finite); export it again"
            )
        picture: NDArray[np.float32] = answer[0]
        return picture
