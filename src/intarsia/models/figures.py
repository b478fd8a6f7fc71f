"""What a network costs and how far it sees, found without computing anything: it runs on the meta device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from intarsia.core import Output, SettingsError
from intarsia.models._description import Figures
from intarsia.models._spec import ModelSpec
from intarsia.ops.receptive_field import receptive_field

__all__ = ["Layer", "blocks", "count_layers", "figures"]

SIDE, LARGER = 512, 256
"""Side of an image, and by how much it is enlarged to see by how much a map becomes larger: a multiple of all usual strides."""

Shape = tuple[int, ...]


class Layer(TypedDict):
    """A layer, or a block with all layers in it.

    name: its path in the network, as in the state dict; "" is the network.
    kind: its class.
    output: shape (C, H, W) of what it makes when it first runs; None if it does not run as a whole or makes no tensor.
    parameters: frozen ones count as well.
    flops: of convolutions and matrix products, all runs together; a multiplication and an addition count as two. None where they
        depend on the regions that are found in the image.
    """

    name: str
    kind: str
    output: Shape | None
    parameters: int
    flops: int | None


def figures(spec: ModelSpec, size_hw: tuple[int, int]) -> tuple[Figures, list[Layer]]:
    """All that can be counted about a network, and its layers; operations are those for one image of height and width `size_hw`.

    Raises:
        SettingsError: no network can be made of the spec.
    """
    layers = count_layers(spec, size_hw)
    found: Figures = {
        "parameters": layers[0]["parameters"],
        "flops": layers[0]["flops"],
        "output_stride": None,
        "coarsest_stride": None,
        "receptive_field": None,
    }
    if found["flops"] is not None:
        network = _on_meta(spec)
        found["output_stride"], found["coarsest_stride"] = _strides(network, spec.in_channels)
        found["receptive_field"] = _receptive_field(network, spec.in_channels)
    return found, layers


def count_layers(spec: ModelSpec, size_hw: tuple[int, int]) -> list[Layer]:
    """Parameters and operations alone, which are counted quickly: of the network first, then of every module in it.

    Operations are those for one image in evaluation mode. Normalisation, activation, pooling and resizing do not count.
    """
    network = _on_meta(spec)
    shapes: dict[nn.Module, Shape | None] = {}
    flops, before = dict.fromkeys(network.modules(), 0), list[int]()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:

        def begin(_module: nn.Module, _arguments: Any) -> None:
            before.append(counter.get_total_flops())

        def end(module: nn.Module, _arguments: Any, made: Any) -> None:
            flops[module] += counter.get_total_flops() - before.pop()
            made = made[-1] if isinstance(made, list) and made else made  # an encoder's coarsest feature
            shapes.setdefault(module, tuple(made.shape[1:]) if isinstance(made, Tensor) else None)

        for module in network.modules():
            module.register_forward_pre_hook(begin)
            module.register_forward_hook(end)
        try:
            _scores(network, spec.in_channels, size_hw)
            all_ran = True
        except NotImplementedError:  # a choice among values, which the meta device does not have: regions are chosen
            all_ran = False

    def inside(module: nn.Module) -> int | None:
        """Of a list of modules, which is not run itself, the sum."""
        if module in shapes:
            return flops[module]
        parts = [inside(part) for part in module.children()]
        known = [part for part in parts if part is not None]
        listed = isinstance(module, nn.ModuleList) and len(known) == len(parts)
        return sum(known) if all_ran or listed else None

    return [
        {
            "name": name,
            "kind": type(module).__name__,
            "output": shapes.get(module),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "flops": inside(module),
        }
        for name, module in network.named_modules()
    ]


def blocks(layers: Sequence[Layer], most: int = 30) -> list[Layer]:
    """The network cut at one depth into at most `most` blocks, if that can be; what costs nothing is left out.

    What belongs to none of the blocks comes last, without kind and output, so that the sums are the network's.
    """
    whole, *parts = layers
    depths = {layer["name"]: layer["name"].count(".") for layer in parts}
    inner = {name.rpartition(".")[0] for name in depths}
    cut: list[Layer] = []
    for depth in range(1 + max(depths.values(), default=0)):
        level = [x for x in parts if depths[x["name"]] == depth or (depths[x["name"]] < depth and x["name"] not in inner)]
        level = [layer for layer in level if layer["parameters"] or layer["flops"]]
        if cut and len(level) > most:
            break
        cut = level
    parameters = whole["parameters"] - sum(layer["parameters"] for layer in cut)
    flops = None if whole["flops"] is None else whole["flops"] - sum(layer["flops"] or 0 for layer in cut)
    if parameters or flops:
        cut.append({"name": "in between", "kind": "", "output": None, "parameters": parameters, "flops": flops})
    return cut


def _on_meta(spec: ModelSpec) -> nn.Module:
    with torch.device("meta"):
        return spec.build().eval()


def _scores(network: nn.Module, in_channels: int, size_hw: tuple[int, int]) -> Tensor:
    output: Output = network(torch.empty(1, in_channels, *size_hw, device="meta"))
    return output.logits


def _strides(network: nn.Module, in_channels: int) -> tuple[float | None, float | None]:
    """Output stride and coarsest stride: by how much maps become larger with the image, which borders do not change."""
    smaller, larger = (_scores(network, in_channels, (side, side)) for side in (SIDE, SIDE + LARGER))

    def strides(*, weighted: bool) -> list[float]:  # maps whose size is fixed have none
        pairs = zip(_sides(smaller, weighted=weighted), _sides(larger, weighted=weighted), strict=True)
        return [LARGER / (after - before) for before, after in pairs if after > before]

    return min(strides(weighted=True), default=None), max(strides(weighted=False), default=None)


def _sides(scores: Tensor, *, weighted: bool) -> list[int]:
    """H of all maps (N, C, H, W) behind the scores; with `weighted`, of the nearest that parameters made."""
    sides, waiting, seen = list[int](), [scores.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        before = [parent for parent, _ in node.next_functions]
        from_weights = any(hasattr(parent, "variable") for parent in before)
        shape = node._input_metadata[0].shape
        if len(shape) == 4 and (from_weights or not weighted):
            sides.append(shape[-2])
        if not (from_weights and weighted):
            waiting += before
    return sides


def _receptive_field(network: nn.Module, in_channels: int) -> tuple[int, int] | Literal["whole image"] | None:
    try:
        field = receptive_field(network, (in_channels, SIDE, SIDE))
    except SettingsError:
        return None
    smallest, largest = min(field.smallest_hw), max(field.size_hw)
    return "whole image" if math.isinf(largest) else (int(smallest), int(largest))
