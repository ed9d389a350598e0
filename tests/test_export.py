import dataclasses
import errno

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny import hints_config, make_cache, plain_config, shake

import pixelpainter
from pixelpainter import export as export_module
from pixelpainter.card import CARD_KEY, ModelCard
from pixelpainter.errors import ExportError
from pixelpainter.export import WORST_PSNR_DB, export, make_card
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.checkpoint import Checkpoint, save_checkpoint
from pixelpainter.train.loop import make_state, train
from pixelpainter.train.start import load_generator

CPU = torch.device("cpu")
PALETTE = tuple((0.5, 0.0, -0.5, share) for share in (0.5, 0.2, 0.1, 0.1, 0.05, 0.05))


pytestmark = pytest.mark.usefixtures("one_thread")


def checkpoint_of(config, state):
    return Checkpoint(
        config=config,
        manifest="d" * 64,
        command="pixelpainter train --width 8",
        step=state.step,
        samples=1234,
        metrics={"psnr_plain": 15.5},
        states=state.state_dicts(),
    )


@pytest.fixture(scope="module")
def pictures():
    return make_cache(6, 128)


@pytest.fixture(scope="module")
def trained(pictures):
    """A small network with hints that has learned white paper, and its checkpoint."""
    config = hints_config(width=8, batch_size=4, learning_rate=3e-3, schedule="constant", ema=0.8)
    state = make_state(config, CPU)
    batches = BatchMaker(pictures, SYSTEMS[config.system].card, config, CPU)
    records = train(state, config, lambda step: batches.training([0, 1, 2, 3], step), 15, CPU)
    losses = [record.terms["l1"].item() for record in records]
    assert losses[-1] < losses[0] / 2
    return state.inference_generator.eval(), checkpoint_of(config, state)


@pytest.fixture(scope="module")
def shaken():
    """A pix2pix network with weights and BatchNorm statistics of all sizes."""
    config = plain_config(width=2, adversarial="none")
    state = make_state(config, CPU)
    shake(state.generator)
    return state.generator.eval(), checkpoint_of(config, state)


def answers(file, *inputs):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def random_inputs(card, count=1):
    random = np.random.default_rng(1)
    picture = random.uniform(-1, 1, (count, card.input_channels, card.size, card.size)).astype(np.float32)
    palette = [random.uniform(0, 1, (count, card.palette, 4)).astype(np.float32)] if card.palette else []
    return picture, *palette


def operators(file):
    return {node.op_type for node in onnx.load(file).graph.node}


@pytest.mark.parametrize("name", ["trained", "shaken"])
def test_fp32_answers_like_torch(name, request, pictures, tmp_path):
    generator, checkpoint = request.getfixturevalue(name)
    card = make_card(checkpoint, "fp32")
    proof = export(
        generator, checkpoint, card, pictures if name == "trained" else make_cache(3, 256), tmp_path / "net.onnx"
    )
    inputs = random_inputs(card, count=2)  # another batch size than the example's, and no picture at all
    found = answers(tmp_path / "net.onnx", *inputs)
    with torch.no_grad():
        expected = generator(*map(torch.from_numpy, inputs)).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert operators(tmp_path / "net.onnx").isdisjoint({"BatchNormalization", "ConvTranspose", "Dropout"})
    assert proof.worst_psnr >= 70
    assert proof.max_error < 0.0255  # 1e-4 on the 0-255 scale
    assert proof.mean_error <= proof.max_error
    assert proof.mean_psnr >= proof.worst_psnr
    assert proof.file_bytes == (tmp_path / "net.onnx").stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("make_config", [hints_config, plain_config])
def test_self_attention_is_exported_and_proven(make_config, precision, tmp_path):
    config = make_config(width=4, adversarial="none", attention=True)
    state = make_state(config, CPU)
    if config.system == "pix2pix":
        shake(state.generator)
    with torch.no_grad():
        state.generator.attention.gain.fill_(3.0)
        for value in state.generator.attention.query_key_value.parameters():
            value.normal_(0, 0.5)  # so that places differ in what they look at
    generator = state.generator.eval()
    card = make_card(checkpoint_of(config, state), precision)
    inputs = random_inputs(card, count=2)
    with torch.no_grad():
        expected = generator(*map(torch.from_numpy, inputs)).numpy()
        generator.attention.gain.fill_(0.0)
        without = generator(*map(torch.from_numpy, inputs)).numpy()
        generator.attention.gain.fill_(3.0)
    assert np.abs(expected - without).max() > 0.01
    export(generator, checkpoint_of(config, state), card, make_cache(3, config.size), tmp_path / "net.onnx")
    found = answers(tmp_path / "net.onnx", *inputs)
    tolerance = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.5}[precision]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_names_of_inputs_and_output(trained, shaken, pictures, tmp_path):
    for (generator, checkpoint), names in ((trained, ["picture", "palette"]), (shaken, ["picture"])):
        cache = make_cache(2, checkpoint.config.size)
        export(generator, checkpoint, make_card(checkpoint, "fp32"), cache, tmp_path / "net.onnx")
        session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == names
        assert [value.name for value in session.get_outputs()] == ["color"]
        assert {value.type for value in session.get_inputs()} == {"tensor(float)"}


