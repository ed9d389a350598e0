"""Choose the palette that a model uses when the user gives none.

    python tests/benchmarks/default_palette.py MODEL DATA... [--candidates N] [--pictures N] [--source NAME]...

Candidates are the palette codes of training pictures, spread over the characters (a picture's name up to its first
underscore or digit). Each colors the drawings of other pictures of the same DATA; the table shows PSNR inside the
figure, colorfulness divided by the truth's, and the argument for `pixelpainter export --default-palette`.
Never run it on pictures that the model is judged on.
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
from pixelpainter.palette import swatches_of_code
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
    size = cache.color.shape[-1]
    decibels, found, true = [], [], []
    for index in range(len(cache.names)):
        drawing = cache.lines[index, 0].astype(np.float32)[None] / 127.5 - 1
        picture = np.concatenate([drawing, np.zeros((4, size, size), np.float32)])[None]
        answer = session.run(["color"], {"picture": picture, "palette": palette[None]})[0][0]
        result = np.clip(np.rint((answer.transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
        truth, figure = cache.color[index].transpose(1, 2, 0), cache.figure[index] > 0
        decibels.append(metrics.psnr(result, truth, figure))
        found.append(metrics.colorfulness(result, figure))
        true.append(metrics.colorfulness(truth, figure))
    return float(np.mean(decibels)), float(np.mean(found) / np.mean(true))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--source", action="append", default=[])
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(str(options.model), providers=["CPUExecutionProvider"])
    card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, str(options.model))
    pairs = spread(find_pairs(options.data), options.source, options.candidates + options.pictures)
    with tempfile.TemporaryDirectory() as folder:
        every, _ = build_cache(pairs, card.size, Path(folder), variants=1)
        positions = np.random.default_rng(0).permutation(len(every.names))
        judged, asked = np.sort(positions[: options.pictures]), positions[options.pictures :]
        cache = Cache(
            names=[every.names[index] for index in judged],
            sources=[every.sources[index] for index in judged],
            color=every.color[judged],
            lines=every.lines[judged],
            figure=every.figure[judged],
            palette=every.palette[judged],
            manifest="",
        )
        nothing = np.zeros((card.palette, 4), np.float32)
        rows = [("no palette", nothing), *((every.names[index], every.palette[index]) for index in asked)]
        scored = [(*score(session, cache, palette), name, palette) for name, palette in rows]
    print(f"{len(cache.names)} drawings of {len(every.names)} pictures; PSNR in dB, colorfulness over the truth's")
    shown = [scored[0], *sorted(scored[1:], key=lambda row: -row[0])[:BEST_SHOWN]]
    for decibel, ratio, name, palette in shown:
        text = ",".join(f"{bytes(swatch.color).hex()}:{swatch.share:.3f}" for swatch in swatches_of_code(palette))
        print(f"{decibel:6.2f} {ratio:5.2f}  {name:50} {text}")


if __name__ == "__main__":
    main()
