"""SDS: regions are proposed by merging segments, and a network says of each which class it is; no pixel is predicted.

Hariharan, Arbelaez, Girshick, Malik: Simultaneous Detection and Segmentation. ECCV 2014.

Idea: R-CNN for masks. What may be an object is found without learning, as regions of all sizes. Each is cut out and warped to one
size twice, with all that is in its box and with nothing but itself, and a network of its own looks at each. What both have seen
together decides on the class; of regions that overlap the better stays.

    image -> small regions -> two trees of merged regions -> R regions, with box and mask
    box, warped                  -> AlexNet -> 4096 -> 4096 -.
    box, warped, region alone    -> AlexNet -> 4096 -> 4096 -+-> concat, 8192 -> T + 1        (R, 3, 227, 227) each

Source: sections 3 and 4, the network trained on both at once ("C"); warping with 16 of 227 pixels around the box, and a quarter
of the sampled regions positive, as in R-CNN (Girshick et al., CVPR 2014).
Deviations:
    * Regions come from selective search's merging (`classical/_region_tree.py`) in place of MCG, whose contours are learnt.
    * The softmax that the network is trained with decides, in place of support vector machines trained on its features.
    * Masks are not refined afterwards. They are given as grids in their boxes, as other detectors give them.
    * True regions are not added to the proposals in training: a mask is a union of small regions throughout.
    * ImageNet's weights are had for the convolutions of torchvision's form, for both copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from intarsia.classical._region_tree import propose_regions
from intarsia.core import Output
from intarsia.encoders.alexnet import AlexNet
from intarsia.models.parts.objects import Objects, ignore_crowds, objects_by_image
from intarsia.ops.roi_align import roi_align

__all__ = ["SDS"]

CONTEXT = 16 / 227
"""Share of a crop that lies around the box, on each side."""
POSITIVE = 0.25
"""Share of the sampled regions that are positive, at most."""
AT_ONCE = 128
"""Regions whose crops exist at a time in evaluation."""
FINE = 4
"""Samples for a cell of a mask's grid, on each side."""
SURE = 8.0
"""Logit of a cell all of whose samples are inside."""