def test_fp16_is_half_as_large(trained, pictures, tmp_path):
    generator, checkpoint = trained
    full = export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "full.onnx")
    half = export(generator, checkpoint, make_card(checkpoint, "fp16"), pictures, tmp_path / "half.onnx")
    assert half.file_bytes < 0.55 * full.file_bytes
    assert 45 <= half.worst_psnr < full.worst_psnr
    found = answers(tmp_path / "half.onnx", *random_inputs(make_card(checkpoint, "fp16")))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_int8_is_a_third_as_large_with_the_ends_in_float(trained, pictures, tmp_path, capfd):
    generator, checkpoint = trained
    full = export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "full.onnx")
    capfd.readouterr()
    small = export(generator, checkpoint, make_card(checkpoint, "int8"), pictures, tmp_path / "small.onnx")
    assert capfd.readouterr().out == ""
    assert small.file_bytes < 0.4 * full.file_bytes
    assert 30 <= small.worst_psnr < full.worst_psnr
    graph = onnx.load(tmp_path / "small.onnx").graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantized = [made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert len(convolutions) > 10
    floats = quantized.index(True)
    assert 1 <= floats <= 3
    assert quantized == [False] * floats + [True] * (len(convolutions) - floats - 1) + [False]


@pytest.mark.parametrize(("worst", "tried"), [([30.0], [1]), ([29.9, np.nan, 31.0], [1, 2, 3])])
def test_as_few_convolutions_as_the_proof_allows_stay_in_float(worst, tried, trained, pictures, tmp_path, monkeypatch):
    generator, checkpoint = trained
    asked, found = [], iter(worst)

    def quantized(model, calibration, in_float):
        asked.append(in_float)
        return model

    def prove(generator, file, inputs):
        return dataclasses.replace(original(generator, file, inputs), worst_psnr=next(found))

    original = export_module._prove
    monkeypatch.setattr(export_module, "_quantized", quantized)
    monkeypatch.setattr(export_module, "_prove", prove)
    output = tmp_path / "net.onnx"
    proof = export(generator, checkpoint, make_card(checkpoint, "int8"), pictures, output)
    assert (asked, proof.worst_psnr) == (tried, worst[-1])
    assert list(tmp_path.iterdir()) == [output]


def test_calibration_and_proof_see_pictures_with_and_without_hints(trained, pictures, tmp_path, monkeypatch):
    generator, checkpoint = trained
    card = make_card(checkpoint, "fp32")
    seen = {}

    def converted(model, precision, calibration):
        seen["calibration"] = calibration
        yield model

    def prove(generator, file, inputs):
        seen["proof"] = inputs
        return original(generator, file, inputs)

    original = export_module._prove
    monkeypatch.setattr(export_module, "_converted", converted)
    monkeypatch.setattr(export_module, "_prove", prove)
    proof = export(generator, checkpoint, card, pictures, tmp_path / "net.onnx")
    assert proof.pictures == len(seen["proof"]) == 9  # 6 pictures, asked in 3 ways, half of them
    for part in ("calibration", "proof"):
        asked = {(bool(values["picture"][:, 4].any()), bool(values["palette"].any())) for values in seen[part]}
        assert asked == {(False, False), (True, False), (False, True)}
    drawings = {part: {values["picture"][:, 0].tobytes() for values in seen[part]} for part in seen}
    assert len(drawings["calibration"]) == len(drawings["proof"]) == 3
    assert not drawings["calibration"] & drawings["proof"]


def test_one_picture_is_enough(trained, tmp_path):
    generator, checkpoint = trained
    assert export(
        generator, checkpoint, make_card(checkpoint, "fp32"), make_cache(1, 128), tmp_path / "a.onnx"
    ).pictures


def test_pictures_of_another_size_are_scaled(trained, tmp_path):
    generator, checkpoint = trained
    export(generator, checkpoint, make_card(checkpoint, "fp32"), make_cache(2, 140), tmp_path / "net.onnx")
    assert answers(tmp_path / "net.onnx", *random_inputs(make_card(checkpoint, "fp32"))).shape == (1, 3, 128, 128)


def test_the_card_is_inside(trained, pictures, tmp_path):
    generator, checkpoint = trained
    card = make_card(checkpoint, "fp32", "CC-BY-4.0", ["one", "two"], PALETTE)
    export(generator, checkpoint, card, pictures, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert CARD_KEY in metadata
    found = ModelCard.from_metadata(metadata, "net.onnx")
    assert found == card
    assert (found.system, found.size, found.precision, found.samples_seen) == ("pix2pix-hints", 128, "fp32", 1234)
    assert (found.data_manifest, found.command) == ("d" * 64, "pixelpainter train --width 8")
    assert (found.licence, found.sources, found.default_palette) == ("CC-BY-4.0", ("one", "two"), PALETTE)
    assert (found.metrics, found.program_version) == ({"psnr_plain": 15.5}, pixelpainter.__version__)


def test_averaged_weights_are_exported(trained, pictures, tmp_path):
    _, checkpoint = trained
    save_checkpoint(checkpoint, tmp_path)
    generator, loaded, _ = load_generator(tmp_path)
    card = make_card(loaded, "fp32")
    export(generator, loaded, card, pictures, tmp_path / "net.onnx")
    inputs = random_inputs(card)
    found = answers(tmp_path / "net.onnx", *inputs)

    def by_torch(weights):
        network = SYSTEMS["pix2pix-hints"].make_generator(checkpoint.config).eval()
        network.load_state_dict(weights)
        with torch.no_grad():
            return network(*map(torch.from_numpy, inputs)).numpy()

    np.testing.assert_allclose(found, by_torch(checkpoint.states["ema"]), rtol=0, atol=1e-4)
    assert np.abs(found - by_torch(checkpoint.states["generator"])).max() > 0.01


def test_one_answer_that_is_no_number_is_enough(trained, pictures, tmp_path, monkeypatch):
    generator, checkpoint = trained
    calls = []

    def sometimes_nothing(generator, inputs):
        calls.append(inputs)
        return original(generator, inputs) * (float("nan") if len(calls) == 3 else 1.0)

    original = export_module.answer
    monkeypatch.setattr(export_module, "answer", sometimes_nothing)
    with pytest.raises(ExportError, match="worst picture nan dB"):
        export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "net.onnx")
    assert len(calls) > 3


@pytest.mark.parametrize("old", [None, b"the model of yesterday"])
def test_a_model_below_the_floor_is_not_written(trained, pictures, tmp_path, monkeypatch, old):
    generator, checkpoint = trained
    output = tmp_path / "net.onnx"
    if old is not None:
        output.write_bytes(old)
    monkeypatch.setitem(WORST_PSNR_DB, "fp32", 500.0)
    with pytest.raises(ExportError, match=r"fp32 model differs too much .* at least 500 dB .*nothing was written"):
        export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, output)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if old is None else [old])


