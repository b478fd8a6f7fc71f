"""predict: images in, masks, overlays and a table out."""

from __future__ import annotations

import csv
import glob
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from intarsia.core import DataError, Predictor, Segmentation, SettingsError
from intarsia.data.formats import IMAGE_SUFFIXES, read_image, write_image, write_mask
from intarsia.workflow.predictors import open_predictor

__all__ = ["Predicted", "find_images", "predict"]


@dataclass(frozen=True)
class Predicted:
    """One input: what was written, or why not."""

    path: Path
    mask: Path | None
    overlay: Path | None
    size_hw: tuple[int, int] | None
    areas: dict[str, int]
    seconds: float
    error: str | None


def predict(
    inputs: Sequence[str | Path],
    *,
    model: str | Path | Predictor,
    out: str | Path,
    device: str = "auto",
    overlays: bool = True,
    progress: Callable[[int, int, Predicted], None] | None = None,
) -> list[Predicted]:
    """Segment files, folders and globs.

    Writes under `out`: `masks/NAME.png` (ids inside, colours outside, at the size of the input), `overlays/NAME.jpg`, and
    `summary.csv` with the pixels of each class. A file that cannot be read is reported in its row and the others go on.

    Args:
        inputs: image files, folders (searched to any depth, whose structure is kept) and patterns such as "photos/*.jpg".
        model: a model file, or a predictor.
        out: folder for the results, made if it does not exist.
        device: where a network runs.
        overlays: also write the pictures.
        progress: called after each input with its number, the count, and what happened.

    Raises:
        SettingsError: no image among the inputs.
    """
    predictor = open_predictor(model, device=device)
    found = find_images(inputs)
    out = Path(out)
    rows: list[Predicted] = []
    for number, (path, name) in enumerate(found, 1):
        rows.append(_predict_one(predictor, path, out, name, overlays))
        if progress is not None:
            progress(number, len(found), rows[-1])
    _write_summary(out / "summary.csv", rows)
    return rows


def find_images(inputs: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """Image files among the inputs, each with a name for its results, without suffix, that no other has.

    Raises:
        SettingsError: an input that does not exist, or no image at all.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            found.update((p, p.relative_to(path)) for p in inside if p not in found)
        elif path.is_file():
            found.setdefault(path, Path(path.name))
        else:
            matches = sorted(Path(match) for match in glob.iglob(str(given), recursive=True))  # noqa: PTH207 - may be absolute
            files = [p for p in matches if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
            if not files:
                raise SettingsError(f"There is no file, folder or match for {str(given)!r}. Check the path; quote a pattern.")
            for p in files:
                found.setdefault(p, Path(p.name))
    if not found:
        raise SettingsError(
            f"There is no image in {', '.join(str(i) for i in inputs)}. "
            f"Suffixes that are read: {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return list(zip(found, _distinct_names(found), strict=True))


def _distinct_names(found: dict[Path, Path]) -> list[str]:
    """The stem where it is alone; a.jpg and a.png become a.jpg and a.png; files of one name from two folders keep the folder."""
    names = [name.with_suffix("").as_posix() for name in found.values()]
    with_suffix = [name.as_posix() for name in found.values()]
    with_folder = [path.resolve().as_posix().lstrip("/").replace(":", "") for path in found]
    for finer in (with_suffix, with_folder):
        count = Counter(names)
        names = [longer if count[name] > 1 else name for name, longer in zip(names, finer, strict=True)]
    return names


def _predict_one(predictor: Predictor, path: Path, out: Path, name: str, overlays: bool) -> Predicted:
    started = time.perf_counter()
    try:
        image = read_image(path)
        segmentation: Segmentation = predictor.predict(image)
        mask = out / "masks" / f"{name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask = write_mask(mask, segmentation)
        overlay = None
        if overlays:
            overlay = out / "overlays" / f"{name}.jpg"
            overlay.parent.mkdir(parents=True, exist_ok=True)
            write_image(overlay, segmentation.overlay(image))
    except DataError as error:
        return Predicted(path, None, None, None, {}, time.perf_counter() - started, str(error))
    seconds = time.perf_counter() - started
    return Predicted(path, mask, overlay, segmentation.size_hw, segmentation.areas(), seconds, None)


def _write_summary(path: Path, rows: list[Predicted]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = list(dict.fromkeys(name for row in rows for name in row.areas))
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "height", "width", "seconds", "error", *(f"pixels {name}" for name in classes)])
        for row in rows:
            size = row.size_hw or ("", "")
            areas = [row.areas.get(name, "") for name in classes]
            writer.writerow([row.path, row.mask or "", *size, f"{row.seconds:.3f}", row.error or "", *areas])
    partial.replace(path)
