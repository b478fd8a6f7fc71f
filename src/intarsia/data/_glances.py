"""One pass over the samples of a data set: each file is read once, and only what `check` needs of it is kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from intarsia.core import Array, ClassSpace, ClassSpaceError, DataError, Dataset, IntarsiaError, LabelMap, Panoptic
from intarsia.data._near_duplicates import difference_hash, thumbnail
from intarsia.data.datasets._faults import Fault, FaultyFolder
from intarsia.data.datasets._inferred import count_named
from intarsia.data.datasets._looks import MOST_VALUES, THREADS, Look, look_at
from intarsia.data.datasets._pairs import Pair
from intarsia.data.datasets._survey import Survey
from intarsia.data.formats import read_image, read_mask_values

__all__ = ["Glance", "Picture", "glance_at_folder", "glance_at_samples"]

T = TypeVar("T")
Progress = Callable[[int, int], None]


class Picture(NamedTuple):
    """What is kept of an image.

    digest: of its pixels, so that the same picture is known whatever file it lies in.
    hash, thumb: see `_near_duplicates`.
    is_flat: whether all its pixels have one colour, so that being equal says nothing.
    """

    size_hw: tuple[int, int]
    channels: int
    dtype: str
    digest: bytes
    hash: int
    thumb: Array
    is_flat: bool


@dataclass
class Glance:
    """What is kept of a sample.

    key, split: of the sample.
    files: image and truth, where it has files.
    picture: of the image; None where it cannot be read.
    truth_hw: size of the truth.
    look: the values of its one mask.
    named: the pixels of each class in its files per class.
    areas: (K + 1,) pixels of each class and, last, those to ignore, once the classes are known.
    faults: what is wrong with its files alone.
    """

    key: str
    split: str
    files: tuple[Path, ...] = ()
    picture: Picture | None = None
    truth_hw: tuple[int, int] | None = None
    look: Look | None = None
    named: Counter[str] | None = None
    areas: Array | None = None
    faults: tuple[Fault, ...] = ()


def glance_at_folder(survey: Survey, named: ClassSpace | None, progress: Progress | None = None) -> list[Glance]:
    """Look at every pair of a folder; `named` are the classes that files per class are counted with."""
    split_of = {key: split for split, keys in survey.splits.items() for key in keys}
    most_values = max(MOST_VALUES, 2 * len(survey.declared or ()))

    def look(key: str) -> Glance:
        return _at_pair(Glance(key, split_of.get(key, "")), survey.pairs[key], survey, named, most_values)

    with ThreadPoolExecutor(THREADS) as pool:
        return _counted(pool.map(look, survey.pairs), len(survey.pairs), progress)


def glance_at_samples(dataset: Dataset, *, threads: int, progress: Progress | None = None) -> list[Glance]:
    """Look at every sample of a data set as it gives them."""
    tasks = [(key, split) for split, keys in dataset.splits.items() for key in keys]
    with ThreadPoolExecutor(threads) as pool:
        return _counted(pool.map(lambda task: _at_sample(dataset, *task), tasks), len(tasks), progress)


def _counted(items: Iterable[T], total: int, progress: Progress | None) -> list[T]:
    done: list[T] = []
    for item in items:
        done.append(item)
        if progress is not None:
            progress(len(done), total)
    return done


def _at_pair(glance: Glance, pair: Pair, survey: Survey, named: ClassSpace | None, most_values: int) -> Glance:
    by_class = (pair.mask,) if pair.mask is not None else tuple(pair.class_files.values())
    numbers = pair.instances if survey.view == "instance" or not by_class else None
    glance.files = (pair.image, *filter(None, (numbers,)), *by_class)
    try:
        glance.picture = _picture(read_image(pair.image), pair.image)
    except IntarsiaError as error:
        glance.faults += _faults_of(error, (pair.image,))
    try:
        if pair.mask is not None:
            glance.look = look_at(pair.mask, most_values)
            glance.truth_hw = glance.look.size_hw
        elif pair.class_files and named is not None:
            glance.named = count_named(pair.class_files, named, last_wins=survey.last_wins)
            values = read_mask_values(next(iter(pair.class_files.values()))).values
            glance.truth_hw = (values.shape[0], values.shape[1])
        if numbers is not None:
            glance.truth_hw, glance.areas = _objects(numbers)
    except IntarsiaError as error:
        glance.faults += _faults_of(error, glance.files[1:])
    return glance


def _objects(path: Path) -> tuple[tuple[int, int], Array]:
    """Size, and pixels of background and of objects."""
    mask = read_mask_values(path)
    if mask.kind == "color":
        message = f"{path} holds RGB colours, where object numbers were expected: grey values of 8 or 16 bits, 0 for none."
        raise FaultyFolder(Fault("rgb_masks", message, (path,)))
    numbers = mask.values
    inside = int(np.count_nonzero(numbers))
    return (numbers.shape[0], numbers.shape[1]), np.array([numbers.size - inside, inside, 0], np.int64)


def _at_sample(dataset: Dataset, key: str, split: str) -> Glance:
    glance = Glance(key, split)
    try:
        sample = dataset.read(key)
        glance.picture = _picture(sample.image, key)
        truth = sample.truth
        areas = truth.areas()
        pixels = [areas[name] for name in dataset.classes.names]
        rest = truth.size_hw[0] * truth.size_hw[1] - sum(pixels) if isinstance(truth, LabelMap | Panoptic) else 0
        glance.truth_hw, glance.areas = truth.size_hw, np.array([*pixels, rest], np.int64)
    except IntarsiaError as error:
        glance.faults += _faults_of(error, ())
    return glance


def _picture(image: Array, where: Path | str) -> Picture:
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        message = f"{where} holds values that are not finite (NaN, infinite). Fill them before training."
        raise FaultyFolder(Fault("not_finite", message, (where,) if isinstance(where, Path) else ()))
    thumb = thumbnail(image)
    digest = hashlib.blake2b(f"{image.dtype}{image.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return Picture(
        (image.shape[0], image.shape[1]),
        image.shape[2],
        image.dtype.name,
        digest.digest(),
        difference_hash(thumb),
        thumb,
        bool(np.ptp(thumb) == 0 and (image == image[0, 0]).all()),
    )


def _faults_of(error: IntarsiaError, files: Sequence[Path]) -> tuple[Fault, ...]:
    if isinstance(error, FaultyFolder):
        return error.faults
    code = "unknown_ids" if isinstance(error, ClassSpaceError) else "unreadable" if isinstance(error, DataError) else "invalid"
    return (Fault(code, str(error), tuple(files)),)
