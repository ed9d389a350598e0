"""`pixelpainter train`: options, bars and messages of a training run."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelpainter.card import SystemName
from pixelpainter.cli.extras import require_training_packages
from pixelpainter.cli.messages import print_note
from pixelpainter.cli.pictures import load_training_data
from pixelpainter.errors import TrainingError

if TYPE_CHECKING:
    import torch

    from pixelpainter.train.run import Progress, Run

DATA, WHAT, HOW, AUGMENT, WHERE = "Data", "What to train", "How long and how fast", "Augmentation", "Where"


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or ZIP files with pictures; default ./data.", show_default=False),
    ] = None,
    synthetic: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Train on N pictures drawn by the program, to try the chain.", rich_help_panel=DATA
        ),
    ] = 0,
    layout: Annotated[
        Literal["color-left", "sketch-left"] | None,
        typer.Option(help="Where the color is in joined pictures; found out if not given.", rich_help_panel=DATA),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Folder or ZIP file to validate on; default DATA/val, or 5 % of DATA.", rich_help_panel=DATA),
    ] = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE=WEIGHT", help="Draw pictures of a sub-folder this often (1 = as all).", rich_help_panel=DATA
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first unreadable picture.", rich_help_panel=DATA)
    ] = False,
    system: Annotated[SystemName, typer.Option(help="Which network and losses.", rich_help_panel=WHAT)] = "pix2pix",
    size: Annotated[int | None, typer.Option(help="Side in pixels.  [256]", rich_help_panel=WHAT)] = None,
    load_size: Annotated[
        int | None, typer.Option(help="Side before the random crop.  [286 for 256]", rich_help_panel=WHAT)
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of the first layer.  [64; hints: 32]", rich_help_panel=WHAT)
    ] = None,
    adversarial: Annotated[
        Literal["none", "bce", "lsgan", "hinge"] | None,
        typer.Option(help="The critic's loss.  [bce; hints: none]", rich_help_panel=WHAT),
    ] = None,
    lambda_l1: Annotated[
        float | None, typer.Option(help="Weight of L1.  [400; hints: 1]", rich_help_panel=WHAT)
    ] = None,
    lambda_chroma: Annotated[
        float | None, typer.Option(help="Weight of L1 of color differences.  [0; hints: 1]", rich_help_panel=WHAT)
    ] = None,
    lambda_gradient: Annotated[
        float | None, typer.Option(help="Weight of L1 of color steps.  [0; hints: 0.5]", rich_help_panel=WHAT)
    ] = None,
    lambda_gan: Annotated[
        float | None, typer.Option(help="Weight of the critic's verdict.  [1]", rich_help_panel=WHAT)
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Decay of averaged weights.  [0 = none; hints: 0.999]", rich_help_panel=WHAT)
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Start from the networks of this run or checkpoint.", rich_help_panel=WHAT)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Times through the data.  [35]", rich_help_panel=HOW)] = None,
    samples: Annotated[
        int | None, typer.Option(help="Training samples in all, instead of --epochs.", rich_help_panel=HOW)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per step.  [32]", rich_help_panel=HOW)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam.  [0.0002; hints: 0.001]", rich_help_panel=HOW)
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine"] | None,
        typer.Option(help="Learning rate over the run.  [constant; hints: cosine]", rich_help_panel=HOW),
    ] = None,
    checkpoint_every: Annotated[
        float | None, typer.Option(help="Epochs between checkpoints.  [7]", rich_help_panel=HOW)
    ] = None,
    keep: Annotated[int | None, typer.Option(help="Newest checkpoints kept.  [3]", rich_help_panel=HOW)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", rich_help_panel=HOW)] = 0,
    line_jitter: Annotated[
        float | None, typer.Option(help="Share of drawings roughened.  [0.5]", rich_help_panel=AUGMENT)
    ] = None,
    zoom: Annotated[
        float | None,
        typer.Option(help="Share of batches shown smaller or in part.  [0; hints: 0.4]", rich_help_panel=AUGMENT),
    ] = None,
    warp: Annotated[
        float | None,
        typer.Option(help="Share of pictures turned and stretched a little.  [0; hints: 0.5]", rich_help_panel=AUGMENT),
    ] = None,
    hue_jitter: Annotated[
        float | None,
        typer.Option(help="Share of pictures with hints or palette recolored.  [0.5]", rich_help_panel=AUGMENT),
    ] = None,
    palette_dropout: Annotated[
        float | None, typer.Option(help="Share of pictures without palette.  [0.25]", rich_help_panel=AUGMENT)
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; continues what is there.  [runs/SYSTEM]", rich_help_panel=WHERE),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over in a new folder beside --run.", rich_help_panel=WHERE)
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for decoded pictures.  [~/.cache/pixelpainter]", rich_help_panel=WHERE),
    ] = None,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(rich_help_panel=WHERE)] = "auto",
) -> None:
    """Train a network on pairs of drawing and color, or on color pictures alone.

    DATA holds joined pictures (color beside sketch), or color/ with lines/ (or sketch/), or just color pictures, whose
    lines are then extracted. Run it again to continue after a stop. Then: pixelpainter export RUN.
    """
    options = {
        name: value
        for name, value in locals().items()
        if name
        not in {"data", "synthetic", "layout", "validation", "strict", "init", "run", "fresh", "cache", "device"}
    }
    require_training_packages("train", "torch", "skimage", "tensorboard")
    import torch

    from pixelpainter.train.config import make_config
    from pixelpainter.train.run import Run

    options["mix"] = _parse_mix(mix or [])
    config = make_config(options.pop("system"), **options)
    chosen = _device(device)
    cache_folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixelpainter"
    training, held_out = load_training_data(data, synthetic, layout, validation, strict, config.load_size, cache_folder)
    print_note(f"Training {system} at {config.size}x{config.size} on {_device_in_words(torch, chosen)}.")
    folder = _run_folder(run or Path("runs") / system, fresh)
    started = Run(config, folder, training, held_out, chosen, shlex.join(["pixelpainter", *sys.argv[1:]]), init)
    for message in started.messages:
        print_note(message)
    if started.state.step >= started.total_steps:
        print_note(
            f"{folder} is already trained to the end ({started.total_steps} steps); "
            "to train on, give another --run and start it from here with --init, or use --fresh."
        )
        return
    _follow(started)
    if started.state.step < started.total_steps:
        how = "The same command continues."
        if fresh:
            how = f"To continue, give --run {shlex.quote(str(folder))} without --fresh."
        print_note(f"Stopped and saved at step {started.state.step}. {how}")
        raise typer.Exit(130)
    print_note(f"Done. Next: pixelpainter export {shlex.quote(str(folder))}")


def _parse_mix(items: list[str]) -> dict[str, float]:
    weights = {}
    for item in items:
        source, equals, weight = item.rpartition("=")
        try:
            weights[source] = float(weight)
        except ValueError:
            equals = ""
        if not source or not equals:
            raise typer.BadParameter(f"{item!r}: write SOURCE=WEIGHT, for example nova=5", param_hint="--mix")
    return weights


def _device(name: str) -> torch.device:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "--device cuda: this torch sees no CUDA GPU; use --device cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _device_in_words(torch: Any, device: torch.device) -> str:
    from pixelpainter.train.loop import pays_bf16

    numbers = "bfloat16" if pays_bf16(device) else "float32"
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"the CPU, {torch.get_num_threads()} threads"
    )
    return f"{where}, in {numbers}"


def _run_folder(folder: Path, fresh: bool) -> Path:
    """Return the folder, or with ``fresh`` the first of folder, folder-2, folder-3 ... that holds no run."""
    number, candidate = 1, folder
    while fresh and any(candidate.glob("step_*.pt")):
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _follow(run: Run) -> None:
    """Show a bar until the run ends; the first Ctrl-C or SIGTERM asks it to save and stop."""
    from tqdm import tqdm

    def request_stop(number: int, frame: object) -> None:
        if run.stop_requested:
            raise KeyboardInterrupt
        run.stop_requested = True
        tqdm.write("Stopping after this step; once more to stop without saving.", file=sys.stderr)

    handlers = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tqdm(total=run.total_steps, initial=run.state.step, unit="step", file=sys.stderr, mininterval=2.0) as bar:
            for progress in run:
                bar.update(progress.step - bar.n)
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
