import numpy as np
import pytest
import skimage.color

from pixelpainter import color

RANDOM = np.random.default_rng(3)

# L1 a1 b1 L2 a2 b2 difference: the 34 pairs of table 1 in Sharma, Wu, Dalal, "The CIEDE2000 color-difference
# formula" (2005), https://hajim.rochester.edu/ece/sites/gsharma/ciede2000/; they sit on the formula's jumps.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_ciede2000_gives_the_published_differences():
    pairs = np.array(SHARMA.split(), float).reshape(34, 7)
    np.testing.assert_allclose(color.ciede2000(pairs[:, :3], pairs[:, 3:6]), pairs[:, 6], atol=5.1e-5)
    np.testing.assert_allclose(color.ciede2000(pairs[:, 3:6], pairs[:, :3]), pairs[:, 6], atol=5.1e-5)


def test_ciede2000_agrees_with_scikit_image_and_broadcasts():
    lab = skimage.color.rgb2lab(RANDOM.random((40, 3)))
    expected = skimage.color.deltaE_ciede2000(lab[:, None], lab[None])
    np.testing.assert_allclose(color.ciede2000(lab[:, None], lab[None]), expected, atol=1e-9)
    single = color.ciede2000(lab.astype(np.float32)[:, None], lab.astype(np.float32)[None])
    assert single.dtype == np.float32
    # opposite hues turn either way by rounding; everything else agrees
    assert np.quantile(np.abs(single - expected), 0.99) < 2e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lab_and_xyz_agree_with_scikit_image(dtype):
    rgb = np.concatenate([RANDOM.random((500, 3)), np.eye(3), [[0, 0, 0], [1, 1, 1], [0.01, 0.02, 0.03]]])
    given = rgb.astype(dtype)
    assert color.lab_from_srgb(given).dtype == color.srgb_from_lab(given).dtype == dtype
    np.testing.assert_allclose(color.xyz_from_srgb(given), skimage.color.rgb2xyz(rgb), atol=1e-4)
    # scikit-image rounds the matrix and the white to 5 and 6 digits
    np.testing.assert_allclose(color.lab_from_srgb(given), skimage.color.rgb2lab(rgb), atol=0.01)
    np.testing.assert_allclose(color.srgb_from_lab(color.lab_from_srgb(given)), rgb, atol=2e-5)
    np.testing.assert_allclose(color.srgb_from_xyz(color.xyz_from_srgb(given)), rgb, atol=2e-5)


def test_grays_have_no_chroma_and_white_is_100():
    gray = np.linspace(0, 1, 11)[:, None].repeat(3, axis=1)
    lab = color.lab_from_srgb(gray)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-10)
    np.testing.assert_allclose(lab[[0, -1], 0], [0, 100], atol=1e-10)


def test_colors_no_screen_can_show_are_clipped():
    rgb = color.srgb_from_lab([[50.0, 128.0, -128.0], [150.0, 0.0, 0.0], [-20.0, 0.0, 0.0]])
    assert rgb.min() >= 0 and rgb.max() <= 1


def test_lab_from_bytes_is_lab_from_srgb():
    rgb = RANDOM.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    lab = color.lab_from_bytes(rgb)
    assert lab.dtype == np.float32
    np.testing.assert_allclose(lab, color.lab_from_srgb(rgb / 255), atol=1e-3)
