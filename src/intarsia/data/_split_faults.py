"""What is wrong between splits: pictures in two of them, classes that one lacks; and sizes and channels that differ."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from intarsia.core import Array, ClassSpace
from intarsia.data._findings import Finding, listed, plural, share
from intarsia.data._glances import Glance, Picture
from intarsia.data._near_duplicates import near_duplicates
from intarsia.data.stats import auto_class_weights

__all__ = ["find_in_classes", "find_in_pictures"]

T = TypeVar("T")
Seen = tuple[Glance, Picture]
RARE = 0.001
LEAST_FRAMES = 3
"""Numbered names with one beginning are taken for a film from this many on."""


def find_in_pictures(glances: Sequence[Glance]) -> list[Finding]:
    """Pictures that two splits share, frames of one film in both, and mixed sizes and channels."""
    seen = [(glance, glance.picture) for glance in glances if glance.picture is not None]
    return [*_same_pictures(seen), *_near_duplicates(seen), *_shared_sequences(glances), *_mixed(seen)]


def find_in_classes(glances: Sequence[Glance], classes: ClassSpace, expected: Sequence[int] | None = None) -> list[Finding]:
    """Classes that are absent from val or train, of all or of the `expected` ids, and those that are rare."""
    wanted = range(len(classes)) if expected is None else expected
    empty = np.zeros(len(classes) + 1, np.int64)
    areas = {split: empty.copy() for split in ("train", "val")}
    for glance in glances:
        if glance.areas is not None and glance.split in areas:
            areas[glance.split] += glance.areas
    train, val = areas["train"][:-1], areas["val"][:-1]
    found = _no_split({glance.split for glance in glances})
    if not train.any():
        return found
    absent = {
        "train": [classes.names[i] for i in wanted if not train[i]],
        "val": [classes.names[i] for i in wanted if train[i] and not val[i]] if val.any() else [],
    }
    for split, effect in (("val", "no score can say how well it is found"), ("train", "it cannot be learnt")):
        if absent[split]:
            names = (
                f"class {absent[split][0]!r}" if len(absent[split]) == 1 else f"classes {listed(map(repr, absent[split]), 12)}"
            )
            advice = (
                "Move images that show it into val"
                if split == "val"
                else "Add images that show it, or leave it out of the classes"
            )
            found.append(Finding.warning("absent_class", f"The {names} occurs nowhere in {split}, so {effect}. {advice}."))
    return [*found, *_rare(train, classes)]


def _no_split(splits: set[str]) -> list[Finding]:
    """What `train` would refuse; data without train may be meant for evaluation alone."""
    if not splits:
        return []
    need = "`train` needs images for training and for validation"
    if "train" not in splits:
        return [Finding.warning("no_split", f"There is no train, so these data are for evaluation only: {need}.")]
    if "val" not in splits:
        advice = "Move some of train into val, in a folder by [split] in intarsia.toml"
        return [Finding.error("no_split", f"There is no val: {need}. {advice}.")]
    return []


def _rare(train: Array, classes: ClassSpace) -> list[Finding]:
    rare = [i for i in np.flatnonzero(train) if train[i] < RARE * train.sum()]
    if not rare:
        return []
    names = listed([f"{classes.names[i]} ({share(train[i], train.sum())})" for i in rare], 12)
    weights = ",".join(f"{weight:.3g}" for weight in auto_class_weights(train))
    return [
        Finding.warning(
            "rare_class",
            f"{'A class has' if len(rare) == 1 else 'Classes have'} less than 0.1 % of the labelled pixels of train: {names}. A "
            f"network learns to leave out what costs so little. To balance them: --class-weights {weights}. The default loss "
            "counts every class alike and takes no weights of its own accord.",
        )
    ]


def _same_pictures(seen: Sequence[Seen]) -> list[Finding]:
    """An error for each two splits that share pictures; an empty picture equals others by chance and does not count."""
    by_digest: defaultdict[bytes, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for glance, picture in seen:
        if not picture.is_flat:
            by_digest[picture.digest][glance.split].append(_name(glance))
    shared: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for names in by_digest.values():
        for one, other in combinations(names, 2):
            shared[one, other].append((names[one][0], names[other][0]))
    return [
        Finding.error(
            "same_picture",
            f"{plural(pairs, 'picture')} of {one} {'is' if len(pairs) == 1 else 'are'} in {other} too, pixel by pixel: "
            f"{listed(f'{a} = {b}' for a, b in pairs)}. A score then measures what was learnt by heart. Delete one of each, or "
            "keep both in one split ([split] in intarsia.toml).",
            [name for pair in pairs for name in pair],
        )
        for (one, other), pairs in shared.items()
    ]


def _near_duplicates(seen: Sequence[Seen]) -> list[Finding]:
    found = []
    for split in ("val", "test"):
        compared = [(glance, picture) for glance, picture in seen if glance.split in ("train", split)]
        hashes, thumbs = [picture.hash for _, picture in compared], [picture.thumb for _, picture in compared]
        pairs = near_duplicates(hashes, thumbs, [glance.split == split for glance, _ in compared])
        near = [(compared[i][0], compared[j][0]) for i, j in pairs if compared[i][1].digest != compared[j][1].digest]
        if near:
            count, whole = len({other.key for _, other in near}), sum(glance.split == split for glance, _ in compared)
            found.append(
                Finding.warning(
                    "near_duplicates",
                    f"{count} of {plural(whole, 'picture')} of {split} look{'s' if count == 1 else ''} nearly like one of train: "
                    f"{listed(f'{_name(a)} and {_name(b)}' for a, b in near)}. Neighbouring frames, copies or overlapping tiles "
                    f"make the score on {split} flatter: keep them in one split.",
                    [_name(glance) for pair in near for glance in pair],
                )
            )
    return found


def _shared_sequences(glances: Sequence[Glance]) -> list[Finding]:
    """Beginnings of numbered names, such as 0016E5 in 0016E5_07959, that occur in train and in another split.

    One beginning for all names, such as img_0001, says nothing about films.
    """
    frames: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for glance in glances:
        stem = glance.key.rpartition("/")[2]
        beginning = re.sub(r"[_.\- ]*\d+$", "", stem)
        if beginning not in ("", stem):
            frames[beginning][glance.split] += 1
    films = {name: counts for name, counts in frames.items() if counts.total() >= LEAST_FRAMES}
    if len(films) < 2 or sum(counts.total() for counts in films.values()) < len(glances) / 2:
        return []
    found = []
    for split in ("val", "test"):
        shared = [(name, counts) for name, counts in films.items() if counts["train"] and counts[split]]
        if shared:
            names = listed(f"{name} ({counts['train']} in train, {counts[split]} in {split})" for name, counts in shared)
            found.append(
                Finding.warning(
                    "shared_sequence",
                    f"Names of one beginning are in train and in {split}: {names}. If they are frames of one film, or tiles of "
                    f"one image, the score on {split} flatters: put whole sequences into one split.",
                )
            )
    return found


def _mixed(seen: Sequence[Seen]) -> list[Finding]:
    found = []
    sizes = Counter(picture.size_hw for _, picture in seen)
    if len(sizes) > 1:
        small, large = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
        found.append(
            Finding.warning(
                "mixed_sizes",
                f"The images have {len(sizes)} sizes, from {small[0]} x {small[1]} to {large[0]} x {large[1]} (height x width). "
                "Training fits them into one box; if one object then differs in scale, choose --imgsz or cut tiles.",
            )
        )
    channels: dict[int, list[str]] = _names_by((picture.channels, glance) for glance, picture in seen)
    if len(channels) > 1:
        message = f"The images have different numbers of channels: {_counts(channels)}."
        names = [name for group in channels.values() for name in group[:1]]
        if set(channels) <= {1, 3, 4}:
            meaning = "Grey is repeated for a colour network and transparency is left out, in training as in use."
            found.append(Finding.warning("mixed_channels", f"{message} {meaning}", names))
        else:
            found.append(
                Finding.error("mixed_channels", f"{message} A network takes one number: convert them to one kind.", names)
            )
    depths: dict[str, list[str]] = _names_by((picture.dtype, glance) for glance, picture in seen)
    if len(depths) > 1:
        message = f"The images have different types of values: {_counts(depths)}. Each is scaled by the range of its type."
        found.append(Finding.warning("mixed_depths", message, [name for group in depths.values() for name in group[:1]]))
    return found


def _names_by(entries: Iterable[tuple[T, Glance]]) -> dict[T, list[str]]:
    names: defaultdict[T, list[str]] = defaultdict(list)
    for kind, glance in entries:
        names[kind].append(_name(glance))
    return dict(names)


def _counts(names: dict[T, list[str]]) -> str:
    ordered = sorted(names.items(), key=lambda entry: -len(entry[1]))
    return ", ".join(f"{kind} in {len(group):,} (such as {group[0]})" for kind, group in ordered)


def _name(glance: Glance) -> str:
    return str(glance.files[0]) if glance.files else glance.key
