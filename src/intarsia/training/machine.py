"""Where a training runs, and what it reports to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import loggers as pl_loggers

from intarsia.core import SettingsError

__all__ = ["Machine", "leave_processes", "quiet_lightning"]


@dataclass(frozen=True)
class Machine:
    """Where a training runs. Several processes share an epoch, so that a step sees as many batches as there are processes.

    Args:
        device: "auto", "cpu", "cuda", "mps".
        devices, nodes: processes on each machine, and machines.
        workers: processes that prepare batches; None: 4 beside a CUDA GPU, else 0, since the network needs the cores.
        loggers: names of Lightning's loggers to write to beside results.csv: "tensorboard", "wandb", "mlflow".
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int | None = None
    loggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("devices", 1), ("nodes", 1), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SettingsError(f"{name} is {value}; it must be at least {least}.")

    def workers_for(self, device: torch.device) -> int:
        """How many processes prepare batches."""
        if self.workers is not None:
            return self.workers
        return 4 if device.type == "cuda" else 0

    def open_loggers(self, out: Path) -> list[Any] | bool:
        """Lightning's loggers, writing under `out`; False for none.

        Raises:
            SettingsError: a name that is not known, or whose package is not installed.
        """
        known: dict[str, Callable[[], Any]] = {
            "tensorboard": lambda: pl_loggers.TensorBoardLogger(out, name="", version="tensorboard"),
            "wandb": lambda: pl_loggers.WandbLogger(save_dir=out, project="intarsia", name=out.name),
            "mlflow": lambda: pl_loggers.MLFlowLogger(
                experiment_name="intarsia", run_name=out.name, save_dir=str(out / "mlruns")
            ),
        }
        made = []
        for name in self.loggers:
            if name not in known:
                raise SettingsError(f"There is no logger called {name!r}; known: {', '.join(known)}.")
            try:
                made.append(known[name]())
            except ModuleNotFoundError as error:
                package = name if name != "tensorboard" else "'intarsia[tensorboard]'"
                raise SettingsError(
                    f"The logger {name!r} needs a package that is not installed: pip install {package}"
                ) from error
        return made or False


def leave_processes() -> None:
    """End what the processes of a parallel training talk through; threads of it that outlive Python can abort the process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def quiet_lightning() -> None:
    """Lightning's own lines about devices and loaders say what we say better, or do not apply."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*GPU available but not used.*",
        r".*The `srun` command is available.*",
        r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",
        r".*isinstance\(treespec, LeafSpec\).*",
    ):
        warnings.filterwarnings("ignore", message=message)
