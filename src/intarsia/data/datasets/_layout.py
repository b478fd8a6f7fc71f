"""What data sets with a published layout share: views, keys by split, and images that must pair with their truths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

from intarsia.core import DataError, SettingsError, Task, nearest_names

__all__ = ["counted", "paired", "require_known", "require_view", "stems"]


def require_view(title: str, view: str, views: Mapping[str, Task]) -> Task:
    """The task of a view.

    Raises:
        SettingsError: the data set has no such view.
    """
    if view not in views:
        raise SettingsError(f"{title} has no {view} truth; its views are {', '.join(views)}.")
    return views[view]


def require_known(title: str, key: str, splits: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """A key as its split and the rest.

    Raises:
        DataError: no split has the key; the message gives the nearest.
    """
    split, _, rest = key.partition("/")
    if key not in splits.get(split, ()):
        near = nearest_names(key, (known for keys in splits.values() for known in keys))
        raise DataError(f"{title} has no sample {key!r}. Nearest: {', '.join(near) or 'none'}.")
    return split, rest


def stems(folder: Path, ending: str) -> set[str]:
    """File names in a folder that have this ending, without it; none where there is no folder."""
    try:
        return {entry.name.removesuffix(ending) for entry in os.scandir(folder) if entry.name.endswith(ending)}
    except OSError:
        return set()


def paired(where: str, images: Set[str], truths: Set[str], expected: str) -> list[str]:
    """The names that are images and truths.

    Raises:
        DataError: some are one of them alone.
    """
    lonely = sorted(images ^ truths)
    if lonely:
        raise DataError(
            f"{where} holds an image or a truth alone for {', '.join(lonely[:5])} ({len(lonely)} in all). Expected is\n{expected}"
        )
    return sorted(images)


def counted(splits: Mapping[str, Iterable[str]]) -> str:
    """The splits with their numbers of images, for a note."""
    return ", ".join(f"{len(list(keys))} {split}" for split, keys in splits.items())
