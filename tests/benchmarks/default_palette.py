"""Choose the palette that a model uses when the user gives none.

    python tests/benchmarks/default_palette.py MODEL DATA... --judge PATH [--candidates N] [--pictures N]
                                               [--source NAME]... [--leave-out NAME]... [--least-color X]

Candidates are the palette codes of pictures in DATA, spread over the characters (a picture's name up to its first
underscore or digit). Each colors the drawings in PATH, with even fills as users get them; the table shows PSNR inside
the figure, colorfulness divided by the truth's, and the argument for `pixelpainter export --default-palette`. First
come the palettes that are colorful enough: pale ones have the better PSNR, and nobody wants them. PATH should hold
characters that the model has not been trained on, and must not hold those that it is judged on in the end.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pixelpainter import metrics
from pixelpainter.card import ModelCard
from pixelpainter.flats import even_out, network_regions
from pixelpainter.palette import swatches_of_code
from pixelpainter.settings import Settings
from pixelpainter.train.cache import Cache, build_cache
from pixelpainter.train.pairs import Pair
from pixelpainter.train.sources import find_pairs

Palettes = NDArray[np.float32]
BEST_SHOWN = 12


def spread(pairs: list[Pair], sources: list[str], count: int) -> list[Pair]:
    """Return up to ``count`` pairs, one of each character before a second of any."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        if not sources or pair.source in sources:
            character = re.split(r"[_\d]", pair.name.rpartition("/")[2])[0]
            groups.setdefault(f"{pair.source}/{character}", []).append(pair)
    rounds = max(map(len, groups.values()))
    ordered = [group[turn] for turn in range(rounds) for group in groups.values() if turn < len(group)]
    return ordered[:count]


def score(session: onnxruntime.InferenceSession, cache: Cache, palette: Palettes) -> tuple[float, float]:
    """Return mean PSNR inside the figure and mean colorfulness over the truth's mean, with one palette for all."""
    size, even = cache.color.shape[-1], Settings().even
    decibels, found, true = [], [], []
    for index in range(len(cache.names)):
        drawing = cache.lines[index, 0]
        lines = drawing.astype(np.float32)[None] / 127.5 - 1
        picture = np.concatenate([lines, np.zeros((4, size, size), np.float32)])[None]
        answer = session.run(["color"], {"picture": picture, "palette": palette[None]})[0][0]
        color = np.ascontiguousarray((answer.transpose(1, 2, 0) + 1) / 2).clip(0, 1)
        result = np.rint(even_out(color, drawing, network_regions(drawing), even) * 255).astype(np.uint8)
        truth, figure = np.ascontiguousarray(cache.color[index].transpose(1, 2, 0)), cache.figure[index] > 0
        decibels.append(metrics.psnr(result, truth, figure))
        found.append(metrics.colorfulness(result, figure))
        true.append(metrics.colorfulness(truth, figure))
    return float(np.mean(decibels)), float(np.mean(found) / np.mean(true))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--source", action="append", default=[], help="take candidates from these sources only")
    parser.add_argument("--leave-out", action="append", default=[], help="do not judge on this source")
    parser.add_argument("--least-color", type=float, default=0.8, help="least colorfulness over the truth's")
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(str(options.model), providers=["CPUExecutionProvider"])
    card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, str(options.model))
    asked = spread(find_pairs(options.data), options.source, options.candidates)
    judges = [pair for pair in find_pairs([options.judge]) if pair.source not in options.leave_out]
    judges = [
        judges[index] for index in np.linspace(0, len(judges) - 1, min(options.pictures, len(judges))).astype(int)
    ]
    with tempfile.TemporaryDirectory() as folder:
        candidates, _ = build_cache(asked, card.size, Path(folder), variants=1)
        judged, _ = build_cache(judges, card.size, Path(folder), variants=1)
        rows = [("no palette", np.zeros((card.palette, 4), np.float32))]
        rows += list(zip(candidates.names, candidates.palette, strict=True))
        scored = [(*score(session, judged, palette), name, palette) for name, palette in rows]
    print(f"{len(judged.names)} drawings, {len(rows) - 1} palettes; PSNR in dB, colorfulness over the truth's")
    best = sorted(scored[1:], key=lambda row: (row[1] < options.least_color, -row[0]))
    for decibel, ratio, name, palette in [scored[0], *best[:BEST_SHOWN]]:
        text = ",".join(f"{bytes(swatch.color).hex()}:{swatch.share:.3f}" for swatch in swatches_of_code(palette))
        print(f"{decibel:6.2f} {ratio:5.2f}  {name:50} {text}", flush=True)


if __name__ == "__main__":
    main()
