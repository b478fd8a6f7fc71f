"""The folder is the registry: a catalogue lists the files of a package and imports only the one asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from functools import cached_property
from types import ModuleType
from typing import Any

from intarsia.core.errors import UnknownNameError

__all__ = ["Catalog", "nearest_names"]


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that look most like `name`, best first; case, `-` and `_` do not count, and + is plus."""

    def plain(text: str) -> str:
        return text.lower().replace("+", "plus").translate(dict.fromkeys(map(ord, "-_ ")))

    by_plain = {plain(candidate): candidate for candidate in known}
    target = plain(name)
    close = difflib.get_close_matches(target, by_plain, n=limit, cutoff=0.5)
    close += [key for key in by_plain if target and (target in key or key in target) and key not in close]
    return [by_plain[key] for key in close[:limit]]


class Catalog:
    """The things of one kind, one file each, found by file name.

    Args:
        kind: what an entry is, as it stands in messages, such as "semantic model".
        package: dotted name of the package whose files are the entries. Files that begin with `_` are not entries.

    A file's public thing is what in its `__all__` is called as the file is, else the first name there.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Sorted file names, read from the folder without importing any of them."""
        package = importlib.import_module(self.package)
        return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)

    def module(self, name: str) -> ModuleType:
        """Import the file called `name`.

        Raises:
            UnknownNameError: no such file; the message gives the nearest and all known names.
        """
        if name not in self.names:
            near = nearest_names(name, self.names)
            hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
            raise UnknownNameError(f"There is no {self.kind} called {name!r}.{hint} Known: {', '.join(self.names)}.")
        return importlib.import_module(f"{self.package}.{name}")

    def load(self, name: str) -> Any:
        """The public thing of the file called `name`."""
        module = self.module(name)
        return getattr(module, name if name in module.__all__ else module.__all__[0])
