"""doctor: is this installation fine? Versions, devices, folders that must be writable, a two-second training."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from intarsia import __version__
from intarsia.workflow.folders import cannot_write, needed_folders
from intarsia.workflow.hardware import NvidiaDriver, cores_allowed, instruction_sets, memory, nvidia_driver, processor_name

__all__ = ["Diagnosis", "doctor"]

LEAST_FREE = 2e9
"""Bytes of disk and of memory below which a usual training does not fit: a large network's state is written twice over."""
LEAST_SHARED = 1e9
PATIENCE_S = 300.0
"""How long the trial may take, most of it imports from a slow disk."""
VARIABLES = ("CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass
class Diagnosis:
    """What was found.

    facts: section to name to value, as text.
    faults: a sentence each, with what to do.
    training: what the trial training reached, see `trial.train_briefly`; None if it did not come to its end.
    """

    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    training: dict[str, Any] | None = None

    def add(self, section: str, name: str, value: str) -> None:
        self.facts.setdefault(section, {})[name] = value

    def to_dict(self) -> dict[str, Any]:
        """JSON; paths as in `text`."""
        found = {"intarsia": __version__, "facts": self.facts, "training": self.training, "faults": self.faults}
        plain: dict[str, Any] = _each_text(found)
        return plain

    def text(self) -> str:
        """Plain text to read or to paste into a bug report; the home folder is ~ and the user's name is left out."""
        lines = [f"Intarsia {__version__}"]
        for section, facts in self.facts.items():
            width = max(map(len, facts))
            lines += ["", section, *(f"  {name:{width}}  {value}" for name, value in facts.items())]
        lines.append("")
        if self.faults:
            lines.append(f"Found {len(self.faults)} thing{'s' if len(self.faults) > 1 else ''} to mend:")
            lines += [f"  {number}. {fault}" for number, fault in enumerate(self.faults, 1)]
        else:
            lines.append("Nothing to mend was found.")
        return _without_names("\n".join(lines))


def doctor(*, device: str = "auto", hub: bool = False) -> Diagnosis:
    """Look at the installation, and train a small network for a moment. Nothing is raised for what is broken: it is a fault.

    Args:
        device: where to train; "auto" takes what a training would take.
        hub: also ask whether the hub with trained weights answers; otherwise the network is not used.
    """
    found = Diagnosis()
    _look_at_system(found)
    packages = _look_at_packages(found)
    _look_at_folders(found)
    _try(found, packages, device=device, hub=hub)
    return found


def _look_at_system(found: Diagnosis) -> None:
    cores, sets, mains = cores_allowed(), instruction_sets(), memory()
    found.add("system", "Python", f"{platform.python_version()}, {platform.python_implementation()}")
    found.add("system", "system", platform.platform())
    found.add("system", "processor", f"{processor_name()} ({platform.machine()})")
    load = f", load {os.getloadavg()[0]:.1f} in the last minute" if hasattr(os, "getloadavg") else ""
    found.add("system", "cores", f"{cores} allowed of {os.cpu_count()}{load}")
    if sets:
        found.add("system", "instructions", ", ".join(sets))
    parts = [f"{_gigabytes(mains.total)}", f"{_gigabytes(mains.free)} free"]
    parts += [f"{_gigabytes(mains.limit)} allowed by the container"] if mains.limit is not None else []
    found.add("system", "memory", ", ".join(parts))
    least = min((amount for amount in (mains.free, mains.limit) if amount is not None), default=None)
    if least is not None and least < LEAST_FREE:
        found.faults.append(
            f"Only {_gigabytes(least)} of memory are free for this process; training takes {_gigabytes(LEAST_FREE)} or more. "
            "Close other programs, or give the container more."
        )
    for name in VARIABLES:
        if name in os.environ:
            found.add("system", name, os.environ[name] or "set to nothing")


def _look_at_packages(found: Diagnosis) -> list[str]:
    """Compare what is installed with what Intarsia declares; the names of those that are there."""
    try:
        declared = importlib.metadata.requires("intarsia") or []
    except importlib.metadata.PackageNotFoundError:
        found.faults.append("Intarsia runs from a folder and is not installed in this Python: pip install --editable FOLDER")
        return []
    present = []
    for requirement in map(Requirement, declared):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        mend = f"pip install '{name}{requirement.specifier}'"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.add("packages", name, "not installed")
            found.faults.append(f"The package {name} is not installed: {mend}")
            continue
        found.add("packages", name, version)
        present.append(name)
        if not requirement.specifier.contains(version, prereleases=True):
            found.faults.append(f"{name} is {version}, and Intarsia needs {requirement.specifier}: {mend}")
    return present


def _look_at_folders(found: Diagnosis) -> None:
    told = set()
    for name, path, advice in needed_folders():
        is_current = name in ("current folder", "runs folder")
        place = next(folder for folder in (path, *path.parents) if folder.exists())
        trouble = "does not exist any more" if name == "current folder" and place != path else cannot_write(place)
        found.add("folders", name, f"{'' if is_current else f'{path}, '}{'writable' if trouble is None else 'not writable'}")
        cause: object = (place, advice)
        if trouble is None:
            free, cause = shutil.disk_usage(place).free, place.stat().st_dev
            found.facts["folders"][name] += f", {_gigabytes(free)} free"
            trouble = f"has {_gigabytes(free)} left" if free < LEAST_FREE else None
        if trouble is not None and cause not in told:  # one cause, one sentence
            found.faults.append(f"The {name} ({path}) {trouble}. {advice}")
            told.add(cause)


def _try(found: Diagnosis, packages: Sequence[str], *, device: str, hub: bool) -> None:
    """Run `trial` in a process of its own and add what it says, up to where it may have broken down."""
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", "intarsia.workflow.trial", *packages]
    command += ["--device", device, *(["--hub"] if hub else [])]
    here = Path(__file__).parent  # the current folder may be gone, and Python looks for modules there
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False, cwd=here)
        said, complained, code, end = done.stdout, done.stderr, done.returncode, f"ended the process ({_exit(done.returncode)})"
    except subprocess.TimeoutExpired as error:
        said, complained, code = error.stdout or b"", error.stderr or b"", 1
        end = f"did not come to an end within {PATIENCE_S:.0f} s"
    pieces = [json.loads(line) for line in said.splitlines() if line.startswith(b'{"') and line.endswith(b"}")]
    last_words = complained.decode(errors="replace").strip().splitlines()
    doing = "starting Python"
    for piece in pieces:
        doing = piece.get("doing", doing)
        if "fault" in piece:
            found.faults.append(piece["fault"])
        if "devices" in piece:
            _look_at_devices(found, piece["devices"])
        if "hub" in piece:
            found.add("devices", "hub", "answers" if piece["hub"] is None else "does not answer")
            found.faults += [piece["hub"]] if piece["hub"] is not None else []
        if "training" in piece:
            _judge(found, piece["training"])
    if code != 0:
        because = f" Its last words: {last_words[-1 if code > 0 else 0]}" if last_words else ""  # of a traceback, of a crash
        package = doing.removeprefix("importing ")
        mend = f"Install it again: pip install --force-reinstall {package}" if package != doing else "Please report this."
        found.faults.append(f"{doing.capitalize()} {end}.{because} {mend}")