def test_a_wrong_rewrite_is_noticed(shaken, tmp_path, monkeypatch):
    """The proof compares with the trained network, not with what the rewrite made of it."""
    generator, checkpoint = shaken
    other = make_state(dataclasses.replace(checkpoint.config, seed=1), CPU).generator.eval()
    shake(other, seed=1)
    monkeypatch.setattr(export_module, "deployed", lambda _: other)
    with pytest.raises(ExportError, match="differs too much"):
        export(generator, checkpoint, make_card(checkpoint, "fp32"), make_cache(2, 256), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_no_numbers_are_noticed(trained, pictures, tmp_path):
    generator, checkpoint = trained
    broken = SYSTEMS["pix2pix-hints"].make_generator(checkpoint.config).eval()
    broken.load_state_dict({name: value * float("nan") for name, value in generator.state_dict().items()})
    with pytest.raises(ExportError, match="worst picture nan dB"):
        export(broken, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["pathlib.Path.write_bytes", "os.fsync"])
def test_a_full_disk(trained, pictures, tmp_path, monkeypatch, place):
    generator, checkpoint = trained

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(place, full)
    with pytest.raises(ExportError, match=r"net\.onnx: cannot be written \(No space left\)"):
        export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_cannot_be_made(trained, pictures, tmp_path):
    generator, checkpoint = trained
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match=r"net\.onnx: cannot be written"):
        export(generator, checkpoint, make_card(checkpoint, "fp32"), pictures, tmp_path / "file" / "net.onnx")
    assert (tmp_path / "file").read_text() == "mine"