class SDS(nn.Module):
    """Simultaneous detection and segmentation.

    In training and with targets its logits are the classes of sampled regions, with their "label" (R,) in the parts; else the
    parts are detections, as `postprocess.paste_masks` takes them.

    Args:
        num_classes: T, of things.
        in_channels: of the image.
        form: of AlexNet: "caffenet", as in the paper, or "torchvision".
        width: of its first convolution, on which the others depend: 96 of caffenet, 64 of torchvision.
        hidden: channels of the two hidden layers of each network.
        crop: side of what a region is warped to.
        mask_side: of the grids in which masks are given.
        scale, sigma, min_size: of the small regions, see `classical.felzenszwalb`; small objects want smaller ones.
        proposals: at most so many per image; the smallest are left out.
        regions: sampled per image in training, at most a quarter of them positive.
        positive_iou: least IoU of a positive region with an object.
        score_threshold: least score of a detection.
        nms_threshold: greatest IoU of the regions of two detections of a class.
        detections: at most so many per image.
        dropout: probability, after each hidden layer.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 24, "hidden": 32, "crop": 67, "min_size": 30, "regions": 16, "mask_side": 28}
    TARGETS: ClassVar[tuple[str, ...]] = ("objects",)
    LOSS: ClassVar[str] = "region_classes"
    DECODER: ClassVar[str] = "paste_masks"

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        form: Literal["caffenet", "torchvision"] = "caffenet",
        width: int = 96,
        hidden: int = 4096,
        crop: int = 227,
        mask_side: int = 56,
        scale: float = 100.0,
        sigma: float = 0.8,
        min_size: int = 50,
        proposals: int = 2000,
        regions: int = 64,
        positive_iou: float = 0.5,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.3,
        detections: int = 100,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.crop, self.mask_side = crop, mask_side
        self.small_regions = {"scale": scale, "sigma": sigma, "min_size": min_size, "limit": proposals}
        self.regions, self.positive_iou = regions, positive_iou
        self.score_threshold, self.nms_threshold, self.detections = score_threshold, nms_threshold, detections
        self.box_net, self.region_net = (_pathway(in_channels, form, width, hidden, crop, dropout) for _ in range(2))
        self.imagenet = "alexnet" if form == "torchvision" and width == 64 else None
        self.score = nn.Linear(2 * hidden, num_classes + 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.zeros_(self.score.bias)

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        proposed = [_propose(one, self.small_regions) for one in image]
        if self.training and targets is not None:
            objects = objects_by_image(targets, len(image))
            label = [self._labels(regions, own, targets["objects.masks"]) for regions, own in zip(proposed, objects, strict=True)]
            chosen = [_sample(own, self.regions) for own in label]
            logits = [self.classify(one, regions, index) for one, regions, index in zip(image, proposed, chosen, strict=True)]
            known = [own[index] for own, index in zip(label, chosen, strict=True)]
            return Output(torch.cat(logits), parts={"label": torch.cat(known)})  # (R, T + 1)
        found = [self._detect(one, regions) for one, regions in zip(image, proposed, strict=True)]
        parts = {name: torch.cat([parts[name] for _, parts in found]) for name in found[0][1]}
        counts = torch.tensor([len(own["score"]) for _, own in found], device=image.device)
        parts["image_index"] = torch.arange(len(image), device=image.device).repeat_interleave(counts)
        return Output(torch.cat([logits for logits, _ in found]), parts=parts)

    def classify(self, image: Tensor, regions: Regions, chosen: Tensor) -> Tensor:
        """(R, T + 1) scores of the regions at `chosen` (R,) of an image (C, H, W)."""
        boxes = _with_context(regions.boxes_xyxy[chosen])
        crops = roi_align(image[None], torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1), (self.crop, self.crop))
        inside = regions.inside(chosen, boxes, self.crop)[:, None]
        seen = torch.cat([self.box_net(crops), self.region_net(crops * inside)], 1)
        scores: Tensor = self.score(seen)
        return scores

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions of torchvision's AlexNet, for both networks."""
        for net in (self.box_net, self.region_net):
            net.trunk.load_imagenet(state)

    def _labels(self, regions: Regions, objects: Objects, masks: Tensor) -> Tensor:
        """(R,) class of each region: 0 is the background, -1 what lies in a crowd."""
        label = torch.zeros(len(regions.members), dtype=torch.int64, device=masks.device)
        if len(objects.place):
            best, which = regions.overlaps(masks[objects.place]).max(1)
            label = objects.label[which].where(best >= self.positive_iou, 0)
        return ignore_crowds(label, regions.boxes_xyxy.float(), objects.crowds_xyxy)

    def _detect(self, image: Tensor, regions: Regions) -> tuple[Tensor, dict[str, Tensor]]:
        everything = torch.arange(len(regions.members), device=image.device)
        logits = torch.cat([self.classify(image, regions, some) for some in torch.split(everything, AT_ONCE)])
        prob = logits.float().softmax(1) if logits.dtype.itemsize < 4 else logits.softmax(1)
        kept, labels = [everything[:0]], [everything[:0]]
        for own in range(1, prob.shape[1]):
            able = everything[prob[:, own] >= self.score_threshold]
            able = able[prob[able, own].argsort(descending=True, stable=True)]
            kept.append(able[_unsuppressed(regions.overlaps_within(able), self.nms_threshold)])
            labels.append(torch.full_like(kept[-1], own))
        region, label = torch.cat(kept), torch.cat(labels)
        score = prob[region, label]
        best = score.argsort(descending=True, stable=True)[: self.detections]
        region, label = region[best], label[best]
        boxes, side = regions.boxes_xyxy[region], FINE * self.mask_side
        share = nn.functional.avg_pool2d(regions.inside(region, boxes, side).to(prob.dtype)[:, None], FINE)[:, 0]
        masks = SURE * (2 * share - 1)
        return logits, {"boxes_xyxy": boxes, "class_index": label - 1, "score": score[best], "mask_logits": masks}


