"""For each operation of torch, by the name it has in ATen: what its results see of the image, given what its arguments see."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch._ops import OpOverload

from intarsia.core import SettingsError
from intarsia.ops import _windows as win
from intarsia.ops._windows import Windows

__all__ = ["Call", "Memory", "Pool", "apply"]

Of: TypeAlias = Callable[[Tensor], Windows]
Rule: TypeAlias = Callable[["Call", Of], Windows | list[Windows]]


class Pool(NamedTuple):
    """A pooling by maximum whose places were kept: per axis size before, size after, kernel, stride, padding, dilation."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass
class Memory:
    """What is known of tensors besides their fields, by their ids."""

    values: dict[int, Tensor] = field(default_factory=dict)
    pools: dict[int, Pool] = field(default_factory=dict)

    def value(self, tensor: Tensor) -> Tensor | None:
        """Its numbers, if they do not depend on image or weights."""
        return tensor if tensor.device.type == "cpu" else self.values.get(id(tensor))


class Call:
    """An operation with its arguments by name, and what it returned."""

    def __init__(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, memory: Memory) -> None:
        schema = func._schema
        self.name = schema.name.removeprefix("aten::")
        if schema.is_mutable and not self.name.startswith("_"):
            self.name = self.name.rstrip("_")
        self.pointwise = torch.Tag.pointwise in func.tags or self.name in POINTWISE.split()
        self.view = bool(schema.arguments) and schema.arguments[0].alias_info is not None and not schema.is_mutable
        given = {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)} | dict(kwargs)
        self.arguments = {argument.name: argument.default_value for argument in schema.arguments} | given
        self.tensors = list(_tensors(given.values()))
        self.results = list(_tensors([result]))
        self.memory = memory

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def dim(self) -> int:
        return int(self["dim"]) % max(self.tensors[0].ndim, 1)

    def slice(self) -> slice:
        """Of a view that shows a part along `dim`."""
        if self.name == "select":
            place = self["index"] % self.tensors[0].shape[self.dim]
            return slice(place, place + 1)
        return slice(self["start"], self["end"], self["step"])


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def apply(call: Call, of: Of) -> list[Windows]:
    """The windows of all results.

    Raises:
        SettingsError: there is no rule for the operation.
    """
    rule = _pointwise if call.pointwise else RULES.get(call.name)
    if rule is None:
        raise SettingsError(
            f"The receptive field cannot be followed through the operation aten::{call.name}, of which nothing is known here. "
            "Ask for the field of the part of the network before it."
        )
    found = rule(call, of)
    windows = found if isinstance(found, list) else [found] * len(call.results)
    return [_fitted(one, result) for one, result in zip(windows, call.results, strict=True)]


def _fitted(windows: Windows, result: Tensor) -> Windows:
    """As they are, or one window for all values of a side result of another shape (statistics)."""
    fits = windows.ndim - 1 == result.ndim and all(a in (1, b) for a, b in zip(windows.shape[1:], result.shape, strict=True))
    return windows if fits else win.hull(windows, range(windows.ndim - 1)).reshape(2, *[1] * result.ndim)


def _pointwise(call: Call, of: Of) -> Windows:
    return win.union([of(tensor) for tensor in call.tensors], call.results[0].ndim)


def _everything(call: Call, of: Of) -> Windows:
    """Each result sees all that any argument sees."""
    whole = [win.hull(of(tensor), range(tensor.ndim)).reshape(2) for tensor in call.tensors]
    return win.union(whole, call.results[0].ndim)


def _nothing(call: Call, _of: Of) -> Windows:
    return win.nothing(call.results[0].ndim)


def _copy(call: Call, of: Of) -> Windows:
    return win.union([of(call["src"])], call.results[0].ndim)


def _reshape(call: Call, of: Of) -> Windows:
    (x,), (result,) = call.tensors, call.results
    if pool := call.memory.pools.get(id(x)):
        call.memory.pools[id(result)] = pool
    return win.reshape(of(x), x.shape, result.shape)


def _permute(call: Call, of: Of) -> Windows:
    x = call.tensors[0]
    order = list(range(x.ndim))
    if call.name == "permute":
        order = [dim % x.ndim for dim in call["dims"]]
    else:
        a, b = (0, x.ndim - 1) if call.name == "t" else (call["dim0"] % x.ndim, call["dim1"] % x.ndim)
        order[a], order[b] = order[b], order[a]
    return of(x).transpose(0, *(dim + 1 for dim in order))


def _part(call: Call, of: Of) -> Windows:
    windows, dim = of(call.tensors[0]), call.dim
    if windows.shape[dim + 1] > 1:
        windows = windows[(slice(None), *[slice(None)] * dim, call.slice())]
    return windows.squeeze(dim + 1) if call.name == "select" else windows


