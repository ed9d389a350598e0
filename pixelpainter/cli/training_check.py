"""`pixelpainter train --check-data`: the list of what is wrong with training data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import typer

from pixelpainter.cli.messages import one_line, print_note
from pixelpainter.cli.pictures import DEFAULT_DATA
from pixelpainter.errors import DataError


def print_check(
    data: list[Path] | None, layout: Literal["color-left", "sketch-left"] | None, validation: Path | None
) -> int:
    """Print a line on stdout for each fault, then their numbers by kind; return the exit status.

    Args:
        data: folders or ZIP files; None = ./data.
        layout: of joined pictures; None = find out.
        validation: folder or ZIP file of its own; None = DATA/val, or a share of the data.

    Raises:
        DataError: there are no pictures.
    """
    from tqdm import tqdm

    from pixelpainter.train.check import check_data

    if not data and not DEFAULT_DATA.is_dir():
        raise DataError("no DATA given and there is no folder ./data: name folders or ZIP files with pictures")
    with tqdm(desc="check", unit="pair", file=sys.stderr, mininterval=1.0) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = check_data(data or [DEFAULT_DATA], layout, validation, update)
    for problem in found.problems:
        typer.echo(one_line(f"{problem.kind}: {problem.reason}"))
    typer.echo(", ".join(f"{count} {kind}" for kind, count in found.counts().items()))
    print_note(
        f"{found.training} training and {found.validation} validation pairs; {found.without_drawing} have no drawing, "
        "so their lines will be extracted."
    )
    return 1 if found.problems else 0
