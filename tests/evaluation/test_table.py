import math

import pytest

from intarsia.evaluation import class_rows, evaluate


def test_one_row_for_each_class_in_their_order(stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    rows = class_rows(evaluation)
    assert [row.name for row in rows] == ["road", "tree", "car", "boat"]
    assert [row.color for row in rows] == [entry.color for entry in stripes.classes.classes]
    assert [row.iou for row in rows[:3]] == evaluation.scores.iou[:3].tolist()
    assert sum(row.truth_share for row in rows) == pytest.approx(1)
    assert rows[2].truth_share == pytest.approx(3 * (2 + 3 + 4 + 5 + 6 + 7) / (6 * 12 * 19))
    assert all(row.interval[0] <= row.iou <= row.interval[1] for row in rows[:3])


def test_a_class_that_is_nowhere_has_no_score(stripes, shifted) -> None:
    boat = class_rows(evaluate(shifted, stripes))[3]
    assert boat.truth_share == 0
    assert all(math.isnan(value) for value in (boat.iou, boat.recall, boat.precision, *boat.interval))
