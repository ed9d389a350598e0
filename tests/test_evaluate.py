import csv
import dataclasses
import importlib.util
import json
import os

import numpy as np
import pytest
import torch
from conftest import HINT_CARD, PLAIN_CARD, RAMP, SIZE, save_copy_model, save_hint_model, save_plain_model
from PIL import Image
from test_lazy_imports import COMMAND, NOT_FOR_HELP, loaded
from torch import nn

from pixelpainter.colorize import Colorizer
from pixelpainter.errors import DataError
from pixelpainter.evaluate import perceptual
from pixelpainter.evaluate.cases import ANSWERS, Asker, load_case, true_hints
from pixelpainter.evaluate.perceptual import Networks
from pixelpainter.evaluate.report import Conditions, protocol, record
from pixelpainter.evaluate.run import Evaluation, evaluate
from pixelpainter.evaluate.sheet import CAPTION, CELL, GAP
from pixelpainter.metrics import psnr
from pixelpainter.session import Session
from pixelpainter.train.pairs import data_manifest
from pixelpainter.train.sources import find_pairs, find_training_data
from pixelpainter.train.synthetic import write_synthetic

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_synthetic(folder / "drawn", 3, side=96)
    return folder / "drawn"


@pytest.fixture(scope="module")
def pairs(data):
    return find_pairs([data])


# what is asked


def test_a_case_is_the_pair_fitted_into_a_square(tmp_path):
    write_synthetic(tmp_path / "drawn", 1, side=96)
    for kind in ("color", "lines"):
        file = next((tmp_path / "drawn" / kind).iterdir())
        Image.open(file).crop((0, 0, 96, 48)).save(file)
    case = load_case(find_pairs([tmp_path / "drawn"])[0], 64)
    assert (case.truth.shape, case.drawing.shape, case.figure.shape) == ((64, 64, 3), (64, 64), (64, 64))
    assert (case.truth[:16] == 255).all() and (case.drawing[48:] == 255).all()
    assert not case.figure[:16].any() and case.figure[16:48].any()
    assert not case.whole[:16].any() and case.whole[16:48].all() and not case.whole[48:].any()
    assert case.name == "drawn/synthetic_0000000"


def test_lines_and_hints_depend_on_the_picture_alone(tmp_path):
    write_synthetic(tmp_path / "drawn", 4, side=96)
    plain = (tmp_path / "drawn" / "color").rename(tmp_path / "plain")
    (plain / "sub").mkdir()
    for number, file in enumerate(sorted(plain.glob("*.png"))):
        file.rename(plain / "sub" / f"{number}.png")
    cases = [load_case(pair, 96) for pair in find_pairs([tmp_path / "plain"])]
    others = [load_case(pair, 96) for pair in find_pairs([tmp_path / "plain" / "sub"])]
    for case, other in zip(cases, others, strict=True):
        assert case.name != other.name
        assert case.drawing.min() < 200
        assert np.array_equal(case.drawing, other.drawing)
        assert true_hints(case, 5) == true_hints(other, 5)
    assert len({case.seed for case in cases}) == 4


def test_equal_names_of_two_roots_are_told_apart(tmp_path, plain_model):
    for folder in ("one", "two"):
        write_synthetic(tmp_path / folder / "drawn", 1, side=64)
    pairs = find_pairs([tmp_path / "one" / "drawn", tmp_path / "two" / "drawn"])
    found = evaluate(Asker(Colorizer(plain_model)), pairs, 64, Networks(), CPU)
    assert [name for name, _ in found.pictures] == ["drawn-2/synthetic_0000000", "drawn/synthetic_0000000"]


