import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from intarsia.core import ClassSpace, InstanceMasks, Instances, SegmentationError
from intarsia.data.formats._polygons import (
    Polygon,
    crop_iou,
    joined_ring,
    mask_of_polygons,
    mask_of_rings,
    polygons_of_mask,
    polygons_of_object,
    simplified,
    united,
)

masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.bool_, shape))


def picture(text: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in text.split()])


def pasted(crop, size_hw) -> np.ndarray:
    (y, x), inside = crop
    full = np.zeros(size_hw, np.bool_)
    full[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return full


def slow_fill(rings, size_hw) -> tuple[np.ndarray, np.ndarray]:
    """Lines left of each centre, counted one by one; and whether one comes so near that rounding decides."""
    full, near = np.zeros((2, *size_hw), np.bool_)
    for y, x in np.ndindex(*size_hw):
        crossings = 0
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if (y0 <= y + 0.5) != (y1 <= y + 0.5):
                    at = x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                    crossings += at <= x + 0.5
                    near[y, x] |= abs(at - x - 0.5) < 1e-9
        full[y, x] = crossings % 2
    return full, near


def test_outlines_by_hand():
    (one,) = polygons_of_mask(picture("#"), (5, 7))
    assert one.outer.tolist() == [[8, 5], [8, 6], [7, 6], [7, 5]]
    (ring,) = polygons_of_mask(picture("### #.# ###"))
    assert ring.outer.tolist() == [[3, 0], [3, 3], [0, 3], [0, 0]]
    assert [hole.tolist() for hole in ring.holes] == [[[2, 2], [2, 1], [1, 1], [1, 2]]]
    first, second = polygons_of_mask(picture("#. .#"))
    assert (first.outer.tolist(), second.outer.tolist()) == (
        [[1, 0], [1, 1], [0, 1], [0, 0]],
        [[2, 1], [2, 2], [1, 2], [1, 1]],
    )


def test_holes_belong_to_the_piece_around_them_and_touching_rings_are_two():
    inner = picture("####### #.....# #.###.# #.#.#.# #.###.# #.....# #######")
    outer, within = polygons_of_mask(inner)
    assert [hole.tolist() for hole in outer.holes] == [[[6, 6], [6, 1], [1, 1], [1, 6]]]
    assert [hole.tolist() for hole in within.holes] == [[[4, 4], [4, 3], [3, 3], [3, 4]]]
    (bitten,) = polygons_of_mask(picture("##. #.# ###"))  # the way comes back to the corner at (2, 1)
    assert bitten.outer.tolist() == [[2, 0], [2, 1], [3, 1], [3, 3], [0, 3], [0, 0]]
    assert [hole.tolist() for hole in bitten.holes] == [[[2, 1], [1, 1], [1, 2], [2, 2]]]


def test_pixels_are_filled_by_their_centres():
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3]])
    assert mask_of_rings([square], (5, 6))[1].all()
    assert pasted(mask_of_rings([square], (5, 6)), (5, 6)).sum() == 6
    assert pasted(mask_of_rings([square + 0.5], (5, 6)), (5, 6))[1:3, 1:4].all()  # centres on the left and upper lines are in
    assert pasted(mask_of_rings([square + 0.5], (5, 6)), (5, 6)).sum() == 6
    assert pasted(mask_of_rings([square + 0.51], (5, 6)), (5, 6))[2:4, 2:5].all()


@given(masks)
@settings(max_examples=150, deadline=None)
def test_an_outline_filled_is_the_mask(mask):
    size_hw = (mask.shape[0] + 3, mask.shape[1] + 5)
    full = np.zeros(size_hw, np.bool_)
    full[2 : 2 + mask.shape[0], 4 : 4 + mask.shape[1]] = mask
    polygons = polygons_of_mask(mask, (2, 4))
    assert np.array_equal(pasted(mask_of_polygons(polygons, size_hw), size_hw), full)
    line = joined_ring(polygons)
    assert np.array_equal(pasted(mask_of_rings([line], size_hw), size_hw), full)
    for ring in (ring for polygon in polygons for ring in (polygon.outer, *polygon.holes)):
        assert len(np.unique(ring, axis=0)) == len(ring), "a ring touches itself"
        assert (np.abs(np.diff(ring, axis=0, append=ring[:1])) > 0).sum(1).tolist() == [1] * len(ring)


