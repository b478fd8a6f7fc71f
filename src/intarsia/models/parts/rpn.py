"""Region proposal network: boxes that may hold an object, of any class.

Ren, He, Girshick, Sun: Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks. NIPS 2015.

    map -> 3x3, ReLU -> 1x1 -> score of each anchor at each place -----------> best boxes -> without duplicates -> proposals
                    `-> 1x1 -> where its box really is, from the anchor ----'

Source: section 3.1; on torchvision's network, whose parameters it has under their names. Its forward is written anew, since a
loss never sees a network here: what is sampled to learn from is returned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from intarsia.models.parts.objects import Objects, ignore_crowds
from intarsia.ops.limited_gradient import limited_gradient

__all__ = ["RPN"]

RATIOS = (0.5, 1.0, 2.0)
"""Height over width of the anchors."""


class RPN(RegionProposalNetwork):
    """Region proposal network, maps [(N, C, h_i, w_i)] -> boxes [(R_n, 4)] of each image.

    An anchor is positive from an IoU of 0.7 with an object, or where no anchor has more with that object; negative below 0.3. For
    an object that no anchor touches none is positive; torchvision takes all, since all have the greatest IoU with it, zero. 256
    are sampled per image, at most half of them positive.

    Args:
        in_channels: C.
        anchor_sizes: side lengths in pixels of the image, for each map.
        depth: number of 3x3 convolutions.
        candidates: boxes per map that are compared with each other, in training and in evaluation.
        proposals: boxes per image that are left, likewise.
        min_size: least side of a proposal in pixels.
        box_gradient: boxes are differentiable, with at most this gradient of each delta; 0: they are taken as they are.
    """

    def __init__(
        self,
        in_channels: int,
        anchor_sizes: Sequence[Sequence[int]],
        *,
        depth: int = 1,
        candidates: tuple[int, int] = (2000, 1000),
        proposals: tuple[int, int] = (2000, 1000),
        min_size: float = 1e-3,
        box_gradient: float = 0.0,
    ) -> None:
        anchors = AnchorGenerator(tuple(tuple(sizes) for sizes in anchor_sizes), (RATIOS,) * len(anchor_sizes))
        super().__init__(
            anchors,
            RPNHead(in_channels, anchors.num_anchors_per_location()[0], depth),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=dict(zip(("training", "testing"), candidates, strict=True)),
            post_nms_top_n=dict(zip(("training", "testing"), proposals, strict=True)),
            nms_thresh=0.7,
        )
        self.min_size = min_size
        self.box_gradient = box_gradient
        self.proposal_matcher = _Matcher(0.7, 0.3, allow_low_quality_matches=True)

    def forward(
        self, grown: Tensor, size_hw: tuple[int, int], maps: Sequence[Tensor], objects: Sequence[Objects] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Propose.

        Args:
            grown: images as the maps were computed from them.
            size_hw: of the images before they grew, to which boxes are clipped.
            maps: fine to coarse.
            objects: of each image, to learn from.

        Returns:
            Boxes of each image, the best first; and with `objects` what to learn from: "rpn_objectness" (A,) logits of the
            sampled anchors with "rpn_label" (A,) 0 or 1, "rpn_deltas" (P, 4) of the positive ones with "rpn_delta_targets".
        """
        scores, deltas = self.head(maps)
        images = ImageList(grown, [size_hw] * len(grown))
        shapes = [torch.zeros((), device=x.device).expand(x.shape) for x in maps]  # anchors of half precision are off by pixels
        anchors = self.anchor_generator(images, shapes)
        counts = [score[0].numel() for score in scores]
        objectness, deltas = (x.float() for x in concat_box_prediction_layers(scores, deltas))
        boxes = self.box_coder.decode(limited_gradient(deltas, self.box_gradient), anchors).view(len(grown), -1, 4)
        proposals, _ = self.filter_proposals(boxes, objectness, images.image_sizes, counts)
        if objects is None:
            return proposals, {}
        labels, matched = self.assign_targets_to_anchors(anchors, [{"boxes": image.boxes_xyxy} for image in objects])
        crowds = [image.crowds_xyxy for image in objects]
        labels = [ignore_crowds(*given) for given in zip(labels, anchors, crowds, strict=True)]
        positive, negative = (torch.where(torch.cat(chosen))[0] for chosen in self.fg_bg_sampler(labels))
        sampled = torch.cat([positive, negative])
        return proposals, {
            "rpn_objectness": objectness.flatten()[sampled],
            "rpn_label": torch.cat(labels)[sampled],
            "rpn_deltas": deltas[positive],
            "rpn_delta_targets": self.box_coder.encode_single(torch.cat(matched)[positive], torch.cat(anchors)[positive]),
        }


class _Matcher(Matcher):
    def set_low_quality_matches_(self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor) -> None:
        touched = match_quality_matrix.amax(1) > 0
        super().set_low_quality_matches_(matches, all_matches, match_quality_matrix[touched])
