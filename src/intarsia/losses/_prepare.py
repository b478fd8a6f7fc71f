"""What every loss on a label does first: check, widen to float32, and find out whether classes exclude each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from intarsia.core import SegmentationError, SettingsError

__all__ = ["Prepared", "as_class_weight", "need_class_weights", "prepare"]


class Prepared(NamedTuple):
    """Logits and label of one of three kinds.

    One class of several: logits (N, K, H, W) for a softmax, label (N, H, W) int64 of 0..K-1.
    One class or not, from a single logit: logits (N, H, W) for a sigmoid, label (N, H, W) bool.
    Several classes at once: logits (N, K, H, W), each for a sigmoid, label (N, K, H, W) bool.

    logits: float32 or float64.
    label: where it is not valid, `ignore_id`, or False.
    valid: bool, of the shape of the label.
    ignore_id: as it was given.
    """

    logits: Tensor
    label: Tensor
    valid: Tensor
    ignore_id: int

    @property
    def by_sigmoid(self) -> bool:
        """Whether each logit is a decision of its own."""
        return self.logits.ndim == self.label.ndim

    @property
    def multi_label(self) -> bool:
        return self.label.ndim == 4

    def ids(self) -> Tensor:
        """The class of each pixel, int64, 0 where there is none."""
        return self.label.where(self.valid, 0).long()

    def one_hot(self) -> Tensor:
        """(N, K, H, W) bool, whether a pixel has the class; of a single logit both classes, of several at once each class."""
        if self.multi_label:
            return self.label
        if self.by_sigmoid:
            return torch.stack([self.valid & ~self.label, self.label], 1)
        kinds = torch.arange(self.logits.shape[1], device=self.label.device)
        return (self.label.unsqueeze(1) == kinds.view(-1, 1, 1)) & self.valid.unsqueeze(1)

    def prob(self) -> Tensor:
        """(N, K, H, W) probability of each class, likewise."""
        if not self.by_sigmoid:
            return self.logits.softmax(1)
        return (self.logits if self.multi_label else torch.stack([-self.logits, self.logits], 1)).sigmoid()


def prepare(logits: Tensor, label: Tensor, ignore_id: int) -> Prepared:
    """Check logits (N, K, H, W) and a label (N, H, W), or (N, K, H, W) where a pixel can have several classes.

    A label outside the classes is refused with its values where they can be read at once, on the CPU. Elsewhere reading them
    would make every step wait for the device, so there such a label makes the loss NaN: training skips the step, counts it, and
    stops after a row of them. The same label on the CPU says which values it has.

    Raises:
        SegmentationError: shapes that do not fit together; on the CPU, label values outside the classes.
    """
    multi_label = logits.ndim == 4 and label.shape == logits.shape
    if logits.ndim != 4 or not (multi_label or label.shape == (logits.shape[0], *logits.shape[2:])):
        raise SegmentationError(
            f"The logits have shape {tuple(logits.shape)} and the label {tuple(label.shape)}; (N, K, H, W) and (N, H, W) with "
            "the same N, H and W belong together, or twice (N, K, H, W) where classes may overlap. Resize the logits to the "
            "label first."
        )
    by_sigmoid = multi_label or logits.shape[1] == 1
    label = label.long()
    kinds = 2 if by_sigmoid else logits.shape[1]
    if by_sigmoid:  # (a ^ b).bool() is a != b, for bytes on a CPU in a tenth of its time
        small = _as_bytes(label, ignore_id)
        valid = (small ^ ignore_id).bool()
        truth = valid & ~(small ^ 1).bool()
        strange = (valid ^ truth) & small.bool()
    else:
        valid, truth = label != ignore_id, label
        strange = valid & ((label < 0) | (label >= kinds))
    if _can_be_read(strange):
        if strange.numel() and strange.view(torch.uint8).max():  # several times as fast as any()
            _refuse(label, strange, kinds, ignore_id)
    else:
        valid = valid & ~strange
        truth = truth if by_sigmoid else label.where(valid, ignore_id)
        # As a tensor of four dimensions it widens 16-bit logits on the way, which have to be widened anyhow.
        logits = logits + torch.where(strange.any(), math.nan, 0.0).view(1, 1, 1, 1)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return Prepared(logits if multi_label or not by_sigmoid else logits.squeeze(1), truth, valid, ignore_id)


def as_class_weight(class_weight: Sequence[float] | Tensor | None) -> Tensor | None:
    """Class weights as a (K,) float32 tensor.

    Raises:
        SettingsError: not a row of finite numbers >= 0.
    """
    if class_weight is None:
        return None
    weight = torch.as_tensor(class_weight, dtype=torch.float32).detach().clone()
    if weight.ndim != 1 or not all(math.isfinite(value) and value >= 0 for value in weight.tolist()):
        raise SettingsError(f"The class weights are {weight.tolist()}; one finite number >= 0 for each class is expected.")
    return weight


def need_class_weights(class_weight: Tensor, given: Prepared) -> Tensor:
    """The class weights, on the device and in the precision of the logits.

    Raises:
        SettingsError: another number of weights than of classes.
    """
    kinds = 2 if given.by_sigmoid and not given.multi_label else given.logits.shape[1]
    if class_weight.shape != (kinds,):
        raise SettingsError(f"There are {len(class_weight)} class weights for {kinds} classes; one for each is expected.")
    return class_weight.to(given.logits)


def _can_be_read(values: Tensor) -> bool:
    """Whether Python gets at the values without waiting for a device."""
    return values.device.type == "cpu"


def _as_bytes(label: Tensor, ignore_id: int) -> Tensor:
    """The label as uint8 if that holds its values, which are looked at where that costs no waiting, and the ignore id."""
    if not (_can_be_read(label) and label.numel()):
        return label
    low, high = label.aminmax()
    fits = min(int(low), ignore_id) >= 0 and max(int(high), ignore_id) <= 255
    return label.to(torch.uint8) if fits else label


def _refuse(label: Tensor, strange: Tensor, kinds: int, ignore_id: int) -> None:
    found = torch.unique(label[strange])[:6].tolist()
    raise SegmentationError(
        f"The label holds {found} in {strange.float().mean():.2%} of its values, outside the ids 0..{kinds - 1} and not the "
        f"ignore id {ignore_id}. The network was probably made for another number of classes, or the mask holds the values of a "
        "file instead of class ids."
    )
