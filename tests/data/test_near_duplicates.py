"""Perceptual hashes: by hand, against slow loops, and on pictures that were changed."""

import numpy as np
import pytest

from intarsia.data._near_duplicates import difference_hash, near_duplicates, thumbnail


def scene(seed: int) -> np.ndarray:
    """Blobs that differ from seed to seed, (60, 80, 3) uint8."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:60, :80]
    picture = np.zeros((60, 80))
    for _ in range(12):
        y, x, size = rng.uniform(0, 60), rng.uniform(0, 80), rng.uniform(4, 16)
        picture += rng.uniform(-1, 1) * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * size**2))
    picture = (picture - picture.min()) / np.ptp(picture)
    return (40 + 160 * picture[..., None] * rng.uniform(0.6, 1, 3)).astype(np.uint8)


def found(pictures: list[np.ndarray], others: list[bool]) -> list[tuple[int, int]]:
    thumbs = [thumbnail(picture) for picture in pictures]
    return list(near_duplicates([difference_hash(thumb) for thumb in thumbs], thumbs, others))


def test_the_hash_says_where_it_gets_brighter() -> None:
    ramp = np.arange(16, dtype=np.float32)[None].repeat(16, 0)
    assert difference_hash(ramp) == 2**64 - 1
    assert difference_hash(ramp[:, ::-1].copy()) == 0
    half = np.where(np.arange(16)[:, None] < 8, ramp, -ramp)
    assert difference_hash(half) == (2**32 - 1) << 32  # the upper four rows come first


def test_thumbnails_are_areas_averaged() -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 5), np.uint8)
    slow = np.array([[image[2 * r : 2 * r + 2, 3 * c : 3 * c + 3, :3].mean() for c in range(16)] for r in range(16)])
    np.testing.assert_allclose(thumbnail(image), slow, atol=0.5)


def test_pairs_are_those_of_a_slow_loop() -> None:
    pictures = [scene(seed) for seed in range(12)] + [scene(seed)[::2, ::2] for seed in (1, 4, 7, 10)]
    others = [index % 2 == 1 for index in range(len(pictures))]
    thumbs = [thumbnail(picture) for picture in pictures]
    hashes = [difference_hash(thumb) for thumb in thumbs]
    slow = {
        (i, j)
        for i in range(len(pictures))
        for j in range(len(pictures))
        if not others[i] and others[j]
        if (hashes[i] ^ hashes[j]).bit_count() <= 12 and np.corrcoef(thumbs[i].ravel(), thumbs[j].ravel())[0, 1] >= 0.95
    }
    assert set(near_duplicates(hashes, thumbs, others)) == slow
    assert slow == {(12, 1), (4, 13), (14, 7), (10, 15)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: (image * 0.7 + 30).astype(np.uint8), id="brightness"),
        pytest.param(lambda image: image[::2, ::2], id="half the size"),
        pytest.param(lambda image: image.astype(np.uint16) * 257, id="16 bits"),
        pytest.param(lambda image: image[1:-1, 1:-1], id="cropped"),
        pytest.param(lambda image: np.roll(image, 1, 1), id="moved by a pixel"),
        pytest.param(lambda image: (image + np.random.default_rng(0).normal(0, 5, image.shape)).astype(np.uint8), id="noise"),
    ],
)
def test_changed_copies_are_found_and_others_are_not(change) -> None:
    originals = [scene(seed) for seed in range(8)]
    pictures = [*originals, *(change(image) for image in originals)]
    assert found(pictures, [False] * 8 + [True] * 8) == [(i, i + 8) for i in range(8)]


def test_pictures_of_one_colour_resemble_nothing() -> None:
    assert found([np.full((9, 9, 1), 7, np.uint8), np.full((9, 9, 1), 7, np.uint8)], [False, True]) == []
    assert found([scene(0)], [False]) == []
    assert found([], []) == []
