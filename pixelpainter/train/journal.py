"""What a run writes down: tables of losses and metrics, and the same with pictures for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from PIL import Image

from pixelpainter.atomic import new_file
from pixelpainter.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Table = Literal["losses", "metrics"]
TABLES: tuple[Table, ...] = get_args(Table)


class Journal:
    """Tables in a run folder; nothing is written, and no folder made, before there is something to write.

    Args:
        folder: of the run.
        step: steps done so far; what a killed run wrote down after its last checkpoint is struck out.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("train", "train", "tensorboard") from error
        self._folder, self._step = folder, step
        self._writer: SummaryWriter | None = None

    def write(self, table: Table, step: int, values: Mapping[str, float]) -> None:
        """Append a row to ``table.csv``, and its values to TensorBoard. Raises OSError."""
        if not values:
            return
        path = self._folder / f"{table}.csv"
        writer = self._open()
        new = not path.exists() or not path.stat().st_size
        with path.open("a", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            if new:
                rows.writerow(["step", *values])
            rows.writerow([step, *(f"{value:.6g}" for value in values.values())])
        for name, value in values.items():
            writer.add_scalar(f"{table}/{name}", value, step)

    def show(self, name: str, step: int, file: Path) -> None:
        """Show a picture file in TensorBoard. Raises OSError."""
        with Image.open(file) as image:
            self._open().add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            for table in TABLES:  # and not other tables that lie there
                path = self._folder / f"{table}.csv"
                if path.exists():
                    _strike_out(path, self._step)
            self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=self._step + 1)
        return self._writer


def _strike_out(path: Path, step: int) -> None:
    """Remove a table's rows after a step, and torn ones."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    whole = (row for row in rows[1:] if len(row) == len(rows[0]) and row[0].isdecimal())
    kept = [row for row in whole if int(row[0]) <= step]
    if len(kept) == len(rows) - 1:
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*rows[:1], *kept])
    with new_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode())
