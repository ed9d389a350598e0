"""The bar and the messages while a network trains, and what Ctrl-C does."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixelpainter.train.run import Progress, Run


def follow(run: Run) -> None:
    """Show a bar until the run ends; the first Ctrl-C or SIGTERM asks it to save and stop."""
    from tqdm import tqdm

    shared = run.processes.count > 1

    def request_stop(number: int, frame: object) -> None:
        if run.stop_requested and not shared:  # torchrun repeats what the terminal sends to all already
            raise KeyboardInterrupt
        if not run.stop_requested:
            once_more = "" if shared else "; once more to stop without saving"
            tqdm.write(f"Stopping after this step{once_more}.", file=sys.stderr)
        run.stop_requested = True

    handlers = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        often = 2.0 if sys.stderr.isatty() else 30.0  # seconds: a log of a night keeps every line
        with tqdm(
            total=run.total_steps, initial=run.state.step, unit="step", file=sys.stderr, mininterval=often
        ) as bar:
            run.on_step = lambda step: bar.update(step - bar.n)  # losses come seldom: reading them waits for a GPU
            for progress in run:
                losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
                bar.set_postfix_str(f"{losses} {progress.images_per_s:.1f} images/s", refresh=False)
                if progress.checkpoint:
                    tqdm.write(_checkpoint_line(progress), file=sys.stderr)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _checkpoint_line(progress: Progress) -> str:
    figures = " ".join(f"{name} {value:.2f}" for name, value in progress.metrics.items())
    return f"{progress.checkpoint}: {figures}".rstrip(": ")
