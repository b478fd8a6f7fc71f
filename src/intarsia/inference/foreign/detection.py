"""torchvision's networks for instances, as networks of ours that compute the same.

    maskrcnn_resnet50_fpn       mask_rcnn, form fpn
    maskrcnn_resnet50_fpn_v2    mask_rcnn, form fpn_v2

Both with RoIAlign that is not aligned. torchvision scales images itself, the shorter side to 800 pixels and the longer to 1333 at
most; that is no part of the network here.

Source: structure and names read off `torchvision.models.detection` 0.26, and proven against it on random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from intarsia.inference.foreign._foreign import Foreign, Rules, Wishes, renamed, tensor_of
from intarsia.models import ModelSpec

__all__ = ["COCO", "NETWORKS", "detection_network"]

NETWORKS = {"maskrcnn_resnet50_fpn": "fpn", "maskrcnn_resnet50_fpn_v2": "fpn_v2"}
"""Their names, and the form of ours."""

NAMED = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant", "",
    "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "chair", "couch", "potted plant", "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
COCO = tuple(name or f"unused_{number}" for number, name in enumerate(NAMED, 1))
"""Things of torchvision's own weights: COCO's categories by their ids, of which ten have no object in the data."""

RULES: Rules = ((r"encoder\.body\.", "backbone.body."), (r"fpn\.", "backbone.fpn."), (r"detector\.", ""))
OLD: Rules = (
    (r"encoder\.body\.", "backbone.body."),
    (r"fpn\.(inner_blocks|layer_blocks)\.(\d)\.0\.", r"backbone.fpn.\1.\2."),
    (r"detector\.rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    *((rf"detector\.roi_heads\.mask_head\.{layer}\.0\.", f"roi_heads.mask_head.mask_fcn{layer + 1}.") for layer in range(4)),
    (r"detector\.", ""),
)
"""Names before torchvision 0.13, as in the file of its own weights of the first network."""


def detection_network(name: str, state: Mapping[str, Tensor], wishes: Wishes, where: str) -> Foreign:
    """What computes the same as torchvision's network called `name` with these weights.

    Raises:
        ModelFileError: the weights lack tensors from which its size is read.
    """
    things = len(tensor_of(state, "roi_heads.box_predictor.cls_score.weight", where)) - 1
    channels = tensor_of(state, "backbone.body.conv1.weight", where).shape[1]
    old = "rpn.head.conv.weight" in state
    fixed = not any(tensor.endswith("num_batches_tracked") for tensor in state)  # normalisation that never followed a batch
    spec = ModelSpec(
        "mask_rcnn",
        things,
        channels,
        wishes.encoder or "resnet50",
        wishes.output_stride,
        {"form": NETWORKS[name], "aligned": False, "frozen_norm": fixed} | dict(wishes.options),
    )
    names = COCO if things == len(COCO) else None
    foreign = Foreign(spec, renamed(OLD if old else RULES), class_names=names)
    return replace(foreign, adjust=_without_epsilon) if old and fixed else foreign


def _without_epsilon(state: dict[str, Tensor]) -> None:
    """Fixed normalisation had no epsilon when files had the old names; the variance gives up what ours adds."""
    for name, value in state.items():
        if name.endswith("running_var"):
            state[name] = value - 1e-5
