import numpy as np

from intarsia.core import ClassSpace
from intarsia.viz.colorize import CHECKS
from intarsia.viz.legend import PAPER, legend

CLASSES = ClassSpace.from_names(["road", "a rather long name", "tree", "car"])


def colors_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in picture.reshape(-1, 3).tolist()}


def test_every_class_is_there_or_those_asked_for() -> None:
    colors = [tuple(color) for color in CLASSES.colors.tolist()]
    assert colors_in(legend(CLASSES, width=800)) >= set(colors)
    some = colors_in(legend(CLASSES, width=800, ids=[1, 3]))
    assert {colors[1], colors[3]} <= some
    assert not {colors[0], colors[2]} & some


def test_the_pattern_of_ignored_pixels_is_explained_on_demand() -> None:
    assert not set(CHECKS) & colors_in(legend(CLASSES, width=800))
    assert set(CHECKS) <= colors_in(legend(CLASSES, width=800, ignored=True))


def test_entries_go_to_the_next_row_where_the_width_ends() -> None:
    wide, narrow = (legend(CLASSES, width=width) for width in (800, 170))
    assert wide.shape[1] == 800
    assert narrow.shape[1] == 170
    assert narrow.shape[0] > 2 * wide.shape[0]
    assert (narrow[:, -1] == PAPER).all()  # nothing is cut off


def test_larger_text_needs_more_room() -> None:
    assert legend(CLASSES, width=800, text_size=30).shape[0] == 2 * legend(CLASSES, width=800, text_size=15).shape[0]
