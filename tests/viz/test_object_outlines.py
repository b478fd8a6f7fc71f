import numpy as np

from intarsia.core import InstanceMasks
from intarsia.viz.object_outlines import FOUND, MISSED, outline_objects


def square(y0, x0, side, size_hw=(10, 12)):
    mask = np.zeros(size_hw, np.bool_)
    mask[y0 : y0 + side, x0 : x0 + side] = True
    return mask


def test_a_line_of_one_pixel_around_each_object():
    image = np.full((10, 12, 3), 100, np.uint8)
    masks = InstanceMasks.pack([square(2, 2, 5)], (10, 12))
    picture = outline_objects(image, [(masks, FOUND)])
    line = (picture == FOUND).all(2)
    assert line.sum() == 16
    assert line[2, 2:7].all()
    assert (picture[4, 4] != 100).any(), "tinted inside"
    assert (picture[0, 0] == 100).all()
    assert (outline_objects(image, [(masks, FOUND)], filled=0)[4, 4] == 100).all()


def test_later_layers_lie_on_top_and_lines_stay_thin_when_enlarged():
    image = np.zeros((10, 12, 1), np.uint8)
    one, other = (InstanceMasks.pack([square(y, y, 5)], (10, 12)) for y in (1, 3))
    picture = outline_objects(image, [(one, FOUND), (other, MISSED)], scale=3)
    assert picture.shape == (30, 36, 3)
    assert (picture == MISSED).all(2).sum() == 4 * 15 - 4
    assert 0 < (picture == FOUND).all(2).sum() < 4 * 15 - 4


def test_no_objects_and_objects_without_pixels():
    image = np.full((4, 5), 7, np.uint8)
    empty = InstanceMasks.pack([np.zeros((4, 5), np.bool_)], (4, 5))
    assert (outline_objects(image, [(empty, FOUND), (InstanceMasks.pack([], (4, 5)), MISSED)]) == 7).all()
