"""A run of a network on the meta device that carries, with every tensor, the window of the image behind each of its values."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from intarsia.core import SettingsError
from intarsia.ops import _windows as win
from intarsia.ops._field_rules import Call, Memory, apply
from intarsia.ops._windows import Windows

__all__ = ["Bounds", "FieldWalk"]

Bounds: TypeAlias = npt.NDArray[np.int32]
"""(n, 2): first and last pixel."""

Field: TypeAlias = tuple[Windows, Windows]
"""Along the rows and along the columns of the image."""


_Mode: Any = TorchDispatchMode  # its methods carry no types


class _Part(NamedTuple):
    """Where a view lies in the tensor that it shows."""

    whole: Tensor
    call: Call


class FieldWalk(_Mode):
    """While it is entered, the operations on what comes from the image are followed by the rules of `_field_rules`."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self._memory = Memory()
        self._fields: dict[int, Field] = {}
        self._parts: dict[int, _Part] = {}
        self._alive: list[Any] = []  # an id is unique among the living; meta tensors take no memory
        height, width = (np.stack([pixel := np.arange(size, dtype=np.int32), -pixel]) for size in image.shape[-2:])
        lead = [1] * (image.ndim - 2)
        self._fields[id(image)] = height.reshape(2, *lead, -1, 1), width.reshape(2, *lead, 1, -1)
        self._alive.append(image)

    def windows(self, made: Tensor) -> tuple[Bounds, Bounds]:
        """First and last pixel behind the rows (h, 2) and the columns (w, 2) of a tensor (..., h, w); 0 and -1 for none."""
        found = []
        for axis, dim in enumerate((made.ndim - 2, made.ndim - 1)):
            others = [other for other in range(made.ndim) if other != dim]
            flat = np.broadcast_to(win.hull(self._of(made, axis), others).reshape(2, -1), (2, made.shape[dim]))
            bounds = np.stack([flat[0], -flat[1]], axis=1)
            found.append(np.where(bounds[:, :1] > bounds[:, 1:], (0, -1), bounds))
        return found[0], found[1]

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.native_batch_norm.default and not args[5]:  # torch works out the shapes of a long formula
            result = torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        else:
            result = func(*args, **(kwargs or {}))
        call = Call(func, args, kwargs or {}, result, self._memory)
        self._alive += call.results
        if any(id(tensor) in self._fields for tensor in call.tensors):
            self._follow(call)
        else:
            self._compute(call, func, args, kwargs or {})
        if call.view:
            self._parts[id(result)] = _Part(call.tensors[0], call)
        return result

    def _of(self, tensor: Tensor, axis: int) -> Windows:
        field = self._fields.get(id(tensor))
        return win.nothing(tensor.ndim) if field is None else field[axis]

    def _follow(self, call: Call) -> None:
        given = {id(tensor) for tensor in call.tensors}
        rows, columns = (apply(call, partial(self._of, axis=axis)) for axis in (0, 1))
        for tensor, *field in zip(call.results, rows, columns, strict=True):
            if id(tensor) in given:
                self._write(tensor, (field[0], field[1]))
            else:
                self._fields[id(tensor)] = field[0], field[1]

    def _write(self, tensor: Tensor, field: Field) -> None:
        """Note what was written into a tensor, and if that shows a part of another, into that."""
        if all(np.array_equal(self._of(tensor, axis), field[axis]) for axis in (0, 1)):
            return
        self._fields[id(tensor)] = field
        if (part := self._parts.get(id(tensor))) is None:
            return
        whole, call = part
        if call.name not in ("slice", "select"):
            raise SettingsError(
                f"The receptive field cannot be followed where values are written through aten::{call.name} into a tensor. "
                "Make a new tensor of them instead."
            )
        dim = call.dim
        if call.name == "select":
            field = np.expand_dims(field[0], dim + 1), np.expand_dims(field[1], dim + 1)
        size = whole.shape[dim]
        put = [win.put(self._of(whole, axis), dim, size, call.slice(), field[axis]) for axis in (0, 1)]
        self._write(whole, (put[0], put[1]))

    def _compute(self, call: Call, func: OpOverload, args: Any, kwargs: Any) -> None:
        """Keep the numbers of small tensors that come from numbers alone, indices say; the meta device has none."""
        known = [self._memory.value(tensor) for tensor in call.tensors]
        small = len(call.results) == 1 and call.results[0].numel() <= 2**16
        if not small or func._schema.is_mutable or any(value is None for value in known) or not (known or call.name == "arange"):
            return
        kwargs = {name: torch.device("cpu") if name == "device" else value for name, value in kwargs.items()}
        value = func(*(self._memory.value(arg) if isinstance(arg, Tensor) else arg for arg in args), **kwargs)
        self._memory.values[id(call.results[0])] = value