def test_drawings_that_show_nothing_are_left_out(tmp_path):
    page = np.full((64, 64, 3), 255, np.uint8)
    page[:, :, 0] -= np.linspace(0, 200, 64).astype(np.uint8)
    (tmp_path / "color").mkdir()
    Image.fromarray(page).save(tmp_path / "color" / "soft.png")
    with pytest.raises(DataError, match=r"soft\.png: no lines are found in it"):
        load_case(find_pairs([tmp_path])[0], 64)
    (tmp_path / "lines").mkdir()
    Image.new("L", (64, 64), "white").save(tmp_path / "lines" / "soft.png")
    with pytest.raises(DataError, match=r"lines/soft\.png: a blank drawing"):
        load_case(find_pairs([tmp_path])[0], 64)


def test_hints_are_true_colors_inside_the_figure(pairs):
    case = load_case(pairs[0], 64)
    hints = true_hints(case, 20)
    assert len(hints) == 20
    assert hints == true_hints(case, 20)
    for hint in hints:
        assert case.figure[int(hint.y), int(hint.x)]
        assert case.drawing[int(hint.y), int(hint.x)] >= 200
        assert tuple(case.truth[int(hint.y), int(hint.x)]) == hint.color


@pytest.mark.parametrize("size", [SIZE, 96, 48])
def test_the_networks_own_answer(tmp_path, pairs, size):
    case = load_case(pairs[0], size)
    ramp = Asker(Colorizer(save_plain_model(tmp_path / "plain.onnx"))).answers(case)["network"]
    expected = Image.fromarray(np.rint((RAMP.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8))
    expected = np.asarray(expected.resize((size, size), Image.Resampling.BILINEAR))
    assert np.abs(ramp.astype(int) - expected)[4:-4, 4:-4].max() <= (1 if size == SIZE else 3)
    copied = Asker(Colorizer(save_copy_model(tmp_path / "copy.onnx"))).answers(case)["network"]
    assert psnr(copied, np.repeat(case.drawing[..., None], 3, axis=2)) >= (100 if size == SIZE else 14)


def test_the_networks_lines_survive_shrinking(tmp_path, pairs):
    case = load_case(pairs[0], SIZE // 2)
    copied = Asker(Colorizer(save_copy_model(tmp_path / "copy.onnx"))).answers(case)["network"]
    smooth = case.drawing.astype(float)
    smooth = (4 * smooth + sum(np.roll(smooth, way, axis) for way in (-1, 1) for axis in (0, 1))) / 8
    assert np.corrcoef(copied[..., 0].ravel(), smooth.ravel())[0, 1] > 0.99


def test_the_composite_is_what_colorize_gives(tmp_path, pairs):
    colorizer = Colorizer(save_plain_model(tmp_path / "plain.onnx"))
    case = load_case(pairs[0], 96)
    answers = Asker(colorizer).answers(case)
    assert tuple(answers) == ANSWERS
    assert np.array_equal(answers["composite"], np.asarray(colorizer.colorize(Image.fromarray(case.drawing))))


def test_hints_and_palettes_reach_the_model(tmp_path, pairs):
    colorizer = Colorizer(save_hint_model(tmp_path / "hints.onnx"))
    case = load_case(pairs[0], SIZE)
    nothing = Asker(colorizer).answers(case)["network"]
    assert np.abs(nothing.astype(int) - 128).max() <= 1  # the model paints the palette's first color, here zero
    mean = np.mean([hint.color for hint in true_hints(case, 1)], axis=0)
    assert np.abs(Asker(colorizer, hints=1).answers(case)["network"].mean(axis=(0, 1)) - mean).max() < 2
    with_palette = Asker(colorizer, true_palette=True).answers(case)
    assert np.abs(with_palette["network"].astype(int) - nothing).max() > 10
    assert not np.array_equal(with_palette["composite"], Asker(colorizer).answers(case)["composite"])


@pytest.mark.parametrize("hints", [1, 20])
def test_the_network_is_asked_what_colorize_asks_it(hint_model, pairs, monkeypatch, hints):
    asked, run = [], Session.run

    def recorded(session, inputs):
        asked.append(np.concatenate([inputs[name].ravel() for name in sorted(inputs)]))
        return run(session, inputs)

    monkeypatch.setattr(Session, "run", recorded)
    colorizer = Colorizer(hint_model)
    case = load_case(pairs[0], SIZE)
    Asker(colorizer, hints=hints).answers(case)
    both, asked[:] = list(asked), []
    colorizer.colorize(Image.fromarray(case.drawing), hints=true_hints(case, hints))
    assert np.array_equal(both, [*asked, *asked])


def test_a_models_own_palette_is_used(tmp_path, pairs):
    own = ((1.0, -1.0, -1.0, 0.5), (0.0, 0.0, 0.0, 0.5))
    model = save_hint_model(tmp_path / "own.onnx", dataclasses.replace(HINT_CARD, default_palette=own))
    network = Asker(Colorizer(model)).answers(load_case(pairs[0], SIZE))["network"]
    assert network[0, 0].tolist() == [255, 0, 0]


def test_what_a_model_does_not_read_is_refused(plain_model):
    colorizer = Colorizer(plain_model)
    with pytest.raises(DataError, match="reads no hints; leave --hints out"):
        Asker(colorizer, hints=3)
    with pytest.raises(DataError, match="reads no palette; leave --true-palette out"):
        Asker(colorizer, true_palette=True)


# all pictures


class Means(nn.Module):
    def forward(self, shown):
        assert shown.dtype == torch.uint8
        return shown.float().mean(dim=(2, 3))


class Difference(nn.Module):
    def forward(self, shown, truths, weights):
        return ((shown - truths).abs().mean(dim=1) * weights).sum(dim=(1, 2)) / weights.sum()


@pytest.mark.parametrize(
    ("own", "true_palette", "words"),
    [((), False, "no palette"), (((0.0,) * 3 + (1.0,),) * 2, False, "its own palette"), ((), True, "the true palette")],
)
def test_the_protocol_says_which_palette_was_given(tmp_path, pairs, own, true_palette, words):
    model = save_hint_model(tmp_path / "model.onnx", dataclasses.replace(HINT_CARD, default_palette=own))
    conditions = Conditions(data=["drawn"], manifest="ab" * 32, hints=3, true_palette=true_palette)
    weights = perceptual.WeightsFile("alexnet-12345678.pth", "12345678" * 8, published=True)
    found = Evaluation(64, weights={"LPIPS": weights}, figures={"figure": {"composite": {}}})
    lines = protocol(Colorizer(model), conditions, found)
    assert f"asked with 3 hints, {words}; on cpu" in lines[0]
    assert f"Weights for LPIPS: alexnet-12345678.pth, SHA-256 {'12345678' * 2}" in lines


@pytest.fixture(scope="module")
def found(tmp_path_factory, pairs):
    model = save_plain_model(tmp_path_factory.mktemp("model") / "plain.onnx")
    seen = []
    networks = Networks(Difference(), Means(), {"another": "not here"})
    result = evaluate(Asker(Colorizer(model)), pairs, 64, networks, CPU, lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    return result


def test_figures_are_means_over_the_pictures(found, pairs):
    assert [name for name, _ in found.pictures] == [f"drawn/synthetic_000000{index}" for index in range(3)]
    for area, answer, measure in (("figure", "composite", "PSNR"), ("whole", "gray", "CIEDE2000")):
        each = [figures[area][answer][measure] for _, figures in found.pictures]
        assert found.figures[area][answer][measure] == pytest.approx(np.mean(each))
    case = load_case(pairs[0], 64)
    expected = psnr(np.full_like(case.truth, 255), case.truth, case.figure)
    assert found.pictures[0][1]["figure"]["white"]["PSNR"] == pytest.approx(expected)


def test_an_exact_answer_and_a_picture_without_regions_leave_the_mean_a_number(tmp_path, plain_model):
    for name, color, box in (("exact", 128, np.s_[20:80, 20:80]), ("dot", 60, np.s_[40:44, 40:44])):
        page = np.full((96, 96, 3), 255, np.uint8)
        page[box] = color
        Image.fromarray(page).save(tmp_path / f"{name}.png")
    found = evaluate(Asker(Colorizer(plain_model)), find_pairs([tmp_path]), 96, Networks(), CPU)
    dot, exact = (figures["figure"]["gray"] for _, figures in found.pictures)
    assert exact["PSNR"] == 100
    assert found.figures["figure"]["gray"]["PSNR"] == pytest.approx((100 + dot["PSNR"]) / 2)
    assert np.isnan(dot["region CIEDE2000"])
    assert found.figures["figure"]["gray"]["region CIEDE2000"] == pytest.approx(exact["region CIEDE2000"])


def test_the_networks_are_asked_inside_the_figure_and_on_the_whole_page(found, pairs):
    case = load_case(pairs[1], 64)
    figures = found.pictures[1][1]
    expected = np.abs(255.0 - case.truth)
    assert figures["whole"]["white"]["LPIPS"] == pytest.approx(expected.mean(), rel=1e-5)
    assert figures["figure"]["white"]["LPIPS"] == pytest.approx(expected[case.figure].mean())
    features = {"whole": [], "figure": []}
    for pair in pairs:
        one = load_case(pair, 64)
        features["whole"].append(one.truth.mean(axis=(0, 1)))
        features["figure"].append(np.where(one.figure[..., None], one.truth, 255).mean(axis=(0, 1)))
    for area, rows in features.items():  # white pages have no variance
        expected = ((np.mean(rows, axis=0) - 255) ** 2).sum() + np.trace(np.cov(rows, rowvar=False))
        assert found.figures[area]["white"]["FID"] == pytest.approx(expected, rel=1e-4)
    assert "FID" not in figures["figure"]["mean"]


def test_what_could_not_be_measured_is_named(found):
    assert found.unavailable == {"MS-SSIM": "needs a --size of at least 176", "another": "not here"}
    assert "MS-SSIM" not in found.figures["whole"]["composite"]


@pytest.mark.parametrize(("size", "measured"), [(30, False), (31, True)])
def test_pictures_too_small_for_lpips(plain_model, pairs, size, measured):
    found = evaluate(Asker(Colorizer(plain_model)), pairs[:1], size, Networks(perceptual.Lpips()), CPU)
    assert ("LPIPS" in found.figures["whole"]["composite"]) == measured
    assert ("LPIPS" in found.unavailable) != measured


def test_ranked_by_the_error_of_colors(found):
    errors = [figures["figure"]["composite"]["CIEDE2000"] for _, figures in found.pictures]
    assert [row.error for row in found.best] == sorted(errors)[:2]
    assert [row.error for row in found.worst] == sorted(errors)[2:]


def test_pictures_that_cannot_be_used_are_left_out(tmp_path, plain_model):
    write_synthetic(tmp_path / "drawn", 2, side=64)
    bad, blank = sorted((tmp_path / "drawn" / "color").iterdir())
    bad.write_bytes(b"no picture")
    Image.new("RGB", (64, 64), "white").save(blank)
    asker = Asker(Colorizer(plain_model))
    with pytest.raises(DataError, match=r"none of 2 pictures can be used; the first: .*0\.png"):
        evaluate(asker, find_pairs([tmp_path / "drawn"]), 64, Networks(), CPU)
    write_synthetic(tmp_path / "drawn", 1, side=64)
    found = evaluate(asker, find_pairs([tmp_path / "drawn"]), 64, Networks(), CPU)
    assert len(found.pictures) == 1
    assert len(found.left_out) == 1 and "a blank page" in found.left_out[0]


def test_json_has_none_for_what_is_no_number(plain_model, pairs):
    colorizer = Colorizer(plain_model)
    one = evaluate(Asker(colorizer), pairs[:1], 64, Networks(features=Means()), CPU)
    written = record(colorizer, Conditions(data=["drawn"], manifest="ab" * 32), one)
    assert written["figures"]["whole"]["composite"]["FID"] is None
    assert json.dumps(written, allow_nan=False)


# the command


def test_help_is_light():
    assert not loaded(COMMAND, "evaluate", "--help") & (NOT_FOR_HELP | {"torchmetrics"})


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(perceptual, "ALEXNET", "http://127.0.0.1:9/alexnet-00000000.pth")
    monkeypatch.setattr(perceptual, "INCEPTION", "http://127.0.0.1:9/inception-00000000.pth")


def test_the_table_says_what_its_numbers_are(command, data, plain_model, no_network, tmp_path):
    sheet, table = tmp_path / "sheet.png", tmp_path / "table.csv"
    done = command("evaluate", plain_model, data, "--size", 176, "--limit", 2, "--sheet", sheet, "--table", table)
    assert done.status == 0, done.err
    for words in (
        "N = 2 pictures",
        "176x176",
        "network of 64x64",
        "torchmetrics",
        "onnxruntime",
        "no hints, no palette",
        "on cpu, measured on cpu",
        "at most 2, spread evenly",
        f"SHA-256 {data_manifest(find_pairs([data])[:2])[:16]}",
        str(data),
    ):
        assert words in done.out
    rows = {line.partition("  ")[0].strip(): line for line in done.out.splitlines()}
    for measure in ("PSNR, dB (higher)", "SSIM (higher)", "MS-SSIM (higher)", "VIF (higher)", "CIEDE2000 (lower)"):
        assert measure in rows
    assert {"colorfulness", "region CIEDE2000 (lower)", "bleeding (lower)", "halo"} <= set(rows)
    assert done.out.count("\n  whole picture") == 6  # regions lie in the figure
    for name in ("LPIPS", "FID"):
        assert f"{name}: unavailable: its weights cannot be downloaded (Connection refused); put http" in done.out
    with Image.open(sheet) as image:
        assert image.size == (8 * CELL + GAP, CAPTION + CELL + CAPTION)
    with table.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["name"] for row in written] == ["drawn/synthetic_0000000", "drawn/synthetic_0000001"]
    assert {len(row) for row in written} == {1 + 6 * (2 * 6 + 3) + 2}
    assert float(written[0]["gray figure PSNR"]) > float(written[0]["white figure PSNR"])


def test_json_is_all_of_stdout(command, data, plain_model):
    done = command(
        *("evaluate", plain_model, data, "--json", "--no-download", "--layout", "color-left"),
    )
    assert done.status == 0, done.err
    written = json.loads(done.out)
    assert written["pictures"] == 3 and written["size"] == SIZE
    assert len(written["model_sha256"]) == 64
    assert {"torch", "torchmetrics", "pixelpainter"} <= set(written["versions"])
    assert list(written["unavailable"]) == ["MS-SSIM", "LPIPS", "FID"] and written["weights"] == {}
    assert written["conditions"] == {
        "data": [str(data)],
        "manifest": data_manifest(find_pairs([data])),
        "held_out": False,
        "limit": None,
        "layout": "color-left",
        "hints": 0,
        "true_palette": False,
        "network_device": "cpu",
        "measure_device": "cpu",
        "seed": "CRC-32 of the colors of each picture",
    }
    assert set(written["figures"]) == {"figure", "whole"}
    assert written["figures"]["figure"]["truth"]["colorfulness"] > 0
    assert "NaN" not in done.out and "Infinity" not in done.out


def test_weights_that_are_not_the_published_file_are_named(command, data, plain_model, no_network):
    file = perceptual.weights_file(perceptual.ALEXNET)
    file.parent.mkdir(parents=True)
    torch.save({f"features.{key}": value for key, value in perceptual.Lpips().features.state_dict().items()}, file)
    done = command("evaluate", plain_model, data, "--limit", 1, "--no-download", "--json")
    assert "weights for LPIPS, alexnet-00000000.pth in torch's cache, are not the file that was published" in done.err
    written = json.loads(done.out)
    assert written["weights"]["LPIPS"]["published"] is False and len(written["weights"]["LPIPS"]["sha256"]) == 64
    assert any("not the published file, its numbers may be others" in line for line in written["protocol"])
    assert "LPIPS" in written["figures"]["whole"]["composite"]


def test_pictures_drawn_by_the_program(command, plain_model):
    done = command("evaluate", plain_model, "--synthetic", 1, "--no-download")
    assert done.status == 0, done.err
    assert "1 drawn by the program (all; " in done.out and "N = 1 pictures" in done.out


def test_pictures_of_the_training(command, tmp_path, monkeypatch):
    write_synthetic(tmp_path / "drawn", 4, side=64)
    trained_on, held_out = find_training_data([tmp_path / "drawn"])
    model = save_plain_model(
        tmp_path / "model.onnx", dataclasses.replace(PLAIN_CARD, data_manifest=data_manifest(trained_on))
    )
    done = command("evaluate", model, tmp_path / "drawn", "--no-download")
    assert done.status == 0
    assert "the model was trained on; --held-out leaves those out" in done.err
    done = command("evaluate", model, tmp_path / "drawn", "--held-out", "--no-download")
    assert f"N = {len(held_out)} pictures" in done.out
    assert "training chose its best checkpoint by these pictures" in done.out
    assert "trained on" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no DATA given and there is no folder ./data"),
        (("nothing",), "nothing: no such folder or ZIP file"),
        (("drawn", "--hints", 4), "reads no hints; leave --hints out"),
        (("drawn", "--table", "there.csv"), "there.csv exists; use --overwrite"),
        (("drawn", "--sheet", "missing/sheet.png"), "missing/sheet.png: there is no such folder"),
        (("one", "--held-out"), "leave --held-out away"),
        (("drawn", "--sheet", "sheet.what"), "sheet.what: no name for a contact sheet; let it end in "),
        (("drawn", "--table", "both.png", "--sheet", "both.png"), "both.png: no name for a table; let it end in .csv"),
        (("drawn", "--sheet", "folder.png", "--overwrite"), "folder.png: is a folder, or lies in one"),
    ],
)
def test_one_line_for_what_cannot_be(command, tmp_path, monkeypatch, plain_model, arguments, words):
    monkeypatch.chdir(tmp_path)
    write_synthetic(tmp_path / "drawn", 2, side=64)
    write_synthetic(tmp_path / "one", 1, side=64)
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    done = command("evaluate", plain_model, *arguments, "--no-download")
    assert (done.status, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert words in done.err
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_a_missing_package_is_named_with_its_extra(command, data, plain_model, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torchmetrics" else find(name))
    done = command("evaluate", plain_model, data)
    assert done.status == 1
    assert "`pixelpainter evaluate` needs the package torchmetrics" in done.err
    assert "'.[evaluate]'" in done.err


def test_a_folder_that_cannot_be_written_is_named_before_the_work(command, data, plain_model, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    done = command("evaluate", plain_model, data, "--sheet", tmp_path / "sheet.png")
    assert done.status == 1
    assert "sheet.png: is a folder, or lies in one that cannot be written" in done.err


def test_existing_files_are_replaced_when_told_to(command, data, plain_model, tmp_path):
    sheet, table = tmp_path / "sheet.webp", tmp_path / "table.csv"
    sheet.touch()
    table.touch()
    options = ("--limit", 1, "--no-download", "--sheet", sheet, "--table", table)
    assert command("evaluate", plain_model, data, *options, "--overwrite").status == 0
    with Image.open(sheet) as image:
        assert image.format == "WEBP"
    assert len(table.read_text().splitlines()) == 2
