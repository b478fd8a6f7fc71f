"""torchvision's Mask R-CNNs with random weights, in our files: the same detections."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d

import intarsia
from intarsia.core import SettingsError
from intarsia.inference.foreign._foreign import Wishes, fill
from intarsia.inference.foreign.detection import COCO, NETWORKS, detection_network

SIZE = (30, 45)
KEEP = {"box_detections_per_img": 3, "box_score_thresh": 0.0}


def original(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = getattr(detection, name)(weights=None, weights_backbone=None, **{"num_classes": 4, **options})
    return made.eval()


def detections(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """As its forward has it, scaling and normalising of images aside: grown by zeros to multiples of 32."""
    grown = GeneralizedRCNNTransform(800, 1333, [0.0], [1.0]).batch_images(list(image), 32)
    maps = network.backbone(grown)
    proposals, _ = network.rpn(ImageList(grown, [SIZE]), maps)
    found: dict[str, Tensor] = network.roi_heads(maps, proposals, [SIZE])[0][0]
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_file_has_the_same_detections_at_an_odd_size(name, tmp_path):
    reference = original(name, **KEEP)
    with torch.no_grad():
        reference.roi_heads.box_predictor.bbox_pred.weight *= 10  # else boxes stay where they were proposed
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    options = {"detections": 3, "score_threshold": 0.0}
    made = intarsia.import_weights(
        tmp_path / "weights.pth",
        source=f"torchvision:{name}",
        out=tmp_path / "own.safetensors",
        classes=["cat", "dog", "cow"],
        options=options,
    )
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        expected = detections(reference, image)
        parts = intarsia.load(made.path, device="cpu").model(image).parts
    assert len(expected["scores"]) == 3
    torch.testing.assert_close(parts["boxes_xyxy"], expected["boxes"], atol=1e-5 * max(SIZE), rtol=0)
    torch.testing.assert_close(parts["score"], expected["scores"], atol=1e-5, rtol=0)
    torch.testing.assert_close(parts["class_index"], expected["labels"] - 1)
    torch.testing.assert_close(parts["mask_logits"].sigmoid(), expected["masks"][:, 0], atol=1e-5, rtol=0)
    assert (made.card.task, made.card.classes.thing_ids) == ("instance", (0, 1, 2))
    assert made.card.spec.options["form"] == NETWORKS[name]


def in_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without counters too, as fixed normalisation has none."""

    def old(name: str) -> str:
        name = re.sub(r"(backbone\.fpn\.\w+\.\d)\.0\.", r"\1.", name).replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        return re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)

    return {old(name): value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def test_files_of_before_0_13_have_other_names_and_no_epsilon():
    with torch.device("meta"):
        state = original("maskrcnn_resnet50_fpn", num_classes=91).state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.rand(value.shape, generator=generator) for name, value in state.items()}
    old = in_old_names(state)
    assert "backbone.fpn.inner_blocks.3.weight" in old
    foreign = detection_network("maskrcnn_resnet50_fpn", old, Wishes(), "file")
    network = fill(foreign, old, "file")
    assert (foreign.class_names, network.frozen_norm) == (COCO, True)
    norm = FrozenBatchNorm2d(64, eps=0.0)
    norm.load_state_dict({key: state[f"backbone.body.bn1.{key}"] for key in ("weight", "bias", "running_mean", "running_var")})
    x = torch.rand(1, 64, 4, 4)
    torch.testing.assert_close(network.encoder.body.bn1(x), norm(x), atol=1e-4, rtol=1e-4)
    new = fill(detection_network("maskrcnn_resnet50_fpn", state, Wishes(), "file"), state, "file")
    for (name, ours), other in zip(network.state_dict().items(), new.state_dict().values(), strict=True):
        if "num_batches" not in name:
            torch.testing.assert_close(ours, other, atol=2e-5, rtol=0)
    assert not new.frozen_norm


def test_things_of_its_own_weights():
    theirs = detection.MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"][1:]
    assert [name for name in COCO if not name.startswith("unused")] == [name for name in theirs if name != "N/A"]
    assert [name.startswith("unused") for name in COCO] == [name == "N/A" for name in theirs]
    assert COCO[11] == "unused_12"


def test_another_number_of_things_is_refused(tmp_path):
    with torch.device("meta"):
        state = original("maskrcnn_resnet50_fpn").state_dict()
    torch.save({name: torch.zeros(value.shape) for name, value in state.items()}, tmp_path / "weights.pth")
    with pytest.raises(SettingsError, match=r"2 classes were given \(cat, dog\), and the weights tell 3 kinds of things apart"):
        intarsia.import_weights(
            tmp_path / "weights.pth",
            source="torchvision:maskrcnn_resnet50_fpn",
            out=tmp_path / "a.safetensors",
            classes="cat,dog",
        )
