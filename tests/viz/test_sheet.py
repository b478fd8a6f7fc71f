import numpy as np

from intarsia.core import ClassSpace
from intarsia.viz.sheet import sheet

CLASSES = ClassSpace.from_names(["sky", "road", "car"])


def test_pictures_stand_in_their_rows_and_columns():
    red, green, blue, white = (
        np.full((20, 40, 3), color, np.uint8) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9))
    )
    page = sheet(["one", "two"], [("a", [red, green]), ("b", [blue, white[:, :30]])], CLASSES, [1], tile_width=40, margin=10)
    assert page.shape[1] == 10 + 2 * (40 + 10)
    assert page.dtype == np.uint8
    top = 10 + 29 + 24  # margin, captions, key
    np.testing.assert_array_equal(page[top : top + 20, 10:50], red)
    np.testing.assert_array_equal(page[top : top + 20, 60:100], green)
    second = top + 20 + 10 + 24
    np.testing.assert_array_equal(page[second : second + 20, 10:50], blue)
    np.testing.assert_array_equal(page[second : second + 20, 65:95], white[:, :30])  # narrower ones stand in the middle


def test_the_legend_shows_the_classes_asked_for():
    picture = np.zeros((8, 40, 3), np.uint8)
    page = sheet(["one"], [("a", [picture])], CLASSES, [1], tile_width=120)
    colors = {tuple(color) for color in page.reshape(-1, 3).tolist()}
    assert tuple(CLASSES.colors[1].tolist()) in colors
    assert tuple(CLASSES.colors[2].tolist()) not in colors
