import dataclasses
import json
from typing import get_args

import pytest

from pixelpainter.errors import TrainingError
from pixelpainter.train.config import PRESETS, PresetName, TrainConfig, make_config


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
    ("preset", "size", "load_size"), [("pixelpainter", 512, 512), ("sketch2paint", 512, 572), ("bundled-128", 256, 576)]
)
def test_load_size_of_a_preset_keeps_its_proportion(preset, size, load_size):
    assert make_config(preset=preset, size=size).load_size == load_size
    assert make_config(preset=preset, size=size, load_size=600).load_size == 600


@pytest.mark.parametrize(
    ("system", "size"),
    [*[("pix2pix-hints", size) for size in (100, 64, 192)], *[("pix2pix", size) for size in (128, 384)]],
)
def test_sizes_the_network_cannot_read(system, size):
    with pytest.raises(TrainingError, match=rf"^--size {size}: {system} works at multiples of (128|256)$"):
        make_config(system, size=size).check_size()


def test_pictures_have_a_largest_side():
    assert make_config(size=4096, load_size=4096).size == 4096
    for options in ({"load_size": 4097}, {"size": 256 * 10**9}):
        with pytest.raises(TrainingError, match="trained on at up to 4096 pixels, not at "):
            make_config(**options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in ("size", "width", "epochs", "batch_size", "keep") for value in (0, -1)],
        *[(name, value) for name in ("learning_rate", "checkpoint_every") for value in (0.0, -1.0, float("nan"))],
        *[
            (name, value)
            for name in ("line_jitter", "flip", "zoom", "warp", "hue_jitter", "ema")
            for value in (-0.1, 1.1, float("nan"))
        ],
        *[(name, value) for name in ("lambda_l1", "lambda_gan", "lambda_tv") for value in (-1.0, float("nan"))],
        ("learning_rate", float("inf")),
        ("lambda_l1", float("inf")),
        ("lambda_gradient", -0.5),
        ("lambda_perceptual", -0.5),
        ("line_styles", -1),
        ("line_styles", 5),
        ("critics", 0),
        ("critics", 4),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("palette_dropout", 2.0),
        ("samples", -1),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
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
        changed |= {"critics": 2, "attention": True}
        changed |= {"size": 512, "load_size": 572, "line_styles": 2}
        value = changed.get(field.name, 0.125 if field.type == "float" else 270)
        fixed = {"size": {"load_size": 572}, "samples": {"epochs": 0}}.get(field.name, {})
        other = dataclasses.replace(one, **{field.name: value}, **fixed)
        assert len(other.differences(one)) == 1 + len(fixed), field.name


# presets


def test_every_preset_has_a_row_and_can_be_used():
    assert tuple(PRESETS) == get_args(PresetName)
    for name in PRESETS:
        assert isinstance(make_config(preset=name), TrainConfig)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("pixelpainter", {"lambda_l1": 400, "epochs": 35, "batch_size": 32, "checkpoint_every": 7, "keep": 3}),
        ("pixelpainter", {"load_size": 256, "flip": 0, "line_styles": 1, "line_jitter": 0, "warp": 0, "zoom": 0}),
        ("sketch2paint", {"lambda_l1": 100, "epochs": 100, "batch_size": 1, "checkpoint_every": 5}),
        ("sketch2paint", {"size": 256, "load_size": 286, "flip": 0.5, "line_jitter": 0}),
        ("mun", {"lambda_l1": 100, "epochs": 150, "batch_size": 16, "flip": 0.5, "load_size": 256}),
        ("bundled-128", {"size": 128, "load_size": 288, "samples": 162_000, "adversarial": "none", "width": 32}),
        ("bundled-256", {"size": 256, "samples": 14_400, "adversarial": "hinge", "lambda_gan": 0.02}),
    ],
)
def test_presets_are_what_the_sources_say(preset, expected):
    config = make_config(preset=preset)
    assert {name: getattr(config, name) for name in expected} == expected
    if not preset.startswith("bundled"):
        assert (config.system, config.width, config.adversarial) == ("pix2pix", 64, "bce")
        assert (config.learning_rate, config.beta1, config.beta2) == (2e-4, 0.5, 0.999)


def test_any_option_overrides_a_preset():
    config = make_config(preset="mun", epochs=3, lambda_l1=None, load_size=300)
    assert (config.epochs, config.lambda_l1, config.load_size, config.batch_size) == (3, 100.0, 300, 16)
    hinted = make_config("pix2pix-hints", preset="mun")
    assert (hinted.system, hinted.lambda_l1, hinted.lambda_chroma) == ("pix2pix-hints", 100.0, 1.0)


def test_epochs_take_the_place_of_a_presets_samples():
    for_long, for_short = make_config(preset="character"), make_config(preset="character", epochs=3)
    assert (for_long.epochs, for_long.samples) == (0, 1600)
    assert (for_short.epochs, for_short.samples) == (3, 0)
    assert "--epochs 3" in for_short.to_options() and "--samples 1600" in for_long.to_options()
    assert not any("--epochs" in option for option in for_long.to_options())
    with pytest.raises(TrainingError, match="--epochs and --samples both say how long"):
        make_config(preset="character", epochs=3, samples=100)


def test_without_system_and_preset_it_is_pix2pix():
    assert make_config() == make_config("pix2pix")
    assert make_config(preset="character").system == "pix2pix-hints"


def test_configurations_of_older_checkpoints_mean_the_same():
    """Their files lack the options that came later: the defaults are what they did."""
    old = make_config("pix2pix-hints")
    later = ("attention", "critics", "lambda_tv", "lambda_perceptual", "line_styles", "flip")
    record = {name: value for name, value in json.loads(old.to_json()).items() if name not in later}
    again = TrainConfig.from_json(json.dumps(record))
    assert again == old
    assert (again.flip, again.line_styles, again.critics) == (0.5, 0, 1)
