"""Compare training recipes: one change at a time, the same number of samples, the same validation pictures.

    python tests/benchmarks/recipe.py DATA... --validation PATH [--samples N] [--only NAME]... [--results FILE]
                                      [--mix SOURCE=WEIGHT]... [--init RUN]

Each variant is the default recipe of `pix2pix-hints` with one change, trained at 128x128 unless its row says
otherwise. What `pixelpainter train` has an option for is changed by that option; the rest (norm layers, ways of
up-sampling, a Lab loss, how hints are drawn) is changed here and is not part of the package. After its last
step a variant is measured on all validation pictures: the network's answer inside the figure, without the
compositor. LPIPS is measured where AlexNet's published weights lie in torch's cache (`pixelpainter evaluate` downloads
them). A result is added to FILE as soon as it is there, so that several calls may share the work; a call prints the
table of all results in FILE. For the noise of one run see the row "base, another seed".
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelpainter.card import ModelCard, SystemName
from pixelpainter.evaluate.perceptual import load_networks
from pixelpainter.nets.hint_unet import DecoderLayer, HintUNet, ResizeConv
from pixelpainter.systems import SYSTEMS
from pixelpainter.train import augment
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.cache import Cache, build_cache
from pixelpainter.train.config import TrainConfig, make_config
from pixelpainter.train.objectives import Batch, ReconstructAndFool
from pixelpainter.train.run import Run
from pixelpainter.train.sources import find_pairs
from pixelpainter.train.validate import BATCH_SIZE, answer, validate, ways_to_ask

LOAD_SIZE = 288
FIRST_SHARE = 5 / 6
COLUMNS = {
    "psnr_plain": "no hints, dB",
    "above_gray": "above gray, dB",
    "psnr_hints_20": "20 hints, dB",
    "psnr_palette": "palette, dB",
    "ssim_plain": "SSIM no hints",
    "ssim_hints_20": "SSIM 20 hints",
    "colorfulness_plain": "color no hints",
    "colorfulness_hints_20": "color 20 hints",
    "colorfulness_palette": "color palette",
    "lpips_plain": "LPIPS no hints",
    "lpips_hints_20": "LPIPS 20 hints",
    "lpips_palette": "LPIPS palette",
    "minutes": "minutes",
}


@dataclass(frozen=True)
class Variant:
    """One change: options of the run, of the network's modules, of the objective, or of what is drawn at random."""

    options: dict[str, Any] = field(default_factory=dict)
    network: Callable[[HintUNet], None] = lambda network: None
    lab: bool = False
    patches: dict[str, Any] = field(default_factory=dict)  # names in pixelpainter.train.augment
    sources: Sequence[str] = ()  # the only sources drawn from; empty = all
    line_variants: int = 0  # the first so many drawings of a picture; 0 = all
    system: SystemName = "pix2pix-hints"
    first_size: int = 0  # the first FIRST_SHARE of the samples are trained at this size


class LabL1(ReconstructAndFool):
    """L1 in CIE Lab, scaled to about the size of the L1 of RGB, in place of L1 and chroma L1."""

    def generator_terms(self, fake: Tensor, batch: Batch, critic: nn.Module | None) -> dict[str, Tensor]:
        """Return lab and gradient."""
        terms = super().generator_terms(fake, batch, critic)
        del terms["l1"], terms["chroma"]
        return {**terms, "lab": (lab_from_srgb(fake) - lab_from_srgb(batch.truth)).abs().mean() / 20}


