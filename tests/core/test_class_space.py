import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intarsia.core import ClassSpace, ClassSpaceError, SegmentationClass, default_color, thing_ids_of


def test_default_colors_are_the_voc_map():
    # background, aeroplane, bicycle, bird, boat and tv monitor of PASCAL VOC
    assert [default_color(i) for i in (0, 1, 2, 3, 4, 20)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (0, 64, 128),
    ]  # fmt: skip
    assert len({default_color(i) for i in range(256)}) == 256


def test_binary_masks_of_0_and_255_read_as_two_classes_although_255_is_the_ignore_id():
    space = ClassSpace((SegmentationClass("background", (0, 0, 0), (0,)), SegmentationClass("cell", (255, 0, 0), (255,))))
    assert space.ids_from_values(np.array([[0, 255]], np.uint8)).tolist() == [[0, 1]]


def test_gaps_and_ignored_values_are_translated():
    space = ClassSpace(
        (SegmentationClass("road", (1, 2, 3), (7,)), SegmentationClass("car", (4, 5, 6), (26, 27))), ignore_sources=(0, 1)
    )
    ids = space.ids_from_values(np.array([[7, 26, 27], [0, 1, 255]], np.uint8))
    assert ids.tolist() == [[0, 1, 1], [255, 255, 255]]
    assert ids.dtype == np.uint8


def test_colors_are_translated_by_source_or_display_color():
    space = ClassSpace(
        (SegmentationClass("road", (128, 64, 128)), SegmentationClass("car", (0, 0, 142), ((0, 0, 142), (0, 0, 70)))),
        ignore_sources=((0, 0, 0),),
    )
    rgb = np.array([[(128, 64, 128), (0, 0, 142), (0, 0, 70), (0, 0, 0)]], np.uint8)
    assert space.ids_from_colors(rgb).tolist() == [[0, 1, 1, 255]]
    with pytest.raises(ClassSpaceError, match=r"street\.png holds a value that no class claims: #ff0000 \(100\.00% of pixels\)"):
        space.ids_from_colors(np.full((2, 2, 3), (255, 0, 0), np.uint8), where="street.png")


@given(st.data())
def test_values_are_translated_as_a_dictionary_does(data):
    count = data.draw(st.sampled_from([1, 2, 30, 254, 255, 300]))
    values = data.draw(st.permutations(range(256 if count < 255 else 400)))
    ignore_id = data.draw(st.sampled_from([i for i in (255, 254, 300, count) if i >= count]))
    classes = tuple(SegmentationClass(f"c{i}", (0, 0, 0), (values[i],)) for i in range(count))
    space = ClassSpace(classes, ignore_id, tuple(values[count : count + 2]))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int64, np.uint64]))
    mask = np.array(data.draw(st.lists(st.sampled_from(values), max_size=20)), np.int64).astype(dtype)[None]
    expected = [space.id_of_source.get(value) for value in mask[0].tolist()]
    if None in expected:
        with pytest.raises(ClassSpaceError, match="that no class claims"):
            space.ids_from_values(mask)
        return
    ids = space.ids_from_values(mask)
    assert ids.tolist() == [expected]
    assert (ids.dtype, ids.flags.writeable) == (space.id_dtype, True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_strange_values_are_named_for_every_dtype(dtype):
    space = ClassSpace((SegmentationClass("a", (0, 0, 0), (1,)), SegmentationClass("b", (0, 0, 0), (200,))))
    for value in (0, 199, 254):
        with pytest.raises(ClassSpaceError, match=rf"claims: {value} \(25\.00% of pixels\)\. The classes claim 1, 200, 255\."):
            space.ids_from_values(np.array([[1, 200], [255, value]], dtype))


def test_strange_values_are_named_with_their_share():
    space = ClassSpace.from_names(["a", "b"])
    with pytest.raises(ClassSpaceError, match=r"holds values that no class claims: 7 \(50\.00% of pixels\), 5 \(25\.00% of"):
        space.ids_from_values(np.array([[7, 7], [5, 0]]))
    with pytest.raises(ClassSpaceError, match="-3"):
        space.ids_from_values(np.array([[-3]]))


def test_dictionary_round_trip_keeps_everything():
    space = ClassSpace(
        (
            SegmentationClass("road", (128, 64, 128), (7, (1, 2, 3))),
            SegmentationClass("car", (0, 0, 142), ("car_masks",), is_thing=True),
        ),
        ignore_id=250,
        ignore_sources=(0,),
    )
    assert ClassSpace.from_dict(space.to_dict()) == space
    assert ClassSpace.from_dict({"classes": ["a", "b"]}) == ClassSpace.from_names(["a", "b"])
    assert space.thing_ids == (1,)


def test_more_than_255_classes_move_the_ignore_id():
    space = ClassSpace.from_names([f"c{i}" for i in range(300)])
    assert space.ignore_id == 65535
    assert space.id_dtype == np.uint16


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ClassSpace(()), "at least one class"),
        (lambda: ClassSpace.from_names(["a", "a"]), "'a' occurs 2 times"),
        (lambda: ClassSpace.from_names(["a", "b"], ignore_id=1), "ignore id 1 is also the id of class 'b'"),
        (lambda: ClassSpace.from_names(["a"], ignore_id=70000), "70000 is outside 0..65535"),
        (lambda: ClassSpace((SegmentationClass("a", (0, 0, 300)),)), r"colour \(0, 0, 300\) of class 'a'"),
        (
            lambda: ClassSpace((SegmentationClass("a", (0, 0, 0), (3,)), SegmentationClass("b", (0, 0, 0), (3,)))),
            "3 is claimed by 'a' and by 'b'",
        ),
        (lambda: ClassSpace.from_names(["a"]).index("b"), "no class called 'b'; the classes are a"),
        (lambda: ClassSpace.from_dict({"classes": [{"color": [1, 2, 3]}]}), "cannot be read.*name"),
        (lambda: ClassSpace.from_dict({"classes": [{"name": "a", "values": [[1, 2]]}]}), r"\[1, 2\] is neither"),
        (lambda: ClassSpace.from_dict({"classes": ["a"], "ignore_id": "x"}), "`ignore_id` is 'x'; one whole number such as 255"),
        (lambda: ClassSpace.from_dict({"classes": [{"name": "a", "values": [["r", 0, 0]]}]}), "cannot be read.*'r'"),
    ],
)
def test_contradictions_are_refused(build, message):
    with pytest.raises(ClassSpaceError, match=message):
        build()


def test_what_is_counted():
    assert thing_ids_of(ClassSpace.from_names(["sky", "car", "road", "cat"], things=["cat", "car"])) == (1, 3)
    assert thing_ids_of(ClassSpace.from_names(["background", "nucleus", "cell"])) == (1, 2)
    assert thing_ids_of(ClassSpace.from_names(["nucleus"])) == (0,)
