"""How a conversion goes through the images: from its journal, else in several processes, in order."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from intarsia.core import DataError, SettingsError
from intarsia.data._journal import Journal
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Encode, Part

__all__ = ["EachImage", "Images"]

Images = Literal["copy", "link", "leave"]
Progress = Callable[[int, int], None]

AHEAD = 4
"""Images a process has waiting, so that none stands idle while the results are taken in order."""
NO_IMAGE = "an annotated image has no image file, so none was copied"


@dataclass(frozen=True)
class _Work:
    """What is done with one image; travels to other processes.

    source: the set that is read.
    encode: the writer's part.
    targets: what is made of its image file.
    images: where the image goes; None leaves it.
    """

    source: AnnotatedSet
    encode: Encode
    targets: Images
    images: Path | None

    def __call__(self, key: str) -> str:
        """The part of the image as a line of JSON."""
        part = self.encode(self.source.read(key))
        lost = dict(part.lost)
        if self.images is not None and not self._place(key, self.images / self.source.image_name(key)):
            lost[NO_IMAGE] = 1
        return json.dumps([key, part.content, dict(part.objects), lost, list(part.ious)], ensure_ascii=False)

    def _place(self, key: str, target: Path) -> bool:
        path = self.source.image_path(key)
        if path is None or not path.is_file():
            if self.source.pixels is None:
                return False
            write_image(target, self.source.pixels(key))
            return True
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.targets == "link":
                target.unlink(missing_ok=True)
                target.hardlink_to(path.resolve())  # readers follow no symbolic link out of their folder
            else:
                unfinished = target.with_name(f".{secrets.token_hex(8)}.tmp")  # removed by the next run if this one is killed
                shutil.copyfile(path, unfinished)
                unfinished.replace(target)
        except OSError as error:
            advice = " Links reach one disk only: copy the images." if self.targets == "link" else " Is the disk full?"
            raise DataError(f"{target} cannot be made of {path} ({error}).{advice}") from error
        return True


class EachImage:
    """Takes a writer through the images of a set; see `AnnotatedSet.each`.

    Args:
        source: the set, with its images where they are.
        journal: of the conversion.
        images: what is made of the image files.
        folder: that the images go to.
        workers: processes; 1 is this one alone.
        progress: called with the number of images done and of all.
    """

    def __init__(
        self, source: AnnotatedSet, journal: Journal, images: Images, folder: Path, workers: int, progress: Progress | None
    ) -> None:
        if workers < 1:
            raise SettingsError(f"{workers} processes cannot convert anything; 1 or more are needed.")
        self._source, self._journal, self._images, self._folder = source, journal, images, folder
        self._workers, self._progress = workers, progress
        self._done = 0

    def __call__(self, annotated: AnnotatedSet, encode: Encode) -> Iterator[tuple[str, Part]]:
        """The parts of the images of `annotated`, in order."""
        keys = annotated.keys
        before = 0
        while before < len(keys) and (line := self._journal.next_line()) is not None:
            yield self._told(keys[before], line)
            before += 1
        work = _Work(self._source, encode, self._images, None if self._images == "leave" else self._folder)
        rest = keys[before:]
        serial = self._workers == 1 or len(rest) < 2
        for key, line in zip(rest, map(work, rest) if serial else _in_processes(work, rest, self._workers), strict=True):
            self._journal.append(line)
            yield self._told(key, line)

    def _told(self, key: str, line: str) -> tuple[str, Part]:
        try:
            found, content, objects, lost, ious = json.loads(line)
        except (ValueError, TypeError) as error:
            raise DataError(f"The journal of the conversion is damaged at {key} ({error}). Convert into a new folder.") from error
        if found != key:
            raise DataError(
                f"The journal of the conversion goes on with {found!r} in place of {key!r}. Convert into a new folder."
            )
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, len(self._source))
        return key, Part(content, objects, lost, ious)


def _in_processes(work: _Work, keys: Sequence[str], workers: int) -> Iterator[str]:
    """`work` of every key, in order, with few of them under way at a time.

    Processes are spawned: a fork of a process with threads, which OpenCV and Numba start, may stand still.
    """
    split = work.source.alone(keys[0]) is not None
    shared = replace(work, source=replace(work.source, keys=(), reader=_nothing, images={}, pixels=None)) if split else work
    jobs = iter(keys)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (shared,)) as pool:

        def submit(key: str) -> Future[str]:
            return pool.submit(_run, key, work.source.alone(key) if split else None)

        try:
            waiting = deque(submit(key) for key in islice(jobs, workers * AHEAD))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(submit(key) for key in islice(jobs, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_WORK: list[_Work] = []
"""What a spawned process does."""


def _start(work: _Work) -> None:
    import cv2

    _WORK.append(work)
    cv2.setNumThreads(1)


def _run(key: str, source: AnnotatedSet | None) -> str:
    work = _WORK[-1]
    return (work if source is None else replace(work, source=source))(key)


def _nothing(key: str) -> Annotated:
    raise DataError(f"{key} was not sent along.")
