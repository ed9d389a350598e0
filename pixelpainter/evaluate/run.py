"""Judge a model on pairs: every measure of every picture, then their means."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from pixelpainter.errors import DataError
from pixelpainter.evaluate.cases import ANSWERS, Asker, Case, Pixels, load_case
from pixelpainter.evaluate.measures import AREAS, MEASURES, REGION_MEASURES, Values, measure, only, stack, unavailable
from pixelpainter.evaluate.perceptual import FeatureDistance, Networks
from pixelpainter.evaluate.sheet import SHOWN, Row, make_row
from pixelpainter.metrics import colorfulness
from pixelpainter.nets.published import WeightsFile
from pixelpainter.train.pairs import Pair

TRUTH = "truth"  # the name of the truth where sets of pictures are named
Figures = dict[str, dict[str, Values]]  # area -> answer -> measure -> value


@dataclass
class Evaluation:
    """What all pictures gave.

    Attributes:
        size: side of the pictures in pixels.
        pictures: name and figures of each picture.
        figures: means over the pictures; for FID, the distance of all of them.
        unavailable: measures that were not taken, with the reason.
        weights: where those of the networks of LPIPS and FID are from, by measure.
        left_out: one message for each picture that could not be used.
        best: rows of the contact sheet, best first.
        worst: rows of the contact sheet, worst first.
    """

    size: int
    pictures: list[tuple[str, Figures]] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    weights: Mapping[str, WeightsFile] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    best: list[Row] = field(default_factory=list)
    worst: list[Row] = field(default_factory=list)


def evaluate(
    asker: Asker,
    pairs: Sequence[Pair],
    size: int,
    networks: Networks,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Return every measure of a model's answers and of the trivial baselines.

    Args:
        asker: the model.
        pairs: pictures with known colors.
        size: side in pixels that all pictures are fitted into.
        networks: for LPIPS and FID.
        device: where torch computes.
        progress: called with the number of pictures done and in all.

    Raises:
        DataError: no picture can be used.
    """
    found = Evaluation(size, unavailable={**unavailable(size), **networks.unavailable}, weights=networks.weights)
    lpips = None if "LPIPS" in found.unavailable else networks.lpips
    distance = None if networks.features is None else FeatureDistance(networks.features)
    for done, pair in enumerate(pairs, start=1):
        try:
            case = load_case(pair, size)
        except DataError as error:
            found.left_out.append(str(error))
        else:
            answers = asker.answers(case)
            with torch.inference_mode():
                figures = _measure(case, answers, lpips, distance, device)
            found.pictures.append((case.name, figures))
            _rank(found, make_row(case, answers, figures["figure"]["composite"]))
        if progress is not None:
            progress(done, len(pairs))
    if not found.pictures:
        raise DataError(f"none of {len(pairs)} pictures can be used; the first: {found.left_out[0]}")
    found.figures = _means(found.pictures)
    half = (len(found.pictures) + 1) // 2  # of few pictures none is among the best and the worst
    del found.best[half:], found.worst[len(found.pictures) - half :]
    if distance is not None:
        _add_distances(found, distance)
    return found


def _measure(
    case: Case,
    answers: dict[str, Pixels],
    lpips: nn.Module | None,
    distance: FeatureDistance | None,
    device: torch.device,
) -> Figures:
    """Return the figures of one picture, and add it to the sets that FID compares."""
    figures = measure(case, answers, device, lpips)
    for area, mask in case.areas.items():
        figures[area][TRUTH] = {"colorfulness": colorfulness(case.truth, mask)}
        if distance is not None:
            pictures = {f"{area} {name}": picture for name, picture in {**answers, TRUTH: case.truth}.items()}
            shown = stack([only(picture, mask) for picture in pictures.values()], device).byte()
            distance.add(dict(zip(pictures, shown, strict=True)))
    return figures


def _means(pictures: Sequence[tuple[str, Figures]]) -> Figures:
    """Return the mean of each value over the pictures where it is a number."""
    means: Figures = {}
    for area in AREAS:
        means[area] = {}
        for answer in (*ANSWERS, TRUTH):
            names = pictures[0][1][area][answer]
            columns = {name: [figures[area][answer][name] for _, figures in pictures] for name in names}
            means[area][answer] = {name: _mean(values) for name, values in columns.items()}
    return means


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers; NaN without any."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _add_distances(found: Evaluation, distance: FeatureDistance) -> None:
    for area in AREAS:
        for answer in ANSWERS:
            found.figures[area][answer]["FID"] = distance.distance(f"{area} {answer}", f"{area} {TRUTH}")


def _rank(found: Evaluation, row: Row) -> None:
    """Keep the best and the worst rows only: a row holds pictures."""
    insort(found.best, row, key=lambda row: row.error)
    insort(found.worst, row, key=lambda row: -row.error)
    del found.best[SHOWN:], found.worst[SHOWN:]


def measures_of(found: Evaluation) -> list[str]:
    """Return the names of the measures that were taken, in the order of the table."""
    taken = found.figures["figure"]["composite"]
    return [name for name in (*MEASURES[:4], "LPIPS", "FID", *MEASURES[4:], *REGION_MEASURES) if name in taken]
