"""Every measure against an implementation of its own: scikit-image, or the formula of the paper."""

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tiny import LEFT, two_boxes

from pixelpainter.evaluate.cases import Case
from pixelpainter.evaluate.measures import MEASURES, REGION_MEASURES, measure, unavailable
from pixelpainter.evaluate.perceptual import Lpips
from pixelpainter.evaluate.regions import find_regions
from pixelpainter.figure import figure_mask
from pixelpainter.metrics import MOST_DECIBELS
from pixelpainter.train.synthetic import draw_pair

SIDE = 192
CPU = torch.device("cpu")


def make_case(truth, drawing):
    return Case("drawn", truth, drawing, figure_mask(truth), np.ones_like(drawing, bool), seed=0)


@pytest.fixture(scope="module")
def case():
    pair = draw_pair(3, SIDE)
    return make_case(pair.color, pair.lines)


@pytest.fixture(scope="module")
def answers(case):
    random = np.random.default_rng(0)
    noisy = np.clip(case.truth + random.normal(0, 25, case.truth.shape), 0, 255).astype(np.uint8)
    return {
        "noisy": noisy,
        "drawing": np.repeat(case.drawing[..., None], 3, axis=2),
        "darker": (case.truth // 2).astype(np.uint8),
        "same": case.truth,
    }


@pytest.fixture(scope="module")
def found(case, answers):
    return measure(case, answers, CPU)


def test_every_measure_is_taken_of_every_answer(found, answers):
    for area in ("figure", "whole"):
        assert list(found[area]) == list(answers)
        expected = {*MEASURES, *REGION_MEASURES} if area == "figure" else set(MEASURES)
        assert all(set(values) == expected for values in found[area].values())


def test_regions_tell_a_wrong_fill_from_color_beside_lines():
    truth, drawing = two_boxes()
    labels = find_regions(truth, drawing, figure_mask(truth)).labels
    third, wrong, spilled, dark = (truth.copy() for _ in range(4))
    third[labels == 3] = wrong[labels == 1] = wrong[labels == 2] = (40, 160, 60)
    spilled[22:99, 78:86] = LEFT
    beside = cv2.dilate((drawing < 128).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    dark[beside & (drawing >= 128)] //= 2
    pictures = {"truth": truth, "third": third, "wrong": wrong, "spilled": spilled, "dark": dark}
    found = measure(make_case(truth, drawing), pictures, CPU)
    regions, bleeding, halo = ({name: found["figure"][name][row] for name in pictures} for row in REGION_MEASURES)
    assert [regions["truth"], bleeding["truth"], halo["truth"]] == pytest.approx([0, 0, 0])
    assert regions["wrong"] > 20 and regions["third"] == regions["spilled"] == regions["dark"] == 0
    assert bleeding["wrong"] < 0 < 2 < bleeding["spilled"]
    assert halo["dark"] < -10


def test_without_regions_there_is_no_number():
    page = np.full((48, 48, 3), 255, np.uint8)
    page[20:24, 20:24] = LEFT
    found = measure(make_case(page, np.full((48, 48), 255, np.uint8)), {"page": page}, CPU)
    assert all(np.isnan(found["figure"]["page"][name]) for name in REGION_MEASURES)


def test_figure_and_page_are_told_apart(case):
    wrong_page = case.truth.copy()
    wrong_page[~case.figure] = (200, 20, 20)
    found = measure(case, {"page": wrong_page}, CPU)
    assert found["figure"]["page"]["PSNR"] == MOST_DECIBELS
    assert found["figure"]["page"]["CIEDE2000"] == 0
    assert found["figure"]["page"]["VIF"] == pytest.approx(1, abs=1e-5)
    assert found["figure"]["page"]["MS-SSIM"] == pytest.approx(1)
    assert found["whole"]["page"]["PSNR"] < 15
    assert found["whole"]["page"]["VIF"] < 0.9
    assert found["whole"]["page"]["MS-SSIM"] < 0.95


def test_psnr_is_scikit_images(case, answers, found):
    for area, mask in case.areas.items():
        for name in ("noisy", "drawing", "darker"):
            expected = peak_signal_noise_ratio(case.truth[mask], answers[name][mask], data_range=255)
            assert found[area][name]["PSNR"] == pytest.approx(expected, abs=1e-6)
        assert found[area]["same"]["PSNR"] == MOST_DECIBELS


def test_ssim_is_scikit_images(case, answers, found):
    for name, picture in answers.items():
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
        _, similarity = structural_similarity(case.truth, picture, data_range=255, full=True, **options)
        for area, mask in case.areas.items():
            fits = np.s_[5:-5, 5:-5]  # the windows that lie in the picture
            assert found[area][name]["SSIM"] == pytest.approx(similarity[fits][mask[fits]].mean(), abs=1e-6)


def gaussian(width, sigma):
    offset = np.arange(width) - (width - 1) / 2
    line = np.exp(-(offset**2) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2


def in_front(picture, mask):
    return np.where(mask[..., None], picture, 255).astype(np.float64)


def halved(channel):
    return (channel[::2, ::2] + channel[1::2, ::2] + channel[::2, 1::2] + channel[1::2, 1::2]) / 4


def similarity_parts(one, other):
    """Luminance times contrast, and contrast alone, of the windows that lie in the picture."""

    def blur(channel):
        return convolve2d(channel, gaussian(11, 1.5), "valid")

    mean, other_mean = blur(one), blur(other)
    variance, other_variance = blur(one**2) - mean**2, blur(other**2) - other_mean**2
    covariance = blur(one * other) - mean * other_mean
    contrast = (2 * covariance + (0.03 * 255) ** 2) / (variance + other_variance + (0.03 * 255) ** 2)
    luminance = (2 * mean * other_mean + (0.01 * 255) ** 2) / (mean**2 + other_mean**2 + (0.01 * 255) ** 2)
    return luminance * contrast, contrast


def multiscale(one, other, share):
    """Wang, Simoncelli, Bovik (2003), section 3.1, for one channel."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    total = 1.0
    for scale, weight in enumerate(weights):
        similarity, contrast = similarity_parts(one, other)
        part = similarity if scale == len(weights) - 1 else contrast
        total *= max(np.average(part, weights=share[5:-5, 5:-5]), 0) ** weight
        one, other, share = halved(one), halved(other), halved(share)
    return total


def test_ms_ssim_is_that_of_the_paper(case, answers, found):
    for area, mask in case.areas.items():
        truth = in_front(case.truth, mask)
        for name, picture in answers.items():
            shown = in_front(picture, mask)
            expected = np.mean([multiscale(shown[..., k], truth[..., k], mask.astype(float)) for k in range(3)])
            assert found[area][name]["MS-SSIM"] == pytest.approx(expected, abs=1e-6)
    assert found["whole"]["drawing"]["MS-SSIM"] == pytest.approx(0.44328, abs=2e-5)  # as pytorch-msssim 1.0.0 has it


def test_margins_do_not_dilute_what_is_inside_the_figure(case, answers):
    """The same figure with twice as much white around it; the scales of MS-SSIM stay in step."""
    torch.manual_seed(0)
    lpips = Lpips()
    padded = {
        name: np.pad(picture, ((96, 96), (96, 96), (0, 0)), constant_values=255) for name, picture in answers.items()
    }
    drawing = np.pad(case.drawing, 96, constant_values=255)
    wide = make_case(padded["same"], drawing)
    near, far = (measure(one, {"darker": two["darker"]}, CPU, lpips) for one, two in ((case, answers), (wide, padded)))
    for name, tolerance in (("LPIPS", 0.1), ("MS-SSIM", 0.1), ("PSNR", 1e-9), ("SSIM", 1e-2), ("VIF", 0.05)):
        assert far["figure"]["darker"][name] == pytest.approx(near["figure"]["darker"][name], rel=tolerance)
    assert far["whole"]["darker"]["LPIPS"] < 0.6 * near["whole"]["darker"]["LPIPS"]


def test_the_whole_picture_has_no_padding(case, answers):
    beside = np.zeros_like(case.whole)
    beside[:, 40:150] = True
    found = measure(Case("strip", case.truth, case.drawing, case.figure & beside, beside, seed=0), answers, CPU)
    expected = peak_signal_noise_ratio(case.truth[:, 40:150], answers["noisy"][:, 40:150], data_range=255)
    assert found["whole"]["noisy"]["PSNR"] == pytest.approx(expected)


def information_fidelity(picture, truth):
    """Sheikh, Bovik (2006), in pixels, four scales, noise of variance 2."""
    kept = there = 0.0
    for scale in range(4):
        width = 2 ** (4 - scale) + 1
        window = gaussian(width, width / 5)
        if scale:
            picture = convolve2d(picture, window, "valid")[::2, ::2]
            truth = convolve2d(truth, window, "valid")[::2, ::2]
        mean, truth_mean = convolve2d(picture, window, "valid"), convolve2d(truth, window, "valid")
        variance = np.maximum(convolve2d(picture**2, window, "valid") - mean**2, 0)
        truth_variance = np.maximum(convolve2d(truth**2, window, "valid") - truth_mean**2, 0)
        covariance = convolve2d(picture * truth, window, "valid") - mean * truth_mean
        gain = np.where(truth_variance > 1e-9, covariance / np.maximum(truth_variance, 1e-9), 0)
        noise = variance - gain * covariance
        noise = np.where(gain < 0, variance, noise)
        gain = np.maximum(gain, 0)
        kept += np.log10(1 + gain**2 * truth_variance / (np.maximum(noise, 0) + 2)).sum()
        there += np.log10(1 + truth_variance / 2).sum()
    return kept / there


def test_vif_is_that_of_the_paper(case, answers, found):
    for area, mask in case.areas.items():
        truth = in_front(case.truth, mask)
        for name, picture in answers.items():
            shown = in_front(picture, mask)
            expected = np.mean([information_fidelity(shown[..., k], truth[..., k]) for k in range(3)])
            assert found[area][name]["VIF"] == pytest.approx(expected, abs=2e-3)


def test_ciede2000_is_scikit_images(case, answers, found):
    for area, mask in case.areas.items():
        for name, picture in answers.items():
            expected = deltaE_ciede2000(rgb2lab(case.truth), rgb2lab(picture))[mask].mean()
            assert found[area][name]["CIEDE2000"] == pytest.approx(expected, abs=0.01)


def test_colorfulness_is_that_of_the_paper(case, answers, found):
    for area, mask in case.areas.items():
        for name, picture in answers.items():
            red, green, blue = picture[mask].astype(float).T
            first, second = red - green, 0.5 * (red + green) - blue
            spread = np.sqrt(first.var() + second.var())
            expected = spread + 0.3 * np.sqrt(first.mean() ** 2 + second.mean() ** 2)
            assert found[area][name]["colorfulness"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("side", "missing"), [(176, []), (175, ["MS-SSIM"]), (41, ["MS-SSIM"]), (40, ["MS-SSIM", "VIF"])]
)
def test_small_pictures_lack_what_needs_many_scales(side, missing):
    pair = draw_pair(1, side)
    found = measure(make_case(pair.color, pair.lines), {"drawing": np.repeat(pair.lines[..., None], 3, axis=2)}, CPU)
    assert set(found["whole"]["drawing"]) == set(MEASURES) - set(missing)
    assert list(unavailable(side)) == missing
