"""What a forest knows of a pixel."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from intarsia.classical import _pixel_features
from intarsia.classical._pixel_features import feature_names, feature_planes, feature_strips, match_channels
from intarsia.core import DataError

INSIDE = (slice(40, 88), slice(40, 88))


def grey(function, size=128):
    """(H, W, 1) float32 image of a function of row and column, on the scale of features: 0 to 1 becomes 0 to 100."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return (function(y, x) / 100).astype(np.float32)[..., None]


def planes(image, **options):
    """By name."""
    found = feature_planes(image, **options)
    return dict(zip(feature_names(image.shape[2], options["scales"], options.get("position", True)), found, strict=True))


def test_a_constant_image_has_a_colour_and_nothing_else():
    found = planes(np.full((20, 30, 3), 255, np.uint8), scales=3)
    for name, plane in found.items():
        assert plane.shape == (20, 30)
        assert plane.dtype == np.float32
        if name.startswith("L"):
            np.testing.assert_allclose(plane, 100, atol=0.01)
        elif name not in ("row", "column"):
            assert np.abs(plane).max() < 0.05, name
    assert found["row"][:, 0].tolist() == pytest.approx([(i + 0.5) / 20 for i in range(20)])
    assert found["column"][0].tolist() == pytest.approx([(i + 0.5) / 30 for i in range(30)])


def test_a_slope_and_a_bowl():
    slope = planes(grey(lambda y, x: 10 + 0.3 * x + 0.4 * y), scales=2)
    bowl = planes(grey(lambda y, x: 0.003 * (x - 64) ** 2 + 0.001 * (y - 64) ** 2), scales=2)
    for sigma in (1, 2):
        np.testing.assert_allclose(slope[f"gradient, sigma {sigma}"][INSIDE], 0.5, atol=1e-3)
        np.testing.assert_allclose(slope[f"curvature 1, sigma {sigma}"][INSIDE], 0, atol=1e-3)
        np.testing.assert_allclose(slope[f"texture 1, sigma {sigma}"][INSIDE], 0.25, atol=1e-3)  # the squared gradient ...
        np.testing.assert_allclose(slope[f"texture 2, sigma {sigma}"][INSIDE], 0, atol=1e-3)  # ... in one direction only
        np.testing.assert_allclose(slope[f"deviation, sigma {sigma}"][INSIDE], 0.5 * sigma, rtol=0.02)
        np.testing.assert_allclose(bowl[f"curvature 1, sigma {sigma}"][INSIDE], 0.006, atol=1e-4)
        np.testing.assert_allclose(bowl[f"curvature 2, sigma {sigma}"][INSIDE], 0.002, atol=1e-4)


def test_fine_stripes_are_texture_of_one_direction_even_in_a_wide_window():
    stripes = planes(grey(lambda y, x: 50 + 40 * np.sin(x * np.pi / 2)), scales=5)
    dots = planes(grey(lambda y, x: 50 + 40 * np.sin(x * np.pi / 2) * np.sin(y * np.pi / 2)), scales=5)
    for sigma in (4, 8, 16):
        first, second = (stripes[f"texture {n}, sigma {sigma}"][INSIDE].mean() for n in (1, 2))
        assert first > 300
        assert second < 0.01 * first
        np.testing.assert_allclose(stripes[f"deviation, sigma {sigma}"][INSIDE], 40 / np.sqrt(2), rtol=0.02)
        one, two = (dots[f"texture {n}, sigma {sigma}"][INSIDE].mean() for n in (1, 2))
        assert two > 0.9 * one


def test_means_are_nearly_those_of_gaussian_windows():
    image = np.random.default_rng(0).random((128, 144, 1), np.float32)
    found = planes(image, scales=5)
    for sigma in (1, 2, 4, 8, 16):
        exact = gaussian_filter(image[..., 0] * 100, sigma, mode="reflect", truncate=5)
        off = (found[f"channel 0, sigma {sigma}"] - exact)[32:-32, 32:-32]
        assert np.abs(off).max() < 1e-3 or sigma > 2
        assert off.std() < 0.2 * exact[32:-32, 32:-32].std(), "pooling and enlarging cost little even of pure noise"


@pytest.mark.parametrize("size", [(150, 37), (97, 64), (33, 211)])
def test_strips_are_the_whole_image(size, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole = np.stack(feature_planes(image, scales=4))
    monkeypatch.setattr(_pixel_features, "STRIP", size[1] * 24)
    strips = list(feature_strips(image, scales=4))
    assert len(strips) == -(-size[0] // 24)
    assert [rows.start for rows, _ in strips] == list(range(0, size[0], 24))
    np.testing.assert_allclose(np.concatenate([points for _, points in strips], 1).reshape(whole.shape), whole, atol=1e-6)


def test_any_number_of_channels_has_its_names():
    for channels in (1, 2, 3, 5):
        image = np.random.default_rng(0).random((9, 11, channels), np.float32)
        for scales, position in ((1, True), (3, False)):
            names = feature_names(channels, scales, position)
            assert len(set(names)) == len(names) == channels + scales * (channels + 6) + 2 * position
            assert len(feature_planes(image, scales=scales, position=position)) == len(names)
    assert all(np.isfinite(plane).all() for plane in feature_planes(np.zeros((1, 1, 3), np.uint8), scales=5))


def test_depth_of_the_dtype_does_not_count():
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    for other in (image.astype(np.uint16) * 257, image.astype(np.float32) / 255):
        np.testing.assert_allclose(feature_planes(other, scales=2), feature_planes(image, scales=2), atol=1e-3)


def test_channels_are_matched():
    rng = np.random.default_rng(0)
    colour, alpha = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8), rng.integers(0, 256, (4, 5, 4), dtype=np.uint8)
    assert match_channels(alpha) is alpha, "a fourth channel may be anything"
    assert np.array_equal(match_channels(alpha, 3), alpha[..., :3])
    assert np.array_equal(match_channels(alpha[..., :2], 3), alpha[..., :1].repeat(3, 2))
    assert np.array_equal(match_channels(colour[..., :1], 3), colour[..., :1].repeat(3, 2))
    np.testing.assert_allclose(match_channels(colour, 1)[..., 0], colour @ [0.299, 0.587, 0.114] / 255, atol=1e-6)
    assert match_channels(rng.random((4, 5, 7), np.float32), 7).shape == (4, 5, 7)
    with pytest.raises(DataError, match=r"The image has 7 channels, and 3 were learnt from"):
        match_channels(np.zeros((4, 5, 7), np.uint8), 3)
    with pytest.raises(DataError, match=r"values that are not finite"):
        match_channels(np.full((4, 5, 3), np.nan, np.float32))


def test_where_arrays_lie_in_memory_changes_no_bit():
    """OpenCV's `magnitude` rounds otherwise at another alignment, and so would trees from run to run."""
    image = np.random.default_rng(0).integers(0, 256, (90, 122, 3), dtype=np.uint8)
    first, held = feature_planes(image), []
    for size in range(1, 40):
        held.append(np.empty(33 * size + 1, np.uint8))
        for plane, again in zip(first, feature_planes(image), strict=True):
            assert np.array_equal(plane, again)
