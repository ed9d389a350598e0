import dataclasses
import json

import pytest

from pixelpainter.card import CARD_KEY, CARD_VERSION, ModelCard
from pixelpainter.errors import ModelError

CARD = ModelCard(
    system="pix2pix-hints",
    reads="lines",
    predicts="rgb",
    size=256,
    multiple_of=128,
    hints="rgb-mask",
    palette=2,
    default_palette=((1.0, -1.0, 0.5, 0.75), (0.0, 0.0, 0.0, 0.25)),
    precision="int8",
    samples_seen=123,
    data_manifest="ab" * 32,
    command="pixelpainter train --synthetic 5",
    licence="MIT",
    sources=("one, CC0", "two, CC-BY"),
    metrics={"psnr_plain": 17.25},
    program_version="0.1.0",
)


def read(record):
    text = record if isinstance(record, str) else json.dumps(record)
    return ModelCard.from_metadata({"other": "1", CARD_KEY: text}, "net.onnx")


def record(**changes):
    return {**json.loads(CARD.to_json()), **changes}


def test_a_card_comes_back():
    assert read(CARD.to_json()) == CARD
    assert json.loads(CARD.to_json())["card_version"] == CARD_VERSION


def test_fields_with_defaults_may_be_missing():
    needed = ("system", "reads", "predicts", "size", "multiple_of", "hints", "palette")
    card = read({"card_version": 1, **{name: record()[name] for name in needed}})
    assert (card.precision, card.default_palette, card.metrics) == ("fp32", (), {})


def test_input_channels():
    assert CARD.input_channels == 5
    assert dataclasses.replace(CARD, hints="none").input_channels == 1


def test_no_card():
    with pytest.raises(ModelError, match=r"net\.onnx: this ONNX file has no PixelPainter model card"):
        ModelCard.from_metadata({}, "net.onnx")


def test_a_newer_card():
    with pytest.raises(ModelError, match=r"version 2, this program reads up to 1; install a newer"):
        read(record(card_version=2, new_field="x"))


@pytest.mark.parametrize(
    "text", ["", "{", "3", "[]", "null", '"card_version"', "{}", json.dumps({"card_version": 1}), "[1, 2]"]
)
def test_damaged_json(text):
    with pytest.raises(ModelError, match=r"net\.onnx: the model card is damaged"):
        read(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system": "pix3pix"}, "system is 'pix3pix', not one of pix2pix, pix2pix-hints"),
        ({"reads": "sound"}, "reads is 'sound'"),
        ({"predicts": None}, "predicts is None"),
        ({"hints": ["none"]}, "hints is"),
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"size": 0}, "size is 0"),
        ({"size": 8192}, "size is 8192"),
        ({"size": 256.0}, "size is 256.0"),
        ({"size": True}, "size is True"),
        ({"size": "256"}, "size is '256'"),
        ({"size": 192}, "size 192 is no multiple of 128"),
        ({"multiple_of": 0}, "multiple_of is 0"),
        ({"palette": -1}, "palette is -1"),
        ({"palette": 65}, "palette is 65"),
        ({"default_palette": [[0, 0, 0, 1]]}, "default_palette has 1 colors, the network reads 2"),
        ({"default_palette": [[0, 0, 0], [0, 0, 0]]}, "damaged"),
        ({"default_palette": 5}, "damaged"),
        ({"sources": 5}, "damaged"),
        ({"unknown_field": 1}, "unknown_field"),
    ],
)
def test_values_that_cannot_be(changes, words):
    with pytest.raises(ModelError, match=r"net\.onnx: the model card is damaged") as caught:
        read(record(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["1", 1.0, None])
def test_a_version_that_is_no_number(version):
    with pytest.raises(ModelError):
        read(record(card_version=version))


def test_a_card_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CARD.size = 3
