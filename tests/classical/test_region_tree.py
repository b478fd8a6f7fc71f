import numpy as np
import pytest

from intarsia.classical._region_tree import merge_regions, propose_regions


def test_the_order_of_merging_by_hand() -> None:
    """By size the smallest are merged first, by colour those that have the same."""
    ids = np.int32([[0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]])
    pixels = np.float32([0.0, 0.01, 0.9, 0.5])[ids][..., None]
    members = merge_regions(ids, pixels, 0.0, 1.0, 0.0)
    assert members[4:].astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    pixels[0, 6:] = 0.9  # of one colour with the stripe before
    assert merge_regions(ids, pixels, 1.0, 0.0, 0.0)[4:6].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_fill_prefers_what_makes_a_full_box() -> None:
    ids = np.int32([[0, 0, 1], [0, 0, 1], [2, 3, 3]])
    members = merge_regions(ids, np.zeros((3, 3, 1), np.float32), 0.0, 0.0, 1.0)
    assert members[4].astype(int).tolist() == [1, 1, 0, 0]  # 6 of 6 pixels; 0 with 3 would be 6 of 9


def test_every_merge_is_the_most_similar_pair_of_neighbours() -> None:
    """A slow loop over all pairs, for the sum of the three measures."""
    rng = np.random.default_rng(0)
    ids = np.kron(np.arange(12).reshape(3, 4), np.ones((4, 4))).astype(np.int32)
    pixels = rng.random((12, 16, 2)).astype(np.float32) ** rng.integers(1, 5, 12)[ids][..., None]
    members = merge_regions(ids, pixels, 1.0, 1.0, 1.0)
    alive = [np.flatnonzero(row) for row in members[:12]]
    touching = {
        (a, b) for y, x, a in [(y, x, ids[y, x]) for y in range(11) for x in range(15)] for b in (ids[y + 1, x], ids[y, x + 1])
    }

    def similarity(one: np.ndarray, other: np.ndarray) -> float:
        masks = [np.isin(ids, region) for region in (one, other)]
        bins = np.minimum((pixels * 25).astype(int), 24)
        h = [np.stack([np.bincount(bins[m][:, c], minlength=25) for c in range(2)]) / (2 * m.sum()) for m in masks]
        rows, columns = np.nonzero(masks[0] | masks[1])
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        both = masks[0].sum() + masks[1].sum()
        return float(np.minimum(*h).sum() + (1 - both / ids.size) + (1 - (box - both) / ids.size))

    for made in members[12:]:
        pairs = [
            similarity(one, other)
            for i, one in enumerate(alive)
            for other in alive[:i]
            if any((a, b) in touching or (b, a) in touching for a in one for b in other)
        ]
        best = max(pairs)
        joined = np.flatnonzero(made)
        chosen = [k for k, region in enumerate(alive) if np.isin(region, joined).all()]
        assert similarity(alive[chosen[0]], alive[chosen[1]]) == pytest.approx(best)
        alive = [region for k, region in enumerate(alive) if k not in chosen] + [joined]
    assert len(alive) == 1


def test_proposals_find_a_disc_and_the_pair_it_is_part_of() -> None:
    rows, columns = np.mgrid[:60, :60]
    disc = (rows - 30) ** 2 + (columns - 20) ** 2 < 100
    square = (abs(rows - 30) < 9) & (abs(columns - 40) < 10)
    rng = np.random.default_rng(0)
    image = (40 + 100 * disc + 140 * (square & ~disc))[..., None] + rng.normal(0, 2, (60, 60, 3))
    ids, members = propose_regions(image, min_size=20)
    masks = members[:, ids]
    for wanted in (disc, square & ~disc, disc | square):
        overlap = (masks & wanted).sum((1, 2)) / (masks | wanted).sum((1, 2))
        assert overlap.max() > 0.9
    areas = masks.sum((1, 2))
    assert areas[0] == 3600
    assert (np.diff(areas) <= 0).all()
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    assert np.array_equal(propose_regions(image, min_size=20, limit=2)[1], members[:2])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 5)])
def test_flat_images_are_one_region(size: tuple[int, int]) -> None:
    ids, members = propose_regions(np.full((*size, 2), 7.0))
    assert (ids.any(), members.tolist()) == (False, [[True]])
