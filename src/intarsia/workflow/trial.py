"""The part of `doctor` that may crash: import the packages, ask torch for devices, train for two seconds.

It is run as `python -m intarsia.workflow.trial`, in a process of its own, and says each thing it learns as a line of JSON: a
broken library takes nobody down with it, and what was learnt before stays known.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]

MODULES = {
    "opencv-python-headless": "cv2",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "pyyaml": "yaml",
}
"""Packages whose module has another name than the package."""
DATA = "scenes:train=32,val=4,size=64"


def main(arguments: Sequence[str] | None = None) -> None:
    """Say what there is, then train; each piece is a line of JSON on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("packages", nargs="*")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--hub", action="store_true")
    asked = parser.parse_args(arguments)
    imported = [_import(package) for package in asked.packages]
    if not all(imported):
        return  # what follows would fail for the same reason, in less clear words
    _say(doing="asking torch for devices")
    _say(devices=_devices())
    if asked.hub:
        _say(doing="asking whether the hub answers")
        _say(hub=_ask_hub())
    for device in _candidates(asked.device):
        _say(doing=f"training on {device}")
        try:
            _say(training=train_briefly(device))
            break
        except Exception as error:
            _say(fault=f"Training on {device} failed: {_words(error)} {_advice(error, device)}")


def train_briefly(device: str, epochs: int = 12) -> dict[str, Any]:
    """Train a small U-Net on 32 drawn scenes, as `intarsia train` does it; two seconds on a usual core after one to get going.

    Returns:
        device, precision, epochs, seconds, images_per_second (validation and saving included), and the loss of each epoch.
    """
    from rich.console import Console

    from intarsia.data.datasets import open_dataset
    from intarsia.recipes import Stage
    from intarsia.training import Machine, train_stage

    started = []

    def decided(_stage: Stage) -> dict[str, Any]:
        started.append(time.perf_counter())
        return {}

    _count_pixels()
    dataset = open_dataset(DATA)
    stage = Stage(model="unet", options={"width": 8, "depth": 2}, epochs=epochs, lr=5e-3)
    with tempfile.TemporaryDirectory() as folder:
        machine, console = Machine(device, workers=0), Console(quiet=True)
        done = train_stage(stage, dataset, Path(folder) / "run", seed=0, machine=machine, console=console, decided=decided)
    took = time.perf_counter() - started[0]
    return {
        "device": device,
        "precision": done.stage.precision,
        "epochs": len(done.history),
        "seconds": round(took, 2),
        "images_per_second": round(len(done.history) * len(dataset.splits["train"]) / took, 1),
        "losses": [round(row["train/loss"], 4) if math.isfinite(row["train/loss"]) else None for row in done.history],
    }


def _import(package: str) -> bool:
    _say(doing=f"importing {package}")
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(MODULES.get(package, package.replace("-", "_")))
    except Exception as error:  # a missing library is an OSError, a mismatch of versions anything
        _say(
            fault=f"{package} is installed and cannot be imported: {_words(error)} Install it again: "
            f"pip install --force-reinstall {package}"
        )
        return False
    return True


def _devices() -> dict[str, Any]:
    """What torch sees, and what it says where it sees none."""
    import torch

    with warnings.catch_warnings(record=True, action="always") as said:
        cuda = torch.cuda.is_available()
    gpus = []
    for index in range(torch.cuda.device_count() if cuda else 0):
        properties = torch.cuda.get_device_properties(index)
        capability = f"{properties.major}.{properties.minor}"
        gpus.append(f"{properties.name}, {properties.total_memory / 1e9:.1f} GB, compute capability {capability}")
    mps = torch.backends.mps
    return {
        "torch": torch.__version__,
        "built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "no GPU",
        "gpus": gpus,
        "cuda_warning": " ".join(str(warning.message).partition("\n")[0] for warning in said),
        "MPS": "yes" if mps.is_available() else "built in, not available" if mps.is_built() else "no",
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _candidates(asked: str) -> list[str]:
    """The device that was asked for, if there is one, and the processor, in case the other one fails."""
    from intarsia.inference import choose_device

    try:
        return list(dict.fromkeys((str(choose_device(asked)), "cpu")))
    except Exception as error:
        _say(fault=str(error))
        return ["cpu"]


def _ask_hub(timeout_s: float = 10.0) -> str | None:
    """None if the hub answers, else why not; a sentence."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so that the hub is not asked for weights. Unset it if that was not meant."
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=timeout_s).close()
    except HTTPError:
        return None  # an answer all the same
    except (OSError, ValueError) as error:
        return (
            f"The hub does not answer ({_words(error).rstrip('.')}), so that weights come from its cache only. Behind a proxy, "
            "set HTTPS_PROXY; without a network, copy the cache of a machine that has one, or train with --encoder-weights none."
        )
    return None


def _count_pixels() -> None:
    """Score two pixels, so that numba's compiling is over before the clock runs."""
    import numpy as np

    from intarsia.core import ClassSpace, LabelMap
    from intarsia.metrics.confusion import observe_confusion

    two = LabelMap(np.array([[0, 1]], np.uint8), ClassSpace.from_names(["a", "b"]))
    observe_confusion(two, two, "two pixels")


def _advice(error: Exception, device: str) -> str:
    words = str(error)
    if "out of memory" in words:
        return "Another program probably holds the memory of the GPU; nvidia-smi shows which."
    if "no kernel image" in words:
        return "This build of torch does not know this GPU: a newer GPU needs a newer torch, an old one an older torch."
    if "no locator available" in words:
        return "Numba finds no folder for what it compiles: set NUMBA_CACHE_DIR to one that can be written."
    return "Please report this." if device == "cpu" else "Until that is mended, train with --device cpu."


def _words(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{f': {first}' if first else ''}" + ("" if first.endswith(".") else ".")


def _say(**piece: Any) -> None:
    sys.stdout.write(json.dumps(piece) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
