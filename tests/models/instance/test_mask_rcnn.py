from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from intarsia.core import ClassSpace, Instances, SettingsError
from intarsia.data.targets import make_targets
from intarsia.encoders import create_encoder
from intarsia.losses.boxes_and_masks import boxes_and_masks_loss
from intarsia.models import create_model
from intarsia.models.instance.mask_rcnn import MaskRCNN
from intarsia.postprocess.paste_masks import decode_paste_masks
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor

SHAPES = ClassSpace.from_names(["background", "square", "disc"])


def tiny(**others: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model("mask_rcnn", num_classes=2, **{**MaskRCNN.TINY, **others})


def scene() -> tuple[Tensor, dict[str, Tensor], np.ndarray]:
    """Two bright squares and a dark disc, as an image, the targets and a map of numbers."""
    ids = np.zeros((64, 64), np.int32)
    rows, columns = np.mgrid[:64, :64]
    ids[6:26, 4:28], ids[34:56, 40:60] = 1, 2
    ids[(rows - 46) ** 2 + (columns - 18) ** 2 < 150] = 3
    truth = Instances.from_ids(ids, SHAPES, {1: 1, 2: 1, 3: 2})
    targets = {f"objects.{key}": torch.from_numpy(x) for key, x in make_targets(MaskRCNN.TARGETS, truth)["objects"].items()}
    targets["objects.image"] = torch.zeros(3, dtype=torch.int64)
    torch.manual_seed(0)
    image = torch.from_numpy(np.float32([0, 1, 1, -1])[ids]).expand(1, 3, -1, -1) + 0.1 * torch.randn(1, 3, 64, 64)
    return image, targets, ids


@pytest.mark.parametrize(
    ("encoder", "form", "things", "count"),
    [
        ("resnet50", "fpn", 90, 44_401_393),  # torchvision's figure for its 91 outputs
        ("resnet50", "fpn", 80, 44_347_573),
        ("resnet101", "fpn", 80, 63_287_477),
        ("resnext101_32x8d", "fpn", 80, 107_432_117),
        ("resnext101_64x4d", "fpn", 90, 102_149_873),
        ("resnet50", "c4", 80, 35_918_065),
    ],
)
def test_parameters_that_are_trained_with_fixed_normalisation(encoder: str, form: str, things: int, count: int) -> None:
    with torch.device("meta"):
        network = create_model("mask_rcnn", num_classes=things, encoder=encoder, form=form, frozen_norm=True)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == count


def test_parameters_of_fpn_v2() -> None:
    with torch.device("meta"):
        network = create_model("mask_rcnn", num_classes=90, form="fpn_v2")
    assert sum(p.numel() for p in network.parameters()) == 46_359_409  # torchvision's figure


def torchvision_c4(things: int) -> TorchvisionMaskRCNN:
    """C4 from torchvision's stock classes."""
    trunk = resnet18(weights=None)
    stage = trunk.layer4
    body = IntermediateLayerGetter(trunk, {"layer3": "0"})
    body.out_channels = 256
    pool = MultiScaleRoIAlign(["0"], 14, 2)
    return TorchvisionMaskRCNN(
        body,
        rpn_anchor_generator=AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=pool,
        box_head=nn.Sequential(stage, nn.AdaptiveAvgPool2d(1)),
        box_predictor=FastRCNNPredictor(512, things + 1),
        mask_roi_pool=pool,
        mask_head=stage,
        mask_predictor=MaskRCNNPredictor(512, 256, things + 1),
        rpn_pre_nms_top_n_test=6000,
        rpn_post_nms_top_n_test=300,
        box_detections_per_img=5,
    ).eval()


def test_c4_detects_what_torchvision_detects() -> None:
    torch.manual_seed(0)
    theirs = torchvision_c4(2)
    ours = create_model("mask_rcnn", num_classes=2, encoder="resnet18", form="c4", aligned=False, detections=5).eval()
    state = theirs.state_dict()

    def theirs_of(name: str) -> str:
        name = name.replace("encoder.body.", "backbone.").replace("detector.", "")
        return name.replace("roi_heads.shared.", "roi_heads.mask_head.")

    ours.load_state_dict({name: state[theirs_of(name)] for name in ours.state_dict()})
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        maps = theirs.backbone(image)
        proposals, _ = theirs.rpn(ImageList(image, [(32, 64)]), maps)
        (expected,), _ = theirs.roi_heads(maps, proposals, [(32, 64)])
        parts = ours(image).parts
    torch.testing.assert_close(parts["boxes_xyxy"], expected["boxes"], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(parts["score"], expected["scores"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts["class_index"], expected["labels"] - 1)
    torch.testing.assert_close(parts["mask_logits"].sigmoid(), expected["masks"][:, 0], atol=1e-5, rtol=1e-5)
    assert parts["mask_logits"].shape == (5, 14, 14)


def test_c4_has_its_last_stage_once_and_behind_the_regions() -> None:
    network = tiny(form="c4")
    assert network.encoder.strides[-1] == 16
    assert not any(name.startswith("encoder.body.layer4") for name in network.state_dict())
    seen: list[tuple[torch.Size, torch.Size]] = []
    shared = network.detector.roi_heads.shared
    shared.register_forward_hook(lambda _m, inputs, output: seen.append((inputs[0].shape, output.shape)))
    image, targets, _ = scene()
    parts = network(image, targets).parts
    ((before, after),) = seen  # boxes and masks share what it gives
    assert before[0] == len(parts["label"]) <= 64
    assert (before[2:], after[2:]) == ((14, 14), (7, 7))
    assert parts["mask_logits"].shape[1:] == (14, 14)
    with pytest.raises(SettingsError, match=r"c4 runs the last stage of a ResNet .* this TimmEncoder"):
        MaskRCNN(encoder=create_encoder("test_vit", output_stride=16), num_classes=1, form="c4")


@pytest.mark.parametrize("how", [{"roi": "pool"}, {"aligned": False}, {"reduce": "max"}])
def test_how_regions_are_read(how: dict[str, Any]) -> None:
    pooler = tiny(**how).detector.roi_heads.mask_roi_pool
    assert {name: getattr(pooler, {"roi": "kind"}.get(name, name)) for name in how} == how
    image, targets, _ = scene()
    terms = boxes_and_masks_loss(tiny(**how)(image, targets), targets)
    assert all(term.isfinite() for term in terms.values())


def test_images_grow_by_zeros_and_boxes_stay_inside() -> None:
    network = tiny(score_threshold=0.0).eval()
    seen: list[Tensor] = []
    network.encoder.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    with torch.no_grad():
        parts = network(torch.rand(2, 3, 33, 47)).parts
    assert seen[0].shape == (2, 3, 64, 64)
    assert seen[0][..., :33, :47].all()
    assert not seen[0][..., 33:, :].any()
    assert parts["boxes_xyxy"].max(0).values.tolist() <= [47, 33, 47, 33]
    assert set(parts["image_index"].tolist()) == {0, 1}


def test_normalisation_stays_frozen() -> None:
    network = tiny(frozen_norm=True).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    assert network.training


def test_learns_objects_to_the_pixel() -> None:
    image, targets, ids = scene()
    network = tiny(regions=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 70)
    totals = []
    for _ in range(70):
        loss = sum(boxes_and_masks_loss(network(image, targets), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        totals.append(loss.item())
    assert np.mean(totals[-10:]) < 0.4 * totals[0]
    with torch.no_grad():
        output = network.eval()(image, targets)
    parts = {name: value.numpy() for name, value in output.parts.items()}
    masks, class_index, _ = decode_paste_masks(output.logits.numpy(), parts, (64, 64))
    for number, index in ((1, 0), (2, 0), (3, 1)):
        found = [masks.mask(i) for i in np.flatnonzero(class_index == index)]
        assert max(np.sum(mask & (ids == number)) / np.sum(mask | (ids == number)) for mask in found) > 0.7


@pytest.mark.parametrize(("recipe", "regions"), [("mask_rcnn", 512), ("mask_rcnn_c4", 64)])
def test_recipe(recipe: str, regions: int) -> None:
    (stage,) = load_recipe(recipe).stages
    assert (stage.model, stage.batch, stage.steps, stage.imgsz) == ("mask_rcnn", 16, 160_000, (800, 1333))
    factor = learning_rate_factor(stage, 160_000)
    assert [stage.lr * factor(step) for step in (500, 119_999, 120_000, 159_999)] == pytest.approx([0.02, 0.02, 0.002, 0.002])
    with torch.device("meta"):
        network = create_model(stage.model, num_classes=80, encoder=stage.encoder, **stage.options)
    assert network.detector.roi_heads.fg_bg_sampler.batch_size_per_image == regions
