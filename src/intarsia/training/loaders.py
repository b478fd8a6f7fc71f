"""From a data set to batches: decoded once, augmented by (seed, epoch, sample), grouped so that nothing needs padding."""

from __future__ import annotations

import signal
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from intarsia.core import (
    Array,
    Batch,
    DataError,
    Dataset,
    Instances,
    IntarsiaError,
    LabelMap,
    Panoptic,
    SettingsError,
    Task,
)
from intarsia.core.errors import memory_ran_out
from intarsia.data.collate import PreparedSample, collate
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.resampling import Truth, fit_truth
from intarsia.data.targets import make_targets
from intarsia.data.transforms import Augmentation
from intarsia.training.interrupt import TrainingInterrupted

__all__ = ["EpochSampler", "FittedSamples", "SegmentationData", "TrainingSamples", "ValidationSamples", "to_device"]

CACHE_BYTES = 4 << 30
"""Decoded and fitted samples are kept in memory up to this size; the rest is decoded each time."""


Fitted = tuple[Array, Truth, tuple[int, int]]
TRUTHS: dict[Task, tuple[type[Truth], str]] = {
    "semantic": (LabelMap, "label maps"),
    "instance": (Instances, "objects"),
    "panoptic": (Panoptic, "panoptic maps"),
}
"""What networks for a task learn from."""


