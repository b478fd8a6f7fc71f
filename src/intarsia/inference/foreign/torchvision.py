"""torchvision's networks for segmentation.

    fcn_resnet50, fcn_resnet101                fcn_dilated
    deeplabv3_resnet50, deeplabv3_resnet101    deeplab_v3 at output stride 8, with a 3x3 convolution before the scores
    deeplabv3_mobilenet_v3_large               the same at output stride 16; its auxiliary head, on an earlier stage, is left out

Source: structure and names read off `torchvision.models.segmentation` 0.26, and proven against it on random weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from intarsia.inference.foreign._foreign import Foreign, Rules, Wishes, pyramid_rules, renamed, tensor_of
from intarsia.models import ModelSpec

__all__ = ["NETWORKS", "VOC", "torchvision_network"]

NETWORKS = ("fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large")

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Classes of torchvision's own weights, which were trained on those of COCO's images that have them."""

AUXILIARY: Rules = ((r"auxiliary\.0\.", "aux_classifier."), (r"auxiliary\.2\.", "aux_classifier.4."))
FCN: Rules = ((r"encoder\.body\.", "backbone."), (r"head\.0\.", "classifier."), (r"head\.2\.", "classifier.4."), *AUXILIARY)
DEEPLAB: Rules = (
    (r"encoder\.body\.", "backbone."),
    *pyramid_rules("head.", "classifier.0."),
    (r"refine\.0\.", "classifier.1."),
    (r"refine\.1\.", "classifier.2."),
    (r"classify\.", "classifier.4."),
    *AUXILIARY,
)
UNITS_BEFORE = (1, 2, 4, 7, 11, 13, 16)
"""MobileNet v3 large: torchvision numbers all units from 1, timm those of each stage from 0."""
SQUEEZED = (2, 4, 5)
"""Stages whose units have squeeze and excitation."""


def torchvision_network(name: str, state: Mapping[str, Tensor], wishes: Wishes, where: str) -> Foreign:
    """What computes the same as torchvision's network called `name` with these weights.

    Raises:
        ModelFileError: the weights lack tensors from which its size is read.
    """
    num_classes = len(tensor_of(state, "classifier.4.weight", where))
    auxiliary = "aux_classifier.0.weight" in state
    mobile = name.endswith("mobilenet_v3_large")
    stem = tensor_of(state, "backbone.0.0.weight" if mobile else "backbone.conv1.weight", where)
    options: dict[str, Any] = {"auxiliary": auxiliary and not mobile}
    if name.startswith("deeplabv3"):
        options |= {"multi_grid": (), "head_conv": True, "align_corners": False, "dropout": 0.5}
    if mobile:
        options |= {"rates": (12, 24, 36), "dilate_first": True}
    spec = ModelSpec(
        "fcn_dilated" if name.startswith("fcn") else "deeplab_v3",
        num_classes,
        stem.shape[1],
        wishes.encoder or ("mobilenetv3_large_100" if mobile else name.partition("_")[2]),
        wishes.output_stride or (16 if mobile else 8),
        options | dict(wishes.options),
    )
    names = VOC if num_classes == len(VOC) else None
    if mobile:
        return Foreign(spec, _mobilenet_name, ("aux_classifier.",), _keep_epsilon, class_names=names)
    return Foreign(spec, renamed(FCN if name.startswith("fcn") else DEEPLAB), class_names=names)


def _mobilenet_name(ours: str) -> str:
    for pattern, replacement in ((r"encoder\.body\.conv_stem\.", "backbone.0.0."), (r"encoder\.body\.bn1\.", "backbone.0.1.")):
        if re.match(pattern, ours):
            return re.sub(pattern, replacement, ours)
    found = re.match(r"encoder\.body\.blocks\.(\d)\.(\d)\.([a-z_0-9]+(?:\.conv_[a-z]+)?)\.(\w+)$", ours)
    if not found:
        return renamed(DEEPLAB)(ours)
    stage, layer, part = int(found[1]), found[3], found[4]
    unit = f"backbone.{UNITS_BEFORE[stage] + int(found[2])}"
    if stage == 6:  # one convolution, no unit
        return f"{unit}.{'0' if layer == 'conv' else '1'}.{part}"
    order = ("conv_dw", "conv_pw") if stage == 0 else ("conv_pw", "conv_dw", "conv_pwl")
    if layer.startswith("se."):
        return f"{unit}.block.2.{'fc1' if layer == 'se.conv_reduce' else 'fc2'}.{part}"
    index = order.index(layer) if layer in order else int(layer.removeprefix("bn")) - 1
    place = index + (index == 2 and stage in SQUEEZED)  # squeeze and excitation stands before the last convolution
    return f"{unit}.block.{place}.{'0' if layer in order else '1'}.{part}"


def _keep_epsilon(state: dict[str, Tensor]) -> None:
    """The trunk is normalised with epsilon 0.001 in torchvision and 0.00001 in timm; the variance takes the difference."""
    for name, value in state.items():
        if name.startswith("encoder.") and name.endswith("running_var"):
            state[name] = value + (1e-3 - 1e-5)
