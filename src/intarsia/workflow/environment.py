"""The versions and the machine behind a result."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["environment", "memory_ran_out"]

PACKAGES = ("intarsia", "torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless")


def environment() -> dict[str, str]:
    """Name to value: packages, Python, system, processor count, and the GPU if torch is in use and sees one."""
    import torch

    found = {"Python": platform.python_version(), "system": platform.platform(), "CPU cores": str(os.cpu_count())}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    return found


def memory_ran_out(error: BaseException) -> bool:
    """Whether the error says that there was no memory left, of the machine or of the GPU; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "Insufficient memory"))  # torch on a CPU, OpenCV
