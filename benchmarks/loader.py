"""Images per second of the training loader beside the same pipeline in Albumentations, in one run, on CamVid's train.

    pip install albumentations==2.0.8
    python benchmarks/loader.py [--data FOLDER] [--out benchmarks/results/loader.json]

Both decode JPEG and palette PNG, zoom by 0.5 to 2 (drawn evenly on a logarithmic axis), crop 360 x 360 with padding, mirror half
of the images, change brightness, contrast and saturation, normalise, and put batches of eight float32 images and int64 labels
into memory that is shared by two worker processes and this one. Albumentations 2.0.8 (MIT) runs as it is documented: images by
OpenCV, masks by Pillow (OpenCV would give the colours of the palette), RandomScale, RandomCrop with padding, HorizontalFlip,
ColorJitter without hue, Normalize, ToTensorV2, in PyTorch's DataLoader with OpenCV's own threads off. Ours is `SegmentationData`
as `intarsia train` makes it; it also draws a gain for each channel.

* `decoded each time`: nothing is kept, on either side. `decoded once`: all decoded images are in memory before the clock starts,
  on either side, and the forked workers share them.
* `workers` is the loader; `one process` the same work without workers, where the processor's time can be seen.

The sides take turns at whole epochs, and the shortest one of either counts; the first is left out. The run ends with exit code 1
where the ratio of images per second is below 1.5. On a machine that is busy with other work read the ratio of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from intarsia.core import Array
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.transforms import Augmentation
from intarsia.training.loaders import FittedSamples, SegmentationData

SHARED_DATA = Path(os.environ.get("INTARSIA_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP, BATCH, WORKERS, LEAST = 360, 8, 2, 1.5


class LogarithmicScale(A.RandomScale):
    """Halving is as likely as doubling."""

    def get_params(self) -> dict[str, float]:
        return {"scale": float(np.exp(self.py_random.uniform(np.log(0.5), np.log(2))))}


class AlbumentationsSamples(Dataset[tuple[Tensor, Tensor]]):
    """CamVid as a user of Albumentations reads it."""

    def __init__(self, root: Path, keys: Iterable[str], keep: bool) -> None:
        self.paths = [(root / "images" / f"{key}.jpg", root / "masks" / f"{key}.png") for key in keys]
        self.kept = [self.read(index) for index in range(len(self.paths))] if keep else None
        self.change = A.Compose(
            [
                LogarithmicScale((-0.5, 1.0), area_for_downscale="image", p=1),
                A.RandomCrop(CROP, CROP, pad_if_needed=True, fill=0, fill_mask=255),
                A.HorizontalFlip(),
                A.ColorJitter((0.74, 1.35), (0.74, 1.35), (0.74, 1.35), (0, 0), p=1),
                A.Normalize(MEAN, STD),
                ToTensorV2(),
            ]
        )

    def read(self, index: int) -> tuple[Array, Array]:
        image, mask = self.paths[index]
        ids = np.array(Image.open(mask))
        ids[ids == 11] = 255
        return cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB), ids

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.kept[index] if self.kept else self.read(index)
        made = self.change(image=image, mask=mask)
        return made["image"], made["mask"].long()


def ours(root: Path, keep: bool, workers: int) -> DataLoader[Any]:
    dataset, preprocessing = CamVid(root), Preprocessing(MEAN, STD)
    samples = FittedSamples(dataset, dataset.splits["train"], preprocessing, cache_bytes=4 << 30 if keep else 0)
    if keep:
        samples.groups()
    return SegmentationData(samples, samples, Augmentation((CROP, CROP)), seed=0, batch=BATCH, workers=workers).train_dataloader()


def theirs(root: Path, keep: bool, workers: int) -> DataLoader[Any]:
    samples = AlbumentationsSamples(root, CamVid(root).splits["train"], keep)
    how: dict[str, Any] = {"multiprocessing_context": "fork", "persistent_workers": True} if workers else {}
    return DataLoader(
        samples, BATCH, shuffle=True, drop_last=True, num_workers=workers, worker_init_fn=lambda _: cv2.setNumThreads(0), **how
    )


def epoch(loader: DataLoader[Any]) -> tuple[float, float]:
    """Seconds for an image, on the clock and of this process."""
    start, cpu_start, images = time.perf_counter(), time.process_time(), 0
    for image, label, *_ in loader:
        images += len(image)
        if image.shape[1:] != (3, CROP, CROP) or image.dtype != torch.float32 or label.dtype != torch.int64:
            raise SystemExit(f"A batch is {tuple(image.shape)} of {image.dtype}, its label of {label.dtype}.")
    return (time.perf_counter() - start) / images, (time.process_time() - cpu_start) / images


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "camvid")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--turns", type=int, default=4, help="epochs of either side")
    asked = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    rows = []
    for keep, workers in ((False, WORKERS), (True, WORKERS), (False, 0), (True, 0)):
        loaders = [make(asked.data, keep, workers) for make in (theirs, ours)]
        times = np.array([[epoch(loader) for loader in loaders] for _ in range(asked.turns)])[1 if asked.turns > 1 else 0 :].min(
            0
        )
        (their_s, their_cpu_s), (our_s, our_cpu_s) = times.tolist()
        name = f"decoded {'once' if keep else 'each time'}, {f'{workers} workers' if workers else 'one process'}"
        row = {"row": name, "albumentations_images_per_s": 1 / their_s, "ours_images_per_s": 1 / our_s, "ratio": their_s / our_s}
        row |= {} if workers else {"processor_ratio": their_cpu_s / our_cpu_s}
        rows.append({**row, "load": round(os.getloadavg()[0], 1)})
        told = f"{name:34} Albumentations {1 / their_s:6.0f} images/s   ours {1 / our_s:6.0f}   {row['ratio']:4.2f} x"
        told += f" ({row['processor_ratio']:.2f} x of processor time)" if not workers else ""
        print(f"{told}, load {rows[-1]['load']}" + " !" * (row["ratio"] < LEAST), flush=True)
        del loaders
    if asked.out:
        facts = {
            "command": f"python benchmarks/loader.py --turns {asked.turns} --out {asked.out.as_posix()}",
            "python": platform.python_version(),
        }
        facts |= {name: version(name) for name in ("torch", "albumentations", "opencv-python-headless", "pillow")}
        facts |= {"cores": os.cpu_count(), "least": LEAST, "rows": rows}
        asked.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return int(any(row["ratio"] < LEAST for row in rows))


if __name__ == "__main__":
    sys.exit(main())
