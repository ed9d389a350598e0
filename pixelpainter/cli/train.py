"""`pixelpainter train`: options, bars and messages of a training run."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelpainter.card import SystemName
from pixelpainter.cli.messages import print_note
from pixelpainter.cli.pictures import load_training_data
from pixelpainter.cli.training_check import print_check
from pixelpainter.cli.training_runs import finish, finish_sweep
from pixelpainter.extras import require
from pixelpainter.train.config import PresetName, TrainConfig, make_config

if TYPE_CHECKING:
    from pixelpainter.train.run import Run

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
        typer.Option(
            help="Folder or ZIP file to validate on; default DATA/val, or about 5 % of DATA.", rich_help_panel=DATA
        ),
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
    check_data: Annotated[
        bool, typer.Option("--check-data", help="List what is wrong with the pictures, and end.", rich_help_panel=DATA)
    ] = False,
    preset: Annotated[
        PresetName | None,
        typer.Option(
            metavar="NAME",
            help="A recipe: pixelpainter, sketch2paint, mun, bundled-128, bundled-256 or character. "
            "Options given beside it win; --dry-run prints what it is.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    system: Annotated[
        SystemName | None, typer.Option(help="Which network and losses.  [pix2pix]", rich_help_panel=WHAT)
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels.  [256]", rich_help_panel=WHAT)] = None,
    load_size: Annotated[
        int | None, typer.Option(help="Side before the random crop.  [286 for 256]", rich_help_panel=WHAT)
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of the first layer.  [64; hints: 32]", rich_help_panel=WHAT)
    ] = None,
    attention: Annotated[
        bool | None,
        typer.Option(
            "--attention/--no-attention", help="Self-attention at 1/8 of the size; default: no.", rich_help_panel=WHAT
        ),
    ] = None,
    adversarial: Annotated[
        Literal["none", "bce", "lsgan", "hinge"] | None,
        typer.Option(help="The critic's loss.  [bce; hints: none]", rich_help_panel=WHAT),
    ] = None,
    critics: Annotated[
        int | None, typer.Option(help="Critics, each at half the size of the one before.  [1]", rich_help_panel=WHAT)
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
    lambda_tv: Annotated[
        float | None, typer.Option(help="Weight of the total variation.  [0]", rich_help_panel=WHAT)
    ] = None,
    lambda_perceptual: Annotated[
        float | None,
        typer.Option(help="Weight of L1 of VGG-16's features, a download of 528 MB.  [0]", rich_help_panel=WHAT),
    ] = None,
    lambda_gan: Annotated[
        float | None, typer.Option(help="Weight of the critic's verdict.  [1]", rich_help_panel=WHAT)
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Decay of averaged weights.  [0 = none; hints: 0.999]", rich_help_panel=WHAT)
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|MODEL",
            help="Start from the networks of this run, checkpoint or model: bundled, a file, one on the Hub.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Times through the data.  [35]", rich_help_panel=HOW)] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Training samples in all, instead of --epochs.", rich_help_panel=HOW)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per step.  [32]", rich_help_panel=HOW)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam.  [0.0002; hints: 0.001]", rich_help_panel=HOW)
    ] = None,
    beta1: Annotated[float | None, typer.Option(help="Of Adam.  [0.5; hints: 0.9]", rich_help_panel=HOW)] = None,
    beta2: Annotated[float | None, typer.Option(help="Of Adam.  [0.999; hints: 0.99]", rich_help_panel=HOW)] = None,
    schedule: Annotated[
        Literal["constant", "linear", "cosine"] | None,
        typer.Option(help="Learning rate over the run.  [constant; hints: cosine]", rich_help_panel=HOW),
    ] = None,
    checkpoint_every: Annotated[
        float | None, typer.Option(help="Epochs between checkpoints.  [7]", rich_help_panel=HOW)
    ] = None,
    keep: Annotated[int | None, typer.Option(help="Newest checkpoints kept.  [3]", rich_help_panel=HOW)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", rich_help_panel=HOW)] = 0,
    line_styles: Annotated[
        int | None,
        typer.Option(help="Drawings per picture: 0 = all, 1 = the given one alone.  [0]", rich_help_panel=AUGMENT),
    ] = None,
    line_jitter: Annotated[
        float | None, typer.Option(help="Share of drawings roughened.  [0.5]", rich_help_panel=AUGMENT)
    ] = None,
    flip: Annotated[
        float | None, typer.Option(help="Share of pictures mirrored.  [0.5]", rich_help_panel=AUGMENT)
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
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", help="With torch.compile; default: long runs on one GPU.", rich_help_panel=HOW
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="OPTION=V1,V2,...",
            help="A run for each value, such as lambda_l1=10,50,100, and a table.",
            rich_help_panel=HOW,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the options of the run in full, and end.", rich_help_panel=WHERE)
    ] = False,
) -> None:
    """Train a network on pairs of drawing and color, or on color pictures alone.

    DATA holds joined pictures (color beside sketch), or color/ with lines/ (or sketch/), or just color pictures, whose
    lines are then extracted. Run it again to continue after a stop. Then: pixelpainter export RUN.

    On 4 GPUs of one machine: torchrun --nproc-per-node 4 -m -- pixelpainter train ... (--batch-size: of all together).
    """
    of_the_place = {"data", "synthetic", "layout", "validation", "strict", "init", "run", "fresh", "cache", "device"}
    of_the_place |= {"compiled", "dry_run", "check_data", "sweep"}
    options = {name: value for name, value in locals().items() if name not in {"of_the_place", *of_the_place}}
    options["mix"] = _parse_mix(mix) if mix else None
    config = make_config(**options)
    config.check_size()
    configs = {"": config} if sweep is None else _parse_sweep(sweep, config, fresh)
    if dry_run:
        typer.echo("\n\n".join("\n".join(config.to_options()) for config in configs.values()))
        return
    if check_data:
        if synthetic:
            raise typer.BadParameter("drawn pictures need no --check-data", param_hint="--synthetic")
        raise typer.Exit(print_check(data, layout, validation))
    require("train", "train", "torch", "tensorboard", "matplotlib")
    from pixelpainter.train.fast import device_in_words, pick_device
    from pixelpainter.train.folder import check_place, first_free
    from pixelpainter.train.processes import join_processes
    from pixelpainter.train.run import Run
    from pixelpainter.train.start import find_origin

    folder = run or Path("runs") / config.system
    if fresh:
        folder = first_free(folder)
    check_place(folder)
    origin = None if init is None else find_origin(init)
    processes, chosen = join_processes(pick_device(device))
    first = processes.rank == 0
    cache_folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixelpainter"
    with contextlib.nullcontext() if first else _silence():
        if not first:
            processes.wait()  # for the first one to fill the cache
        training, held_out = load_training_data(
            data, synthetic, layout, validation, strict, config.load_size, cache_folder
        )
        if first:
            processes.wait()
        shared = f", {processes.count} processes" if processes.count > 1 else ""
        where = f"{device_in_words(chosen)}{shared}"
        print_note(f"Training {config.system} at {config.size}x{config.size} on {where}.")
        command = shlex.join(["pixelpainter", *sys.argv[1:]])

        def make(config: TrainConfig, folder: Path) -> Run:
            return Run(config, folder, training, held_out, chosen, command, origin, processes, compiled)

        if sweep is None:
            finish(make(config, folder), fresh)
        else:
            finish_sweep(make, configs, folder, processes)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep a process that is not the first one from saying the same once more; errors are said outside."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _parse_sweep(text: str, config: TrainConfig, fresh: bool) -> dict[str, TrainConfig]:
    from pixelpainter.train.sweep import parse_sweep

    if fresh:
        raise typer.BadParameter("a sweep starts over in another --run folder", param_hint="--fresh")
    try:
        return parse_sweep(text, config)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sweep") from error


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
