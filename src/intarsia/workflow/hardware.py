"""What this process may use of the machine: cores, instruction sets, memory, NVIDIA's driver. Nothing heavy is imported."""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "NvidiaDriver", "cores_allowed", "instruction_sets", "memory", "nvidia_driver", "processor_name"]

ROOT = Path("/")
TELLING = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "asimd", "sve", "i8mm", "bf16")
"""Instruction sets that decide how fast a network runs on a processor, by the names of /proc/cpuinfo (x86, then Arm)."""


@dataclass(frozen=True)
class Memory:
    """Bytes of main memory: what is built in, what is free, and what the container allows; None where it is not known."""

    total: int | None
    free: int | None
    limit: int | None


@dataclass(frozen=True)
class NvidiaDriver:
    """What nvidia-smi says: the driver's version and the GPUs' names, or why it says nothing."""

    version: str | None
    gpus: tuple[str, ...] = ()
    error: str | None = None


def processor_name(root: Path = ROOT) -> str:
    """The processor as its maker calls it."""
    for line in _lines(root / "proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instruction_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Those of `TELLING` that the processor has; empty where the system does not list them (outside Linux)."""
    for line in _lines(root / "proc/cpuinfo"):
        if line.startswith(("flags", "Features")):
            return tuple(name for name in TELLING if name in line.split())
    return ()


def cores_allowed(root: Path = ROOT) -> int:
    """Cores that this process may use at once: its affinity, or fewer if its container has a smaller quota of time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [tuple(text.split()) for text in _group_files(root, "cpu", "cpu.max")]
    periods = _group_files(root, "cpu", "cpu.cfs_period_us")
    quotas += list(zip(_group_files(root, "cpu", "cpu.cfs_quota_us"), periods, strict=False))
    for quota, period in quotas:
        if quota not in ("max", "-1"):
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def memory(root: Path = ROOT) -> Memory:
    """Main memory, and the limit of the container that this process runs in."""
    rows = (line.split() for line in _lines(root / "proc/meminfo"))
    known = {name: int(value) * 1024 for name, value, *_ in rows}
    total, free = known.get("MemTotal:"), known.get("MemAvailable:")
    if total is None and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    files = (*_group_files(root, "memory", "memory.max"), *_group_files(root, "memory", "memory.limit_in_bytes"))
    # Version 1 of control groups writes a huge number where there is no limit.
    limits = [int(text) for text in files if text != "max" and (total is None or int(text) < total)]
    return Memory(total, free, min(limits, default=None))


def nvidia_driver() -> NvidiaDriver | None:
    """Ask nvidia-smi, which knows the GPUs whether or not torch can use them; None where it is not installed."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return NvidiaDriver(None, error=str(error))
    rows = [line.split(", ", 1) for line in done.stdout.splitlines() if re.match(r"\d+\.\d+.*, ", line)]
    if done.returncode != 0 or not rows:
        return NvidiaDriver(None, error=(done.stdout + done.stderr).strip().partition("\n")[0] or f"exit code {done.returncode}")
    return NvidiaDriver(rows[0][0], tuple(name for _, name in rows))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _group_files(root: Path, controller: str, name: str) -> Iterator[str]:
    """A file of this process's control group and of those around it, as far as they can be seen; versions 1 and 2 alike."""
    mount = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = mount / controller if controllers else mount
        inner = base / group.strip("/")
        for folder in (inner, *inner.parents):
            yield from (text.strip() for text in _lines(folder / name))
            if folder == base:
                break
