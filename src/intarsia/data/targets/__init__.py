"""Training targets: one file each, a pure function from a truth to what a loss or a head learns.

That is an array whose shape depends on the size of the truth alone, or a dictionary of arrays with a leading axis of objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from intarsia.core import Array, Catalog, Segmentation

__all__ = ["TARGETS", "Target", "make_targets"]

TARGETS = Catalog("training target", "intarsia.data.targets")

Target = Array | Mapping[str, Array]
"""An array, or arrays of objects (Q, ...) by name."""


def make_targets(names: Iterable[str], truth: Segmentation) -> dict[str, Target]:
    """The targets of these names, such as "presence", of a truth as the network sees it (after augmentation).

    Raises:
        UnknownNameError: no such target.
    """
    return {name: TARGETS.load(name)(truth) for name in names}
