"""A network as a graph in a file: one normalised image (1, C, H, W) of any size in, its scores out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core import Output, SettingsError
from intarsia.inference.sidecar import SUFFIXES
from intarsia.inference.torchscript import without_deprecations

__all__ = ["TARGETS", "Target", "export_graph"]

Target = Literal["onnx", "torchscript", "torch-export"]
TARGETS: tuple[str, ...] = tuple(SUFFIXES)

EXAMPLE_HW = (203, 171)
"""Odd, so that what is mirrored and cut off is in the graph; at a stride of 32 still several places, none of them one."""
TRACED_HW = ((32, 33), (75, 61), (260, 300))
"""Smaller and larger, at which a trace is run: it holds one way through each decision that depends on a size."""


class _Maps(nn.Module):
    """The scores and further maps as a tuple, which is all that a graph can give."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = _maps_of(self.network(image))
        return tuple(found[name] for name in self.names)


def export_graph(network: nn.Module, path: str | Path, to: str, *, in_channels: int = 3) -> tuple[str, ...]:
    """Write a network as a graph.

    Args:
        network: in evaluation mode, on the processor.
        path: of the file; its suffix should be that of `SUFFIXES[to]`, by which it is opened.
        to: "onnx", "torchscript" or "torch-export".
        in_channels: of its images.

    Returns:
        The names of what the graph gives, in order: "logits", then those of `Output.parts`. Auxiliary heads, which only training
        needs, are not among them.

    Raises:
        SettingsError: another target, a network that no graph of fixed steps can hold, or a package that is not installed.
    """
    writers = {"onnx": _write_onnx, "torchscript": _write_torchscript, "torch-export": _write_program}
    if to not in writers:
        raise SettingsError(f"The target of an export can be {', '.join(writers)}; {to!r} was given.")
    kind = type(network).__name__
    example = torch.rand(1, in_channels, *EXAMPLE_HW, generator=torch.Generator().manual_seed(0))
    if getattr(network, "learns_semantic", True) is False:
        raise SettingsError(
            f"This {kind} is told from outside where the classes are, so that there is no graph from image to objects. Train it "
            'with semantic="learnt" to export it.'
        )
    with torch.no_grad():
        maps = _maps_of(network(example))
    if "boxes_xyxy" in maps or "image_index" in maps:
        raise SettingsError(
            f"A {kind} proposes regions and looks into each; how many there are, and which overlap too much, is found out while "
            "it runs, which a graph of fixed steps does not hold. Use its model file, or export a network whose objects are "
            "decoded from maps: ternausnet_v2, deep_watershed, metric_learning."
        )
    names = tuple(maps)
    with torch.no_grad(), _quiet():
        try:
            writers[to](_Maps(network, names).eval(), example, Path(path), names)
        except SettingsError:
            raise
        except Exception as error:  # the exporters raise what they like
            reason = str(error).strip().partition("\n")[0]
            raise SettingsError(f"This {kind} cannot be exported to {to}: {reason}") from error
    return names


def _maps_of(output: Output) -> dict[str, Tensor]:
    parts: Mapping[str, Tensor] = output.parts or {}
    return {"logits": output.logits, **parts}


def _program(maps: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    sizes = {"image": {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}}
    program = torch.export.export(maps, (example,), dynamic_shapes=sizes, strict=False)
    seen = next(node.meta["val"].shape for node in program.graph.nodes if node.name == "image")
    if any(isinstance(side, int) for side in seen[2:]):
        raise RuntimeError("a size that varies was fixed on the way, so that it would take images of one size only.")
    return program


def _write_onnx(maps: nn.Module, example: Tensor, path: Path, names: tuple[str, ...]) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SettingsError("ONNX needs packages that are not installed: pip install 'intarsia[export]'.") from error
    made = torch.onnx.export(
        _program(maps, example), (example,), dynamo=True, input_names=["image"], output_names=list(names), verbose=False
    )
    if made is None:
        raise RuntimeError("torch gave back no ONNX program.")
    made.save(str(path))


def _write_torchscript(maps: nn.Module, example: Tensor, path: Path, names: tuple[str, ...]) -> None:
    jit: Any = torch.jit  # it has no types
    with without_deprecations():
        traced = jit.trace(maps, (example,), check_trace=False)
        for size_hw in TRACED_HW:
            seen = torch.rand(*example.shape[:2], *size_hw, generator=torch.Generator().manual_seed(0))
            if not _same(traced, maps, seen):
                raise RuntimeError(
                    f"a trace keeps what the network decided for its example of {EXAMPLE_HW[0]} x {EXAMPLE_HW[1]} pixels "
                    f"(height x width), which is wrong for {size_hw[0]} x {size_hw[1]}. Export it to onnx or torch-export."
                )
        traced.save(str(path))


def _same(traced: nn.Module, maps: nn.Module, seen: Tensor) -> bool:
    expected: Tensor = maps(seen)[0]
    try:
        found: Tensor = traced(seen)[0]
    except RuntimeError:
        return False
    return found.shape == expected.shape and bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


def _write_program(maps: nn.Module, example: Tensor, path: Path, names: tuple[str, ...]) -> None:
    torch.export.save(_program(maps, example), str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say about themselves: whether the graph is right is found out by comparing it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
