"""The versions and the machine behind a result."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["environment"]

PACKAGES = ("intarsia", "torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless")


def environment() -> dict[str, str]:
    """Name to value: packages, Python, system, processor count, and the GPU if torch is in use and sees one."""
    found = {"Python": platform.python_version(), "system": platform.platform(), "CPU cores": str(os.cpu_count())}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    return found
