"""The two stages of Mask R-CNN behind its maps: proposals, then class, box and mask of each.

He, Gkioxari, Dollar, Girshick: Mask R-CNN. ICCV 2017.

    maps -> RPN -> proposals -> RoI heads -> class, box, mask

Source: section 3.1 and figure 4; "fpn_v2" as torchvision's `maskrcnn_resnet50_fpn_v2` has it (Li et al.: Benchmarking Detection
Transfer Learning with Vision Transformers, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from intarsia.core import SettingsError
from intarsia.models.parts.objects import Objects
from intarsia.models.parts.roi_heads import MaskRoIHeads
from intarsia.models.parts.roi_pooler import RoIPooler
from intarsia.models.parts.rpn import RPN

__all__ = ["DetectionFPN", "MaskDetector"]


class DetectionFPN(FeaturePyramidNetwork):
    """torchvision's feature pyramid with every second pixel of its topmost map as a further map.

    [(N, C_i, h_i, w_i)] fine to coarse -> [(N, channels, h_i, w_i)], one more than before.

    Args:
        in_channels: C_i.
        channels: of every map of the result.
        norm: batch normalisation after each convolution.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *, norm: bool = False) -> None:
        super().__init__(list(in_channels), channels, LastLevelMaxPool(), nn.BatchNorm2d if norm else None)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return list(super().forward({str(level): feature for level, feature in enumerate(features)}).values())


class MaskDetector(nn.Module):
    """Proposals and heads on a pyramid, or on the last map of a trunk.

    Args:
        channels: of the maps.
        strides: of the maps from which regions are pooled.
        num_things: T.
        res5: the trunk's last stage, which then runs on each region ("C4") and is shared by boxes and masks.
        res5_channels: that it gives.
        norm: batch normalisation and more convolutions in the heads ("fpn_v2").
        anchor_sizes: one for each map of the pyramid and one for the map above it; with `res5` all at the only map.
        head_channels: of the hidden layers of boxes.
        mask_channels: of those of masks.
        roi, aligned, reduce: how regions are pooled, see `RoIPooler`.
        masks: "sigmoid", "softmax" or "agnostic".
        regions, score_threshold, nms_threshold, detections: see `MaskRoIHeads`.

    Raises:
        SettingsError: another number of anchor sizes than of maps.
    """

    def __init__(
        self,
        *,
        channels: int,
        strides: Sequence[int],
        num_things: int,
        res5: nn.Module | None = None,
        res5_channels: int = 0,
        norm: bool = False,
        anchor_sizes: Sequence[int] = (32, 64, 128, 256, 512),
        head_channels: int = 1024,
        mask_channels: int = 256,
        roi: Literal["align", "pool"] = "align",
        aligned: bool = True,
        reduce: Literal["mean", "max"] = "mean",
        masks: Literal["sigmoid", "softmax", "agnostic"] = "sigmoid",
        regions: int = 512,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        detections: int = 100,
    ) -> None:
        super().__init__()
        if res5 is None and len(anchor_sizes) != len(strides) + 1:
            raise SettingsError(
                f"There are {len(anchor_sizes)} sizes of anchors, {', '.join(map(str, anchor_sizes))}, and the pyramid has "
                f"{len(strides) + 1} maps, of strides {', '.join(map(str, strides))} and {2 * strides[-1]}; give one for each."
            )

        def pooler(size: int) -> RoIPooler:
            return RoIPooler(strides, size, kind=roi, aligned=aligned, reduce=reduce)

        outputs = num_things + 1
        box_head: nn.Module
        if res5 is not None:
            self.rpn = RPN(channels, [anchor_sizes], candidates=(12000, 6000), proposals=(2000, 300))
            box_head, hidden, mask_head, mask_hidden = _Mean(), res5_channels, nn.Identity(), res5_channels
        else:
            self.rpn = RPN(channels, [[size] for size in anchor_sizes], depth=2 if norm else 1)
            hidden, mask_hidden = head_channels, mask_channels
            batch_norm = nn.BatchNorm2d if norm else None
            if norm:
                box_head = FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [hidden], batch_norm)
            else:
                box_head = TwoMLPHead(49 * channels, hidden)
            mask_head = MaskRCNNHeads(channels, [mask_channels] * 4, 1, batch_norm)
        self.roi_heads = MaskRoIHeads(
            box_roi_pool=pooler(7 if res5 is None else 14),
            shared=nn.Identity() if res5 is None else res5,
            box_head=box_head,
            box_predictor=FastRCNNPredictor(hidden, outputs),
            mask_roi_pool=pooler(14) if res5 is None else None,
            mask_head=mask_head,
            mask_predictor=MaskRCNNPredictor(mask_hidden, mask_channels, 1 if masks == "agnostic" else outputs),
            masks="softmax" if masks == "softmax" else "sigmoid",
            regions=regions,
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            detections=detections,
        )
        _small_predictors(self.roi_heads)

    def forward(
        self, grown: Tensor, size_hw: tuple[int, int], maps: Sequence[Tensor], objects: Sequence[Objects] | None = None
    ) -> dict[str, Tensor]:
        """Detect, or with `objects` sample what to learn from; see `RPN` and `MaskRoIHeads` for what is returned.

        Args:
            grown: (N, C, H, W) images as the maps were computed from them.
            size_hw: of the images before they grew.
            maps: for the RPN; regions are pooled from the first of them, as many as there are strides.
            objects: of each image.
        """
        proposals, parts = self.rpn(grown, size_hw, maps, objects)
        pooled_from = maps[: len(self.roi_heads.box_roi_pool.strides)]
        found: dict[str, Tensor] = parts | self.roi_heads(pooled_from, proposals, size_hw, objects)
        return found


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def _small_predictors(heads: MaskRoIHeads) -> None:
    """Last layers begin near zero, as in Detectron2: scores at chance, boxes where they were proposed, masks undecided."""
    last = (heads.box_predictor.cls_score, 0.01), (heads.box_predictor.bbox_pred, 0.001)
    for layer, std in (*last, (heads.mask_predictor.mask_fcn_logits, 0.001)):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
