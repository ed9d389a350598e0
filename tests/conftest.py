"""Tiny models whose answers are known, and the real command run inside this process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from pixelpainter.card import CARD_KEY, ModelCard
from pixelpainter.cli import main

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine with other work to do is slow now and then, which says nothing of the program.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

SIZE = 64
RAMP = np.stack(  # what the plain model answers: red grows to the right, green downwards; (3, SIZE, SIZE) in [-1, 1]
    [
        np.tile(np.linspace(-0.6, 0.8, SIZE, dtype=np.float32), (SIZE, 1)),
        np.tile(np.linspace(-0.8, 0.6, SIZE, dtype=np.float32)[:, None], (1, SIZE)),
        np.full((SIZE, SIZE), 0.25, np.float32),
    ]
)
PLAIN_CARD = ModelCard(
    system="pix2pix", reads="lines", predicts="rgb", size=SIZE, multiple_of=32, hints="none", palette=0
)
HINT_CARD = ModelCard(
    system="pix2pix-hints", reads="lines", predicts="rgb", size=SIZE, multiple_of=32, hints="rgb-mask", palette=2
)


def save_plain_model(path: Path, card: ModelCard | None = PLAIN_CARD, *, answer: np.ndarray = RAMP) -> Path:
    """Write a model that gives one answer (3, SIZE, SIZE) to every drawing."""
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "answer"], ["color"]),
    ]
    constants = [
        numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        numpy_helper.from_array(answer[None], "answer"),
    ]
    return _save(path, nodes, constants, {"picture": [None, 1, "H", "W"]}, card)


def save_copy_model(path: Path) -> Path:
    """Write a model that answers with the drawing it is given."""
    from onnx import helper

    nodes = [helper.make_node("Concat", ["picture"] * 3, ["color"], axis=1)]
    return _save(path, nodes, [], {"picture": [None, 1, "H", "W"]}, PLAIN_CARD)


def save_hint_model(path: Path, card: ModelCard | None = HINT_CARD) -> Path:
    """Write a model that paints everything in the mean of the hinted pixels, or else the palette's first color."""
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("Split", ["picture", "parts"], ["drawing", "color_hints", "mask"], axis=1),
        helper.make_node("ReduceSum", ["color_hints", "plane"], ["hinted"], keepdims=1),
        helper.make_node("ReduceSum", ["mask", "plane"], ["pixels"], keepdims=1),
        helper.make_node("Slice", ["palette", "from", "to", "axes"], ["first"]),
        helper.make_node("Reshape", ["first", "as_color"], ["base"]),
        helper.make_node("Mul", ["base", "little"], ["little_base"]),
        helper.make_node("Add", ["hinted", "little_base"], ["above"]),
        helper.make_node("Add", ["pixels", "little"], ["below"]),
        helper.make_node("Div", ["above", "below"], ["flat"]),
        helper.make_node("Mul", ["drawing", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "flat"], ["color"]),
    ]
    integers = {
        "parts": [1, 3, 1],
        "plane": [2, 3],
        "from": [0, 0],
        "to": [1, 3],
        "axes": [1, 2],
        "as_color": [-1, 3, 1, 1],
    }
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in integers.items()]
    constants.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    constants.append(numpy_helper.from_array(np.full((), 1e-6, np.float32), "little"))
    return _save(path, nodes, constants, {"picture": [None, 5, "H", "W"], "palette": [None, 2, 4]}, card)


def _save(path: Path, nodes: list, constants: list, inputs: dict[str, list], card: ModelCard | None) -> Path:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    color = helper.make_tensor_value_info("color", TensorProto.FLOAT, [None, 3, "H", "W"])
    graph = helper.make_graph(nodes, "tiny", values, [color], constants)
    # Old versions on purpose, so that every onnxruntime we support reads them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def load(path: Path) -> Image.Image:
    """Return a picture file, decoded and closed."""
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without hints and palette; it answers RAMP."""
    return save_plain_model(tmp_path_factory.mktemp("models") / "plain.onnx")


@pytest.fixture(scope="session")
def hint_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with hints and a palette of 2; it paints everything in one color, see `save_hint_model`."""
    return save_hint_model(tmp_path_factory.mktemp("models") / "hints.onnx")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for variable in ("PIXELPAINTER_MODEL", "PIXELPAINTER_DEBUG", "PIXELPAINTER_SERVER"):
        monkeypatch.delenv(variable, raising=False)


@dataclass
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run `pixelpainter ARGUMENTS...` in this process, which saves importing onnxruntime each time."""

    def run(*arguments: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Finished(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def drawings() -> Path:
    """The folder with the line drawings of this repository."""
    return Path(__file__).parent / "data"


def save_figure(path, *fills):
    """Save a large page with a figure of one band per fill on white paper."""
    page = np.full((900, 1200, 3), 255, np.uint8)
    for rows, fill in zip(np.array_split(np.arange(100, 800), len(fills)), fills, strict=True):
        page[rows, 200:1000] = fill
    Image.fromarray(page).save(path)
    return path


@pytest.fixture(scope="module")
def one_thread():
    """Let torch use one thread: for networks this small more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