class Regions(NamedTuple):
    """Proposals of an image.

    ids: (H, W) int64 numbers 0..L - 1 of small regions.
    members: (R, L) bool, the small regions of each proposal.
    boxes_xyxy: (R, 4) smallest boxes in pixels, half-open, of the dtype of the image.
    """

    ids: Tensor
    members: Tensor
    boxes_xyxy: Tensor

    def inside(self, chosen: Tensor, boxes_xyxy: Tensor, side: int) -> Tensor:
        """(R, side, side) bool: whether the region at `chosen` has the pixel under each of side x side points in a box (R, 4)."""
        place = (torch.arange(side, device=self.ids.device) + 0.5) / side
        x0, y0, x1, y1 = boxes_xyxy[:, :, None].unbind(1)
        rows, columns = (y0 + place * (y1 - y0)).floor().long(), (x0 + place * (x1 - x0)).floor().long()  # (R, side)
        height, width = self.ids.shape
        small = self.ids[rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
        there = self.members[chosen].gather(1, small.flatten(1)).view(small.shape)
        seen_rows, seen_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
        return there & seen_rows[:, :, None] & seen_columns[:, None]

    def overlaps(self, masks: Tensor) -> Tensor:
        """(R, q) IoU of each proposal with masks (q, H, W) of 0 and 1."""
        flat = masks.flatten(1).float()
        shared = flat.new_zeros(len(flat), self.members.shape[1]).scatter_add_(1, self.ids.flatten().expand(len(flat), -1), flat)
        common = self.members.float() @ shared.T
        return common / (self._areas()[:, None] + flat.sum(1) - common)

    def overlaps_within(self, chosen: Tensor) -> Tensor:
        """(r, r) IoU of proposals with each other."""
        own, area = self.members[chosen].float(), self._areas()[chosen]
        common = own * self._small_areas() @ own.T
        return common / (area[:, None] + area - common)

    def _areas(self) -> Tensor:
        return self.members.float() @ self._small_areas()

    def _small_areas(self) -> Tensor:
        return torch.bincount(self.ids.flatten(), minlength=self.members.shape[1]).float()


def _propose(image: Tensor, settings: Mapping[str, Any]) -> Regions:
    """The proposals of an image (C, H, W), found by the processor."""
    pixels = image.detach().float().cpu().numpy().transpose(1, 2, 0)
    ids, members = (torch.from_numpy(array) for array in propose_regions(pixels, **settings))
    rows, columns = (torch.zeros(members.shape[1], side, dtype=torch.bool) for side in ids.shape)
    ids = ids.long()
    rows[ids, torch.arange(ids.shape[0])[:, None]] = True
    columns[ids, torch.arange(ids.shape[1])] = True
    boxes = [bound for axis in (columns, rows) for bound in _bounds(members.float() @ axis.float() > 0)]
    boxes_xyxy = torch.stack([boxes[0], boxes[2], boxes[1], boxes[3]], 1).to(image.dtype)
    return Regions(ids.to(image.device), members.to(image.device), boxes_xyxy.to(image.device))


def _bounds(used: Tensor) -> tuple[Tensor, Tensor]:
    """First used place and one behind the last, of rows (R, side)."""
    return used.long().argmax(1), used.shape[1] - used.flip(1).long().argmax(1)


def _sample(label: Tensor, count: int) -> Tensor:
    """Places of at most `count` regions drawn at random, of which at most a quarter are positive."""
    positive, background = (torch.where(which)[0] for which in (label > 0, label == 0))
    positive = positive[torch.randperm(len(positive), device=label.device)[: int(POSITIVE * count)]]
    background = background[torch.randperm(len(background), device=label.device)[: count - len(positive)]]
    return torch.cat([positive, background])


def _with_context(boxes_xyxy: Tensor) -> Tensor:
    """Boxes so much larger that the share `CONTEXT` on each side lies around them."""
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / (2 - 4 * CONTEXT)
    middle = (boxes_xyxy[:, 2:] + boxes_xyxy[:, :2]) / 2
    return torch.cat([middle - half, middle + half], 1)


def _unsuppressed(iou: Tensor, threshold: float) -> Tensor:
    """Places of what stays, of things in order of falling score: those that overlap no better one that stays by more."""
    over = (iou > threshold).cpu()
    alive = torch.ones(len(over), dtype=torch.bool)
    kept = []
    for index in range(len(over)):
        if alive[index]:
            kept.append(index)
            alive &= ~over[index]
    return torch.tensor(kept, dtype=torch.int64, device=iou.device)


class _Pathway(nn.Module):
    """Crops (R, C, side, side) to (R, hidden)."""

    def __init__(self, trunk: AlexNet, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )

    def forward(self, crops: Tensor) -> Tensor:
        hidden: Tensor = self.layers(self.trunk(crops)[-1])
        return hidden


def _pathway(
    in_channels: int, form: Literal["caffenet", "torchvision"], width: int, hidden: int, crop: int, dropout: float
) -> _Pathway:
    padding = 0 if form == "caffenet" else 2
    trunk = AlexNet(in_channels=in_channels, form=form, width=width, first_padding=padding, pool_padding=0)
    with torch.no_grad():
        inputs = trunk(torch.zeros(1, in_channels, crop, crop))[-1].numel()
    return _Pathway(trunk, inputs, hidden, dropout)