def _look_at_devices(found: Diagnosis, seen: dict[str, Any]) -> None:
    driver = nvidia_driver()
    found.add("devices", "torch", f"{seen['torch']}, built for {seen['built for']}, {seen['kernels']} kernels")
    for index, gpu in enumerate(seen["gpus"]):
        found.add("devices", f"GPU {index}", gpu)
    if not seen["gpus"]:
        found.add("devices", "GPU", "none that torch can use")
    if driver is not None:
        found.add("devices", "driver", driver.version or f"nvidia-smi: {driver.error}")
    found.add("devices", "MPS", seen["MPS"])
    found.add("devices", "threads", str(seen["threads"]))
    found.faults += [fault for fault in (_gpu_fault(seen, driver),) if fault is not None]
    cores = cores_allowed()
    if seen["threads"] > cores:
        found.faults.append(
            f"torch would use {seen['threads']} threads on the {cores} cores that this process may use, where they would get in "
            f"each other's way. Set OMP_NUM_THREADS={cores}."
        )
    shared = shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else None
    if shared is not None:
        found.add("devices", "/dev/shm", _gigabytes(shared))
        if seen["gpus"] and shared < LEAST_SHARED:
            found.faults.append(
                f"/dev/shm holds {_gigabytes(shared)}, and the processes that prepare batches hand them over through it. Start "
                "the container with --shm-size=8g or --ipc=host, or train with --workers 0."
            )


