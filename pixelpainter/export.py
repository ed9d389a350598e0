"""Checkpoint to ONNX: rewrite, convert, quantize, and prove that onnxruntime answers like torch, or fail."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

import pixelpainter
from pixelpainter.atomic import new_file
from pixelpainter.card import CARD_KEY, ModelCard, Palette, Precision
from pixelpainter.errors import ExportError
from pixelpainter.nets.deploy import deployed
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.cache import Cache
from pixelpainter.train.checkpoint import Checkpoint
from pixelpainter.train.validate import answer, ways_to_ask

OPSET = 17  # the oldest with everything used here; onnxruntime reads it since 1.12
# The floor of the worst picture in dB against torch, on the 0-255 scale. float32 differs by rounding alone.
WORST_PSNR_DB: dict[Precision, float] = {"fp32": 70.0, "fp16": 45.0, "int8": 30.0}
CALIBRATION_PICTURES = 24
CALIBRATION_PERCENTILE = 99.99  # min-max lets a few outliers take the range: worst picture 16 dB instead of 32
# Convolutions at the start that may stay in float, beside the last one: the fewest with which int8 passes the proof,
# for they take time. Hints reach them as a few strong dots, whose range does not fit that of paper and lines: with one
# in float the bundled model's worst picture had 27 dB, with three 34 dB.
FLOAT_AT_START = (1, 2, 3)
TIMED_RUNS = 20

Inputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How an exported model compares with the trained one, on the 0-255 scale, and what it costs.

    Attributes:
        pictures: answers compared, each picture once for each way of asking.
        max_error: largest difference of a pixel.
        mean_error: mean absolute difference.
        mean_psnr: mean over the answers, dB.
        worst_psnr: of the answer that differs most, dB.
        file_bytes: size of the file.
        load_ms: time to open it.
        forward_ms: median time for one picture on all cores.
    """

    pictures: int
    max_error: float
    mean_error: float
    mean_psnr: float
    worst_psnr: float
    file_bytes: int
    load_ms: float
    forward_ms: float


def make_card(
    checkpoint: Checkpoint,
    precision: Precision,
    licence: str = "",
    sources: Sequence[str] = (),
    default_palette: Palette = (),
) -> ModelCard:
    """Return the card of a checkpoint's export: its system's row and the record of its making."""
    return dataclasses.replace(
        SYSTEMS[checkpoint.config.system].card,
        size=checkpoint.config.size,
        precision=precision,
        samples_seen=checkpoint.samples,
        data_manifest=checkpoint.manifest,
        command=checkpoint.command,
        licence=licence,
        sources=tuple(sources),
        metrics=checkpoint.metrics,
        default_palette=default_palette,
        program_version=pixelpainter.__version__,
    )


def export(generator: nn.Module, checkpoint: Checkpoint, card: ModelCard, pictures: Cache, output: Path) -> Proof:
    """Write a generator as an ONNX file with its card, after proving that the file answers like the generator.

    Args:
        generator: the trained network in eval mode.
        checkpoint: where it comes from.
        card: the contract; ``card.precision`` decides the number format.
        pictures: drawings with true colors: every other one calibrates int8, the rest are the proof; one alone is both.
        output: the file to write; replaced if it exists.

    Raises:
        ExportError: the file's answers differ too much, or it cannot be written; nothing is left behind.
    """
    examples = list(_example_inputs(checkpoint, card, pictures))  # by picture, so that none is on both sides
    calibration = [each for picture in examples[0::2] for each in picture]
    proof = [each for picture in examples[1::2] or examples for each in picture]
    floor = WORST_PSNR_DB[card.precision]
    for converted in _converted(_to_onnx(deployed(generator), proof[0]), card.precision, calibration):
        entry = converted.metadata_props.add()
        entry.key, entry.value = CARD_KEY, card.to_json()
        result = _write_if_proven(generator, converted, proof, floor, output)
        if result.worst_psnr >= floor:
            return result
    raise ExportError(
        f"the {card.precision} model differs too much from the trained one: worst picture "
        f"{result.worst_psnr:.1f} dB, at least {floor:.0f} dB is needed; nothing was written. "
        "Calibrate with pictures like your drawings (--calibration), or use --precision fp32"
    )


def _write_if_proven(
    generator: nn.Module, model: onnx.ModelProto, inputs: list[Inputs], floor: float, output: Path
) -> Proof:
    """Compare a model with its generator, and write it if the worst picture reaches the floor."""
    content = model.SerializeToString()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".") as folder:
            candidate = Path(folder) / output.name
            candidate.write_bytes(content)
            result = _prove(generator, candidate, inputs)
        if result.worst_psnr >= floor:  # never true of NaN
            with new_file(output, overwrite=True) as stream:
                stream.write(content)
    except OSError as error:
        raise ExportError(f"{output}: cannot be written ({error.strerror or error})") from error
    return result


