"""Frames in order, from folders and videos, segmented in chunks that fit the memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from intarsia.core import Array, DataError, IntarsiaError, Segmentation
from intarsia.data.formats import read_image

__all__ = ["CHUNK_BYTES", "VIDEO_SUFFIXES", "Frame", "count_frames", "read_frames", "segment_frames"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
CHUNK_BYTES = 2**28
"""Pixels of the frames that are held at a time; methods need a few times as much."""
LEAST_FRAMES = 8


class Frame(NamedTuple):
    """One frame: what it is read from, the name of its results, its folder or video, and its pixels or why there are none."""

    path: Path
    name: str
    sequence: Path
    image: Array | None
    error: str | None = None


def count_frames(found: Sequence[tuple[Path, str]]) -> int:
    """How many frames there are; of a video, what its header says."""
    return sum(_video_length(path) if path.suffix.lower() in VIDEO_SUFFIXES else 1 for path, _ in found)


def read_frames(found: Sequence[tuple[Path, str]]) -> Iterator[Frame]:
    """Images by folder in natural order (frame 9 before frame 10), and the frames of videos as `NAME/000000`.

    An image that cannot be read is a frame without pixels, and so is the end of a video that cannot.
    """
    for folder, files in groupby(
        sorted(found, key=lambda pair: (pair[0].parent, _natural(pair[0].name))), lambda pair: pair[0].parent
    ):
        for path, name in files:
            if path.suffix.lower() in VIDEO_SUFFIXES:
                yield from _video_frames(path, name)
                continue
            try:
                yield Frame(path, name, folder, read_image(path))
            except (IntarsiaError, OSError) as error:
                yield Frame(path, name, folder, None, str(error))


def segment_frames(
    frames: Iterable[Frame], segment: Callable[[list[Array]], list[Segmentation]], *, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[Frame, Segmentation | None]]:
    """Segment frames in chunks: as many as fit `chunk_bytes`, eight at least, of one sequence and one size.

    A chunk begins with the last quarter of the one before, so that a method knows the background again; region numbers begin
    anew. Frames without pixels are passed on.
    """
    images: list[Array] = []
    waiting: list[Frame] = []  # those whose results are still to come, the unreadable among them
    sequence = None

    def flush() -> Iterator[tuple[Frame, Segmentation | None]]:
        fresh = sum(frame.image is not None for frame in waiting)
        results = iter(segment(images)[-fresh:] if fresh else ())
        for frame in waiting:
            yield frame, None if frame.image is None else next(results)

    for frame in frames:
        if frame.image is not None:
            another = bool(images) and (images[-1].shape != frame.image.shape or sequence != frame.sequence)
            if another or len(images) >= max(LEAST_FRAMES, chunk_bytes // frame.image.nbytes):
                yield from flush()
                images, waiting = [] if another else images[-max(1, len(images) // 4) :], []
            images.append(frame.image)
            sequence = frame.sequence
        waiting.append(frame)
    yield from flush()


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _video_length(path: Path) -> int:
    import cv2

    video = cv2.VideoCapture(str(path))
    length = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 1
    video.release()
    return max(1, length)


def _video_frames(path: Path, name: str) -> Iterator[Frame]:
    import cv2

    video = cv2.VideoCapture(str(path))
    number = 0
    try:
        while True:
            got, image = video.read()
            if not got:
                break
            yield Frame(path, f"{name}/{number:06d}", path, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            number += 1
    finally:
        video.release()
    if number == 0:
        error = DataError(f"{path} holds no frame that OpenCV reads; convert it, for example to .mp4 with H.264.")
        yield Frame(path, name, path, None, str(error))
