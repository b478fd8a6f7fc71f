"""Samples of one size into a Batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import default_collate

from intarsia.core import Array, Batch, DataError, Segmentation

__all__ = ["PreparedSample", "collate"]

Target = Array | Mapping[str, Array]
"""See `data.targets`."""


class PreparedSample(NamedTuple):
    """A sample as the network takes it.

    image: (C, h, w) float32, normalised.
    label: (h, w) ids, or None.
    key, size_hw: of the sample it came from.
    targets: further training targets by name.
    truth: of `image`, where objects are to be scored.
    """

    image: Array
    label: Array | None
    key: str
    size_hw: tuple[int, int]
    targets: Mapping[str, Target] = MappingProxyType({})
    truth: Segmentation | None = None


def collate(samples: Sequence[PreparedSample]) -> Batch:
    """Stack samples.

    A target that is an array becomes one of (N, ...). The arrays of one that is a dictionary, (Q, ...) each, are joined along the
    objects of all images, as "TARGET.KEY"; "TARGET.image", (Q of all,) int64, is the image in the batch that an object is of.

    Raises:
        DataError: samples of different sizes; the message names two of them.
    """
    first = samples[0]
    for sample in samples:
        if sample.image.shape != first.image.shape:
            raise DataError(
                f"{first.key} and {sample.key} cannot share a batch: they are {first.image.shape} and {sample.image.shape} "
                "(channels, height, width)."
            )
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        # In a worker PyTorch stacks into memory that is shared with the training, so that nothing is copied on the way there.
        image=default_collate([torch.from_numpy(sample.image) for sample in samples]),
        label=default_collate([torch.from_numpy(label.astype(np.int64)) for label in labels])
        if len(labels) == len(samples)
        else None,
        keys=tuple(sample.key for sample in samples),
        sizes_hw=tuple(sample.size_hw for sample in samples),
        targets={
            key: torch.from_numpy(array)
            for name in first.targets
            for key, array in _joined(name, [sample.targets[name] for sample in samples])
        }
        or None,
        truths=tuple(sample.truth for sample in samples if sample.truth is not None),
    )


def _joined(name: str, targets: Sequence[Target]) -> Iterator[tuple[str, Array]]:
    """The target called `name` of all samples, under the names that it has in a batch."""
    ragged = [target for target in targets if isinstance(target, Mapping)]
    if not ragged:
        yield name, np.stack([target for target in targets if not isinstance(target, Mapping)])
        return
    for key in ragged[0]:
        yield f"{name}.{key}", np.concatenate([target[key] for target in ragged])
    counts = [len(next(iter(target.values()))) for target in ragged]
    yield f"{name}.image", np.repeat(np.arange(len(ragged)), counts)
