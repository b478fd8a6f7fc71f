"""The comparison says what differs, and by how much."""

import math

import pytest
import torch
from torch import nn

from intarsia.core import ModelFileError, Output, SettingsError
from intarsia.exporting import compare, export_graph
from intarsia.inference.exported import ExportedNetwork
from intarsia.models import create_model


class Scores(nn.Module):
    """The image as scores of its channels, changed as told."""

    def __init__(self, change=lambda logits: logits, parts=None):
        super().__init__()
        self.change, self.parts = change, parts

    def forward(self, image):
        return Output(self.change(image), parts=None if self.parts is None else self.parts(image))


def image(height=50, width=60):
    return torch.rand(2, height, width, generator=torch.Generator().manual_seed(0))


def test_the_same_network_agrees_and_a_shift_of_all_scores_is_measured():
    assert compare(Scores(), Scores(), [image(), image(20, 20)]).to_dict() == {
        "images": 2,
        "label_agreement": 1,
        "map_agreement": 1,
        "max_difference": 0,
    }
    shifted = compare(Scores(), Scores(lambda logits: logits + 0.5), [image()])
    assert shifted.holds
    assert shifted.max_difference == pytest.approx(0.5)


def test_four_pixels_in_a_thousand_are_too_many():
    def swap_a_few(logits):
        changed = logits.clone()
        changed[..., :3, :4] = changed[..., :3, :4].flip(1)
        return changed

    parity = compare(Scores(), Scores(swap_a_few), [image()])
    assert parity.label_agreement == pytest.approx(1 - 12 / (37 * 38))  # in the cut image, the smaller one
    assert not parity.holds


def test_one_logit_is_compared_by_its_sign_and_maps_by_their_values():
    one = Scores(lambda image: image[:, :1] - 0.5)
    assert compare(one, Scores(lambda image: 0.1 * (image[:, :1] - 0.5)), [image()]).label_agreement == 1
    assert compare(one, Scores(lambda image: 0.5 - image[:, :1]), [image()]).label_agreement == 0
    maps = Scores(parts=lambda image: {"direction": image})
    assert compare(maps, Scores(parts=lambda image: {"direction": image * 1.0001}), [image()]).holds
    wrong = compare(maps, Scores(parts=lambda image: {"direction": image + 0.1}), [image()])
    assert wrong.map_agreement == 0
    assert not wrong.holds


def test_what_is_no_number_does_not_hold():
    parity = compare(Scores(), Scores(lambda logits: logits * torch.nan), [image()])
    assert math.isinf(parity.max_difference)
    assert not parity.holds


def test_a_size_that_was_fixed_is_found_out():
    with pytest.raises(ModelFileError, match=r"scores of shape \(1, 2, 16, 16\), and the network of \(1, 2, 50, 60\)"):
        compare(Scores(), Scores(lambda logits: logits[..., :16, :16]), [image()])

    def only_whole(image):
        return [image.view(1, 2, 50, 60)]

    with pytest.raises(ModelFileError, match=r"does not run on an image of 37 x 38 pixels \(height x width\): shape"):
        compare(Scores(), ExportedNetwork(only_whole, ["logits"]), [image()])


def test_targets_and_networks_that_cannot_be(tmp_path):
    network = create_model("unet", num_classes=2, width=4, depth=1).eval()
    with pytest.raises(SettingsError, match="onnx, torchscript, torch-export; 'caffe' was given"):
        export_graph(network, tmp_path / "model.caffe", "caffe")
    told = create_model("deep_watershed", num_classes=2, semantic="given").eval()
    with pytest.raises(SettingsError, match=r'told from outside .* semantic="learnt"'):
        export_graph(told, tmp_path / "model.onnx", "onnx")
