import math

import pytest

from intarsia.training.progress import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (42, "42 s"), (200, "3 min 20 s"), (840, "14 min"), (7500, "2 h 5 min"), (math.nan, "unknown time")],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
