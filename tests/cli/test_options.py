import pytest

from intarsia.cli.options import parse_auto, parse_duration, parse_pairs, parse_size, parse_weights
from intarsia.core import SettingsError


@pytest.mark.parametrize(
    ("text", "size"), [("360x480", (360, 480)), ("256", (256, 256)), ("64X32", (64, 32)), ("auto", None), (None, None)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1h30m", 5400), ("45", 45), ("1d", 86400), (None, None)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


def test_pairs_become_values():
    assert parse_pairs(["stride=8", "at_once=true", "norm=batch", "rates=[1, 2]", "x=False", "e=1e-3", "path=a=b"]) == {
        "stride": 8,
        "at_once": True,
        "norm": "batch",
        "rates": [1, 2],
        "x": False,
        "e": 0.001,
        "path": "a=b",
    }


def test_auto_is_none_and_weights_are_numbers():
    assert parse_auto("auto", int, "--batch") is None
    assert parse_auto("8", int, "--batch") == 8
    assert parse_auto("1e-3", float, "--lr") == 0.001
    assert parse_weights("auto") == "auto"
    assert parse_weights("1,2.5") == (1.0, 2.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_size("big"), "size 'big' is not understood"),
        (lambda: parse_size("0x5"), "size '0x5'"),
        (lambda: parse_duration("soon"), "time 'soon'"),
        (lambda: parse_duration("5x"), "time '5x'"),
        (lambda: parse_auto("many", int, "--batch"), "--batch is 'many'"),
        (lambda: parse_weights("heavy"), "class weights 'heavy'"),
        (lambda: parse_pairs(["stride"]), "'stride' is not key=value"),
    ],
)
def test_what_is_not_understood_is_said(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
