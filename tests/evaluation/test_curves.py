import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from intarsia.evaluation.curves import line_chart, nice_ticks, training_curves


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 49, [0, 10, 20, 30, 40, 50]),
        (0.31, 2.4, [0, 0.5, 1, 1.5, 2, 2.5]),
        (-3, 3, [-4, -2, 0, 2, 4]),
    ],
)
def test_ticks_are_round_and_span_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_ticks_of_a_single_value_and_whole_epochs() -> None:
    assert nice_ticks(5, 5)[0] < 5 < nice_ticks(5, 5)[-1]
    assert nice_ticks(0, 0)[0] <= 0 <= nice_ticks(0, 0)[-1]
    assert nice_ticks(0, 2, least=1) == [0, 1, 2]


def test_the_highest_point_is_drawn_highest_and_inside() -> None:
    chart = line_chart({"loss": [(0, 3.0), (1, 1.0), (2, 0.5)]}, x_title="epoch")
    svg = ET.fromstring(chart[: chart.index("</svg>") + 6])
    _, _, width, height = (float(v) for v in svg.attrib["viewBox"].split())
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").attrib["points"].split()]
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_a_loss_that_falls_through_decades_is_drawn_by_its_logarithm() -> None:
    rows = [{"epoch": e, "train/loss": loss} for e, loss in enumerate((1000.0, 100.0, 10.0, 1.0))]
    (title, chart), *_ = training_curves(rows)
    assert title == "Loss, logarithmic"
    svg = ET.fromstring(chart[: chart.index("</svg>") + 6])
    ys = [float(p.split(",")[1]) for p in svg.find("polyline").attrib["points"].split()]
    assert [b - a for a, b in pairwise(ys)] == pytest.approx([ys[1] - ys[0]] * 3, abs=0.11)
    assert [text.text for text in svg.findall("text")][:4] == ["1", "10", "100", "1000"]
    for losses in ((2.0, 1.0), (1000.0, 0.0), (1000.0, -1.0)):
        (title, _), *_ = training_curves([{"epoch": e, "train/loss": loss} for e, loss in enumerate(losses)])
        assert title == "Loss"
    (_, tiny), *_ = training_curves([{"epoch": e, "val/loss": loss} for e, loss in enumerate((1e9, 1e-9))])
    assert 4 <= tiny.count('class="grid"') <= 7


def test_the_scores_may_be_left_out() -> None:
    rows = [{"epoch": 1, "val/loss": 1.0, "val/miou": 0.5}]
    assert list(dict(training_curves(rows, scores=False))) == ["Loss"]


def test_columns_are_grouped_by_their_names() -> None:
    rows = [{"epoch": 0, "train/loss": 2, "val/loss": 3, "val/miou": 0.1, "val/iou/sky": 0.2, "lr-SGD": 0.1, "step": 7}] * 2
    charts = dict(training_curves(rows))
    assert list(charts) == ["Loss", "Score on the validation images", "Learning rate"]
    assert "train/loss" in charts["Loss"]
    assert "val/loss" in charts["Loss"]
    assert "sky" not in "".join(charts.values())
    by_class = {"epoch": 0, "val/iou/gloss": 0.1, "val/iou/my accuracy": 0.2, "val/loss": 1.0}
    assert list(dict(training_curves([by_class]))) == ["Loss"]
    assert "gloss" not in training_curves([by_class])[0][1]


def test_rows_without_a_value_or_without_a_number_are_left_out() -> None:
    rows = [{"epoch": 0, "train_loss": 1.0}, {"epoch": 1, "train_loss": float("nan"), "val_loss": float("nan")}, {"epoch": 2}]
    (_, chart), *others = training_curves(rows)
    assert not others
    assert "val_loss" not in chart
    assert chart.count(",") < 5
    assert "nan" not in chart


def test_names_are_escaped() -> None:
    chart = line_chart({"<b>&": [(0, 1), (1, 2)]}, x_title="<i>")
    assert "<b>&" not in chart.replace("<b>2", "")
    assert "&lt;b&gt;&amp;" in chart


def test_nothing_to_draw() -> None:
    assert training_curves([]) == []
    assert training_curves([{"epoch": 0, "step": 1}]) == []
