"""The whole chain by the real commands: train, export, colorize."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from conftest import load

from pixelpainter.card import ModelCard


@pytest.fixture
def pixelpainter(tmp_path):
    """Run `pixelpainter ARGUMENTS...` as a process of its own in tmp_path and return what it said on stderr."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "pixelpainter", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert "Warning" not in done.stderr
        return done.stderr

    return run


def card_of(model):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, model.name)


def check_colored(picture, drawing):
    """The result has the drawing's size and its lines."""
    colored, original = load(picture), load(drawing).convert("L")
    assert colored.size == original.size
    ink = np.asarray(original) < 60
    assert ink.sum() > 100
    assert np.asarray(colored.convert("L"))[ink].mean() < 90


def test_pix2pix_hints_from_pictures_to_a_colored_drawing(pixelpainter, drawings, tmp_path):
    small = ("--width", 8, "--size", 128, "--load-size", 128, "--samples", 64, "--batch-size", 8)
    pixelpainter("train", "--synthetic", 24, "--system", "pix2pix-hints", *small, "--device", "cpu", "--run", "run")
    assert (tmp_path / "run" / "step_00000008.pt").is_file()

    said = pixelpainter("export", "run", "-o", "full.onnx", "--licence", "MIT")
    assert "onnxruntime against torch" in said
    pixelpainter("export", "run", "-o", "small.onnx", "--precision", "int8")
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * (tmp_path / "full.onnx").stat().st_size
    full, small_card = card_of(tmp_path / "full.onnx"), card_of(tmp_path / "small.onnx")
    assert (full.system, full.size, full.samples_seen, full.licence) == ("pix2pix-hints", 128, 64, "MIT")
    assert (full.precision, small_card.precision) == ("fp32", "int8")
    assert full.metrics["psnr_plain"] > 0

    drawing = drawings / "girl.png"
    pixelpainter("colorize", drawing, "-o", "full.png", "--model", "full.onnx")
    pixelpainter("colorize", drawing, "-o", "small.png", "--model", "small.onnx", "--hint", "240,200,FFCC99")
    for name in ("full.png", "small.png"):
        check_colored(tmp_path / name, drawing)


def test_pix2pix_from_pictures_to_a_colored_drawing(pixelpainter, drawings, tmp_path):
    small = ("--width", 4, "--samples", 4, "--batch-size", 2)
    pixelpainter("train", "--synthetic", 4, *small, "--device", "cpu")
    pixelpainter("export", "runs/pix2pix")
    card = card_of(tmp_path / "model.onnx")
    assert (card.system, card.size, card.hints, card.palette) == ("pix2pix", 256, "none", 0)
    pixelpainter("colorize", drawings / "cat.png", "-o", "cat.png", "--model", "model.onnx")
    check_colored(tmp_path / "cat.png", drawings / "cat.png")
