import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, LabelMap
from intarsia.data.batch_transforms import augment_batch
from intarsia.data.transforms import Augmentation, Draw

IGNORE = 255


def one_by_one(images, labels, augmentation, seeds):
    """What `Augmentation` makes of each sample, stacked."""
    space = ClassSpace.from_names([str(i) for i in range(256)], ignore_id=256)
    made = [
        augmentation(image, LabelMap(label.astype(np.uint16), space), np.random.default_rng(seed))
        for image, label, seed in zip(images, labels, seeds, strict=True)
    ]
    image, truth, inside = zip(*made, strict=True)
    label = np.stack([one.ids for one in truth])
    label[label == space.ignore_id] = IGNORE
    return [np.stack(image), label, np.stack(inside)]


def at_once(images, labels, augmentation, seeds):
    draws = [augmentation.draw(images.shape[-1], np.random.default_rng(seed)) for seed in seeds]
    tensors = torch.from_numpy(images).movedim(-1, 1), torch.from_numpy(labels)
    image, label, inside = augment_batch(*tensors, draws, augmentation.crop_hw, IGNORE)
    return image.movedim(1, -1).numpy(), label.numpy(), inside.numpy()


def random_batch(size, channels=3, dtype=np.float32, count=3, seed=0):
    rng = np.random.default_rng(seed)
    images = (rng.random((count, *size, channels)) * 200).astype(dtype)
    return images, rng.integers(0, 9, (count, *size)).astype(np.uint8)


def test_a_crop_mirrored_by_hand():
    images = torch.arange(12.0).reshape(1, 1, 3, 4)
    labels = torch.arange(12).reshape(1, 3, 4)
    # The window of 2 x 6 begins in row round(0.5 * (3 - 2)) = 0 and column round(1.0 * (4 - 6)) = -2; then left becomes right.
    image, label, inside = augment_batch(images, labels, [Draw(1.0, (0.5, 1.0), True, None)], (2, 6), IGNORE)
    assert label.tolist() == [[[3, 2, 1, 0, IGNORE, IGNORE], [7, 6, 5, 4, IGNORE, IGNORE]]]
    assert image.tolist() == [[[[3, 2, 1, 0, 0, 0], [7, 6, 5, 4, 0, 0]]]]
    assert inside.tolist() == [[[True] * 4 + [False] * 2] * 2]


def test_half_the_size_is_the_mean_of_four_pixels():
    images = torch.tensor([[1.0, 3, 10, 10], [5, 7, 10, 30]])[None, None]
    image, label, _ = augment_batch(images, images[0].long(), [Draw(0.5, (0.0, 0.0), False, None)], (1, 2), IGNORE)
    assert image.tolist() == [[[[4.0, 15.0]]]]
    assert label.tolist() == [[[7, 30]]]


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    scale=st.sampled_from([(0.3, 3.0), (0.5, 1.0), (1.0, 2.0), (1.0, 1.0)]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_equals_the_samples_one_by_one(size, crop, scale, seed):
    images, labels = random_batch(size, seed=seed)
    augmentation = Augmentation(crop, scale, flip=0.5, color=0.3)
    expected = one_by_one(images, labels, augmentation, range(seed, seed + 3))
    image, label, inside = at_once(images, labels, augmentation, range(seed, seed + 3))
    np.testing.assert_array_equal(label, expected[1])
    np.testing.assert_array_equal(inside, expected[2])
    np.testing.assert_allclose(image, expected[0], rtol=1e-4, atol=0.02)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_stay_in_their_range_and_are_not_rounded(dtype, channels):
    largest = np.iinfo(dtype).max
    images, labels = random_batch((50, 70), channels, np.float64)
    images = (images / 200 * largest).astype(dtype)
    augmentation = Augmentation((40, 40), scale=(0.4, 2.5), color=0.5)
    expected, _, _ = one_by_one(images, labels, augmentation, range(3))
    image, label, _ = at_once(images, labels, augmentation, range(3))
    assert image.dtype == np.float32
    assert label.dtype == np.uint8
    assert image.min() >= 0
    assert image.max() == largest
    # One by one, bytes were rounded before their colours were changed (by factors of up to exp(1.7)) and after.
    assert np.abs(image - expected).max() <= 1.5 * np.exp(1.7) + 0.5
    assert np.abs(image - expected).mean() <= 1


def test_without_color_the_values_are_left_alone():
    images, labels = random_batch((20, 30), dtype=np.uint8)
    image, _, inside = at_once(images, labels, Augmentation((20, 30), (1.0, 1.0), flip=0.0, color=0.0), range(3))
    assert inside.all()
    np.testing.assert_array_equal(image, images)


def test_half_precision_around_it_does_not_reach_the_images():
    images, labels = random_batch((20, 30))
    augmentation = Augmentation((20, 30), (0.5, 2.0), color=0.3)
    expected, _, _ = at_once(images, labels, augmentation, range(3))
    with torch.autocast("cpu", torch.bfloat16):
        image, _, _ = at_once(images, labels, augmentation, range(3))
    np.testing.assert_array_equal(image, expected)
