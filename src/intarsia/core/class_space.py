"""Classes: names, colours, the values that stand for them in files, thing or stuff, and the id that is ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from intarsia.core.arrays import Array, smallest_id_dtype
from intarsia.core.errors import ClassSpaceError

__all__ = ["ClassSpace", "Color", "SegmentationClass", "Source", "default_color", "thing_ids_of"]

Color = tuple[int, int, int]
Source = int | Color | str
"""A value that means a class in a file: an integer, an RGB colour, or the name of a folder or file suffix."""


def default_color(index: int) -> Color:
    """Colour `index` of the PASCAL VOC map: bit 3k+c of the index becomes bit 7-k of channel c. Index 0 is black."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


@dataclass(frozen=True, slots=True)
class SegmentationClass:
    """One class. `sources` are the values that stand for it in files; empty means its own id."""

    name: str
    color: Color
    sources: tuple[Source, ...] = ()
    is_thing: bool = False


@dataclass(frozen=True)
class ClassSpace:
    """The classes of a data set, a model or a segmentation, in order: the id of a class is its position.

    Args:
        classes: at least one class, names unique.
        ignore_id: the id that marks a pixel without truth in memory and in what we write; never a class's id.
        ignore_sources: the values that mean "ignore" in files, beside `ignore_id` itself.

    Raises:
        ClassSpaceError: no class, a name twice, a source value claimed twice, an ignore id that is a class,
            a colour outside 0..255.
    """

    classes: tuple[SegmentationClass, ...]
    ignore_id: int = 255
    ignore_sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            raise ClassSpaceError("A class space needs at least one class, and none was given.")
        names = self.names
        for name in names:
            if names.count(name) > 1:
                raise ClassSpaceError(f"The class name {name!r} occurs {names.count(name)} times; names must differ.")
        if 0 <= self.ignore_id < len(self.classes):
            raise ClassSpaceError(
                f"The ignore id {self.ignore_id} is also the id of class {names[self.ignore_id]!r}: "
                f"choose one outside 0..{len(self.classes) - 1}, such as {255 if len(self.classes) <= 255 else 65535}."
            )
        if not 0 <= self.ignore_id <= 65535:
            raise ClassSpaceError(f"The ignore id {self.ignore_id} is outside 0..65535, so no mask file can hold it.")
        for entry in self.classes:
            if len(entry.color) != 3 or not all(0 <= value <= 255 for value in entry.color):
                raise ClassSpaceError(f"The colour {entry.color} of class {entry.name!r} is not three values in 0..255.")
        owner: dict[Source, str] = {}
        for source, name in self._claims():
            if source in owner:
                raise ClassSpaceError(
                    f"The source value {source!r} is claimed by {owner[source]!r} and by {name!r}; "
                    "a value in a mask file can mean one class only."
                )
            owner[source] = name

    def _claims(self) -> Iterable[tuple[Source, str]]:
        for index, entry in enumerate(self.classes):
            for source in entry.sources or (index,):
                yield source, entry.name
        for source in self.ignore_sources:
            yield source, "ignore"

    @classmethod
    def from_names(cls, names: Sequence[str], *, things: Iterable[str] = (), ignore_id: int | None = None) -> ClassSpace:
        """Classes with the default colours; `ignore_id` is 255, or 65535 from 256 classes on."""
        things = set(things)
        return cls(
            tuple(SegmentationClass(n, default_color(i), is_thing=n in things) for i, n in enumerate(names)),
            ignore_id=(255 if len(names) <= 255 else 65535) if ignore_id is None else ignore_id,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.classes)

    @cached_property
    def colors(self) -> Array:
        """(K, 3) uint8."""
        return np.array([entry.color for entry in self.classes], np.uint8)

    @property
    def thing_ids(self) -> tuple[int, ...]:
        return tuple(i for i, entry in enumerate(self.classes) if entry.is_thing)

    @property
    def id_dtype(self) -> np.dtype[Any]:
        """The smallest dtype that holds every class id and the ignore id."""
        return smallest_id_dtype(max(len(self.classes) - 1, self.ignore_id))

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, name: str) -> int:
        """Id of the class called `name`."""
        if name not in self.names:
            raise ClassSpaceError(f"There is no class called {name!r}; the classes are {', '.join(self.names)}.")
        return self.names.index(name)

    @cached_property
    def id_of_source(self) -> dict[Source, int]:
        """Every source value, mapped to a class id or to `ignore_id`."""
        mapping: dict[Source, int] = {}
        for index, entry in enumerate(self.classes):
            mapping.update(dict.fromkeys(entry.sources or (index,), index))
        mapping.update(dict.fromkeys(self.ignore_sources, self.ignore_id))
        mapping.setdefault(self.ignore_id, self.ignore_id)
        return mapping

    def ids_from_values(self, values: Array, *, where: str = "The mask") -> Array:
        """Translate a mask of integer source values (H, W) to class ids (H, W) of dtype `id_dtype`.

        Raises:
            ClassSpaceError: a value that no class claims; the message names `where`, the values and their pixel shares.
        """
        if values.dtype == np.uint8 and self._id_of_byte is not None:
            found = bytearray(values.tobytes()).translate(self._id_of_byte)
            if self._free_id not in found:
                return np.frombuffer(found, np.uint8).reshape(values.shape)
        table = self._id_of_value
        in_table = values.min(initial=0) >= 0 and values.max(initial=0) < len(table)
        ids = table.take(values.astype(np.intp, copy=False)) if in_table else np.full(1, -1)
        if ids.min(initial=0) < 0:
            self._refuse(values, {s: i for s, i in self.id_of_source.items() if isinstance(s, int)}, where)
        return ids.astype(self.id_dtype)

    @cached_property
    def _id_of_value(self) -> Array:
        """int32, as long as the largest value that is claimed needs; -1 for a value that is not."""
        known = {s: i for s, i in self.id_of_source.items() if isinstance(s, int) and 0 <= s <= 65535}
        table = np.full(max(known) + 1, -1, np.int32)
        table[list(known)] = list(known.values())
        return table

    @cached_property
    def _id_of_byte(self) -> bytes | None:
        """`_id_of_value` for `bytes.translate`, which takes a quarter of the time of indexing; None if all 256 ids are used."""
        if self.id_dtype != np.uint8 or len(self) > 254:
            return None
        table = np.full(256, self._free_id, np.uint8)
        known = self._id_of_value[:256]
        table[: len(known)] = np.where(known < 0, self._free_id, known)
        return table.tobytes()

    @property
    def _free_id(self) -> int:
        """An id of one byte that nothing has, if there are at most 254 classes."""
        return 254 if self.ignore_id == 255 else 255

    def ids_from_colors(self, rgb: Array, *, where: str = "The mask") -> Array:
        """Translate an RGB mask (H, W, 3) uint8 to class ids (H, W) of dtype `id_dtype`.

        A class without a colour among its sources is found by its display colour.

        Raises:
            ClassSpaceError: a colour that no class claims.
        """
        known = {_packed(s): i for s, i in self.id_of_source.items() if isinstance(s, tuple)}
        for index, entry in enumerate(self.classes):
            if not any(isinstance(source, tuple) for source in entry.sources):
                known.setdefault(_packed(entry.color), index)
        packed = rgb[..., 0].astype(np.int32) << 16 | rgb[..., 1].astype(np.int32) << 8 | rgb[..., 2]
        found, inverse = np.unique(packed, return_inverse=True)
        lookup = np.array([known.get(int(value), -1) for value in found], np.int32)
        if (lookup < 0).any():
            self._refuse(packed, known, where, show=lambda value: f"#{value:06x}")
        return lookup[inverse].reshape(packed.shape).astype(self.id_dtype)

    def _refuse(self, values: Array, known: Mapping[int, int], where: str, show: Any = str) -> None:
        found, counts = np.unique(values, return_counts=True)
        strange = [(int(v), n / values.size) for v, n in zip(found, counts, strict=True) if int(v) not in known]
        strange.sort(key=lambda pair: -pair[1])
        listed = ", ".join(f"{show(v)} ({share:.2%} of pixels)" for v, share in strange[:6])
        more = f" and {len(strange) - 6} more" if len(strange) > 6 else ""
        raise ClassSpaceError(
            f"{where} holds {'a value' if len(strange) == 1 else 'values'} that no class claims: {listed}{more}. "
            f"The classes claim {', '.join(show(v) for v in sorted(known)[:20])}. "
            "Add the value to a class's `values`, or to `ignore`, in intarsia.toml beside the data."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON or TOML; `from_dict` reads them back to an equal object."""
        return {
            "classes": [
                {"name": c.name, "color": list(c.color), "values": [_plain(s) for s in c.sources], "thing": c.is_thing}
                for c in self.classes
            ],
            "ignore_id": self.ignore_id,
            "ignore": [_plain(source) for source in self.ignore_sources],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClassSpace:
        """Inverse of `to_dict`. Colours, values and `thing` may be left out; a class may be just its name."""
        try:
            entries = [{"name": e} if isinstance(e, str) else e for e in data["classes"]]
            classes = tuple(
                SegmentationClass(
                    name=str(entry["name"]),
                    color=cast("Color", tuple(entry.get("color", default_color(index)))),
                    sources=tuple(_source(value) for value in entry.get("values", ())),
                    is_thing=bool(entry.get("thing", False)),
                )
                for index, entry in enumerate(entries)
            )
            ignore_id = data.get("ignore_id", 255 if len(classes) <= 255 else 65535)
            if not isinstance(ignore_id, int):
                raise ClassSpaceError(
                    f"The `ignore_id` is {ignore_id!r}; one whole number such as 255 was expected. Other values of pixels "
                    "without truth belong in `ignore`, a list."
                )
            return cls(classes, ignore_id, tuple(_source(value) for value in data.get("ignore", ())))
        except ClassSpaceError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ClassSpaceError(
                f"The declaration of classes cannot be read ({type(error).__name__}: {error}). Each class is a name, or a "
                "table such as {name = 'road', color = [128, 64, 128], values = [7], thing = false}."
            ) from error


def thing_ids_of(classes: ClassSpace) -> tuple[int, ...]:
    """Ids of the classes whose objects are counted, in order: those of things.

    Where no class is declared to be a thing, all but the first, which is then the background; a single class is no background.
    """
    return classes.thing_ids or tuple(range(1, len(classes))) or (0,)


def _packed(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _plain(source: Source) -> int | str | list[int]:
    return list(source) if isinstance(source, tuple) else source


def _source(value: Any) -> Source:
    if isinstance(value, list | tuple):
        if len(value) != 3:
            raise ClassSpaceError(f"The source value {value!r} is neither a number, a name nor three numbers (RGB).")
        return int(value[0]), int(value[1]), int(value[2])
    return value if isinstance(value, str) else int(value)
