"""check: what is wrong with a data set, before any time is spent on training. Never imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intarsia.core import Array, DataError, Dataset, IntarsiaError, LabelMap, Panoptic, Sample
from intarsia.data.check import Check, check_dataset

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["check", "contact_sheet", "show_samples"]

SAMPLES = 6
SECONDS_BETWEEN_LINES = 5.0
CAPTIONS = ("image", "with its truth", "changed at random, as in training", "with its truth")
LONGEST_SIDE = 512
"""Of the crop that is shown, as of the one that training chooses."""


def check(
    data: str | Path | Dataset, *, fix: bool = False, show: str | Path | None = None, console: Console | None = None
) -> Check:
    """Look at every image and mask of a data set once and say all that is wrong with it.

    Args:
        data: a folder, `data.yaml`, `NAME`, `NAME:PATH` or `NAME:option=value,...`, or a data set.
        fix: write the `intarsia.toml` that settles errors about the values of masks beside the data, and look again. The data
            stay as they are, and so does an `intarsia.toml` that is there, with the errors.
        show: where to write a PNG of some images and their truths, before and after the random changes of training.
        console: where to say how far a long look has come.

    Returns:
        All findings, after the fix if there was one.

    Raises:
        DataError: there is no such data set, or nothing of it can be shown.
    """
    found = check_dataset(data, progress=_teller(console))
    if fix and found.errors:
        file = found.write_fix()
        if file is not None:
            said = f"wrote {file}"
            found = check_dataset(data, progress=_teller(console))
        elif found.suggested is not None:
            said = f"{found.toml} is there and stays as it is: put the block into it yourself."
        else:
            said = "No declaration of classes settles these errors; nothing is written."
        if console is not None:
            console.print(said, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if show is not None:
        show_samples(data, show)
    return found


def show_samples(data: str | Path | Dataset, path: str | Path) -> Path:
    """Write `contact_sheet` of a data set as a PNG, and say where.

    Raises:
        DataError: a data set that cannot be opened, or a place that cannot be written.
    """
    from intarsia.data.formats import write_image

    return write_image(path, contact_sheet(_opened(data)))


def contact_sheet(dataset: Dataset, *, seed: int = 0) -> Array:
    """Some images of a data set with their truths, before and after the random changes of training, as (h, w, 3) uint8.

    Raises:
        DataError: no sample can be read.
    """
    from intarsia.viz.panel import tile
    from intarsia.viz.sheet import sheet

    keys = dataset.splits.get("train") or next(iter(dataset.splits.values()), ())
    rows, seen = [], set[int]()
    for index in np.linspace(0, len(keys) - 1, min(len(keys), 4 * SAMPLES)).astype(int).tolist():
        try:
            sample = dataset.read(keys[index])
            pictures = _before_and_after(sample, np.random.default_rng([seed, index]))
        except IntarsiaError:
            continue  # told by check
        seen.update(np.unique(_labels(sample).ids).tolist())
        rows.append((sample.key, [tile(picture, 320) for picture in pictures]))
    if not rows:
        raise DataError(f"No sample of {dataset.name} can be shown; `check` says why.")
    rows = [rows[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), SAMPLES)).astype(int)]
    shown = sorted(i for i in seen if i < len(dataset.classes))
    return sheet(CAPTIONS, rows, dataset.classes, shown)


def _before_and_after(sample: Sample, rng: np.random.Generator) -> list[Array]:
    from intarsia.data.transforms import Augmentation
    from intarsia.viz.overlay import overlay
    from intarsia.viz.rgb import as_rgb

    labels = _labels(sample)
    height, width = sample.size_hw
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    crop = Augmentation((max(1, round(height * scale)), max(1, round(width * scale))))
    image, changed, _ = crop(sample.image, labels, rng)
    return [as_rgb(sample.image), overlay(sample.image, labels), as_rgb(image), overlay(image, changed)]


def _labels(sample: Sample) -> LabelMap:
    truth = sample.truth
    labels = truth.to_label_map() if isinstance(truth, Panoptic) else truth
    if not isinstance(labels, LabelMap):
        raise DataError(f"{sample.key}: a sheet shows label maps, and this is a truth of kind {type(truth).__name__}.")
    return labels


def _opened(data: str | Path | Dataset) -> Dataset:
    from intarsia.data.datasets import open_dataset

    return open_dataset(data, view="semantic") if isinstance(data, str | Path) else data


def _teller(console: Console | None) -> Callable[[int, int], None] | None:
    """A line every few seconds, with the time left."""
    if console is None:
        return None
    began = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < SECONDS_BETWEEN_LINES or done == total:
            return
        told = now
        left = (now - began) / done * (total - done)
        console.print(f"check: {done:,} of {total:,} samples, about {left:.0f} s left", highlight=False)

    return tell
