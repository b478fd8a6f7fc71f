"""What is wrong with a data set, all of it at once, before any time is spent on training. No torch.

Errors stop a training: files that are missing, unreadable or of different sizes, values that mean nothing, pictures that train
and val share. Warnings go into the report. Nothing of the data is ever changed; `write_fix` writes an `intarsia.toml` beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import ClassSpace, ClassSpaceError, DataError, Dataset, thing_ids_of
from intarsia.data._findings import Finding, plural
from intarsia.data._glances import Glance, glance_at_folder, glance_at_samples
from intarsia.data._mask_faults import find_in_faults, find_in_values
from intarsia.data._pair_faults import find_in_areas, find_in_files
from intarsia.data._split_faults import find_in_classes, find_in_pictures
from intarsia.data._unscored import find_unscored
from intarsia.data.datasets import DATASETS, find_dataset, open_dataset
from intarsia.data.datasets._declared import TOML, classes_block
from intarsia.data.datasets._faults import FaultyFolder
from intarsia.data.datasets._inferred import classes_of_names, settle_classes
from intarsia.data.datasets._looks import THREADS, Look, areas_of
from intarsia.data.datasets._survey import Survey, survey_folder
from intarsia.data.datasets.folder import Folder
from intarsia.data.formats._files import write_bytes

__all__ = ["Check", "DataFaults", "Finding", "check_dataset"]

Progress = Callable[[int, int], None]


class DataFaults(DataError):
    """The errors that `check` found, which stop a training."""


@dataclass(frozen=True)
class Check:
    """What was found in a data set.

    name: of the data set.
    counts: samples of each split.
    classes: that the truths are read with; None where they cannot be.
    notes: what was inferred or left aside, one sentence each.
    findings: errors first.
    suggested: classes that would settle the errors about values.
    toml: the file that would declare them.
    """

    name: str
    counts: Mapping[str, int]
    classes: ClassSpace | None
    notes: Sequence[str]
    findings: Sequence[Finding]
    suggested: ClassSpace | None = None
    toml: Path | None = None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "warning"]

    def summary(self) -> str:
        """What was looked at and how much was found, in a line."""
        splits = ", ".join(f"{count:,} {split}" for split, count in self.counts.items()) or "no samples"
        found = [plural(of_kind, kind) for kind, of_kind in (("error", self.errors), ("warning", self.warnings)) if of_kind]
        return f"{self.name}, {splits}: {', '.join(found) or 'nothing found'}."

    def to_dict(self) -> dict[str, Any]:
        return {
            "data": self.name,
            "samples": dict(self.counts),
            "classes": None if self.classes is None else list(self.classes.names),
            "notes": list(self.notes),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def save(self, path: Path) -> None:
        """Write `to_dict` as JSON."""
        write_bytes(path, (json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n").encode())

    def raise_errors(self) -> None:
        """Refuse data with errors.

        Raises:
            DataFaults: the sentences of all errors, with the blocks that fix them.
        """
        if self.errors:
            sentences = "\n\n".join(finding.sentences() for finding in self.errors)
            raise DataFaults(f"{self.summary()} Nothing is trained on such data.\n\n{sentences}")

    def write_fix(self) -> Path | None:
        """Write the suggested declaration beside the data, and say where.

        None if there is no suggestion, or an `intarsia.toml` already, which is not touched.
        """
        if self.suggested is None or self.toml is None or self.toml.exists():
            return None
        text = "# Written by `intarsia check --fix`: what the values in the masks mean. Names and colours are yours to change.\n"
        write_bytes(self.toml, (text + classes_block(self.suggested)).encode())
        return self.toml


def check_dataset(source: str | Path | Dataset, *, progress: Progress | None = None) -> Check:
    """Look at every image and truth of a data set once.

    Args:
        source: as `open_dataset` takes it, or a data set.
        progress: called with the samples looked at and their number.

    Raises:
        DataError: there is no such data set.
        SettingsError: options of a data set that cannot be read.
    """
    if isinstance(source, Folder):
        return _check_folder(source.survey, progress)
    if not isinstance(source, str | Path):
        return _check_samples(source, progress)
    name, rest = find_dataset(source)
    recognised = _recognised(name)
    if name == "folder":
        found = _check_folder(survey_folder(Path(rest), view="semantic"), progress)
        return replace(found, notes=(recognised, *found.notes))
    try:
        dataset = open_dataset(source, view="semantic")
    except (DataError, ClassSpaceError) as error:
        return Check(name, {}, None, (), (Finding.error("layout", str(error)),))
    found = _check_samples(dataset, progress)
    return found if name == "annotations" else replace(found, notes=(recognised, *found.notes))  # those say the format


def _recognised(name: str) -> str:
    """As what the data were recognised, and what that is."""
    what = " ".join((DATASETS.load(name).__doc__ or "").strip().split("\n\n")[0].split())
    return f"Recognised as {name}: {what[:1].lower()}{what[1:]}"


def _check_samples(dataset: Dataset, progress: Progress | None) -> Check:
    is_ours = type(dataset).__module__.startswith(f"{DATASETS.package}.")  # who knows whether another reads from several threads
    threads = THREADS if is_ours else 1
    glances = glance_at_samples(dataset, threads=threads, progress=progress)
    findings = [*find_in_files(glances), *find_in_areas(glances, dataset.classes), *find_in_pictures(glances)]
    findings += find_in_classes(glances, dataset.classes, thing_ids_of(dataset.classes) if dataset.task == "instance" else None)
    if dataset.task == "semantic":
        findings += find_unscored(glances, dataset.classes)[0]
    counts = {split: len(keys) for split, keys in dataset.splits.items()}
    return Check(dataset.name, counts, dataset.classes, tuple(dataset.notes), _errors_first(findings))


def _check_folder(survey: Survey, progress: Progress | None) -> Check:
    findings = [Finding.error(fault.code, fault.message, fault.files) for fault in survey.faults]
    if survey.invalid is not None:
        findings.insert(0, Finding.error("declaration", str(survey.invalid)))
    class_files = [pair.class_files for pair in survey.pairs.values() if pair.class_files]
    named = survey.declared or (classes_of_names(class_files) if class_files else None)
    glances = glance_at_folder(survey, named, progress)
    findings += find_in_files(glances)
    classes, notes, suggested = None, list(survey.left_aside), None
    looks = [glance.look for glance in glances if glance.look is not None]
    if survey.invalid is None:
        try:
            classes, said = _settle(survey, glances)
        except FaultyFolder as error:
            of_values, suggested = find_in_faults(survey, looks, error.faults)
            findings += of_values
        else:
            notes = [*filter(None, (said, survey.about_split)), *notes]
            of_values, suggested = find_in_values(survey, looks, classes)
            _count_areas(glances, classes)
            findings += of_values
            if not any(finding.code == "binary_masks" for finding in of_values):
                findings += find_in_areas(glances, classes)
            if not of_values:
                findings += find_in_classes(glances, classes, thing_ids_of(classes) if survey.view == "instance" else None)
                unscored, suggested = find_unscored(glances, classes, survey.root / TOML)
                findings += unscored
    findings += find_in_pictures(glances)
    counts = {split: len(keys) for split, keys in survey.splits.items()}
    return Check(survey.name, counts, classes, tuple(notes), _errors_first(findings), suggested, survey.root / TOML)


def _settle(survey: Survey, glances: Sequence[Glance]) -> tuple[ClassSpace, str | None]:
    """The classes, from what was counted already, of the pairs whose truth could be read."""
    looks = {glance.look.path: glance.look for glance in glances if glance.look is not None}
    counted = {id(survey.pairs[glance.key].class_files): glance.named for glance in glances if glance.named is not None}
    readable = [survey.pairs[glance.key] for glance in glances if glance.truth_hw is not None]
    if not readable:
        return survey.declared or ClassSpace.from_names(["background", "foreground"]), None

    def look_at_all(files: Sequence[Path]) -> list[Look]:
        return [looks[file] for file in files]

    def count_named(of_image: Mapping[str, Path], classes: ClassSpace) -> Counter[str]:
        return counted[id(of_image)]

    return settle_classes(survey.name, survey.declared, readable, look_at_all=look_at_all, count_named=count_named)


def _count_areas(glances: Sequence[Glance], classes: ClassSpace) -> None:
    for glance in glances:
        if glance.named is not None:
            pixels = [glance.named[name] for name in classes.names]
            glance.areas = np.array([*pixels, sum(glance.named.values()) - sum(pixels)], np.int64)
        elif glance.look is not None:
            try:
                glance.areas = areas_of(glance.look, classes)
            except ClassSpaceError:
                glance.areas = None  # told with the values


def _errors_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.severity))
