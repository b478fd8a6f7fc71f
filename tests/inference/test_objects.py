"""Networks whose outputs are known, through their decoders to objects at the image's size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.classical import create_method
from intarsia.core import ClassSpace, LabelMap, ModelFileError, Output, Predictor, SettingsError
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import InstanceNetwork, ModelCard, PanopticNetwork, load, write_model
from intarsia.inference.objects import arrays_of_image
from intarsia.models import ModelSpec

CLASSES = ClassSpace.from_names(["sky", "car", "road", "dog"], things=["car", "dog"])
SPEC = ModelSpec("unet", num_classes=4, options={"width": 4, "depth": 2})  # only to fill a card


class Detector(nn.Module):
    """Finds the same two objects in every image: one on its left half, a worse one in the lower right corner."""

    DECODER = "paste_masks"

    def forward(self, image, targets=None):
        _, _, height, width = image.shape
        boxes = torch.tensor([[0.5 * width, 0.5 * height, width, height], [0, 0, 0.5 * width, height]], dtype=torch.float32)
        parts = {
            "boxes_xyxy": boxes,
            "class_index": torch.tensor([0, 1]),
            "score": torch.tensor([0.4, 0.8]),
            "image_index": torch.tensor([0, 0]),
            "mask_logits": torch.full((2, 7, 7), 9.0),
        }
        return Output(torch.zeros(5, 3), parts=parts)


class Panoptic(Detector):
    """With scores of "any thing", sky and road besides: sky above, road below."""

    DECODER = "panoptic_merge"

    def forward(self, image, targets=None):
        _, _, height, width = image.shape
        logits = torch.zeros(1, 3, height, width)
        logits[:, 1, : height // 2] = logits[:, 2, height // 2 :] = 5.0
        return Output(logits, parts=super().forward(image).parts)


def card(fit_hw=None, task="instance"):
    return ModelCard(SPEC, CLASSES, Preprocessing((0.4,) * 3, (0.2,) * 3, fit_hw), task=task)


@pytest.mark.parametrize("fit_hw", [None, (10, 15), (64, 96)])
def test_detections_reach_the_size_of_the_image_whatever_the_network_saw(fit_hw):
    network = InstanceNetwork(Detector(), card(fit_hw), device="cpu")
    assert isinstance(network, Predictor)
    assert network.task == "instance"
    found = network(np.zeros((20, 30, 3), np.uint8))
    assert found.size_hw == (20, 30)
    assert found.masks.boxes_xyxy.tolist() == [[0, 0, 15, 20], [15, 10, 30, 20]]
    assert [CLASSES.names[i] for i in found.class_id] == ["dog", "car"], "index 1 is the second thing"
    assert found.score.tolist() == pytest.approx([0.8, 0.4])
    assert found.masks.areas().tolist() == [300, 150]


def test_a_panoptic_network_gives_a_map_of_all_classes():
    network = PanopticNetwork(Panoptic(), card((10, 15), "panoptic"), device="cpu", options={"min_score": 0.3})
    found = network(np.zeros((20, 30, 3), np.uint8))
    assert [(CLASSES.names[s.class_id], np.count_nonzero(found.ids == s.id)) for s in found.segments] == [
        ("dog", 300),
        ("car", 150),
        ("sky", 150),
    ]
    assert not (found.ids == 0).any()
    assert network.task == "panoptic"


def test_options_of_the_decoder_are_checked_when_the_network_is_opened():
    assert len(InstanceNetwork(Detector(), card(), device="cpu", options={"min_score": 0.5})(np.zeros((4, 4), np.uint8))) == 1
    with pytest.raises(SettingsError, match=r"no option 'minscore'. Did you mean 'min_score'"):
        InstanceNetwork(Detector(), card(), options={"minscore": 0.5})


def test_maps_are_enlarged_and_rows_of_other_images_left_out():
    maps = torch.arange(8.0).reshape(2, 1, 2, 2)
    parts = {"image_index": torch.tensor([0, 1, 1]), "score": torch.tensor([0.1, 0.2, 0.3]), "energy": maps}
    logits, of_image = arrays_of_image(Output(maps, parts=parts), 1, (4, 4))
    assert logits.shape == of_image["energy"].shape == (1, 4, 4)
    assert logits[0, 0].tolist() == [4, 4.25, 4.75, 5]
    assert of_image["score"].tolist() == pytest.approx([0.2, 0.3])
    assert arrays_of_image(Output(maps), 0)[0].shape == (1, 2, 2)


def test_a_network_that_does_not_say_its_decoder():
    with pytest.raises(ModelFileError, match="A Identity does not say how its output becomes objects"):
        InstanceNetwork(nn.Identity(), card(), device="cpu")


def test_options_for_a_semantic_network_are_refused(tmp_path):
    path = write_model(tmp_path / "a.safetensors", SPEC.build(), card(task="semantic"))
    with pytest.raises(SettingsError, match=r"Options \(min_score\) were given for .*a.safetensors, which has its own"):
        load(path, options={"min_score": 0.5})


class Told(Detector):
    """Finds what it was told: the box of everything that is labelled."""

    def forward(self, image, targets=None):
        label = targets["thing_label"][0]
        y, x = torch.nonzero(label, as_tuple=True)
        box = torch.tensor([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=torch.float32)
        parts = {**super().forward(image).parts, "image_index": torch.tensor([0])}
        parts |= {"boxes_xyxy": box, "class_index": label.max()[None] - 1}
        return Output(torch.zeros(1, 3), parts={**parts, "score": torch.ones(1), "mask_logits": torch.full((1, 7, 7), 9.0)})


class Gate:
    name, task = "gate", "semantic"

    def __init__(self, names=("road", "dog", "car")):
        self.classes = ClassSpace.from_names(names)

    def predict(self, image, hints=None):
        ids = np.zeros(image.shape[:2], np.uint8)
        ids[4:12, 6:18] = 1
        return LabelMap(ids, self.classes)


class GivenSpec:
    name, options = "told", {"semantic": "given"}


def test_a_network_is_told_where_the_classes_are():
    told = replace(card((10, 15)), spec=GivenSpec())
    found = InstanceNetwork(Told(), told, device="cpu", semantic=Gate())(np.zeros((20, 30, 3), np.uint8))
    assert found.masks.boxes_xyxy.tolist() == [[6, 4, 18, 12]]
    assert CLASSES.names[found.class_id[0]] == "dog"
    with pytest.raises(SettingsError, match=r"counts car, dog, .* knows sky, cell\. Give a model with these classes"):
        InstanceNetwork(Told(), told, device="cpu", semantic=Gate(["sky", "cell"]))
    cells = replace(told, classes=ClassSpace.from_names(["background", "cell"]))
    found = InstanceNetwork(Told(), cells, device="cpu", semantic=Gate(["background", "foreground"]))
    assert found(np.zeros((20, 30, 3), np.uint8)).class_id.tolist() == [1]
    with pytest.raises(SettingsError, match=r"option semantic=given .* the classes car, dog that .*: --semantic FILE\."):
        InstanceNetwork(Told(), told, device="cpu")
    with pytest.raises(SettingsError, match=r"--semantic FILE, or a classical method .*: --semantic chan_vese"):
        InstanceNetwork(Told(), cells, device="cpu")
    with pytest.raises(SettingsError, match=r"slic finds regions without classes, .* whether it is car or dog\."):
        InstanceNetwork(Told(), told, device="cpu", semantic=create_method("slic"))
    with pytest.raises(SettingsError, match="unet finds out itself where the classes are, and gate was given"):
        InstanceNetwork(Detector(), card(), device="cpu", semantic=Gate())
