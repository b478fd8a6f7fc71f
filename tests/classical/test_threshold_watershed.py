import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from intarsia.classical.threshold_watershed import split_touching, threshold_watershed
from intarsia.core import SettingsError


def discs(*centres: tuple[float, float, float], size: tuple[int, int] = (80, 110)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.any([(y - cy) ** 2 + (x - cx) ** 2 <= r**2 for cy, cx, r in centres], axis=0)


def test_two_overlapping_discs_are_cut_on_their_radical_line() -> None:
    """Points of equal power to both circles: x = (d^2 + r1^2 - r2^2) / 2d from the first centre."""
    (x1, r1), (x2, r2) = (35, 22), (70, 18)
    ids = split_touching(discs((40, x1, r1), (40, x2, r2)))
    assert ids.max() == 2
    line = x1 + ((x2 - x1) ** 2 + r1**2 - r2**2) / (2 * (x2 - x1))
    for row in range(36, 45):
        cut = np.flatnonzero(np.diff(ids[row, 15:88]))
        assert len(cut) == 1
        assert abs(15 + cut[0] + 0.5 - line) <= 1


def test_a_peak_that_hardly_stands_out_is_no_object() -> None:
    mask = discs((40, 35, 20), (40, 45, 20))
    assert split_touching(mask, depth=1.0).max() == 1
    assert split_touching(discs((40, 30, 20), (40, 64, 20)), depth=1.0).max() == 2
    assert split_touching(discs((40, 30, 20), (40, 64, 20)), depth=30.0).max() == 1


@pytest.mark.parametrize("dark", [False, True])
def test_noisy_discs_are_found_whichever_side_is_bright(dark: bool) -> None:
    truth = [(20, 20, 12), (20, 60, 14), (58, 30, 15), (58, 56, 15), (50, 95, 9)]
    mask = discs(*truth)
    gray = np.where(mask, 180, 60) + np.random.default_rng(0).normal(0, 12, mask.shape)
    image = (255 - gray if dark else gray).clip(0, 255).astype(np.uint8)[..., None]
    ids = threshold_watershed(image, sigma=1.0)
    assert ids.max() == len(truth)
    assert len({ids[y, x] for y, x, _ in truth}) == len(truth)
    assert ((ids > 0) == mask).mean() > 0.98
    assert threshold_watershed(image, sigma=1.0, objects="bright" if dark else "dark").max() != len(truth)


def test_a_dim_object_beside_bright_ones_keeps_its_size() -> None:
    """Blurred discs of height 1 and 0.55: half of its own height is where each one's edge is."""
    bright, dim = discs((25, 25, 14)), discs((50, 80, 14))
    image = (gaussian_filter(bright * 1.0 + dim * 0.55, 3) * 200).astype(np.uint8)[..., None]
    own = threshold_watershed(image, level=0.5, own_level=0.5)
    shared = threshold_watershed(image, level=1.0, own_level=0.0)
    assert (own == own[50, 80]).sum() == pytest.approx(dim.sum(), rel=0.08)
    assert (own == own[25, 25]).sum() == pytest.approx(bright.sum(), rel=0.08)
    assert (shared == shared[50, 80]).sum() < 0.85 * dim.sum()


def test_numbers_have_no_gaps_and_small_objects_go() -> None:
    ids = split_touching(discs((20, 20, 10), (20, 60, 3), (60, 80, 12)), min_size=60)
    assert np.unique(ids).tolist() == [0, 1, 2]
    assert not split_touching(np.zeros((5, 5), np.bool_)).any()
    assert split_touching(np.ones((9, 9), np.bool_)).min() == 1


def test_uneven_light_needs_the_local_threshold() -> None:
    mask = discs((20, 25, 10), (55, 40, 10), (30, 80, 10))
    slope = np.linspace(0, 110, 110)[None]
    image = (mask * 90 + slope + 20).astype(np.uint8)[..., None]
    ids = threshold_watershed(image, threshold="local", objects="bright", window=51, level=0.7)
    assert ids.max() == 3
    assert ((ids > 0) == mask).mean() > 0.97
    assert ((threshold_watershed(image, threshold="otsu", objects="bright") > 0) == mask).mean() < 0.9


def test_nuclei_reach_what_is_stated(shared_data) -> None:
    """Twelve images of val; the whole of it is `benchmarks/nuclei_classical.py`."""
    from intarsia.core import ClassSpace, Instances
    from intarsia.data.formats import read_image
    from intarsia.data.formats.instance import read_instances
    from intarsia.metrics.mean_precision import MeanPrecisionEvidence, observe_mean_precision, score_mean_precision

    root, nucleus = shared_data("nuclei"), ClassSpace.from_names(["nucleus"], things=["nucleus"])
    rows = []
    for path in sorted((root / "images" / "val").glob("*.png"))[::3][:12]:
        truth = read_instances(root / "instances" / "val" / path.name, nucleus, 0)
        found = Instances.from_ids(threshold_watershed(read_image(path)), nucleus, 0)
        rows.append(observe_mean_precision(found, truth, path.stem))
    assert score_mean_precision(MeanPrecisionEvidence.concatenate(rows)).mean_precision > 0.42


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"sigma is -1\.0, depth 1\.0, min_size 30, surroundings 15\.0 and window 101"):
        threshold_watershed(np.zeros((4, 4, 1), np.uint8), sigma=-1.0)
