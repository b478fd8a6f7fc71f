"""A look into a folder that may be large: the first files of a kind, found without listing all."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

__all__ = ["few_files"]

MOST_LOOKED_AT = 2000
"""Names, over all folders; beyond them a folder is too mixed to be recognised by its files."""


def few_files(folder: Path, suffix: str, count: int = 3, *, deepest: int = 4) -> list[Path]:
    """Up to `count` files with an ending in lower case, in a folder and so deep below it; links to folders are not followed.

    Which of many files they are depends on the file system. Never raises; without a folder there are none.
    """
    found: list[Path] = []
    waiting, looked = deque([(folder, 0)]), 0
    while waiting and len(found) < count:
        here, depth = waiting.popleft()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    looked += 1
                    if looked > MOST_LOOKED_AT or len(found) >= count:
                        return found
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting += [(here / entry.name, depth + 1)] if depth < deepest else []
                    elif entry.name.lower().endswith(suffix):
                        found.append(here / entry.name)
        except (OSError, ValueError):
            continue
    return found
