import pytest

from intarsia.classical import CLASSICAL
from intarsia.core import SettingsError, UnknownNameError
from intarsia.models import NETWORKS
from intarsia.workflow.models import describe, list_methods, list_models


def test_lists_are_the_catalogues():
    networks, methods = list_models(), list_methods()
    assert [row["name"] for row in networks] == [name for catalog in NETWORKS.values() for name in catalog.names]
    assert {row["task"] for row in networks} == {"semantic", "instance", "panoptic"}
    assert [row["name"] for row in methods] == list(CLASSICAL.names)
    unet = next(row for row in networks if row["name"] == "unet")
    assert unet["year"] == 2015
    assert unet["figures"]["parameters"] == 31_038_933
    assert unet["figures"]["receptive_field"] == (188, 204)


def test_a_network_with_options_is_counted_as_it_would_be_made():
    about = describe("unet", size_hw=(64, 96), num_classes=3, in_channels=1, options={"width": 8, "depth": 2})
    assert about["network"]["options"]["width"] == 8
    assert (about["network"]["num_classes"], about["network"]["in_channels"], about["size_hw"]) == (3, 1, (64, 96))
    assert about["options"]["width"] == 64, "the defaults stay the architecture's"
    assert about["layers"][0]["parameters"] == about["figures"]["parameters"] < 100_000
    score = next(row for row in about["layers"] if row["output"] == (3, 64, 96))
    assert score["flops"] == 2 * 8 * 3 * 64 * 96
    twice = describe("unet", size_hw=(128, 96), num_classes=3, in_channels=1, options={"width": 8, "depth": 2})
    assert twice["figures"]["flops"] == 2 * about["figures"]["flops"]


def test_an_encoder_of_choice_is_counted():
    small, large = (describe("fcn_dilated", size_hw=(64, 64), encoder=name) for name in ("resnet18", "resnet34"))
    assert small["network"]["encoder"] == "resnet18"
    assert small["figures"]["parameters"] < large["figures"]["parameters"]
    assert small["figures"]["flops"] < large["figures"]["flops"]


def test_of_a_panoptic_network_some_classes_are_things():
    tiny = {"channels": 8, "semantic_channels": 32, "head_channels": 8, "mask_channels": 8}
    few, more = (
        describe("panoptic_fpn", size_hw=(64, 64), num_classes=12, things=things, encoder="test_resnet", options=tiny)
        for things in (None, 9)
    )
    assert few["network"]["thing_ids"] == [4, 5, 6, 7, 8, 9, 10, 11]
    assert more["network"]["thing_ids"][0] == 3
    one_more = (8 + 1) + 4 * (8 + 1) + (8 + 1)  # its score, its box and its mask
    assert more["figures"]["parameters"] - few["figures"]["parameters"] == one_more - (32 + 1), "and one class of stuff less"
    assert more["figures"]["flops"] is None
    with pytest.raises(SettingsError, match=r"13 of 12 classes are to be countable things; give from 1 to 12"):
        describe("panoptic_fpn", num_classes=12, things=13)
    with pytest.raises(SettingsError, match=r"unet is a network for semantic segmentation; thing_ids are for panoptic"):
        describe("unet", things=2)


def test_a_classical_method_is_described_and_has_no_network():
    about = describe("slic")
    assert about["result"] == "regions"
    assert about["options"]["segments"] == 250
    with pytest.raises(SettingsError, match=r"slic is a classical method.*`intarsia predict --model slic --set"):
        describe("slic", encoder="resnet18")


def test_unknown_names_and_options():
    with pytest.raises(UnknownNameError, match=r"called 'slick'\. Did you mean 'slic'"):
        describe("slick")
    with pytest.raises(UnknownNameError, match=r"called 'mask_rcn'\. Did you mean 'mask_rcnn'"):
        describe("mask_rcn")
    with pytest.raises(SettingsError, match=r"unet has no option 'widht'"):
        describe("unet", options={"widht": 8})
    with pytest.raises(SettingsError, match=r"unet cannot be made for 0 classes"):
        describe("unet", num_classes=0)