def _split(call: Call, of: Of) -> list[Windows]:
    windows, dim, place, parts = of(call.tensors[0]), call.dim, 0, []
    for result in call.results:
        size = 1 if call.name == "unbind" else result.shape[dim]
        part = windows
        if windows.shape[dim + 1] > 1:
            part = windows[(slice(None), *[slice(None)] * dim, slice(place, place + size))]
        parts.append(part.squeeze(dim + 1) if call.name == "unbind" else part)
        place += size
    return parts


def _concatenate(call: Call, of: Of) -> Windows:
    dims = call.results[0].ndim
    dim, parts, sizes = call["dim"] % dims, [of(tensor) for tensor in call.tensors], [1] * len(call.tensors)
    if call.name == "cat":
        sizes = [tensor.shape[dim] for tensor in call.tensors]
    else:
        parts = [part.reshape(2, *part.shape[1 : dim + 1], 1, *part.shape[dim + 1 :]) for part in parts]
    return win.concatenate(parts, dim, sizes, apart=call.name == "stack")


def _select_index(call: Call, of: Of) -> Windows:
    x, index = call["self"], call.memory.value(call["index"])
    if index is None:
        return win.hull(of(x), [call.dim])
    return win.gather(of(x), call.dim, index.reshape(-1, 1).numpy())


def _index(call: Call, of: Of) -> Windows:
    """Along one dimension, by numbers that are known; whatever else may pick anything."""
    picked = [(dim, index) for dim, index in enumerate(call["indices"]) if index is not None]
    index = call.memory.value(picked[0][1])
    if len(picked) > 1 or index is None or index.ndim != 1 or index.dtype != torch.int64:
        return _everything(call, of)
    dim = picked[0][0]
    return win.gather(of(call["self"]), dim, (index % call["self"].shape[dim]).reshape(-1, 1).numpy())


