import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import hints_config, make_cache, plain_config
from torch import nn

from pixelpainter import metrics
from pixelpainter.systems import SYSTEMS
from pixelpainter.train.batches import BatchMaker
from pixelpainter.train.validate import answer, evenly, save_grid, to_bytes, validate


class Fixed(nn.Module):
    """Answers by a rule, and remembers what it was asked."""

    def __init__(self, rule):
        super().__init__()
        self.rule, self.asked = rule, []

    def forward(self, picture, palette=None):
        assert not self.training
        self.asked.append((picture, palette))
        return self.rule(picture, palette)


def batches(cache, config):
    return BatchMaker(cache, SYSTEMS[config.system].card, config, torch.device("cpu"))


@pytest.fixture(scope="module")
def cache():
    return make_cache(18, 64)  # more than one batch of validation


PLAIN, HINTS = plain_config(size=64, load_size=64), hints_config(size=64, load_size=64)


def test_gray_paper_scores_like_the_gray_page(cache):
    gray = Fixed(lambda picture, _: torch.full((len(picture), 3, 64, 64), 128 / 127.5 - 1))
    card = SYSTEMS["pix2pix"].card
    found = validate(gray, batches(cache, PLAIN), card, range(18))
    assert [len(picture) for picture, _ in gray.asked] == [16, 2]
    expected = []
    for index in range(18):
        truth, figure = cache.color[index].transpose(1, 2, 0), cache.figure[index].astype(bool)
        expected.append(metrics.psnr(np.full_like(truth, 128), truth, figure))
    assert found["psnr_plain"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert found["psnr_baseline_gray"] == pytest.approx(found["psnr_plain"], abs=1e-4)  # the same inside the figure
    assert found["psnr_baseline_mean"] > found["psnr_plain"]
    assert found["colorfulness_plain"] == pytest.approx(0, abs=1e-6)
    names = {"psnr_plain", "ssim_plain", "colorfulness_plain"}
    assert set(found) == names | {f"psnr_baseline_{name}" for name in ("white", "drawing", "gray", "mean")}


def test_the_drawing_scores_like_the_drawing(cache):
    drawing = Fixed(lambda picture, _: picture[:, :1].expand(-1, 3, -1, -1))
    found = validate(drawing, batches(cache, HINTS), SYSTEMS["pix2pix-hints"].card, range(4))
    for way in ("plain", "hints_20", "palette"):
        assert found[f"psnr_{way}"] == pytest.approx(found["psnr_baseline_drawing"])


def test_every_way_of_asking_gets_its_input(cache):
    network = Fixed(lambda picture, _: picture[:, 1:4])
    found = validate(network, batches(cache, HINTS), SYSTEMS["pix2pix-hints"].card, range(4))
    plain, hinted, with_palette = network.asked
    assert plain[0][:, 1:].abs().max() == 0
    assert plain[1].abs().max() == 0
    assert (hinted[0][:, 4].sum((1, 2)) >= 20).all()
    assert hinted[1].abs().max() == 0
    assert with_palette[0][:, 1:].abs().max() == 0
    assert torch.equal(with_palette[1], torch.from_numpy(cache.palette[:4]))
    assert found["colorfulness_hints_20"] > found["colorfulness_plain"]


def test_only_the_first_pictures_are_measured(cache):
    network = Fixed(lambda picture, _: picture.expand(-1, 3, -1, -1))
    validate(network, batches(cache, PLAIN), SYSTEMS["pix2pix"].card, range(5))
    assert [len(picture) for picture, _ in network.asked] == [5]


def test_pictures_without_figure_are_left_out(cache):
    figure = cache.figure.copy()
    figure[0] = 0
    network = Fixed(lambda picture, _: picture.expand(-1, 3, -1, -1))
    some = dataclasses.replace(cache, figure=figure)
    card = SYSTEMS["pix2pix"].card
    one = validate(network, batches(some, PLAIN), card, range(2))
    truth, drawing = cache.color[1].transpose(1, 2, 0), np.repeat(cache.lines[1, 0][..., None], 3, axis=2)
    assert one["psnr_plain"] == pytest.approx(metrics.psnr(drawing, truth, cache.figure[1].astype(bool)))
    assert validate(network, batches(some, PLAIN), card, range(1)) == {}


def test_an_answer_is_in_eval_mode_and_leaves_the_mode_as_it_was():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    picture = torch.rand(2, 1, 8, 8).to(torch.bfloat16).float() + 3
    for training in (True, False):
        network.train(training)
        found = answer(network, (picture,))
        assert network.training is training
        torch.testing.assert_close(found, picture / (1 + 1e-5) ** 0.5)
        assert not found.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert answer(nn.Identity(), (picture.bfloat16(),)).dtype == torch.float32


def test_to_bytes():
    values = torch.tensor([-1.5, -1.0, 0.0, 1.0, 2.0, 2 * 100 / 255 - 1])
    found = to_bytes(values.view(1, 1, 1, 6))
    assert found.shape == (1, 1, 6, 1)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [0, 0, 128, 255, 255, 100]


def test_the_grid_of_a_network_without_hints(cache, tmp_path):
    network = Fixed(lambda picture, _: torch.full((len(picture), 3, 64, 64), -1.0))
    save_grid(network, batches(cache, PLAIN), SYSTEMS["pix2pix"].card, range(18), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        drawn = np.asarray(grid)
    assert drawn.shape == (8 * 64, 3 * 64, 3)
    assert drawn[:, 64:128].max() == 0
    assert np.array_equal(drawn[7 * 64 :, 128:], cache.color[17].transpose(1, 2, 0))


def test_pictures_are_spread_evenly():
    assert evenly(9, 3) == [0, 4, 8]
    assert evenly(2, 8) == [0, 1]
    assert evenly(0, 8) == []
