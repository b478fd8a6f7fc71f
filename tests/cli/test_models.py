"""`intarsia models`, in this process; test_app.py types it as a person does."""

import json
import re

import pytest
from typer.testing import CliRunner

from intarsia.classical import CLASSICAL
from intarsia.cli.app import app
from intarsia.cli.models import WHAT_TO_TAKE
from intarsia.models import NETWORKS

NAMES = [name for catalog in NETWORKS.values() for name in catalog.names]


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
    assert all(first_words.count(name) == 1 for name in (*NAMES, *CLASSICAL.names))
    (unet,) = (line for line in lines if line.startswith("unet "))
    assert re.match(r"unet +31\.0 M +386 +2015  a contracting path", unet)


def test_networks_go_from_cheap_to_dear_in_their_groups(intarsia):
    """Those whose operations depend on the image come last, by parameters."""
    groups = intarsia().split("Networks ")[1:]
    counts = []
    for group in groups:
        costs = [float(match[1].replace(",", "")) for match in re.finditer(r" M +([\d.,]+) +(?:19|20)\d\d ", group)]
        sizes = [float(match[1]) for match in re.finditer(r" ([\d.]+) M +(?:19|20)\d\d ", group)]
        assert (costs, sizes) == (sorted(costs), sorted(sizes))
        counts.append((len(costs), len(sizes)))
    assert sum(map(sum, counts)) == len(NAMES)
    assert counts[0][1] == counts[1][1] == 0
    assert counts[2:] == [(3, 4), (0, 1)]


def test_what_is_recommended_exists(intarsia):
    recommended = re.findall(r"^  .{26}  ([a-z0-9_]+)[ ,\n]", WHAT_TO_TAKE, re.MULTILINE)
    assert {"unet", "unet_encoder", "mask_rcnn", "panoptic_fpn"} <= set(recommended) - {"a"} <= set(NAMES)
    assert WHAT_TO_TAKE in intarsia()


def test_json_has_the_whole_catalogue(intarsia):
    rows = json.loads(intarsia("--json"))
    assert {row["name"]: row["kind"] for row in rows} == dict.fromkeys(NAMES, "network") | dict.fromkeys(
        CLASSICAL.names, "method"
    )
    figures = {row["name"]: row["figures"] for row in rows if row["kind"] == "network"}
    assert figures["fcn"]["parameters"] == 134_362_751
    assert figures["pspnet"]["receptive_field"] == "whole image"
    assert figures["mask_rcnn"]["flops"] is None
    assert {row["name"]: row["task"] for row in rows if row["kind"] == "network"}["panoptic_fpn"] == "panoptic"


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


def test_a_detector_says_what_it_costs_before_its_regions(intarsia):
    network = ("panoptic_fpn", "--encoder", "test_resnet", "--imgsz", "64", "--classes", "12", "--things", "9")
    told = intarsia(*network)
    for words in ("for 12 classes, 9 of them things", "depend on the regions", "detector.rpn.head", "semantic.classify"):
        assert words in told
    assert "receptive field" not in told
    assert json.loads(intarsia(*network, "--json"))["figures"]["flops"] is None


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
