"""An exported network (ONNX, TorchScript, torch.export) in the place of the one that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core import ModelFileError, Output, SettingsError
from intarsia.inference.model_file import ModelCard
from intarsia.inference.sidecar import SUFFIXES, read_sidecar
from intarsia.models import network_catalog

__all__ = ["ExportedNetwork", "open_exported", "read_exported"]

Run = Callable[[Tensor], Sequence[Tensor]]
"""An image (1, C, H, W) float32, normalised, on the processor, to the outputs of the graph."""


class ExportedNetwork(nn.Module):
    """A graph that takes one image at a time, called as a network is.

    Args:
        run: the graph.
        outputs: what it gives, in order; "logits" is among them.
        decoder: of its output into objects, for instance and panoptic networks.
    """

    def __init__(self, run: Run, outputs: Sequence[str], decoder: str | None = None) -> None:
        super().__init__()
        self.run, self.outputs = run, tuple(outputs)
        self.DECODER = decoder

    def forward(self, image: Tensor) -> Output:
        """Scores of (N, C, H, W), as `Output` of the network had them, without its auxiliary heads.

        Raises:
            ModelFileError: the graph does not take images of this size.
        """
        try:
            rows = [self.run(one[None].cpu()) for one in image]
        except Exception as error:  # each library has its own
            reason = str(error).strip().partition("\n")[0]
            raise ModelFileError(
                f"The exported network does not run on an image of {image.shape[2]} x {image.shape[3]} pixels (height x width): "
                f"{reason} Use the model file for it, or another target of the export."
            ) from error
        maps = {
            name: torch.cat(found) if found[0].ndim == 4 else found[0]
            for name, found in zip(self.outputs, zip(*rows, strict=True), strict=True)
        }
        logits = maps.pop("logits")
        return Output(logits, parts=maps or None)


def read_exported(path: str | Path) -> tuple[ExportedNetwork, ModelCard]:
    """The network in an exported file, and what the JSON beside it says.

    Raises:
        ModelFileError: a file that is missing or damaged, or has no JSON beside it.
        SettingsError: onnxruntime is not installed.
    """
    card, outputs = read_sidecar(path)
    decoder = getattr(network_catalog(card.spec.name)[1].load(card.spec.name), "DECODER", None)
    return open_exported(path, outputs, decoder), card


def open_exported(path: str | Path, outputs: Sequence[str], decoder: str | None = None) -> ExportedNetwork:
    """The network in a file whose outputs are known; see `ExportedNetwork`.

    Raises:
        ModelFileError: a file that cannot be opened.
        SettingsError: onnxruntime is not installed.
    """
    path = Path(path)
    opened = {SUFFIXES["onnx"]: _open_onnx, SUFFIXES["torchscript"]: _open_torchscript, SUFFIXES["torch-export"]: _open_program}
    try:
        run = opened[path.suffix](path, outputs)
    except SettingsError:
        raise
    except Exception as error:  # each library has its own
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"The exported network {path} cannot be opened: {reason} Export it again.") from error
    return ExportedNetwork(run, outputs, decoder)


def _open_onnx(path: Path, outputs: Sequence[str]) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise SettingsError(f"{path} needs onnxruntime, which is not installed: pip install 'intarsia[export]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(image: Tensor) -> list[Tensor]:
        return [torch.from_numpy(found) for found in session.run(list(outputs), {"image": image.numpy()})]

    return run


def _open_torchscript(path: Path, outputs: Sequence[str]) -> Run:
    from intarsia.inference.torchscript import without_deprecations

    jit: Any = torch.jit  # it has no types
    with without_deprecations():
        network: Run = jit.load(str(path), map_location="cpu").eval()
    return network


def _open_program(path: Path, outputs: Sequence[str]) -> Run:
    # its guards hold for the layout in memory of the example; that the graph is right for other sizes was measured by the export
    network: Run = torch.export.load(path).module(check_guards=False)
    return network
