import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.postprocess.dense_crf import DEEPLAB, DEEPLAB_V2, DenseCRF, mean_field, refine, unary_from_labels

CLASSES = ClassSpace.from_names(["road", "tree", "sky"])


def scene(height=30, width=40):
    """A picture of two halves with noise, and unaries of three labels that are unsure of it."""
    draw = np.random.default_rng(0)
    image = np.full((height, width, 3), 60.0)
    image[:, width // 2 :] = 190
    image = (image + draw.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    unary = draw.normal(0, 1, (3, height, width)).astype(np.float32)
    unary[0, :, : width // 2] -= 1
    unary[1, :, width // 2 :] -= 1
    return image, unary


def exact_mean_field(unary, image, field):
    """Mean field with the whole N x N kernels."""
    height, width = image.shape[:2]
    position = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2).astype(np.float32)
    colors = image.reshape(len(position), -1).astype(np.float32)
    kernels = []
    for weight, features in (
        (field.spatial_weight, position / field.spatial_xy),
        (field.bilateral_weight, np.concatenate([position / field.bilateral_xy, colors / field.bilateral_rgb], 1)),
    ):
        norms = (features**2).sum(1)
        kernel = np.exp(np.minimum(features @ features.T - norms / 2 - norms[:, None] / 2, 0))
        sums = kernel.sum(1)
        power = {"symmetric": (0.5, 0.5), "after": (1, 0), "before": (0, 1)}[field.normalization]
        kernels.append(weight * kernel * (sums ** -power[0])[:, None] * sums ** -power[1])
    kernel = sum(kernels)
    u = unary.reshape(len(unary), -1).T
    q = softmax(-u, 1)
    for _ in range(field.iterations):
        q = softmax(kernel @ q - u, 1)
    return q.T.reshape(unary.shape)


def test_one_pixel_by_hand():
    # A pixel alone hears itself, K = 1. Q0 = (3/4, 1/4); weight 2 adds 2 Q0, so the lead grows from ln 3 by 2 (3/4 - 1/4).
    unary, image = np.log([1.0, 3.0]).reshape(2, 1, 1), np.zeros((1, 1, 3), np.uint8)
    field = DenseCRF(spatial_weight=2, bilateral_weight=0, iterations=1)
    lead = np.log(3)
    np.testing.assert_allclose(refine(unary, image, field).prob[0], 1 / (1 + np.exp(-lead - 1)), rtol=1e-6)
    potts = 1 - np.eye(2)
    np.testing.assert_allclose(
        refine(unary, image, replace(field, compatibility=potts)).prob[0], 1 / (1 + np.exp(-lead - 1)), rtol=1e-6
    )
    unequal = np.array([[0.0, 2.0], [1.0, 0.0]])  # label 0 pays 2 * 2 * 1/4, label 1 pays 2 * 1 * 3/4
    np.testing.assert_allclose(
        refine(unary, image, replace(field, compatibility=unequal)).prob[0], 1 / (1 + np.exp(-lead - 0.5)), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["ex1", "ex2"])
def test_stored_marginals_of_pydensecrf(shared_data, name):
    folder = shared_data("dense_crf")
    case = json.loads((folder / "reference.json").read_text())[name]
    drawn = np.array(Image.open(folder / name / "labels.png")).astype(int)
    hints = LabelMap(np.where(drawn == 0, 255, drawn - 1).astype(np.uint8), ClassSpace.from_names(["first", "second"]))
    field = DenseCRF(
        spatial_weight=case["gaussian"]["compat"],
        spatial_xy=case["gaussian"]["sxy"],
        bilateral_weight=case["bilateral"]["compat"],
        bilateral_xy=case["bilateral"]["sxy"],
        bilateral_rgb=case["bilateral"]["srgb"],
        iterations=case["iterations"],
        confidence=case["gt_prob"],
    )
    image = np.array(Image.open(folder / name / "image.png").convert("RGB"))
    refined = refine(hints, image, field)
    marginals = np.load(folder / name / "reference_marginals.npz")["q"].astype(np.float32)
    assert np.abs(refined.prob - marginals).max() <= 6e-4
    assert (refined.ids + 1 == np.array(Image.open(folder / name / "reference_map.png"))).mean() >= 0.999


def test_stored_map_of_eleven_classes(shared_data):
    folder = shared_data("dense_crf") / "camvid"
    image = np.array(Image.open(folder / "image.png").convert("RGB"))
    unary = np.load(folder / "unary.npz")["neg_log_prob"]
    ids = refine(unary, image, DenseCRF(3, 3, 4, 20, 10, 10)).ids
    assert (ids == np.array(Image.open(folder / "reference_map.png"))).mean() >= 0.999
    assert (unary.argmax(0) != ids).mean() > 0.01


@pytest.mark.parametrize("normalization", ["symmetric", "after", "before"])
def test_exact_kernels_on_a_small_street(shared_data, normalization):
    folder = shared_data("dense_crf") / "camvid"
    image = np.array(Image.open(folder / "image.png").convert("RGB").resize((64, 48), Image.Resampling.BOX))
    full = np.load(folder / "unary.npz")["neg_log_prob"].astype(np.float32)
    unary = np.stack([np.array(Image.fromarray(u).resize((64, 48), Image.Resampling.BOX)) for u in full])
    field = DenseCRF(3, 3, 4, 20, 13, 10, normalization)
    expected, refined = exact_mean_field(unary, image, field), refine(unary, image, field)
    assert (refined.ids == expected.argmax(0)).mean() >= 0.985
    assert np.abs(refined.prob - expected).mean() <= 0.01
    assert (refined.ids == unary.argmin(0)).mean() < 0.985  # the field does something


def test_exact_kernels_with_random_unaries():
    image, _ = scene(48, 64)
    unary = np.random.default_rng(1).normal(0, 2, (5, 48, 64)).astype(np.float32)
    field = DenseCRF(3, 3, 4, 20, 13, 10)
    assert (refine(unary, image, field).ids == exact_mean_field(unary, image, field).argmax(0)).mean() >= 0.90


@pytest.mark.parametrize("normalization", ["symmetric", "after", "before", "none"])
def test_each_normalisation_by_the_filter_s_whole_matrix(normalization):
    """Mean field by definition; the matrix is the raw filter of every pixel alone, normalised here."""
    image, unary = scene(12, 16)
    field = DenseCRF(0.2, 2.0, 0.3, 6.0, 30.0, 3, normalization)
    kernel = np.zeros((192, 192))
    for weight, raw in replace(field, normalization="none").lattices(image):
        matrix = raw.filter(np.eye(192))
        sums = matrix.sum(1)
        left, right = {"symmetric": (0.5, 0.5), "after": (1, 0), "before": (0, 1), "none": (0, 0)}[normalization]
        kernel += weight * matrix / sums[:, None] ** left / sums**right
    u = unary.reshape(3, -1).T
    expected = softmax(-u, 1)
    for _ in range(3):
        expected = softmax(kernel @ expected - u, 1)
    np.testing.assert_allclose(refine(unary, image, field).prob.reshape(3, -1).T, expected, atol=1e-5)


def test_a_border_moves_to_the_edge_and_speckle_goes():
    image, unary = scene()
    truth = np.zeros((30, 40), int)
    truth[:, 20:] = 1
    assert (unary.argmin(0) == truth).mean() < 0.8
    assert (refine(unary, image).ids == truth).mean() == 1


def test_without_weights_it_is_the_softmax():
    image, unary = scene()
    expected = softmax(-unary, 0)
    for field in (DenseCRF(spatial_weight=0, bilateral_weight=0), DenseCRF(iterations=0)):
        np.testing.assert_allclose(refine(unary, image, field).prob, expected, rtol=2e-6)
        np.testing.assert_allclose(refine(unary, image, replace(field, compatibility=np.ones((3, 3)))).prob, expected, rtol=2e-6)


def test_softmax_of_unaries_that_differ_much():
    unary = np.array([0.0, 1e-3, 5, 20, 80, 1000], np.float32).reshape(-1, 1, 1) - 500
    prob = refine(unary, np.zeros((1, 1), np.uint8), DenseCRF(iterations=0)).prob
    np.testing.assert_allclose(prob, softmax(-unary.astype(float), 0), rtol=1e-4, atol=1e-26)


def test_uniform_unaries_stay():
    image, _ = scene()
    np.testing.assert_allclose(refine(np.zeros((4, 30, 40)), image, DEEPLAB).prob, 0.25, rtol=1e-5)


@pytest.mark.parametrize("field", [DenseCRF(), DEEPLAB, DEEPLAB_V2, DenseCRF(normalization="before")])
def test_labels_may_be_renumbered(field):
    image, unary = scene()
    order = [2, 0, 1]
    np.testing.assert_allclose(refine(unary[order], image, field).prob, refine(unary, image, field).prob[order], atol=1e-5)


def test_potts_is_a_compatibility_and_constants_of_a_pixel_do_not_count():
    image, unary = scene()
    shifted = unary + np.random.default_rng(2).normal(0, 3, (1, 30, 40)).astype(np.float32)
    expected = refine(unary, image).prob
    np.testing.assert_allclose(refine(unary, image, DenseCRF(compatibility=1 - np.eye(3))).prob, expected, atol=1e-4)
    np.testing.assert_allclose(refine(shifted, image).prob, expected, atol=1e-4)


def test_in_a_constant_image_color_says_nothing():
    _, unary = scene()
    image = np.full((30, 40, 3), 97, np.uint8)
    by_color = DenseCRF(spatial_weight=0, bilateral_weight=2, bilateral_xy=4)
    by_position = DenseCRF(spatial_weight=2, spatial_xy=4, bilateral_weight=0)
    assert np.abs(refine(unary, image, by_color).prob - refine(unary, image, by_position).prob).mean() < 0.01


@pytest.mark.parametrize("few", [1 << 20, 1 << 8])
def test_threads_change_no_bit(few, monkeypatch):
    """Of an image in three parts, whose lattices are blurred each by one thread, or by all."""
    monkeypatch.setattr("intarsia.classical._permutohedral.FEW_VALUES", few)
    monkeypatch.setattr("intarsia.postprocess.dense_crf.FEW_VALUES", few)
    image, unary = scene(220, 240)
    field = DenseCRF(iterations=3, stop_below=1e-9, drop_below=1e-9)
    assert [len(lattice.starts) for _, lattice in field.lattices(image)] == [4, 4]
    for one in (field, replace(field, compatibility=[[0, 2, 1], [1, 0, 1], [1, 3, 0]])):
        alone = refine(unary, image, one, threads=1)
        for threads in (2, 3):
            assert np.array_equal(refine(unary, image, one, threads=threads).prob, alone.prob)


def test_unaries_of_half_precision_are_read_as_they_are():
    image, unary = scene()
    half = unary.reshape(3, -1).astype(np.float16)
    kernels = DenseCRF().lattices(image)
    refined = mean_field(half, kernels)
    assert refined.dtype == np.float32
    assert np.array_equal(refined, mean_field(half.astype(np.float32), kernels))


def test_hopeless_classes_are_left_out_if_asked_for():
    image, unary = scene()
    more = np.concatenate([unary[:1], unary[:1] + 12, unary[1:]])
    exact = refine(more, image)
    assert exact.prob[1].max() > 0
    quick = refine(more, image, DenseCRF(drop_below=0.01))
    assert (quick.prob[1] == 0).all()
    np.testing.assert_allclose(np.delete(quick.prob, 1, 0), refine(unary, image).prob, atol=1e-6)
    assert np.array_equal(quick.ids, exact.ids)
    mu = 1 - np.eye(4)
    np.testing.assert_allclose(refine(more, image, DenseCRF(drop_below=0.01, compatibility=mu)).prob, quick.prob, atol=1e-4)
    alone = refine(np.stack([np.zeros((30, 40)), np.full((30, 40), 30.0)]), image, DenseCRF(drop_below=2.0))
    assert (alone.prob[0] == 1).all()


def test_stopping_early_is_a_number_of_iterations():
    image, unary = scene()
    steps = [refine(unary, image, DenseCRF(iterations=count)).prob for count in range(11)]
    changes = [np.abs(after - before).max(0).mean() for before, after in itertools.pairwise(steps)]
    assert changes[1] > changes[5] > changes[9]
    stopped = refine(unary, image, DenseCRF(stop_below=float(changes[5]) * 1.001)).prob
    assert np.array_equal(stopped, steps[6])
    assert np.array_equal(refine(unary, image, DenseCRF(stop_below=float(changes[9]) / 2)).prob, steps[10])


def test_images_of_any_depth_and_number_of_channels():
    image, unary = scene()
    expected = refine(unary, image).prob
    for other in (image.astype(np.uint16) * 257, image / 255):
        np.testing.assert_allclose(refine(unary, other).prob, expected, atol=1e-4)
    for channels in (image[..., 0], image[..., :2], np.concatenate([image, image], 2)):
        assert (refine(unary, channels).ids == refine(unary, image).ids).mean() > 0.98


def test_a_label_map_with_and_without_probabilities():
    image, unary = scene()
    prob = softmax(-unary, 0)
    prob[0, 0, 0] = 0  # counts as 1e-5
    refined = refine(LabelMap(prob.argmax(0).astype(np.uint8), CLASSES, prob), image)
    assert refined.classes is CLASSES
    assert refined.ids.dtype == np.uint8
    assert refined.prob.shape == (3, 30, 40)
    np.testing.assert_allclose(refined.prob.sum(0), 1, rtol=1e-5)
    assert np.array_equal(refined.prob.argmax(0), refined.ids)
    ids = np.full((30, 40), 255, np.uint8)  # two strokes; the colours say the rest
    ids[10:20, 3:6], ids[10:20, 33:36] = 1, 2
    spread = refine(LabelMap(ids, CLASSES), image, DenseCRF(bilateral_weight=10, bilateral_xy=80))
    assert (spread.ids[:, :20] == 1).all()
    assert (spread.ids[:, 20:] == 2).all()


def test_unaries_of_hard_labels_by_hand():
    unary = unary_from_labels(LabelMap(np.array([[0, 255]], np.uint8), CLASSES), 0.8)
    np.testing.assert_allclose(np.exp(-unary[:, 0]), [[0.8, 1 / 3], [0.1, 1 / 3], [0.1, 1 / 3]], rtol=1e-6)


def test_one_class_and_one_pixel():
    assert (refine(np.zeros((1, 2, 3)), np.zeros((2, 3, 3), np.uint8)).prob == 1).all()
    only = ClassSpace.from_names(["all"])
    assert (refine(LabelMap(np.zeros((2, 3), np.uint8), only), np.zeros((2, 3, 3), np.uint8)).ids == 0).all()


def test_errors():
    image, unary = scene()
    with pytest.raises(SegmentationError, match=r"shape \(3, 30, 40\) and the image \(29, 40, 3\)"):
        refine(unary, image[1:])
    with pytest.raises(SegmentationError, match="with 2 classes"):
        refine(unary, image, classes=ClassSpace.from_names(["a", "b"]))
    with pytest.raises(SegmentationError, match="not finite"):
        refine(np.full_like(unary, np.inf), image)
    with pytest.raises(SegmentationError, match="regions cannot be refined"):
        refine(LabelMap(np.zeros((30, 40), np.uint8)), image)
    assert refine(LabelMap(np.zeros((30, 40), np.uint8)), image, classes=CLASSES).classes is CLASSES
    with pytest.raises(SettingsError, match=r"shape \(2, 2\); \(3, 3\) fits 3 labels"):
        refine(unary, image, DenseCRF(compatibility=np.eye(2)))
    with pytest.raises(SettingsError, match="confidence is 1"):
        DenseCRF(confidence=1)
    with pytest.raises(SettingsError, match=r"compatibility has shape \(2, 3\)"):
        DenseCRF(compatibility=np.zeros((2, 3)))
    with pytest.raises(SettingsError, match="bilateral_rgb is 0"):
        DenseCRF(bilateral_rgb=0)
    with pytest.raises(SettingsError, match="spatial_weight is -1"):
        DenseCRF(spatial_weight=-1)
    with pytest.raises(SettingsError, match=r"iterations is 2\.5; steps are counted"):
        DenseCRF(iterations=2.5)
    with pytest.raises(SettingsError, match="normalization is 'mean'"):
        DenseCRF(normalization="mean")
