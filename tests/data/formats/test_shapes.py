import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, SegmentationError
from intarsia.data.formats._shapes import (
    Drawn,
    mask_of_box,
    mask_of_ellipse,
    mask_of_line,
    objects_of_drawn,
    points_of,
    require_size,
    sorted_classes,
    without_crowds,
)

SIZE = (20, 24)
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
number = st.floats(-6, 30)
positive = st.floats(0.1, 25)


def pasted(crop):
    (y, x), inside = crop
    full = np.zeros(SIZE, np.bool_)
    full[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return full


def test_boxes_by_hand():
    assert np.argwhere(pasted(mask_of_box(5, 3, 3, 2, SIZE))).tolist() == [[2, 3], [2, 4]]
    assert mask_of_box(-9, -9, 99, 99, SIZE)[1].all()
    assert pasted(mask_of_box(-9, -9, 99, 99, SIZE)).all()


@given(number, number, positive, positive, st.floats(-4, 4))
@settings(max_examples=150, deadline=None)
def test_ellipses_are_the_centres_that_the_equation_holds_for(x, y, along, across, angle):
    dx, dy = COLUMNS - x, ROWS - y
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    value = (u / along) ** 2 + (v / across) ** 2
    found = pasted(mask_of_ellipse((x, y), (along, across), SIZE, angle))
    assert not ((found != (value <= 1)) & (np.abs(value - 1) > 1e-6)).any()


@given(st.lists(st.tuples(number, number), min_size=1, max_size=4), st.floats(0.5, 9))
@settings(max_examples=100, deadline=None)
def test_lines_are_the_centres_that_are_near(points, width):
    points = np.array(points)
    distance = np.full(SIZE, np.inf)
    for begin, end in zip(points[: max(1, len(points) - 1)], points[-max(1, len(points) - 1) :], strict=True):
        way = end - begin
        length = float(way @ way)
        share = ((COLUMNS - begin[0]) * way[0] + (ROWS - begin[1]) * way[1]) / length if length > 1e-18 else np.zeros(SIZE)
        share = share.clip(0, 1)
        distance = np.minimum(distance, np.hypot(COLUMNS - begin[0] - share * way[0], ROWS - begin[1] - share * way[1]))
    found = pasted(mask_of_line(points, width, SIZE))
    assert not ((found != (distance <= width / 2)) & (np.abs(distance - width / 2) > 1e-6)).any()


def test_objects_without_pixels_are_left_out_and_said():
    classes = sorted_classes(["b", "a", "b"], ["z"])
    assert classes.names == ("z", "a", "b")
    assert sorted_classes([]) is None
    drawn = [Drawn("b", mask_of_box(0, 0, 2, 2, SIZE), True), Drawn("a", mask_of_box(0.6, 0, 1.4, 9, SIZE))]
    objects, lost = objects_of_drawn(drawn, SIZE, classes)
    assert objects.class_id.tolist() == [2]
    assert objects.is_crowd.tolist() == [True]
    assert lost == ("an object without a pixel was left out",)
    kept, crowds = without_crowds(objects)
    assert (len(kept), len(crowds)) == (0, 1)
    plain = Instances(InstanceMasks.pack([], SIZE), np.zeros(0, np.int32), ClassSpace.from_names(["a"]))
    assert without_crowds(plain) == (plain, ())


def test_errors():
    assert require_size("480", 640.0, "a.json") == (480, 640)
    for height, width in ((0, 5), (True, 5), (2.5, 5), ([3], 5)):
        with pytest.raises(DataError, match=r"a\.json says that its image is .* x 5"):
            require_size(height, width, "a.json")
    with pytest.raises(DataError, match=r"a\.json: its header says 100000 x 100000 pixels"):
        require_size(10**5, 10**5, "a.json")
    with pytest.raises(ValueError, match="is no list of pairs"):
        points_of([1, 2, 3])
    with pytest.raises(SegmentationError, match="coordinate inf"):
        mask_of_box(0, 0, float("inf"), 1, SIZE)
    huge = ((0, 0), np.broadcast_to(np.True_, (2**17, 2**17)))
    with pytest.raises(SegmentationError, match="more than 8,589,934,592 pixels"):
        objects_of_drawn([Drawn("a", huge)], SIZE, ClassSpace.from_names(["a"]))
