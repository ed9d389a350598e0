"""Measure how the result gets better with the number of color hints; print a table in Markdown.

    python tests/benchmarks/hints.py --data validation.zip [--model FILE] [--limit N] [--check]

Hints are true colors at random places of the figure, off its lines, the same for the same picture, and the first ones
of many are those of a few. PSNR is inside the figure; CIEDE2000 is the median over all regions, the color error of a
region being the median of its pixels. Both as quality.py measures them; what the table means is explained there.
``--check`` ends with status 1 if 20 or 50 hints are not better than none, in both figures.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from quality import machine
from quality_measures import color_difference

import pixelpainter
from pixelpainter import metrics
from pixelpainter.colorize import Colorizer
from pixelpainter.errors import PixelPainterError
from pixelpainter.evaluate.cases import Case, load_case, true_hints
from pixelpainter.train.sources import find_pairs

COUNTS = (0, 1, 2, 5, 10, 20, 50)


def measure(colorizer: Colorizer, case: Case, count: int) -> tuple[float, np.ndarray]:
    """Return PSNR inside the figure in dB, and the CIEDE2000 of each region, with so many hints."""
    result = np.asarray(colorizer.colorize(Image.fromarray(case.drawing), hints=true_hints(case, count)))
    return metrics.psnr(result, case.truth, case.figure), case.regions.color_errors(
        color_difference(result, case.truth)
    )


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder or ZIP with color/ and lines/")
    parser.add_argument("--model", type=Path, help="ONNX file; default: the bundled model")
    parser.add_argument("--limit", type=int, help="only so many pictures, spread over the sources")
    parser.add_argument("--threads", type=int, default=2, help="cores for the network (default 2)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if many hints do not help")
    return parser.parse_args()


def main() -> int:
    """Print the table. Returns the exit status."""
    arguments = parse()
    decibels: dict[int, list[float]] = {count: [] for count in COUNTS}
    errors: dict[int, list[np.ndarray]] = {count: [] for count in COUNTS}
    try:
        colorizer = Colorizer(arguments.model, threads=arguments.threads)
        pairs = find_pairs([arguments.data])
        if arguments.limit and arguments.limit < len(pairs):  # spread over all sources
            pairs = [pairs[i * len(pairs) // arguments.limit] for i in range(arguments.limit)]
        for number, pair in enumerate(pairs, 1):
            case = load_case(pair)
            for count in COUNTS:
                decibel, error = measure(colorizer, case, count)
                decibels[count].append(decibel)
                errors[count].append(error)
            print(f"\r{number}/{len(pairs)}", end="", file=sys.stderr, flush=True)
    except PixelPainterError as error:
        print(error, file=sys.stderr)
        return 1
    print(file=sys.stderr)
    mean = {count: float(np.mean(values)) for count, values in decibels.items()}
    median = {count: float(np.nanmedian(np.concatenate(values))) for count, values in errors.items()}
    print("| hints |" + "".join(f" {count} |" for count in COUNTS))
    print("|---|" + "---|" * len(COUNTS))
    print("| PSNR inside the figure, dB |" + "".join(f" {mean[count]:.2f} |" for count in COUNTS))
    print("| median CIEDE2000 of regions |" + "".join(f" {median[count]:.1f} |" for count in COUNTS))
    regions = sum(len(values) for values in errors[0])
    print(f"\n{colorizer.file.name} on {arguments.data.name}: {len(pairs)} pictures, {regions} regions;", end=" ")
    print(f"pixelpainter {pixelpainter.__version__}, onnxruntime {onnxruntime.__version__}, ", end="")
    print(f"numpy {np.__version__}, Python {platform.python_version()}; {machine()}, {arguments.threads} threads")
    helped = all(mean[count] > mean[0] and median[count] < median[0] for count in COUNTS[-2:])
    return 1 if arguments.check and not helped else 0


if __name__ == "__main__":
    sys.exit(main())
