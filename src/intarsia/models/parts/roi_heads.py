"""What Mask R-CNN asks of each region: its class, where its box really is, and the mask inside it.

He, Gkioxari, Dollar, Girshick: Mask R-CNN. ICCV 2017.

    maps, boxes -> pool -> shared -> box head -> class scores, box deltas
                                  `-> mask head -> a map for each class           (or a pooling of its own: pyramid)

Source: sections 3 and 3.1; on torchvision's heads, whose parameters it has under their names. Its forward is written anew, since
a loss never sees a network here: what is sampled to learn from is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads

from intarsia.models.parts.objects import Objects, ignore_crowds

__all__ = ["MaskRoIHeads"]


class MaskRoIHeads(RoIHeads):
    """Heads for regions.

    A region is positive from an IoU of 0.5 with an object, else background; the objects' own boxes join the proposals.

    Args:
        box_roi_pool: maps and boxes -> (R, C, s, s).
        shared: what follows for boxes and masks alike.
        box_head, box_predictor: -> features -> (R, T + 1) and (R, 4 (T + 1)); class 0 is the background.
        mask_roi_pool: another pooling for masks; None: they are made from what `shared` gives.
        mask_head, mask_predictor: -> features -> (R, T + 1, m, m), or (R, 1, m, m) for masks of any class.
        masks: how the maps are read: "sigmoid" each by itself, "softmax" against each other, map 0 being the background.
        regions: sampled per image in training, at most a quarter of them positive.
        score_threshold, nms_threshold, detections: of the detections: least score, greatest IoU of two of a class, and how many.
    """

    def __init__(
        self,
        *,
        box_roi_pool: nn.Module,
        shared: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        mask_roi_pool: nn.Module | None,
        mask_head: nn.Module,
        mask_predictor: nn.Module,
        masks: Literal["sigmoid", "softmax"],
        regions: int,
        score_threshold: float,
        nms_threshold: float,
        detections: int,
    ) -> None:
        super().__init__(
            box_roi_pool,
            box_head,
            box_predictor,
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=regions,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=score_threshold,
            nms_thresh=nms_threshold,
            detections_per_img=detections,
            mask_roi_pool=mask_roi_pool,
            mask_head=mask_head,
            mask_predictor=mask_predictor,
        )
        self.shared = shared
        self.masks = masks

    def forward(
        self, maps: Sequence[Tensor], proposals: list[Tensor], size_hw: tuple[int, int], objects: Sequence[Objects] | None = None
    ) -> dict[str, Tensor]:
        """Class, box and mask of regions; see `learn` and `detect`."""
        return self.detect(maps, proposals, size_hw) if objects is None else self.learn(maps, proposals, objects)

    def learn(self, maps: Sequence[Tensor], proposals: list[Tensor], objects: Sequence[Objects]) -> dict[str, Tensor]:
        """Sample regions and say what there is to learn from them.

        Returns:
            "class_logits" (R, T + 1) with "label" (R,); of the positive ones, and for their true class only: "box_deltas" (P, 4)
            with "box_delta_targets", "mask_logits" (P, m, m) with "mask_boxes_xyxy" (P, 4) and "mask_object" (P,), the place of
            their object in the batch. With softmax masks "mask_class_logits" (P, T + 1, m, m) in place of "mask_logits".
        """
        with torch.no_grad():
            boxes, label, matched, place = self._sample(proposals, objects)
        pooled = self.shared(self.box_roi_pool(maps, boxes))
        scores, deltas = (x.float() for x in self.box_predictor(self.box_head(pooled)))
        positive = torch.where(label > 0)[0]
        true_class = label[positive]
        positive_boxes = torch.cat(boxes)[positive]
        if self.mask_roi_pool is not None:
            own = torch.split(label, [len(of_image) for of_image in boxes])
            boxes = [of_image[labels > 0] for of_image, labels in zip(boxes, own, strict=True)]
            pooled = self.mask_roi_pool(maps, boxes)
        else:
            pooled = pooled[positive]
        logits = self.mask_predictor(self.mask_head(pooled)).float()
        by_softmax = {"mask_class_logits": logits}
        return {
            "class_logits": scores,
            "label": label,
            "box_deltas": deltas.view(len(deltas), -1, 4)[positive, true_class],
            "box_delta_targets": self.box_coder.encode_single(matched[positive], positive_boxes),
            **(by_softmax if self.masks == "softmax" else {"mask_logits": _map_of(logits, true_class)}),
            "mask_boxes_xyxy": positive_boxes,
            "mask_object": place[positive],
        }

    def detect(self, maps: Sequence[Tensor], proposals: list[Tensor], size_hw: tuple[int, int]) -> dict[str, Tensor]:
        """Detections, those of one image after those of another, the best first.

        Returns:
            "boxes_xyxy" (D, 4), "class_index" (D,) thing index, "score" (D,), "image_index" (D,), "mask_logits" (D, m, m) of that
            class; and "class_logits" (R, T + 1) of the proposals.
        """
        pooled = self.shared(self.box_roi_pool(maps, proposals))
        class_logits, deltas = (x.float() for x in self.box_predictor(self.box_head(pooled)))
        boxes, scores, labels = self.postprocess_detections(class_logits, deltas, proposals, [size_hw] * len(proposals))
        if self.mask_roi_pool is not None:
            pooled = self.mask_roi_pool(maps, boxes)
        else:
            pooled = self.shared(self.box_roi_pool(maps, boxes))
        label = torch.cat(labels)
        logits = self.mask_predictor(self.mask_head(pooled)).float()
        return {
            "boxes_xyxy": torch.cat(boxes),
            "class_index": label - 1,
            "score": torch.cat(scores),
            "image_index": torch.cat([torch.full_like(of_image, number) for number, of_image in enumerate(labels)]),
            "mask_logits": _odds_of(logits, label) if self.masks == "softmax" else _map_of(logits, label),
            "class_logits": class_logits,
        }

    def _sample(self, proposals: list[Tensor], objects: Sequence[Objects]) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Boxes of each image, and of all: label, matched box and place of the matched object."""
        truth = [image.boxes_xyxy for image in objects]
        proposals = self.add_gt_proposals(proposals, truth)
        matches, labels = self.assign_targets_to_proposals(proposals, truth, [image.label for image in objects])
        crowds = [image.crowds_xyxy for image in objects]
        labels = [ignore_crowds(*given) for given in zip(labels, proposals, crowds, strict=True)]
        boxes, label, matched, place = [], [], [], []
        for number, chosen in enumerate(self.subsample(labels)):
            boxes.append(proposals[number][chosen])
            label.append(labels[number][chosen])
            match, image = matches[number][chosen], objects[number]
            nothing = len(image.place) == 0  # then all are background, and what they match is not looked at
            matched.append(boxes[-1] if nothing else image.boxes_xyxy[match])
            place.append(match if nothing else image.place[match])
        return boxes, torch.cat(label), torch.cat(matched), torch.cat(place)


def _map_of(logits: Tensor, label: Tensor) -> Tensor:
    """(R, m, m), the map of each region's class, or the only one."""
    return logits[:, 0] if logits.shape[1] == 1 else logits[torch.arange(len(label), device=label.device), label]


def _odds_of(logits: Tensor, label: Tensor) -> Tensor:
    """(R, m, m) logits whose sigmoid is the softmax's probability of each region's class."""
    own = torch.arange(logits.shape[1], device=label.device) == label[:, None]  # (R, T + 1)
    others = logits.masked_fill(own[:, :, None, None], -torch.inf)
    return _map_of(logits, label) - others.logsumexp(1)
