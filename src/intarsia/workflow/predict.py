"""predict: images in, masks, overlays and a table out."""

from __future__ import annotations

import csv
import glob
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intarsia.classical import Method
from intarsia.core import Array, DataError, Hints, Instances, IntarsiaError, Predictor, Segmentation, SettingsError
from intarsia.core.errors import memory_ran_out
from intarsia.data.formats import IMAGE_SUFFIXES, read_image, write_image, write_mask
from intarsia.inference.refined import Refined
from intarsia.workflow.frames import VIDEO_SUFFIXES, count_frames, read_frames, segment_frames
from intarsia.workflow.hints import open_hints
from intarsia.workflow.object_files import PANOPTIC, ObjectFiles, count_objects
from intarsia.workflow.predictors import open_predictor

__all__ = ["Predicted", "find_images", "predict"]

MASKS, OVERLAYS, SUMMARY = "masks", "overlays", "summary.csv"
JPEG_SIDE = 65500
"""The longest side that JPEG libraries write."""


@dataclass(frozen=True)
class Predicted:
    """One input: what was written, or why not; `areas` in pixels and `objects` in number, by class."""

    path: Path
    mask: Path | None
    overlay: Path | None
    size_hw: tuple[int, int] | None
    areas: dict[str, int]
    seconds: float
    error: str | None
    objects: dict[str, int] = field(default_factory=dict)


def predict(
    inputs: Sequence[str | Path],
    *,
    model: str | Path | Predictor,
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    semantic: str | Path | Predictor | None = None,
    device: str = "auto",
    overlays: bool = True,
    min_score: float = 0.5,
    hints: str | Path | Hints | None = None,
    boxes: Sequence[Sequence[float]] = (),
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    refine_file: str | Path | None = None,
    progress: Callable[[int, int, Predicted], None] | None = None,
) -> list[Predicted]:
    """Segment files, folders and globs.

    Writes under `out`: `masks/NAME.png` (ids inside, colours outside, at the size of the input), `overlays/NAME.jpg`, and
    `summary.csv` with the pixels of each class. A file that cannot be read, or is too large for the memory, is reported in its
    row and the others go on; the table is written even if something stops the whole.

    Of objects the masks hold the numbers (16 bits), of panoptic maps those of segments, with a JSON file beside; overlays show
    class and score where there is room, the summary counts, and `objects.csv` has a row for each with class, score, area and box.
    `instances.json` holds objects of all images as COCO does, overlaps and all; `panoptic.json` with the folder `panoptic` holds
    panoptic maps so.

    A method that looks at motion takes the images of each folder, in natural order, as frames; a video file is frames for any
    model, with results `NAME/000000.png` and on. At most 256 MiB of frames are held: longer sequences are cut into chunks, each
    beginning with the last quarter of the one before, and regions are numbered anew in each.

    Args:
        inputs: image files, folders (searched to any depth, whose structure is kept) and patterns such as "photos/*.jpg". Hidden
            files, and results that lie in `out` already, are no inputs unless they are named.
        model: a model file, the name of a classical method, or a predictor.
        options: of a classical method, or of what decodes the objects of an instance or panoptic network.
        semantic: a model or classical method that tells an instance network where the classes are, if it was trained to be told.
        out: folder for the results, made if it does not exist.
        device: where a network runs.
        overlays: also write the pictures.
        min_score: objects below are left out; 0 keeps all that AP is counted from. Panoptic networks have an option of that name.
        hints: for interactive methods: hints, a file of them (JSON, or a scribble map as PNG), or a folder with one for each
            image, of its stem. See `intarsia.data.hints_file`.
        boxes: x0, y0, x1, y1 of boxes around what is wanted, in every image.
        refine: how results are refined by the image, such as "crf"; None leaves them. See `intarsia.inference.refined`.
        refine_options: settings of the refinement, such as `bilateral_xy`.
        refine_file: TOML of such settings, which `tune_crf` writes; it also says which refinement they are for.
        progress: called after each input with its number, the count, and what happened.

    Raises:
        SettingsError: no image among the inputs, an interactive method without hints, or hints for what takes none.
    """
    predictor = open_predictor(
        model,
        device=device,
        options=options,
        semantic=semantic,
        refine=refine,
        refine_options=refine_options,
        refine_file=refine_file,
    )
    out = Path(out)
    found = find_images(inputs, leave=(out / MASKS, out / OVERLAYS, out / PANOPTIC))
    hints_of = open_hints(hints, boxes)
    method = predictor.predictor if isinstance(predictor, Refined) else predictor
    in_order = isinstance(method, Method) and method.about["sequence"]
    if hints is not None or len(boxes):
        _refuse_idle_hints(method)
    if isinstance(method, Method) and not _is_folder(hints):  # else each image has its own
        method.check_hints(hints_of(found[0][0]))
    count, rows = count_frames(found), list[Predicted]()
    try:
        with ObjectFiles(out) as objects:
            writer = _Writer(out, overlays, min_score, objects)
            if in_order or any(path.suffix.lower() in VIDEO_SUFFIXES for path, _ in found):
                results = _predict_frames(predictor, found, writer)
            else:
                results = (_predict_one(predictor, path, name, hints_of, writer) for path, name in found)
            for number, row in enumerate(results, 1):
                rows.append(row)
                if progress is not None:
                    progress(number, max(number, count), row)
    finally:
        _write_summary(out / SUMMARY, rows)
    return rows


