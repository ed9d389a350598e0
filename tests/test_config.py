import dataclasses

import pytest

from pixelpainter.errors import TrainingError
from pixelpainter.train.config import TrainConfig, make_config


def test_defaults_of_pix2pix_are_the_sources():
    config = make_config("pix2pix")
    assert (config.epochs, config.batch_size, config.learning_rate) == (35, 32, 2e-4)
    assert (config.beta1, config.beta2, config.lambda_l1) == (0.5, 0.999, 400.0)
    assert (config.checkpoint_every, config.keep) == (7, 3)
    assert (config.size, config.load_size, config.width) == (256, 286, 64)
    assert (config.adversarial, config.schedule, config.ema) == ("bce", "constant", 0.0)


def test_options_lie_over_the_defaults_of_the_system():
    config = make_config("pix2pix-hints", width=8, epochs=None)
    assert (config.width, config.epochs) == (8, 35)
    assert (config.adversarial, config.lambda_chroma, config.ema) == ("none", 1.0, 0.999)


def test_zero_is_an_option_and_none_is_not():
    assert make_config("pix2pix-hints", zoom=0.0, lambda_chroma=None).zoom == 0.0


@pytest.mark.parametrize(("size", "load_size"), [(256, 286), (128, 143), (512, 572)])
def test_load_size_follows_the_size(size, load_size):
    assert make_config("pix2pix", size=size).load_size == load_size
    assert make_config("pix2pix", size=size, load_size=size).load_size == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in ("size", "width", "epochs", "batch_size", "keep") for value in (0, -1)],
        *[(name, value) for name in ("learning_rate", "checkpoint_every") for value in (0.0, -1.0, float("nan"))],
        *[
            (name, value)
            for name in ("line_jitter", "zoom", "hue_jitter", "ema")
            for value in (-0.1, 1.1, float("nan"))
        ],
        *[(name, value) for name in ("lambda_l1", "lambda_gan", "lambda_chroma") for value in (-1.0, float("nan"))],
        ("learning_rate", float("inf")),
        ("lambda_l1", float("inf")),
        ("lambda_gradient", -0.5),
        ("palette_dropout", 2.0),
        ("samples", -1),
        ("ema", 1.0),  # would keep the weights of the first step for ever
    ],
)
def test_values_out_of_range_name_the_option(name, value):
    with pytest.raises(TrainingError, match=f"^--{name.replace('_', '-')} is {value}, it must"):
        make_config("pix2pix", **{name: value})


def test_load_size_below_the_size():
    with pytest.raises(TrainingError, match="--load-size 200 is smaller than --size 256"):
        make_config("pix2pix", load_size=200)


def test_json_round_trip():
    config = make_config("pix2pix-hints", mix={"nova": 5.0}, learning_rate=1.1e-4, seed=-3)
    again = TrainConfig.from_json(config.to_json())
    assert again == config
    assert config.differences(again) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"system": "pix2pix", "colour": 1}', "{}", '{"system": "x", "size": ""}']
)
def test_json_of_something_else(text):
    with pytest.raises((TypeError, ValueError)):
        TrainConfig.from_json(text)


def test_differences_name_the_option_and_both_values():
    one = make_config("pix2pix", lambda_l1=100.0)
    other = make_config("pix2pix", batch_size=16)
    assert one.differences(other) == ["--batch-size 32 (was 16)", "--lambda-l1 100.0 (was 400.0)"]
    for field in dataclasses.fields(TrainConfig):
        changed = {"system": "pix2pix-hints", "schedule": "cosine", "adversarial": "hinge", "mix": {"a": 2.0}}
        value = changed.get(field.name, 0.125 if field.type == "float" else 270)
        assert len(dataclasses.replace(one, **{field.name: value}).differences(one)) == 1, field.name