def lab_from_srgb(color: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB in [-1, 1] to CIE Lab (D65; CIE 15:2004), smooth enough near black to be trained through."""
    srgb = (color.float() + 1).clamp(0.002, 2) / 2
    linear = torch.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    matrix = torch.tensor([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]])
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear)  # divided by the white point
    root = torch.where(xyz > 0.008856, xyz.clamp(min=1e-4) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def with_norm(make: Callable[[int], nn.Module]) -> Callable[[HintUNet], None]:
    """Replace every BatchNorm2d of a network by another norm of its channels."""

    def change(network: HintUNet) -> None:
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, make(child.num_features))

    return change


class SubpixelConv(nn.Module):
    """3x3 convolution to four times the channels, and a pixel shuffle (Shi et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 3, 1, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return functional.pixel_shuffle(self.conv(x), 2)


def transposed(inputs: int, outputs: int, bias: bool) -> nn.Module:
    """The transposed convolution of pix2pix."""
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)


def with_upsampling(make: Callable[[int, int, bool], nn.Module]) -> Callable[[HintUNet], None]:
    """Replace every ResizeConv of a network."""

    def change(network: HintUNet) -> None:
        for layer in network.decoder:
            assert isinstance(layer, DecoderLayer) and isinstance(layer.up, ResizeConv)
            layer.up = make(*layer.up.weight.shape[:2], False)
        network.last = make(*network.last.weight.shape[:2], True)  # type: ignore[assignment]

    return change


VARIANTS = {
    "base": Variant(),
    "base, another seed": Variant({"seed": 1}),
    "instance norm": Variant(network=with_norm(lambda channels: nn.InstanceNorm2d(channels, affine=True))),
    "no norm": Variant(network=with_norm(lambda channels: nn.Identity())),
    "transposed convolution": Variant(network=with_upsampling(transposed)),
    "sub-pixel convolution": Variant(network=with_upsampling(SubpixelConv)),
    "BCE critic": Variant({"adversarial": "bce", "lambda_gan": 0.02}),
    "LSGAN critic": Variant({"adversarial": "lsgan", "lambda_gan": 0.02}),
    "hinge critic": Variant({"adversarial": "hinge", "lambda_gan": 0.02}),
    "hinge critic, five times stronger": Variant({"adversarial": "hinge", "lambda_gan": 0.1}),
    "L1 alone": Variant({"lambda_chroma": 0.0, "lambda_gradient": 0.0}),
    "no chroma loss": Variant({"lambda_chroma": 0.0}),
    "chroma loss twice": Variant({"lambda_chroma": 2.0}),
    "no gradient loss": Variant({"lambda_gradient": 0.0}),
    "gradient loss four times": Variant({"lambda_gradient": 2.0}),
    "Lab L1": Variant(lab=True),
    "no EMA": Variant({"ema": 0.0}),
    "constant learning rate": Variant({"schedule": "constant"}),
    "learning rate falls linearly": Variant({"schedule": "linear"}),
    "total variation 0.1": Variant({"lambda_tv": 0.1}),
    "perceptual loss 0.05": Variant({"lambda_perceptual": 0.05}),
    "perceptual loss 0.2": Variant({"lambda_perceptual": 0.2}),
    "self-attention": Variant({"attention": True}),
    "hinge, two critics": Variant({"adversarial": "hinge", "lambda_gan": 0.02, "critics": 2}),
    "no palette": Variant({"palette_dropout": 1.0}),
    "palette left out in half": Variant({"palette_dropout": 0.5}),
    "never recolored": Variant({"hue_jitter": 0.0}),
    "never turned and stretched": Variant({"warp": 0.0}),
    "half without hints": Variant(patches={"NO_HINTS_SHARE": 0.5}),
    "a tenth without hints": Variant(patches={"NO_HINTS_SHARE": 0.1}),
    "small hints only": Variant(patches={"HINT_RADII": (1, 1, 2)}),
    "hints anywhere": Variant(patches={"FIGURE_HINTS_SHARE": 0.0}),
    "procedural pictures alone": Variant(sources=["procedural"]),
    "no procedural pictures": Variant(sources=["real", "cartoon-dicebear", "cartoon-other"]),
    "hand-drawn pictures alone": Variant(sources=["real"]),
    "hand-drawn pictures a third as often": Variant({"mix": {"real": 4.0}}),
    "one drawing per picture": Variant(line_variants=1),
    "lines never roughened": Variant({"line_jitter": 0.0}),
    "no zoom": Variant({"zoom": 0.0}),
    "width 24": Variant({"width": 24}),
    "width 48": Variant({"width": 48}),
    "learning rate 0.0005": Variant({"learning_rate": 5e-4}),
    "learning rate 0.002": Variant({"learning_rate": 2e-3}),
    "256x256 throughout": Variant({"size": 256}),
    "128x128, the last sixth 256x256": Variant({"size": 256}, first_size=128),
    # As in Isola et al., CVPR 2017, but in batches of 4 instead of 1: the same samples in a quarter of the steps.
    "textbook pix2pix, 256x256": Variant({"size": 256, "batch_size": 4, "lambda_l1": 100.0}, system="pix2pix"),
}


def run_variant(
    variant: Variant, training: Cache, held_out: Cache, options: dict[str, Any], init: Path | None
) -> dict[str, float]:
    """Train a variant and return its figures, by the names of COLUMNS."""
    chosen = {**options, **variant.options}
    chosen["mix"] = {**options["mix"], **variant.options.get("mix", {})}
    if variant.sources:
        roots = {name.partition("/")[0] for name in training.names}
        chosen["mix"] |= {root: 0.0 for root in roots if root not in variant.sources}
        chosen["mix"] = {
            key: weight
            for key, weight in chosen["mix"].items()
            if key.partition("/")[0] in variant.sources or not weight
        }
    row = SYSTEMS["pix2pix-hints"]

    def make_generator(config: TrainConfig) -> nn.Module:
        network = HintUNet(config.width, attention=config.attention)
        variant.network(network)
        return network

    def make_objective(config: TrainConfig) -> ReconstructAndFool:
        made = row.make_objective(config)
        assert isinstance(made, ReconstructAndFool)
        return LabL1(**dataclasses.asdict(made)) if variant.lab else made

    SYSTEMS["pix2pix-hints"] = dataclasses.replace(row, make_generator=make_generator, make_objective=make_objective)
    kept = {name: getattr(augment, name) for name in variant.patches}
    for name, value in variant.patches.items():
        setattr(augment, name, value)
    if variant.line_variants:
        training = dataclasses.replace(training, lines=training.lines[:, : variant.line_variants])
    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            if variant.first_size:
                samples = round(FIRST_SHARE * chosen["samples"])
                config = make_config(variant.system, **{**chosen, "size": variant.first_size, "samples": samples})
                init = _trained(config, Path(folder) / "first", training, device, init).folder
                chosen["samples"] -= samples
            config = make_config(variant.system, **chosen)
            run = _trained(config, Path(folder) / "run", training, device, init)
            minutes = (time.monotonic() - started) / 60
        judged = BatchMaker(held_out, run.card, config, device)
        every = list(range(len(held_out.names)))
        generator = run.state.inference_generator
        figures = validate(generator, judged, run.card, every)
        figures |= measure_lpips(generator, judged, run.card, every, device)
    finally:
        SYSTEMS["pix2pix-hints"] = row
        for name, value in kept.items():
            setattr(augment, name, value)
    return {**figures, "minutes": minutes}


def measure_lpips(
    generator: nn.Module, batches: BatchMaker, card: ModelCard, pictures: Sequence[int], device: torch.device
) -> dict[str, float]:
    """Return the mean LPIPS inside the figure for each way of asking; nothing where the weights are not here."""
    network = load_networks(device, download=False).lpips
    if network is None:
        return {}
    found = {}
    for way, (hints, with_palette) in ways_to_ask(card).items():
        distances = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch, figures = batches.validation(pictures[start : start + BATCH_SIZE], hints, with_palette)
            both = (answer(generator, batch.inputs).clamp(-1, 1), batch.truth)
            shown, truths = (torch.where(figures[:, None], (part + 1) * 127.5, 255) for part in both)
            distances.append(network(shown, truths, figures.float()))
        found[f"lpips_{way}"] = float(torch.cat(distances).mean())
    return found


def _trained(config: TrainConfig, folder: Path, training: Cache, device: torch.device, init: Path | None) -> Run:
    """Return a run that was brought to its end."""
    run = Run(config, folder, training, None, device, "recipe.py", init)
    for _ in run:
        pass
    return run


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print a Markdown table."""
    print("| change | " + " | ".join(COLUMNS.values()) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for name in [name for name in VARIANTS if name in results]:
        figures = results[name]
        figures["above_gray"] = figures["psnr_plain"] - figures["psnr_baseline_gray"]
        cells = [
            f"{figures[column]:.{3 if column.startswith(('ssim', 'lpips')) else 2}f}" if column in figures else ""
            for column in COLUMNS
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--only", action="append", default=[], choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--mix", action="append", default=[], metavar="SOURCE=WEIGHT")
    parser.add_argument("--init", type=Path, help="start every variant from the networks of this run")
    parser.add_argument("--results", type=Path, default=Path("recipe.jsonl"))
    arguments = parser.parse_args()
    if arguments.data:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixelpainter"
        training, _ = build_cache(find_pairs(arguments.data), LOAD_SIZE, caches)
        held_out, _ = build_cache(find_pairs([arguments.validation]), LOAD_SIZE, caches)
        mix = {name: float(weight) for name, _, weight in (item.rpartition("=") for item in arguments.mix)}
        options = {
            "size": 128,
            "load_size": LOAD_SIZE,
            "samples": arguments.samples,
            "mix": mix,
            "checkpoint_every": 999,
        }
        for name in arguments.only or list(VARIANTS):
            figures = run_variant(VARIANTS[name], training, held_out, options, arguments.init)
            with arguments.results.open("a") as stream:
                stream.write(json.dumps({"name": name, "samples": arguments.samples, **figures}) + "\n")
    results = [json.loads(line) for line in arguments.results.read_text().splitlines()]
    print_table({result["name"]: result for result in results})


if __name__ == "__main__":
    main()