def _gpu_fault(seen: dict[str, Any], driver: NvidiaDriver | None) -> str | None:
    """Why a GPU that is there is not used."""
    if driver is None or seen["gpus"]:
        return None
    if not driver.gpus:
        return (
            f"nvidia-smi is installed and reports no GPU: {driver.error}. If this machine has one, restart it, as an updated "
            "driver needs, or install the driver again."
        )
    if seen["built for"] == "no GPU":
        return (
            f"This machine has an {driver.gpus[0]}, and torch {seen['torch']} is built without CUDA: the processor trains. "
            'Install a build with CUDA: PyTorch\'s page "Get started" has the line for your system.'
        )
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return f"The {driver.gpus[0]} is hidden: CUDA_VISIBLE_DEVICES is {os.environ['CUDA_VISIBLE_DEVICES']!r}. Unset it."
    reason = f" It says: {seen['cuda_warning']}" if seen["cuda_warning"] else ""
    return (
        f"torch, built for {seen['built for']}, cannot use the {driver.gpus[0]} with driver {driver.version}.{reason} "
        "Most likely the driver is too old for that CUDA: update it, or install a torch built for an older CUDA."
    )


def _judge(found: Diagnosis, training: dict[str, Any]) -> None:
    """The trial training in words; a fault if it learnt nothing."""
    found.training = training
    losses = training["losses"]
    first, last = (f"{loss:.2f}" if loss is not None else "not finite" for loss in (losses[0], losses[-1]))
    where = f"{training['device']}, {training['precision']}"
    found.add("training", "a small U-Net", f"{training['images_per_second']:.0f} images/s of 64 x 64 on {where}")
    found.add("training", "its loss", f"{first} to {last} in {training['epochs']} epochs, {training['seconds']:.1f} s")
    if None in losses or (len(losses) > 1 and losses[-1] >= losses[0]):
        found.faults.append(
            f"A small U-Net trained on {where} did not learn: its loss went from {first} to {last}. The arithmetic of this "
            "device or of this build of torch is suspect: compare with --device cpu, and please report it."
        )


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _gigabytes(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount / 1e9:.1f} GB"


def _each_text(value: Any) -> Any:
    """`_without_names` for every text in lists and dictionaries."""
    if isinstance(value, dict):
        return {name: _each_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_each_text(inner) for inner in value]
    return _without_names(value) if isinstance(value, str) else value


def _without_names(text: str) -> str:
    """The home folder becomes ~, and the user's name in other paths USER."""
    try:
        home = Path.home()
        for folder in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
            if len(folder) > 1:
                text = re.sub(rf"{re.escape(folder)}(?![\w.-])", "~", text)
        return re.sub(rf"(?<=[/\\]){re.escape(getpass.getuser())}(?![\w.-])", "USER", text)
    except (RuntimeError, KeyError, OSError, ImportError):  # a container's user may have neither home nor name
        return text
