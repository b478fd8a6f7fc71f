"""Images that lie on the device: decoded once, augmented there in whole batches; and the device itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core import Batch, Dataset, LabelMap
from intarsia.data.batch_transforms import augment_batch
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.targets import make_targets
from intarsia.data.transforms import Augmentation
from intarsia.training.loaders import EpochSampler


@dataclass(frozen=True)
class Device:
    """Where and how networks run.

    Args:
        device: a CPU or a GPU.
        precision: "32", or "bf16" by autocast.
        channels_last: how maps lie in memory.
        compile: mode of torch.compile for training steps; None runs them as they are.
    """

    device: torch.device
    precision: str = "32"
    channels_last: bool = True
    compile: str | None = None

    def cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def lay(self, image: Tensor) -> Tensor:
        return image.contiguous(memory_format=torch.channels_last) if self.channels_last else image

    def place(self, model: nn.Module) -> nn.Module:
        return model.to(self.device, memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):  # where the system cannot do that, the peak is that of the whole process
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def peak_bytes(self) -> int:
        """The most memory in use since `forget_peak`, of the GPU or of the process; 0 where it is not known."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        return 0


class ResidentSplit:
    """The images (N, 3, H, W) and labels (N, H, W) of a split, as bytes on the device."""

    def __init__(self, dataset: Dataset, split: str, device: torch.device) -> None:
        self.classes, self.keys = dataset.classes, tuple(dataset.splits[split])
        with ThreadPoolExecutor(8) as pool:
            samples = list(pool.map(dataset.read, self.keys))
        self.truths = [truth for sample in samples if isinstance(truth := sample.truth, LabelMap)]
        self.images = torch.from_numpy(np.stack([sample.image.transpose(2, 0, 1) for sample in samples])).to(device)
        self.labels = torch.from_numpy(np.stack([truth.ids for truth in self.truths])).to(device)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.images.shape[2], self.images.shape[3]

    def preprocessing(self) -> Preprocessing:
        """That brings these images to mean 0 and standard deviation 1."""
        moments = [torch.std_mean(self.images[:, channel].float() / 255) for channel in range(3)]
        return Preprocessing(tuple(float(mean) for _, mean in moments), tuple(float(std) for std, _ in moments))


class Batches:
    """Training batches, made on the device.

    Args:
        split: the images.
        preprocessing: how they are normalised.
        augmentation: of each sample; order and draws are those of the loaders of `intarsia.training` with the same seed.
        runs: the device.
        batch, accumulate: images in a batch, and batches in an optimizer step.
        seed: of the order and the augmentation.
        targets: names of further training targets.
    """

    def __init__(
        self,
        split: ResidentSplit,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        runs: Device,
        *,
        batch: int,
        accumulate: int,
        seed: int,
        targets: Sequence[str] = (),
    ) -> None:
        self.split, self.augmentation, self.runs, self.batch, self.seed = split, augmentation, runs, batch, seed
        self.targets = tuple(targets)
        self.sampler = EpochSampler(len(split), seed, step=batch * accumulate)
        self.scale = Scale(preprocessing, runs.device)

    def __len__(self) -> int:
        """Batches in an epoch; one that is not full is left out, unless it is the only one."""
        return max(1, len(self.sampler) // self.batch)

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in their order, from number `first` on."""
        self.sampler.set_epoch(epoch)
        order = [index for _, index in self.sampler]
        for number in range(first, len(self)):
            yield self._made(epoch, order[number * self.batch : (number + 1) * self.batch])

    def endless(self) -> Iterator[Batch]:
        """Epoch after epoch."""
        return itertools.chain.from_iterable(self.of_epoch(epoch) for epoch in itertools.count())

    def _made(self, epoch: int, indices: Sequence[int]) -> Batch:
        split, device = self.split, self.runs.device
        which = torch.tensor(indices, device=device)
        draws = [self.augmentation.draw(3, np.random.default_rng((self.seed, epoch, index))) for index in indices]
        image, label, inside = augment_batch(
            split.images[which], split.labels[which], draws, self.augmentation.crop_hw, split.classes.ignore_id
        )
        targets = None
        if self.targets:  # made by numpy, so that the device waits
            made = [make_targets(self.targets, LabelMap(ids, split.classes)) for ids in label.cpu().numpy()]
            targets = {name: torch.from_numpy(np.stack([one[name] for one in made])).to(device) for name in self.targets}
        keys = tuple(split.keys[index] for index in indices)
        # Outside the image: the mean colour, which is 0.
        return Batch(
            self.runs.lay(self.scale(image) * inside[:, None]), label.long(), keys, (split.size_hw,) * len(keys), targets
        )


class Scale:
    """`Preprocessing.normalize` for (N, 3, H, W) on the device, on the scale of bytes."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
        self.gain, self.offset = 1 / (255 * std), mean / std

    def __call__(self, image: Tensor) -> Tensor:
        return image * self.gain - self.offset
