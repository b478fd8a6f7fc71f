"""`intarsia models`, in this process; test_app.py types it as a person does."""

import json
import re

import pytest
from typer.testing import CliRunner

from intarsia.classical import CLASSICAL
from intarsia.cli.app import app
from intarsia.cli.models import WHAT_TO_TAKE
from intarsia.models import SEMANTIC


@pytest.fixture
def intarsia(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    return run


def test_each_has_a_line_of_at_most_a_hundred_columns(intarsia):
    lines = intarsia().splitlines()
    assert max(map(len, lines)) <= 100
    first_words = [line.split()[0] for line in lines if line.strip()]
    assert all(first_words.count(name) == 1 for name in (*SEMANTIC.names, *CLASSICAL.names))
    (unet,) = (line for line in lines if line.startswith("unet "))
    assert re.match(r"unet +31\.0 M +386 +2015  a contracting path", unet)


def test_networks_go_from_cheap_to_dear_in_both_groups(intarsia):
    groups = intarsia().split("Networks ")[1:]
    for group in groups:
        costs = [float(match[1].replace(",", "")) for match in re.finditer(r" M +([\d.,]+) +(?:19|20)\d\d ", group)]
        assert costs == sorted(costs)
        assert len(costs) > 5


def test_what_is_recommended_exists(intarsia):
    recommended = re.findall(r"^  .{26}  ([a-z0-9_]+)[ ,\n]", WHAT_TO_TAKE, re.MULTILINE)
    assert {"unet", "unet_encoder"} <= set(recommended) - {"a"} <= set(SEMANTIC.names)
    assert WHAT_TO_TAKE in intarsia()


def test_json_has_the_whole_catalogue(intarsia):
    rows = json.loads(intarsia("--json"))
    assert {row["name"]: row["kind"] for row in rows} == dict.fromkeys(SEMANTIC.names, "network") | dict.fromkeys(
        CLASSICAL.names, "method"
    )
    figures = {row["name"]: row["figures"] for row in rows if row["kind"] == "network"}
    assert figures["fcn"]["parameters"] == 134_362_751
    assert figures["pspnet"]["receptive_field"] == "whole image"


def test_a_network_says_what_it_costs_and_how_far_it_sees(intarsia):
    told = intarsia("segnet_basic", "--imgsz", "360x480", "--classes", "11")
    for words in (
        "Badrinarayanan, Kendall, Cipolla",
        "1.4 M (1,416,587) for 11 classes",
        "for an image of 360 x 480",
        "output stride    1, and 16 of its coarsest map",
        "186 to 202 pixels",
        "--set width=64",
        "64 x 360 x 480",
    ):
        assert words in told


def test_every_layer_or_blocks(intarsia):
    network = ("linknet", "--encoder", "test_resnet", "--imgsz", "64")
    blocks, layers = intarsia(*network), intarsia(*network, "--layers")
    assert "--encoder test_resnet" in blocks
    assert "encoder.body.layer1.0.conv1" in layers
    assert "encoder.body.layer1.0.conv1" not in blocks
    rows = json.loads(intarsia(*network, "--json"))
    assert rows["kind"] == "network"
    assert rows["layers"][0]["parameters"] == rows["figures"]["parameters"] == sum(row["parameters"] for row in rows["blocks"])


def test_a_method_says_what_it_gives_and_needs(intarsia):
    told = intarsia("slic")
    for words in ("gives  regions without a class", "needs  nothing but the image", "--set segments=250"):
        assert words in told
    assert json.loads(intarsia("slic", "--json"))["kind"] == "method"
