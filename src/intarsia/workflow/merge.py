"""merge: objects and maps of classes in, panoptic maps out; from two models, or from files of predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from intarsia.classical import CLASSICAL
from intarsia.core import DataError, Instances, LabelMap, Panoptic, Predictor, SettingsError
from intarsia.data.formats import read_instances, read_mask, read_mask_values, write_mask
from intarsia.data.formats.coco import read_coco
from intarsia.evaluation.file_pairs import files_by_name, name_of, paired_names
from intarsia.inference.merged import Merged, check_thresholds
from intarsia.postprocess.panoptic_merge import merge_panoptic
from intarsia.recipes.run_files import BEST
from intarsia.workflow.object_files import ObjectFiles
from intarsia.workflow.predict import MASKS, predict
from intarsia.workflow.predictors import open_predictor

__all__ = ["merge"]

Progress = Callable[[int, int, str], None]


def merge(
    instances: str | Path | Predictor,
    semantic: str | Path | Predictor,
    *,
    out: str | Path,
    images: Sequence[str | Path] = (),
    min_score: float = 0.5,
    max_overlap: float = 0.5,
    min_stuff_area: int = 4096,
    device: str = "auto",
    overlays: bool = True,
    progress: Progress | None = None,
) -> list[Path]:
    """Merge objects and maps of classes into panoptic maps by the published heuristic (`postprocess.panoptic_merge`).

    Two models, or classical methods, are run on `images`, and everything that `predict` writes is written. Of two sets of files,
    which any tool may have made, those of one name are merged into `masks/NAME.png`, each with a JSON file beside, and
    `objects.csv`.

    Args:
        instances: a model of objects, or their files: COCO JSON, or a folder of masks of object numbers that Intarsia wrote.
        semantic: a model of classes, or a folder of its masks, which say their classes as those that Intarsia writes.
        out: folder for the results.
        images: what the models are to look at; none with files.
        min_score: objects below are left out.
        max_overlap: largest share of an object that may lie on better ones.
        min_stuff_area: smallest stuff, in pixels of an image of 480 x 640 or larger; of smaller ones as large a share.
        device: where networks run.
        overlays: also write pictures, where there are images.
        progress: called after each image with its number, the count and its name.

    Returns:
        The PNG files written.

    Raises:
        SettingsError: a model and files, models without images, or thresholds that are no shares.
        DataError: files that cannot be read or do not pair.
        IntarsiaError: models that cannot be opened, in words.
    """
    check_thresholds(min_score, max_overlap, min_stuff_area)
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "min_stuff_area": min_stuff_area}
    are_models = [_is_model(side) for side in (instances, semantic)]
    if any(are_models) and not all(are_models):
        raise SettingsError(
            f"{instances if are_models[0] else semantic} is a model, and {semantic if are_models[0] else instances} are files. "
            "Give two models with --images, or two sets of files of predictions."
        )
    if not all(are_models):
        if images:
            raise SettingsError("Images were given beside files of predictions, which are merged without them. Leave them out.")
        return _merge_files(Path(str(instances)), Path(str(semantic)), Path(out), thresholds, progress)
    if not images:
        raise SettingsError("Two models were given and no images to look at: add --images FOLDER.")
    first, second = (open_predictor(side, device=device) for side in (instances, semantic))
    merged = Merged(first, second, min_score=min_score, max_overlap=max_overlap, min_stuff_area=min_stuff_area)
    told = None if progress is None else lambda number, count, row: progress(number, count, str(row.path))
    rows = predict(images, model=merged, out=out, overlays=overlays, progress=told)
    failed = [row.error for row in rows if row.error is not None]
    if failed:
        raise DataError(f"{len(failed)} of {len(rows)} images could not be done: {failed[0]}")
    return [row.mask for row in rows if row.mask is not None]


def _is_model(side: str | Path | Predictor) -> bool:
    if not isinstance(side, str | Path):
        return True
    path = Path(side)
    if not path.exists():
        return str(side) in CLASSICAL or path.suffix != ".json"  # what is not there is best told of as a model
    return path.suffix == ".safetensors" or (path / BEST).is_file()


def _merge_files(
    instances: Path, semantic: Path, out: Path, thresholds: Mapping[str, float], progress: Progress | None
) -> list[Path]:
    objects, labels = _objects(instances), files_by_name(semantic)
    names = paired_names(objects, labels, instances, semantic)
    written = []
    with ObjectFiles(out) as table:
        for number, name in enumerate(names, 1):
            panoptic = _merged(objects[name](), _labels(labels[name]), labels[name], thresholds)
            written.append(write_mask(out / MASKS / f"{name}.png", panoptic))
            table.add(labels[name], name, panoptic)
            if progress is not None:
                progress(number, len(names), name)
    return written


def _merged(objects: Instances, labels: LabelMap, path: Path, thresholds: Mapping[str, float]) -> Panoptic:
    if objects.size_hw != labels.size_hw:
        raise DataError(
            f"{path} is {labels.size_hw} (height, width) and the objects of the same name lie in an image of {objects.size_hw}."
        )
    return merge_panoptic(
        objects,
        labels,
        min_score=thresholds["min_score"],
        max_overlap=thresholds["max_overlap"],
        min_stuff_area=int(thresholds["min_stuff_area"]),
    )


def _objects(path: Path) -> dict[str, Callable[[], Instances]]:
    """Objects by name, read when called."""
    if path.suffix.lower() == ".json":
        file = read_coco(path)
        return {name_of(Path(name)): partial(file.instances.__getitem__, name) for name in file.instances}
    return {name: partial(_read_objects, masks) for name, masks in files_by_name(path).items()}


def _read_objects(path: Path) -> Instances:
    if read_mask_values(path).objects is None:
        raise DataError(
            f"{path} holds object numbers and does not say their classes. Use COCO JSON, or files that Intarsia writes."
        )
    return read_instances(path)


def _labels(path: Path) -> LabelMap:
    labels = read_mask(path)
    if labels.classes is None:
        raise DataError(f"{path} does not say which classes its values mean. Use masks that Intarsia writes.")
    return labels