def _refuse_idle_hints(method: Predictor) -> None:
    """Say that hints were given to a network or a method of ours that does not look at them."""
    about = method.about if isinstance(method, Method) else None
    if hasattr(method, "card") or (about is not None and not (about["hints"] or about["optional_hints"])):
        raise SettingsError(
            f"{method.name} looks at the image alone, and hints or a box were given. Leave them out, or choose an interactive "
            "method, such as grabcut (`intarsia models` lists them)."
        )


def _is_folder(hints: str | Path | Hints | None) -> bool:
    return isinstance(hints, str | Path) and Path(hints).is_dir()


def find_images(inputs: Sequence[str | Path], *, leave: Sequence[Path] = ()) -> list[tuple[Path, str]]:
    """Image files among the inputs, each with a name for its results, without suffix, that no other has.

    Args:
        inputs: files, folders and patterns.
        leave: folders whose files are only taken when they are named themselves.

    Raises:
        SettingsError: an input that does not exist, or no image at all.
    """
    left = [_absolute(folder) for folder in leave]
    found: dict[Path, tuple[Path, Path]] = {}  # where it is, what it was called, what its results are called

    def add(paths: Iterable[Path], top: Path | None = None) -> int:
        images = [p for p in sorted(paths) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        for path in images:
            place, name = _absolute(path), path.relative_to(top) if top is not None else Path(path.name)
            hidden = any(part.startswith(".") for part in name.parts)
            if not hidden and not any(place.is_relative_to(folder) for folder in left):
                found.setdefault(place, (path, name))
        return len(images)

    for given in inputs:
        path = Path(given)
        if path.is_dir():
            add(path.rglob("*"), path)
        elif path.is_file():
            found.setdefault(_absolute(path), (path, Path(path.name)))
        elif not add(Path(match) for match in glob.iglob(str(given), recursive=True)):  # noqa: PTH207 - may be absolute
            raise SettingsError(f"There is no file, folder or match for {str(given)!r}. Check the path; quote a pattern.")
    if not found:
        raise SettingsError(
            f"There is no image in {', '.join(str(i) for i in inputs)}. "
            f"Suffixes that are read: {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    names = _distinct_names(list(found), [name for _, name in found.values()])
    return list(zip([path for path, _ in found.values()], names, strict=True))


def _distinct_names(places: Sequence[Path], short: Sequence[Path]) -> list[str]:
    """The short name without suffix where it is alone, else the path below the folder of all, else that with the suffix."""
    plain = [place.as_posix().lstrip("/").replace(":", "") for place in places]
    above = os.path.commonpath([os.path.dirname(text) for text in plain])  # noqa: PTH120 - texts without a root
    long = [Path(text).relative_to(above) for text in plain]
    names = [name.with_suffix("").as_posix() for name in short]
    for finer in ([name.with_suffix("").as_posix() for name in long], [name.as_posix() for name in long]):
        count = Counter(names)
        names = [longer if count[name] > 1 else name for name, longer in zip(names, finer, strict=True)]
    return names if len(set(names)) == len(names) else [name.as_posix() for name in long]


def _absolute(path: Path) -> Path:
    """Without `..`, and without following links, so that a file named in two ways is one file."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`, Path.resolve follows links


@dataclass(frozen=True)
class _Writer:
    """Writes the results of an image, each under its name."""

    out: Path
    overlays: bool
    min_score: float
    objects: ObjectFiles

    def write(self, segmentation: Segmentation, image: Array, path: Path, name: str, started: float) -> Predicted:
        if isinstance(segmentation, Instances) and segmentation.score is not None:
            segmentation = segmentation.select(segmentation.score >= self.min_score)
        mask = write_mask(self.out / MASKS / f"{name}.png", segmentation)
        overlay = None
        if self.overlays:
            suffix = ".jpg" if max(segmentation.size_hw) <= JPEG_SIDE else ".png"
            drawn = segmentation.overlay(image, labels=True)
            overlay = write_image(self.out / OVERLAYS / f"{name}{suffix}", drawn)
        self.objects.add(path, name, segmentation)
        seconds, counts = time.perf_counter() - started, count_objects(segmentation)
        return Predicted(path, mask, overlay, segmentation.size_hw, segmentation.areas(), seconds, None, counts)


def _predict_one(
    predictor: Predictor, path: Path, name: str, hints_of: Callable[[Path], Hints | None], writer: _Writer
) -> Predicted:
    started = time.perf_counter()
    try:
        image = read_image(path)
        return writer.write(predictor.predict(image, hints_of(path)), image, path, name, started)
    except Exception as error:
        return _failed(path, error, started)


def _predict_frames(predictor: Predictor, found: Sequence[tuple[Path, str]], writer: _Writer) -> Iterator[Predicted]:
    """Frames in order; the time of a chunk counts for its first frame."""

    def segment(images: list[Array]) -> list[Segmentation]:
        if isinstance(predictor, Method | Refined):
            return predictor.segment_sequence(images)
        return [predictor.predict(image) for image in images]

    started = time.perf_counter()
    for frame, segmentation in segment_frames(read_frames(found), segment):
        try:
            if frame.image is None or segmentation is None:
                raise DataError(frame.error or f"{frame.path} has no pixels.")
            yield writer.write(segmentation, frame.image, frame.path, frame.name, started)
        except Exception as error:
            yield _failed(frame.path, error, started)
        started = time.perf_counter()


def _failed(path: Path, error: Exception, started: float) -> Predicted:
    """The row of an input that could not be done; what is a mistake of ours is raised again."""
    if not (isinstance(error, IntarsiaError | OSError) or memory_ran_out(error)):
        raise error
    said = str(error) or "There is not enough memory for it."  # Python's own MemoryError is silent
    said = said if str(path) in said else f"{path}: {said}"
    return Predicted(path, None, None, None, {}, time.perf_counter() - started, said)


def _write_summary(path: Path, rows: list[Predicted]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = list(dict.fromkeys(name for row in rows for name in row.areas))
    kinds = list(dict.fromkeys(name for row in rows for name in row.objects))
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        counted = [*(f"pixels {name}" for name in classes), *(f"objects {name}" for name in kinds)]
        writer.writerow(["image", "mask", "height", "width", "seconds", "error", *counted])
        for row in rows:
            size = row.size_hw or ("", "")
            counts = [*(row.areas.get(name, "") for name in classes), *(row.objects.get(name, "") for name in kinds)]
            writer.writerow([row.path, row.mask or "", *size, f"{row.seconds:.3f}", row.error or "", *counts])
    partial.replace(path)