class FittedSamples:
    """Samples of a split, decoded and fitted to the network's size, kept in memory while they fit.

    A sample is (image (h, w, C) of its own dtype, its truth at that size, size of the original).

    Args:
        dataset: the data.
        keys: of the samples.
        preprocessing: which says the size.
        cache_bytes: how much memory they may take.
    """

    def __init__(
        self, dataset: Dataset, keys: Sequence[str], preprocessing: Preprocessing, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.dataset = dataset
        self.keys = tuple(keys)
        self.preprocessing = preprocessing
        self._left = cache_bytes
        self._kept: dict[int, Fitted] = {}
        self._objects: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Fitted:
        if index in self._kept:
            return self._kept[index]
        sample = self.dataset.read(self.keys[index])
        kind, words = TRUTHS[self.dataset.task]
        if not isinstance(sample.truth, kind):
            raise SettingsError(
                f"{sample.key} has {type(sample.truth).__name__} as truth; {self.dataset.task} networks learn from {words}."
            )
        image = self.preprocessing.fit(sample.image, where=sample.key)
        truth = fit_truth(sample.truth, (image.shape[0], image.shape[1]))
        self._objects[index] = _count(sample.truth), _count(truth)
        fitted = (image, truth, sample.size_hw)
        size = image.nbytes + (truth.masks.bits.nbytes if isinstance(truth, Instances) else truth.ids.nbytes)
        if size <= self._left:
            self._left -= size
            self._kept[index] = fitted
        return fitted

    def prepared(
        self, index: int, image: Array, truth: Truth, size_hw: tuple[int, int], targets: Sequence[str]
    ) -> PreparedSample:
        """An image and its truth, made from sample `index`, with the further targets of that truth."""
        return PreparedSample(image, _label(truth), self.keys[index], size_hw, make_targets(targets, truth))

    def labels(self) -> Iterator[Array]:
        """The label of each sample that has one; on the way, what fits into memory is decoded and kept."""
        labels = (_label(self[index][1]) for index in range(len(self)))
        return (label for label in labels if label is not None)

    def __getstate__(self) -> dict[str, Any]:
        """A worker that was not forked gets no copy of what is kept, and keeps nothing itself: memory stays bounded."""
        return {**self.__dict__, "_kept": {}, "_left": 0}

    def objects(self, index: int) -> tuple[int, int]:
        """How many objects sample `index` has in the file, and how many are left when it is fitted."""
        if index not in self._objects:
            self[index]
        return self._objects[index]

    def groups(self) -> list[list[int]]:
        """Indices grouped by fitted size, those that can share a batch."""
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index in range(len(self)):
            by_size[self[index][0].shape].append(index)
        return list(by_size.values())


class TrainingSamples(TorchDataset[PreparedSample]):
    """Augmented samples, asked for by (epoch, index): the same pair gives the same sample in any process at any time."""

    def __init__(self, fitted: FittedSamples, augmentation: Augmentation, seed: int, targets: Sequence[str] = ()) -> None:
        self.fitted = fitted
        self.augmentation = augmentation
        self.seed = seed
        self.targets = tuple(targets)

    def __len__(self) -> int:
        return len(self.fitted)

    def __getitem__(self, which: tuple[int, int]) -> PreparedSample:
        epoch, index = which
        image, truth, size_hw = self.fitted[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        image, truth, inside = self.augmentation(image, truth, rng)
        ready = self.fitted.preprocessing.normalize(image)
        if not inside.all():
            ready *= inside  # outside the image: the mean colour, which is 0 after normalisation
        return self.fitted.prepared(index, ready, truth, size_hw, self.targets)


class ValidationSamples(TorchDataset[PreparedSample]):
    """Samples as they are; with their truth, where objects are to be scored."""

    def __init__(self, fitted: FittedSamples, targets: Sequence[str] = ()) -> None:
        self.fitted = fitted
        self.targets = tuple(targets)

    def __len__(self) -> int:
        return len(self.fitted)

    def __getitem__(self, index: int) -> PreparedSample:
        image, truth, size_hw = self.fitted[index]
        ready = self.fitted.prepared(index, self.fitted.preprocessing.normalize(image), truth, size_hw, self.targets)
        return ready if self.fitted.dataset.task == "semantic" else ready._replace(truth=truth)


class EpochSampler(Sampler[tuple[int, int]]):
    """A new order each epoch, drawn from (seed, epoch), dealt to the processes in turn.

    Args:
        length: number of samples.
        seed: of the order.
        rank, world: this process and how many there are.
        step: samples that a process takes for an optimizer step; what does not make a whole step of all processes is left out
            of the epoch, unless there is not even one.
    """

    def __init__(self, length: int, seed: int, rank: int = 0, world: int = 1, step: int = 1) -> None:
        self.length, self.seed, self.rank, self.world, self.step = length, seed, rank, world, step
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        mine = self.length // self.world
        return mine // self.step * self.step or mine

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        mine = order[self.rank : len(self) * self.world : self.world]
        return iter([(self.epoch, int(index)) for index in mine])


class SegmentationData(L.LightningDataModule):
    """The loaders of a training.

    Args:
        train, val: the samples.
        augmentation: of the training samples.
        batch, accumulate: images in a batch and batches in an optimizer step, in each process.
        seed: of order and augmentation.
        targets: names of further training targets, see `needed_targets`.
        workers: processes that prepare batches; 0 prepares them in the training process.
        pin_memory: for a GPU.
    """

    def __init__(
        self,
        train: FittedSamples,
        val: FittedSamples,
        augmentation: Augmentation,
        *,
        seed: int,
        batch: int = 1,
        accumulate: int = 1,
        targets: Sequence[str] = (),
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.train, self.val, self.augmentation = train, val, augmentation
        self.batch, self.accumulate, self.seed, self.targets = batch, accumulate, seed, tuple(targets)
        self.workers, self.pin_memory = workers, pin_memory

    def setup(self, stage: str) -> None:
        if self.trainer is not None:  # the first process's batch holds for all, also where another one ran out of memory
            self.batch, self.accumulate = self.trainer.strategy.broadcast((self.batch, self.accumulate))

    def train_dataloader(self) -> DataLoader[PreparedSample | DataError]:
        rank, world = self._process()
        sampler = EpochSampler(len(self.train), self.seed, rank, world, self.batch * self.accumulate)
        samples = TrainingSamples(self.train, self.augmentation, self.seed, self.targets)
        return self._loader(samples, batch_size=self.batch, sampler=sampler, drop_last=len(sampler) >= self.batch)

    def val_dataloader(self) -> DataLoader[PreparedSample | DataError]:
        rank, world = self._process()
        if len(self.val) < world:
            raise SettingsError(
                f"There are {len(self.val)} validation images for {world} processes; each needs one. Use fewer processes, "
                "or give more images to validation."
            )
        size = min(self.batch, len(self.val) // world)  # so that there is a batch for each process
        batches = [group[i : i + size] for group in self.val.groups() for i in range(0, len(group), size)]
        return self._loader(ValidationSamples(self.val, self.targets), batch_sampler=batches[rank::world])

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, samples: TrainingSamples | ValidationSamples, **how: Any) -> DataLoader[PreparedSample | DataError]:
        forks = self.workers > 0 and sys.platform == "linux"  # forked workers share the samples that are kept in memory
        return DataLoader(
            _Guarded(samples),
            collate_fn=_collate_or_tell,
            num_workers=self.workers,
            worker_init_fn=_begin_worker,
            multiprocessing_context="fork" if forks else None,
            persistent_workers=self.workers > 0,
            pin_memory=self.pin_memory,
            **how,
        )

    def transfer_batch_to_device(self, batch: Batch | DataError, device: torch.device, dataloader_idx: int) -> Batch:
        if isinstance(batch, DataError):
            raise batch
        return to_device(batch, device)


def _label(truth: Truth) -> Array | None:
    """(h, w) class ids; None of objects, which need not have one at each pixel."""
    if isinstance(truth, Instances):
        return None
    return (truth.to_label_map() if isinstance(truth, Panoptic) else truth).ids


def _count(truth: Truth) -> int:
    """Objects; of a panoptic map things."""
    if isinstance(truth, Panoptic):
        return sum(truth.classes.classes[segment.class_id].is_thing for segment in truth.segments)
    return len(truth) if isinstance(truth, Instances) else 0


class _Guarded(TorchDataset[PreparedSample | DataError]):
    """Samples, or the sentence why there is none: an exception that left a worker would come out as a traceback in text."""

    def __init__(self, samples: TrainingSamples | ValidationSamples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, which: Any) -> PreparedSample | DataError:
        try:
            return self.samples[which]
        except Exception as error:
            if memory_ran_out(error) or isinstance(error, TrainingInterrupted):
                raise
            key = self.samples.fitted.keys[which if isinstance(which, int) else which[1]]
            said = str(error) if isinstance(error, IntarsiaError) else f"{type(error).__name__}: {error}"
            told = DataError(said if key in said else f"{key} cannot be read or prepared: {said}")
            told.add_note(traceback.format_exc())  # its cause does not travel from a worker
            return told


def _collate_or_tell(samples: Sequence[PreparedSample | DataError]) -> Batch | DataError:
    told = next((sample for sample in samples if isinstance(sample, DataError)), None)
    return told or collate([sample for sample in samples if isinstance(sample, PreparedSample)])


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move the tensors; the keys and sizes stay."""
    return batch._replace(
        image=batch.image.to(device, non_blocking=True),
        label=None if batch.label is None else batch.label.to(device, non_blocking=True),
        targets=batch.targets and {name: target.to(device, non_blocking=True) for name, target in batch.targets.items()},
    )


def _begin_worker(_worker: int) -> None:
    """Interrupts are the parent's; and there are as many workers as the user wants processors to be busy."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