def _example_inputs(checkpoint: Checkpoint, card: ModelCard, pictures: Cache) -> Iterator[list[Inputs]]:
    """Yield the network's inputs for each of some pictures, in all ways of asking."""
    config = dataclasses.replace(checkpoint.config, load_size=pictures.color.shape[-1])
    batches = BatchMaker(pictures, card, config, torch.device("cpu"))
    count = min(len(pictures.names), 2 * CALIBRATION_PICTURES)
    ways = list(ways_to_ask(card).values())
    for index in np.linspace(0, len(pictures.names) - 1, count).astype(int):
        asked = (batches.validation([int(index)], hints, with_palette)[0].inputs for hints, with_palette in ways)
        yield [
            dict(zip(("picture", "palette"), (value.contiguous().numpy() for value in inputs), strict=False))
            for inputs in asked
        ]


def _to_onnx(generator: nn.Module, example: Inputs) -> onnx.ModelProto:
    buffer = io.BytesIO()
    dynamic = {name: {0: "pictures"} for name in (*example, "color")}
    with warnings.catch_warnings():
        # The exporter that needs no further package is deprecated, in two warnings; it writes this graph well.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            generator,
            tuple(torch.from_numpy(value) for value in example.values()),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=list(example),
            output_names=["color"],
            dynamic_axes=dynamic,
        )
    model: onnx.ModelProto = onnx.load_from_string(buffer.getvalue())
    return model


def _converted(model: onnx.ModelProto, precision: Precision, calibration: list[Inputs]) -> Iterator[onnx.ModelProto]:
    """Yield the model in a precision; of several ways the fastest first."""
    if precision == "fp32":
        yield model
    elif precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        yield convert_float_to_float16(model, keep_io_types=True)
    else:
        for in_float in FLOAT_AT_START:
            yield _quantized(model, calibration, in_float)


def _quantized(model: onnx.ModelProto, calibration: list[Inputs], in_float: int) -> onnx.ModelProto:
    """Return a model whose convolutions work in int8, with weights scaled per channel.

    Args:
        model: the float model.
        calibration: inputs whose values give the ranges.
        in_float: how many convolutions at the start stay as they are, beside the last one.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(calibration)

        def get_next(self) -> Inputs | None:
            return next(self._rest, None)

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, result = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, plain)
        quant_pre_process(plain, prepared)
        nodes = onnx.load(prepared).graph.node
        convolutions = [node.name for node in nodes if node.op_type == "Conv"]
        logger = logging.getLogger()
        level = logger.level
        logger.setLevel(logging.ERROR)  # the quantizer logs hints for other models at the root
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints there; stdout is for results
                quantization.quantize_static(
                    prepared,
                    result,
                    Reader(),
                    quant_format=quantization.QuantFormat.QDQ,
                    activation_type=quantization.QuantType.QUInt8,  # signed ones leave half the layers in float
                    per_channel=True,
                    op_types_to_quantize=["Conv"],  # the palette's small matrices cost no time, but color
                    nodes_to_exclude=[*convolutions[:in_float], convolutions[-1]],
                    calibrate_method=quantization.CalibrationMethod.Percentile,
                    extra_options={"CalibPercentile": CALIBRATION_PERCENTILE},
                )
        finally:
            logger.setLevel(level)
        quantized: onnx.ModelProto = onnx.load(result)
        return quantized


def _prove(generator: nn.Module, file: Path, inputs: list[Inputs]) -> Proof:
    """Compare onnxruntime with torch on every input, and time the file."""
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    load_ms = (time.perf_counter() - started) * 1000
    largest, means, squares = 0.0, [], []
    for values in inputs:
        expected = answer(generator, tuple(torch.from_numpy(value) for value in values.values()))
        found = session.run(["color"], dict(values))[0]
        difference = 127.5 * (found - expected.numpy()).astype(np.float64)
        largest = max(largest, float(np.abs(difference).max()))
        means.append(float(np.abs(difference).mean()))
        squares.append(float(np.square(difference).mean()))
    decibels = [float(10 * np.log10(255**2 / max(square, 1e-12))) for square in squares]
    return Proof(
        pictures=len(inputs),
        max_error=largest,
        mean_error=float(np.mean(means)),
        mean_psnr=float(np.mean(decibels)),
        worst_psnr=float(np.min(decibels)),  # unlike min(), lets NaN through
        file_bytes=file.stat().st_size,
        load_ms=load_ms,
        forward_ms=_forward_ms(session, inputs[0]),
    )


def _forward_ms(session: Any, values: Inputs) -> float:
    times = []
    for _ in range(TIMED_RUNS):
        started = time.perf_counter()
        session.run(["color"], dict(values))
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times))
