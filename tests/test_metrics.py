import numpy as np
import pytest
from tiny import two_boxes

from pixelpainter import metrics
from pixelpainter.figure import figure_mask


def test_psnr_against_a_hand_computed_number_and_the_mask():
    truth, _ = two_boxes()
    result = np.clip(truth.astype(int) - 5, 0, 255).astype(np.uint8)
    result[:, 100:] = 0
    left = np.zeros((120, 160), bool)
    left[:, :100] = True
    assert metrics.psnr(result, truth, left) == pytest.approx(10 * np.log10(255**2 / 25))
    assert metrics.psnr(result, truth) < 15
    assert metrics.psnr(truth, truth) == 100
    nearly = np.full((300, 300, 3), 9, np.uint8)
    nearly[0, 0, 0] = 8  # 102.4 dB
    assert metrics.psnr(nearly, np.full_like(nearly, 9)) == 100
    assert np.isnan(metrics.psnr(result, truth, np.zeros_like(left)))


def test_ssim_is_one_for_equal_pictures_and_sees_the_mask():
    truth, _ = two_boxes()
    result = truth.copy()
    result[:, 80:] = np.random.default_rng(0).integers(0, 256, (120, 80, 3), dtype=np.uint8)
    left = np.zeros((120, 160), bool)
    left[:, :70] = True
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(result, truth, left) == pytest.approx(1)
    assert metrics.ssim(result, truth, ~left) < 0.3
    assert np.isnan(metrics.ssim(result, truth, np.zeros_like(left)))


def test_similarity_counts_windows_that_lie_in_the_picture():
    truth = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    result = truth.copy()
    result[:9] = 255 - truth[:9]
    rim = np.zeros((192, 192), bool)
    rim[:5] = True
    for measure in (metrics.ssim, metrics.ms_ssim):
        assert measure(truth, truth) == pytest.approx(1)
        assert measure(result, truth) < 0.999
        assert np.isnan(measure(result, truth, rim))


def test_ms_ssim_sees_the_mask_and_takes_opposites_for_0():
    truth = np.random.default_rng(0).integers(0, 256, (192, 384, 3), dtype=np.uint8)
    result = truth.copy()
    result[:, 192:] = 255 - truth[:, 192:]
    left = np.zeros((192, 384), bool)
    left[:, :96] = True
    assert metrics.ms_ssim(result, truth, left) == pytest.approx(1)
    assert metrics.ms_ssim(result, truth, left[:, ::-1]) == 0


def test_colorfulness_against_a_hand_computed_number():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2] = (100, 0, 0)  # rg 100, yb 50
    picture[:, 2:] = (0, 100, 0)  # rg -100, yb 50
    assert metrics.colorfulness(picture) == pytest.approx(100 + 0.3 * 50)
    left = np.zeros((2, 4), bool)
    left[:, :2] = True
    assert metrics.colorfulness(picture, left) == pytest.approx(0.3 * np.hypot(100, 50))
    assert metrics.colorfulness(np.full((5, 5, 3), 77, np.uint8)) == 0
    assert np.isnan(metrics.colorfulness(picture, np.zeros_like(left)))


def test_baselines_are_the_four_trivial_answers():
    truth, drawing = two_boxes()
    figure = figure_mask(truth)
    answers = metrics.baselines(truth, drawing, figure)
    assert set(answers) == {"white", "drawing", "gray", "mean"}
    assert (answers["white"] == 255).all()
    assert (answers["drawing"] == drawing[..., None]).all()
    assert (answers["gray"][figure] == 128).all() and (answers["gray"][~figure] == 255).all()
    np.testing.assert_allclose(answers["mean"][figure].mean(axis=0), truth[figure].mean(axis=0), atol=0.5)
    scores = {name: metrics.psnr(answer, truth, figure) for name, answer in answers.items()}
    assert max(scores, key=scores.__getitem__) == "mean"
    assert (metrics.baselines(truth, drawing, np.zeros_like(figure))["mean"] == 255).all()