@given(st.lists(arrays(np.float64, st.tuples(st.integers(0, 6), st.just(2)), elements=st.floats(-3, 12)), max_size=3))
@settings(max_examples=100, deadline=None)
def test_filling_agrees_with_a_slow_loop(rings):
    found = pasted(mask_of_rings(rings, (7, 8)), (7, 8))
    expected, near = slow_fill(rings, (7, 8))
    assert not ((found != expected) & ~near).any()


def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none_out():
    rng = np.random.default_rng(0)
    for _ in range(20):
        middle = rng.uniform(3, 17, 2)
        corners = np.array([[0, 0], [20, 0], [20, 20], [0, 20]])
        count = sum(
            pasted(mask_of_rings([np.stack([corners[i], corners[(i + 1) % 4], middle])], (20, 20)), (20, 20)).astype(int)
            for i in range(4)
        )
        assert (count == 1).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
@given(masks)
@settings(max_examples=80, deadline=None)
def test_coco_draws_the_outlines_of_pieces_to_the_same_mask(mask):
    rings = [joined_ring([polygon]).ravel().tolist() for polygon in polygons_of_mask(mask)]
    if rings:
        theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(rings, *mask.shape)))
        assert np.array_equal(theirs, mask)


def test_large_masks_with_everything_in_them():
    rng = np.random.default_rng(1)
    for share in (0.3, 0.5, 0.6, 0.9):
        mask = rng.random((120, 90)) < share
        polygons = polygons_of_mask(mask)
        assert np.array_equal(pasted(mask_of_polygons(polygons, mask.shape), mask.shape), mask)
        assert np.array_equal(pasted(mask_of_rings([joined_ring(polygons)], mask.shape), mask.shape), mask)


def test_objects_crops_and_unions():
    full = np.zeros((6, 7), np.bool_)
    full[2:4, 3:6] = True
    objects = Instances(InstanceMasks.pack([full], (6, 7)), np.zeros(1, np.int32), ClassSpace.from_names(["cell"]))
    (polygon,) = polygons_of_object(objects, 0)
    crop = mask_of_polygons([polygon], (6, 7))
    assert np.array_equal(pasted(crop, (6, 7)), full)
    other = ((0, 0), np.ones((3, 4), np.bool_))
    assert crop_iou(crop, other) == 1 / (6 + 12 - 1)
    assert pasted(united([crop, other]), (6, 7)).sum() == 17
    assert crop_iou(united([]), united([])) == 1


def test_fewer_corners_within_a_tolerance():
    rows, columns = np.mgrid[:60, :60]
    disc = ((rows - 30) ** 2 + (columns - 30) ** 2 < 600) & ((rows - 30) ** 2 + (columns - 30) ** 2 > 60)
    (polygon,) = polygons_of_mask(disc)
    fewer = simplified(polygon, 1)
    assert len(fewer.outer) < len(polygon.outer) / 3
    whole = ((0, 0), disc)
    assert 0.95 < crop_iou(whole, mask_of_polygons([fewer], (60, 60))) < 1
    assert crop_iou(whole, mask_of_rings([joined_ring([fewer])], (60, 60))) > 0.95
    (dot,) = polygons_of_mask(picture("#"))
    assert simplified(dot, 5).outer.tolist() == dot.outer.tolist()


def test_nothing_and_errors():
    assert polygons_of_mask(np.zeros((3, 0), np.bool_)) == []
    assert mask_of_polygons([], (3, 4))[1].size == 0
    assert mask_of_rings([np.array([[9.0, 9], [12, 9], [12, 12]])], (3, 4))[1].size == 0
    assert mask_of_rings([np.array([[1.0, 1]]), np.zeros((0, 2))], (3, 4))[1].sum() == 0
    huge = Polygon(np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]]))
    assert pasted(mask_of_polygons([huge], (3, 4)), (3, 4)).all()
    with pytest.raises(SegmentationError, match="coordinate nan"):
        mask_of_rings([np.array([[0, 0], [np.nan, 1], [1, 1]])], (3, 4))
    with pytest.raises(SegmentationError, match=r"coordinate 1e\+300"):
        mask_of_rings([np.array([[0, 0], [1e300, 1], [1, 1]])], (3, 4))
