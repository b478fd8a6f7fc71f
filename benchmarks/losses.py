"""Losses, forward and backward, beside segmentation_models_pytorch in the same run.

    python benchmarks/losses.py [--device cuda] [--out benchmarks/results/losses.json]

Both get the same logits and label, in turn and in either order, again and again; a row shows the median time of each and the
median of the ratios of neighbouring runs, which other work on the machine disturbs little. On the CPU it is processor time of one
thread, elsewhere time until the device is done. "value" compares the two losses where they are defined alike. The ratio must be
at least 1 in every row, and for Lovász-softmax with 19 classes present at least 1.5 on a CPU and 3 on a GPU.

Where the definitions differ: ours takes both classes of a single logit for Dice, Jaccard and Tversky, theirs the one; their focal
loss of several classes asks a sigmoid of each; their focal Tversky takes the power of the mean over classes; their Dice, Jaccard
and Tversky average over absent classes too, of which there are none here; their binary cross-entropies divide by all pixels,
ignored ones included; their hinge of overlapping classes sorts them together.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from intarsia.losses import create_loss

IGNORE = 255
CLASSES = 19
theirs = smp.losses


class Case(NamedTuple):
    """Two losses to compare; `same` says whether they are one definition."""

    name: str
    mode: str
    loss: str
    other: nn.Module
    same: bool
    options: Mapping[str, float] = MappingProxyType({})
    at_least: float = 1.0


def cases(device: torch.device) -> list[Case]:
    found = [
        Case(
            "cross_entropy",
            "multiclass",
            "cross_entropy",
            theirs.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORE),
            False,
        ),
        Case(
            "lovasz_softmax",
            "multiclass",
            "lovasz_softmax",
            theirs.LovaszLoss("multiclass", per_image=True, ignore_index=IGNORE),
            True,
            at_least=1.5 if device.type == "cpu" else 3.0,
        ),
        Case("lovasz_hinge", "binary", "lovasz_hinge", theirs.LovaszLoss("binary", per_image=True, ignore_index=IGNORE), True),
        Case("lovasz_hinge", "multilabel", "lovasz_hinge", theirs.LovaszLoss("multilabel", ignore_index=IGNORE), False),
    ]
    exact = theirs.SoftBCEWithLogitsLoss(ignore_index=IGNORE)
    found += [Case("cross_entropy", mode, "cross_entropy", exact, False) for mode in ("binary", "multilabel")]
    for mode in ("binary", "multiclass", "multilabel"):
        focal = theirs.FocalLoss(mode, gamma=2.0, ignore_index=None if mode == "multilabel" else IGNORE)
        tversky = theirs.TverskyLoss(mode, alpha=0.3, beta=0.7, ignore_index=IGNORE)
        powered = theirs.TverskyLoss(mode, alpha=0.3, beta=0.7, gamma=0.75, ignore_index=IGNORE)
        both = mode != "binary"
        found += [
            Case("dice", mode, "dice", theirs.DiceLoss(mode, ignore_index=IGNORE), both),
            Case("jaccard", mode, "jaccard", theirs.JaccardLoss(mode, ignore_index=IGNORE), both),
            Case("tversky", mode, "tversky", tversky, both, {"alpha": 0.3, "beta": 0.7}),
            Case("focal_tversky", mode, "focal_tversky", powered, False, {"gamma": 4 / 3}),
            Case("focal", mode, "focal", focal, mode != "multiclass"),
        ]
    return found


def data(mode: str, device: torch.device, size_hw: tuple[int, int], images: int, ignored: float) -> tuple[Tensor, Tensor]:
    """Logits as of a half-trained network, right in most places; every class is in every image, a share is ignored."""
    generator = torch.Generator().manual_seed(0)
    kinds = 1 if mode == "binary" else CLASSES
    shape = (images, kinds, *size_hw)
    if mode == "multiclass":
        label = torch.randint(kinds, (images, *size_hw), generator=generator)
        right = torch.nn.functional.one_hot(label, kinds).movedim(-1, 1).float()
    else:
        label = torch.randint(2, shape, generator=generator)
        right = 2.0 * label - 1
    logits = 2 * right + 1.5 * torch.randn(shape, generator=generator)
    label[torch.rand(label.shape, generator=generator) < ignored] = IGNORE
    if mode == "binary":
        label = label[:, 0]
    return logits.to(device).requires_grad_(), label.to(device)


def seconds(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, label: Tensor) -> tuple[float, float]:
    """Time of forward and backward, and the value."""
    cuda = logits.device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    logits.grad = None
    if cuda:
        torch.cuda.synchronize()
    start = clock()
    value = loss(logits, label)
    value.backward()
    if cuda:
        torch.cuda.synchronize()
    return clock() - start, value.item()


def compare(case: Case, device: torch.device, size_hw: tuple[int, int], images: int, budget_s: float) -> dict[str, object]:
    # Their focal loss of overlapping classes takes no ignored pixel.
    ignored = 0.0 if (case.name, case.mode) == ("focal", "multilabel") else 0.05
    logits, label = data(case.mode, device, size_hw, images, ignored)
    own = create_loss(case.loss, ignore_id=IGNORE, **case.options).to(device)
    flat = case.mode == "binary" and not isinstance(case.other, theirs.LovaszLoss)  # theirs wants the channel in the label
    shown = label.unsqueeze(1) if flat else label

    def other(logits: Tensor, label: Tensor) -> Tensor:
        exact = isinstance(case.other, theirs.SoftBCEWithLogitsLoss)  # it asks for a label of the dtype of the logits
        value: Tensor = case.other(logits, label.float() if exact else label)
        return value

    for _ in range(3):  # to warm up
        seconds(own, logits, label)
        seconds(other, logits, shown)
    ours_s, other_s = [], []
    while sum(ours_s) + sum(other_s) < budget_s or len(ours_s) < 9:
        if len(ours_s) % 2:  # the second of two finds the data in the caches
            yours, reference = seconds(other, logits, shown)
            mine, value = seconds(own, logits, label)
        else:
            mine, value = seconds(own, logits, label)
            yours, reference = seconds(other, logits, shown)
        ours_s.append(mine)
        other_s.append(yours)
    if case.same and abs(value - reference) > 2e-4 * abs(reference):
        raise SystemExit(f"{case.name}, {case.mode}: ours is {value}, theirs {reference}")
    ratio = statistics.median(b / a for a, b in zip(ours_s, other_s, strict=True))
    row = {
        "loss": case.name,
        "mode": case.mode,
        "ours_ms": round(1e3 * statistics.median(ours_s), 3),
        "theirs_ms": round(1e3 * statistics.median(other_s), 3),
        "ratio": round(ratio, 2),
        "runs": len(ours_s),
        "at_least": case.at_least,
        "same_definition": case.same,
    }
    short = "   TOO SLOW" if ratio < case.at_least else ""
    print(
        f"{case.name:16} {case.mode:11} {row['ours_ms']:9.2f} ms  theirs {row['theirs_ms']:9.2f} ms   {ratio:5.2f}x"
        f"   value {'equal' if case.same else 'differs'}{short}",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--budget", type=float, default=8.0, help="seconds for each row")
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args()
    device, size_hw = torch.device(settings.device), tuple(settings.size)
    torch.set_num_threads(1)
    print(
        f"{settings.images} images of {size_hw[0]} x {size_hw[1]}, {CLASSES} classes, {device}, in turn for {settings.budget:g} s"
    )
    rows = [
        compare(case, device, size_hw, settings.images, settings.budget)
        for case in cases(device)
        if settings.only in f"{case.name} {case.mode}"
    ]
    if settings.out:
        command = f"python benchmarks/losses.py --device {device} --size {size_hw[0]} {size_hw[1]} --images {settings.images}"
        facts = {
            "command": f"{command} --budget {settings.budget:g} --out {settings.out}",
            "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, 1 thread",
            "versions": {"torch": torch.__version__, "segmentation_models_pytorch": smp.__version__},
            "rows": rows,
        }
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        settings.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if any(float(str(row["ratio"])) < float(str(row["at_least"])) for row in rows):
        raise SystemExit("A loss is slower than it must be.")


if __name__ == "__main__":
    main()
