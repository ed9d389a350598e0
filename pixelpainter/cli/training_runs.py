"""Training runs from start to end, one or those of a sweep, and what is said about them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pixelpainter.cli.messages import print_note
from pixelpainter.cli.training_bar import follow
from pixelpainter.errors import TrainingError
from pixelpainter.train.config import TrainConfig

if TYPE_CHECKING:
    from pixelpainter.train.processes import Processes
    from pixelpainter.train.run import Run


def finish(started: Run, fresh: bool) -> None:
    """Train a run to its end, or until it is stopped, plot how it went, and say how to go on.

    Args:
        started: the run.
        fresh: whether its folder was chosen by --fresh.

    Raises:
        TrainingError: it failed.
        Exit: it was stopped.
    """
    from pixelpainter.train.plots import save_plots

    folder = shlex.quote(str(started.folder))
    for message in started.messages:
        print_note(message)
    ended = started.state.step >= started.total_steps
    if not ended:
        follow(started)
    if started.processes.rank == 0:
        save_plots(started.folder, started.config.size)  # again, too: it may have been killed before it did
    if ended:
        print_note(
            f"{started.folder} is already trained to the end ({started.total_steps} steps); "
            "to train on, give another --run and start it from here with --init, or use --fresh."
        )
        return
    if started.state.step < started.total_steps:
        how = f"To continue, give --run {folder} without --fresh." if fresh else "The same command continues."
        print_note(f"Stopped and saved at step {started.state.step}. {how}")
        raise typer.Exit(130)
    print_note(f"Done. {started.best_in_words()}Next: pixelpainter export {folder}")


def finish_sweep(
    make: Callable[[TrainConfig, Path], Run], configs: Mapping[str, TrainConfig], folder: Path, processes: Processes
) -> None:
    """Train a run for each configuration to its end and print a table; where one fails, the next is tried.

    Args:
        make: configuration and folder to run.
        configs: by name of the run's folder.
        folder: that these lie in.
        processes: those that train together.

    Raises:
        TrainingError: a run of several processes failed.
        Exit: a run failed, or was stopped.
    """
    failed: dict[str, str] = {}
    for name, config in configs.items():
        try:
            finish(make(config, folder / name), fresh=False)
        except TrainingError as error:
            if processes.count > 1:  # the others may be anywhere
                raise
            failed[name] = str(error)
            print_note(f"{name}: {error}")
    if processes.rank == 0:
        _print_sweep(folder, list(configs), failed)
    if failed:
        raise typer.Exit(1)


def _print_sweep(folder: Path, names: list[str], failed: dict[str, str]) -> None:
    from pixelpainter.train.sweep import save_rows, sweep_rows, text_table

    rows = sweep_rows(folder, names, failed)
    typer.echo(text_table(rows))
    print_note(f"The table is in {save_rows(rows, folder)}.")
