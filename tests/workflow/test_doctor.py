"""A machine with faults, made by fixtures; each is a sentence with what to do."""

import importlib.metadata
import json
import shutil
from collections import namedtuple

import pytest

from intarsia.workflow import doctor as doctor_module
from intarsia.workflow.doctor import Diagnosis, doctor
from intarsia.workflow.hardware import Memory, NvidiaDriver

SEEN = {
    "torch": "2.13.0+cu128",
    "built for": "CUDA 12.8",
    "gpus": [],
    "cuda_warning": "",
    "MPS": "no",
    "kernels": "AVX2",
    "threads": 1,
}
H200 = NvidiaDriver("470.10", ("NVIDIA H200",))
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def no_trial(monkeypatch):
    """Everything but the process that imports and trains."""
    monkeypatch.setattr(doctor_module, "_try", lambda *arguments, **options: None)


@pytest.fixture
def broken_packages(tmp_path, monkeypatch):
    """Modules for the trial's process: one that cannot be imported, and one that kills its process."""
    (tmp_path / "half_installed.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    (tmp_path / "lethal.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    (tmp_path / "sleepy.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def tried(*packages):
    found = Diagnosis()
    doctor_module._try(found, packages, device="cpu", hub=False)
    return found


def test_a_package_that_cannot_be_imported(broken_packages):
    (fault,) = tried("half-installed").faults
    assert fault == (
        "half-installed is installed and cannot be imported: OSError: libcudart.so.13: cannot open shared object file. "
        "Install it again: pip install --force-reinstall half-installed"
    )


def test_a_package_that_kills_the_process_kills_no_doctor(broken_packages):
    (fault,) = tried("lethal").faults
    assert fault.startswith(
        "Importing lethal ended the process (SIGILL). Its last words: Fatal Python error: Illegal instruction"
    )
    assert fault.endswith("pip install --force-reinstall lethal")


def test_a_package_that_hangs_is_not_waited_for(broken_packages, monkeypatch):
    monkeypatch.setattr(doctor_module, "PATIENCE_S", 1.0)
    (fault,) = tried("sleepy").faults
    assert fault.startswith("Importing sleepy did not come to an end within 1 s.")


def test_packages_that_are_missing_or_of_another_version(no_trial, monkeypatch):
    declared = ["numpy>=2.0", "torch<2.16,>=99", "not-there>=1", "pytest>=99; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: declared)
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: {"numpy": "2.1", "torch": "2.13.0+cpu"}.get(name) or missing(name)
    )
    found = doctor()
    assert found.facts["packages"] == {"numpy": "2.1", "torch": "2.13.0+cpu", "not-there": "not installed"}
    assert "torch is 2.13.0+cpu, and Intarsia needs <2.16,>=99: pip install 'torch<2.16,>=99'" in found.faults
    assert "The package not-there is not installed: pip install 'not-there>=1'" in found.faults
    assert not any("pytest" in fault or "numpy" in fault for fault in found.faults)


def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_intarsia_that_is_not_installed(no_trial, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert "Intarsia runs from a folder and is not installed in this Python: pip install --editable FOLDER" in doctor().faults


def test_folders_that_cannot_be_written_are_said_once_each(no_trial, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file" / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file"))
    faults = [fault for fault in doctor().faults if fault.startswith("The ")]
    assert [fault.partition(" (")[0] for fault in faults] == ["The runs folder", "The hub cache", "The torch cache"]
    assert "cannot be written: Not a directory. Set TORCH_HOME to a folder that can be written" in faults[2]


def test_a_current_folder_that_cannot_be_written_is_said_once(no_trial, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # without a runs folder, which would be told apart
    monkeypatch.setattr(doctor_module, "cannot_write", lambda place: "cannot be written: Read-only file system")
    sentences = [fault for fault in doctor().faults if "Go to a folder of your own" in fault]
    assert len(sentences) == 1
    assert sentences[0].startswith("The current folder (")


def test_a_current_folder_that_was_deleted(no_trial, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    gone.rmdir()
    (fault,) = [fault for fault in doctor().faults if "current folder" in fault]
    assert fault == f"The current folder ({gone}) does not exist any more. Go to a folder that exists."


def test_little_disk_and_little_memory(no_trial, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10e9, 9.5e9, 0.5e9))
    monkeypatch.setattr(doctor_module, "memory", lambda: Memory(int(64e9), int(32e9), int(1e9)))
    found = doctor()
    assert found.facts["system"]["memory"] == "64.0 GB, 32.0 GB free, 1.0 GB allowed by the container"
    assert any(
        fault.startswith("Only 1.0 GB of memory are free for this process; training takes 2.0 GB") for fault in found.faults
    )
    assert len([fault for fault in found.faults if "has 0.5 GB left. Go to a folder of your own" in fault]) == 1


def devices(monkeypatch, driver, *, shared=64e9, cores=4, **seen):
    monkeypatch.setattr(doctor_module, "nvidia_driver", lambda: driver)
    monkeypatch.setattr(doctor_module, "cores_allowed", lambda: cores)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(shared, 0, shared))
    found = Diagnosis()
    doctor_module._look_at_devices(found, {**SEEN, **seen})
    return found


@pytest.mark.parametrize(
    ("driver", "seen", "words"),
    [
        (
            NvidiaDriver(None, error="Driver/library version mismatch"),
            {},
            "reports no GPU: Driver/library version mismatch. If this",
        ),
        (H200, {"built for": "no GPU", "torch": "2.13.0+cpu"}, "has an NVIDIA H200, and torch 2.13.0+cpu is built without CUDA"),
        (
            H200,
            {"cuda_warning": "The NVIDIA driver is too old (found version 11040)."},
            "It says: The NVIDIA driver is too old (found",
        ),
        (
            H200,
            {},
            "torch, built for CUDA 12.8, cannot use the NVIDIA H200 with driver 470.10. Most likely the driver is too old",
        ),
        (
            None,
            {"threads": 64},
            "torch would use 64 threads on the 4 cores that this process may use, where they would get in each",
        ),
    ],
)
def test_gpus_that_are_not_used_and_threads_that_are_too_many(driver, seen, words, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (fault,) = devices(monkeypatch, driver, **seen).faults
    assert words in fault


def test_a_gpu_that_is_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(monkeypatch, H200).faults == ["The NVIDIA H200 is hidden: CUDA_VISIBLE_DEVICES is ''. Unset it."]


def test_a_machine_without_fault(monkeypatch):
    found = devices(monkeypatch, H200, gpus=["NVIDIA H200, 150.0 GB, compute capability 9.0"])
    assert found.faults == []
    assert found.facts["devices"]["GPU 0"].startswith("NVIDIA H200")
    assert found.facts["devices"]["driver"] == "470.10"
    assert devices(monkeypatch, None).faults == []


@pytest.mark.parametrize(
    ("losses", "words"),
    [([2.0, 2.5], "its loss went from 2.00 to 2.50"), ([2.0, None], "its loss went from 2.00 to not finite"), ([2.0, 1.5], None)],
)
def test_a_training_that_learns_nothing_is_a_fault(losses, words):
    found = Diagnosis()
    training = {"device": "mps", "precision": "32", "epochs": 2, "seconds": 1.0, "images_per_second": 64.0, "losses": losses}
    doctor_module._judge(found, training)
    assert [words in fault for fault in found.faults] == ([True] if words else [])
    assert found.facts["training"]["a small U-Net"] == "64 images/s of 64 x 64 on mps, 32"


def test_the_text_names_neither_home_nor_user(tmp_path, monkeypatch):
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    found = Diagnosis(faults=[f"The folder {home}/runs and /scratch/ada/cache, not /scratch/adamant or {home}x."])
    assert "  1. The folder ~/runs and /scratch/USER/cache, not /scratch/adamant or " in found.text()
    assert found.to_dict()["faults"][0].startswith("The folder ~/runs and /scratch/USER/cache")
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_a_user_without_home_or_name_has_a_text_too(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(doctor_module.Path, "home", nobody)
    assert Diagnosis(faults=["One."]).text().endswith("Found 1 thing to mend:\n  1. One.")
    assert Diagnosis(faults=["One.", "Two."]).text().endswith("Found 2 things to mend:\n  1. One.\n  2. Two.")
    assert Diagnosis().text().endswith("Nothing to mend was found.")