def _pad(call: Call, of: Of) -> Windows:
    x, mode = call.tensors[0], call.name.split("_")[0]
    pad = call["pad"] if mode == "constant" else call["padding"]
    windows = of(x)
    for place in range(len(pad) // 2):
        dim = x.ndim - 1 - place
        windows = win.gather(windows, dim, win.padded(x.shape[dim], pad[2 * place], pad[2 * place + 1], mode))
    return windows


def _convolution(call: Call, of: Of) -> Windows:
    x, weight, result = call["input"], call["weight"], call.results[0]
    windows = win.hull(of(x), [1])
    seen = win.pasted if call["transposed"] else win.sliding
    for axis, kernel in enumerate(weight.shape[2:]):
        step = (_nth(call[name], axis) for name in ("stride", "padding", "dilation"))
        windows = win.gather(windows, axis + 2, seen(x.shape[axis + 2], result.shape[axis + 2], kernel, *step))
    return windows


def _pool(call: Call, of: Of) -> Windows:
    x, result, axes = call.tensors[0], call.results[0], int(re.sub(r"\D", "", call.name))
    windows, pools = of(x), []
    for axis in range(axes):
        dim = x.ndim - axes + axis
        kernel = _nth(call["kernel_size"], axis)
        stride = _nth(call["stride"], axis) if call["stride"] else kernel
        dilation = _nth(call.arguments.get("dilation") or 1, axis)
        pools.append((x.shape[dim], result.shape[dim], kernel, stride, _nth(call["padding"], axis), dilation))
        windows = win.gather(windows, dim, win.sliding(*pools[-1]))
    if axes == 2 and len(call.results) == 2:
        call.memory.pools[id(call.results[1])] = Pool(*pools)
    return windows


def _unpool(call: Call, of: Of) -> Windows:
    """Values put back where maxima stood: a pixel may get the value of any pooling window that it was in."""
    scatter = call.name == "scatter"
    index, source = (call["index"], call["src"]) if scatter else (call["indices"], call["self"])
    pool, result = call.memory.pools.get(id(index)), call.results[0]
    if pool is None:
        return _everything(call, of)
    lead = list(result.shape[:-1] if scatter else result.shape[:-2])
    (height, small_height, *rows), (width, small_width, *columns) = pool
    if math.prod(source.shape) != math.prod(lead) * small_height * small_width:
        return _everything(call, of)
    windows = win.union([of(source), of(index)], source.ndim)
    windows = win.reshape(windows, source.shape, [*lead, small_height, small_width])
    windows = win.gather(windows, len(lead), win.pasted(small_height, height, *rows))
    windows = win.gather(windows, len(lead) + 1, win.pasted(small_width, width, *columns))
    windows = win.reshape(windows, [*lead, height, width], result.shape)
    return win.union([windows, of(call["self"])], result.ndim) if scatter else windows


def _adaptive(call: Call, of: Of) -> Windows:
    x, windows = call.tensors[0], of(call.tensors[0])
    for dim in range(x.ndim - len(call["output_size"]), x.ndim):
        windows = win.gather(windows, dim, win.adaptive(x.shape[dim], call.results[0].shape[dim]))
    return windows


def _interpolate(call: Call, of: Of) -> Windows:
    x, result, windows = call.tensors[0], call.results[0], of(call.tensors[0])
    mode = re.sub(r"(bi|tri)?linear", "linear", call.name.removeprefix("_").removeprefix("upsample_"))
    mode = re.sub(r"\dd$|^bi(?=cubic)", "", "nearest_exact" if "exact" in mode else mode)
    scales = [value for name, value in call.arguments.items() if re.fullmatch(r"scales(_[dhw])?", name)]
    scales = scales or call.arguments.get("scale_factors") or []
    for axis, dim in enumerate(range(2, x.ndim)):
        index = win.interpolated(
            x.shape[dim],
            result.shape[dim],
            "cubic" if "cubic" in mode else mode,
            align_corners=bool(call.arguments.get("align_corners")),
            scale=scales[axis] if axis < len(scales) else None,
        )
        windows = win.gather(windows, dim, index)
    return windows


def _shuffle(call: Call, of: Of) -> Windows:
    x, result = call.tensors[0], call.results[0]
    windows = win.hull(of(x), [x.ndim - 3])
    for dim in (x.ndim - 2, x.ndim - 1):
        before, after = x.shape[dim], result.shape[dim]
        factor = max(before // after, 1)
        index = win.sliding(before, after, factor, factor) if factor > 1 else win.interpolated(before, after, "nearest")
        windows = win.gather(windows, dim, index)
    return windows


def _multiply(call: Call, of: Of) -> Windows:
    """Matrices: a row of the first with a column of the second, and perhaps a matrix that is added."""
    *added, first, second = call.tensors
    parts = [of(one) for one in added] + [win.hull(of(first), [-1]), win.hull(of(second), [-2])]
    return win.union(parts, call.results[0].ndim)


def _attend(call: Call, of: Of) -> Windows:
    query, key, value = call.tensors[:3]
    parts = [win.hull(of(query), [-1]), win.hull(of(key), [-2, -1]), win.hull(of(value), [-2])]
    return win.union([*parts, *(win.hull(of(mask), [-1]) for mask in call.tensors[3:])], query.ndim)


def _reduce(call: Call, of: Of) -> Windows:
    dims = call.arguments.get("dim")
    if dims is None or dims == []:
        return _everything(call, of)
    return win.hull(of(call.tensors[0]), [dims] if isinstance(dims, int) else dims, bool(call["keepdim"]))


def _along(call: Call, of: Of) -> Windows:
    """Each value sees all that is along a dimension."""
    return win.hull(of(call.tensors[0]), [call["dim"]])


def _normalize(call: Call, of: Of) -> Windows:
    """By the statistics of the whole map, or by stored ones, which see nothing."""
    x = call["input"]
    if call.name == "native_layer_norm":
        dims = range(x.ndim - len(call["normalized_shape"]), x.ndim)
    elif call.name == "native_group_norm":
        dims = range(1, x.ndim)
    else:
        return win.hull(of(x), [dim for dim in range(x.ndim) if dim != 1]) if call.arguments.get("training") else of(x)
    return win.union([of(x), win.hull(of(x), dims)], x.ndim)


def _nth(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis % len(value)]


POINTWISE = (
    "alias clone detach _to_copy contiguous lift_fresh native_dropout hardtanh elu leaky_relu prelu _prelu_kernel gelu silu mish "
    "hardswish hardsigmoid relu6 threshold softplus where masked_fill expand clamp nan_to_num"
)
"""Those that torch does not itself tag as such, or not in all versions."""

_NAMES: dict[Rule, str] = {
    _nothing: "fill zero new_zeros new_ones new_full new_empty new_empty_strided zeros_like ones_like full_like empty_like "
    "rand_like randn_like",
    _copy: "copy",
    _reshape: "view _unsafe_view reshape _reshape_alias squeeze unsqueeze flatten unflatten",
    _permute: "permute transpose t",
    _part: "slice select",
    _split: "split split_with_sizes unbind",
    _concatenate: "cat stack",
    _select_index: "index_select",
    _index: "index",
    _pad: "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
    "replication_pad3d",
    _convolution: "convolution",
    _pool: "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices",
    _unpool: "scatter max_unpool2d",
    _adaptive: "adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d",
    _interpolate: "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d",
    _shuffle: "pixel_shuffle pixel_unshuffle",
    _multiply: "mm bmm addmm baddbmm",
    _attend: "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
    "_scaled_dot_product_efficient_attention",
    _reduce: "mean sum amax amin logsumexp var std max min argmax argmin prod any all linalg_vector_norm",
    _along: "_softmax _log_softmax _safe_softmax cumsum sort topk",
    _normalize: "native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training",
    _everything: "grid_sampler_2d gather roll flip",
}
RULES = {name: rule for rule, names in _NAMES.items() for name in names.split()}
