"""Every architecture learns four images by heart: the first thing that a network that is wired wrongly does not do.

    python benchmarks/overfit.py [NAME ...] [--data shared/data/camvid]

Without names it trains those whose row in results/overfit.json is missing or was made with other settings, one after the
other, so that it may be stopped at any time. At most 300 steps of AdamW on one batch, with the loss and the auxiliary heads
of a training, then the mIoU on the same four images in evaluation mode. Each network is `TINY`, or as `SETTINGS` says.

The images are windows of CamVid's, at their own resolution, in which every class that is seen has a twentieth of the area,
and that hold all eleven classes together. Whole images will not do: scores fitted freely at stride 8 and enlarged reach an
mIoU of 0.83 on four of them at 96 x 128, and 0.92 at full size, since poles are thinner than that; of these windows they
reach 0.98.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.core import Batch, ClassSpace, LabelMap, SettingsError
from intarsia.core.whole_file import written_whole
from intarsia.data.collate import PreparedSample, collate
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.targets import make_targets
from intarsia.losses import create_loss
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion
from intarsia.models import SEMANTIC, create_model
from intarsia.recipes import Stage
from intarsia.training.schedule import learning_rate_factor, make_optimizer
from intarsia.training.semantic import needed_targets, total_loss

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "overfit.json"
STEPS = 300
SIZE_HW = (96, 128)
WINDOWS = {  # key: row and column of the upper left corner
    "train/0006R0_f01500": (204, 36),
    "train/0001TP_006930": (60, 216),
    "train/0016E5_08460": (84, 48),
    "train/0016E5_07290": (264, 48),
}
LR = 5e-3
SETTINGS: dict[str, dict[str, Any]] = {
    "bayesian_segnet": {"width": 16, "dropout": 0.1, "lr": 1e-2},
    "deconvnet": {"width": 16, "lr": 3e-2},
    "deeplab_v3": {"output_stride": 8, "lr": 1e-2},
    "deeplab_v3plus": {"output_stride": 8, "channels": 64, "low_level_channels": 16},
    "dilation": {"dropout": 0.0, "lr": 3e-3},
    "fc_densenet": {"growth": 8, "dropout": 0.0, "lr": 1e-2, "steps": 150},
    "fcn": {"dropout": 0.0},
    "hypercolumns": {"dropout": 0.0},
    "icnet": {"lr": 1e-2},
    "patch_classifier": {"stride": 1, "lr": 1e-2, "steps": 150},
    "recurrent_cnn": {"maps": (8, 16), "losses": "all", "lr": 1e-2},
    "segnet": {"width": 16, "lr": 1e-2},
    "unet": {"width": 16, "lr": 1e-2},
    "unet_128": {"form": "notebook", "width": 16, "lr": 1e-2},
}
"""What differs from TINY, `LR` and `STEPS`: options of the architecture, `lr` and `steps`."""


def settings(name: str) -> dict[str, Any]:
    """How an architecture is made and trained, as JSON reads it back."""
    own = dict(SETTINGS.get(name, {}))
    training = {"lr": own.pop("lr", LR), "steps": own.pop("steps", STEPS)}
    plain: dict[str, Any] = json.loads(json.dumps({"options": {**SEMANTIC.load(name).TINY, **own}, **training}))
    return plain


def four_images(root: Path, targets: tuple[str, ...]) -> tuple[ClassSpace, Batch]:
    data = CamVid(root)
    samples = [data.read(key) for key in WINDOWS]
    places = [(slice(y, y + SIZE_HW[0]), slice(x, x + SIZE_HW[1])) for y, x in WINDOWS.values()]
    pixels = np.concatenate([sample.image[place].reshape(-1, 3) for sample, place in zip(samples, places, strict=True)]) / 255
    preprocessing = Preprocessing(tuple(pixels.mean(0)), tuple(pixels.std(0)))
    prepared = []
    for sample, place in zip(samples, places, strict=True):
        truth = sample.truth
        if not isinstance(truth, LabelMap):
            raise SettingsError(f"{sample.key} has {type(truth).__name__} as truth, not a label map.")
        label = truth.ids[place]
        made = make_targets(targets, LabelMap(label, data.classes))
        prepared.append(PreparedSample(preprocessing.normalize(sample.image[place]), label, sample.key, SIZE_HW, made))
    return data.classes, collate(prepared)


def learn(name: str, root: Path, options: dict[str, Any], lr: float, steps: int) -> dict[str, Any]:
    """Train one network; what it was and how it did."""
    torch.manual_seed(0)
    classes = CamVid(root).classes
    network = create_model(name, num_classes=len(classes), **options)
    loss = create_loss("cross_entropy_dice", ignore_id=classes.ignore_id)
    classes, batch = four_images(root, needed_targets(network, loss, 3))
    stage = Stage(model=name, lr=lr)
    optimizer = make_optimizer(network.train().named_parameters(), stage)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor(stage, steps))
    started = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad()
        total_loss(network(batch.image), batch, loss).backward()
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - started
    with torch.inference_mode():
        predicted = network.eval()(batch.image).logits.argmax(1).numpy()
    truths = batch.label.numpy() if batch.label is not None else predicted
    evidence = [
        observe_confusion(LabelMap(ids, classes), LabelMap(truth, classes), key)
        for ids, truth, key in zip(predicted, truths, batch.keys, strict=True)
    ]
    scores = score_confusion(ConfusionEvidence.concatenate(evidence))
    return {
        "options": options,
        "lr": lr,
        "steps": steps,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "miou": round(scores.miou, 4),
        "iou": {kind: round(float(iou), 4) for kind, iou in zip(classes.names, scores.iou, strict=True)},
        "cpu_seconds": round(seconds, 1),
        "torch": torch.__version__,
    }


def main() -> None:
    shared = Path(os.environ.get("INTARSIA_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="architectures; without any, those whose row is not up to date")
    parser.add_argument("--data", type=Path, default=shared / "camvid", help="folder of CamVid")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in arguments.names or SEMANTIC.names:
        asked = settings(name)
        if not arguments.names and {key: rows.get(name, {}).get(key) for key in asked} == asked:
            continue
        rows[name] = learn(name, arguments.data, **asked)
        print(
            f"{name:24} {rows[name]['miou']:.3f}  {rows[name]['parameters']:>9,} parameters  {rows[name]['cpu_seconds']:5.1f} s"
        )
        RESULTS.parent.mkdir(exist_ok=True)
        ordered = {known: rows[known] for known in SEMANTIC.names if known in rows}
        with written_whole(RESULTS) as partial:
            partial.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
