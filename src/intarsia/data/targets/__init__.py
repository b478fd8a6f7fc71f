"""Training targets: one file each, a pure function from a truth to an array that a loss or an auxiliary head learns."""

from __future__ import annotations

from collections.abc import Iterable

from intarsia.core import Array, Catalog, LabelMap

__all__ = ["TARGETS", "make_targets"]

TARGETS = Catalog("training target", "intarsia.data.targets")


def make_targets(names: Iterable[str], truth: LabelMap) -> dict[str, Array]:
    """The targets of these names, such as "presence", of a truth as the network sees it (after augmentation).

    Raises:
        UnknownNameError: no such target.
    """
    return {name: TARGETS.load(name)(truth) for name in names}
