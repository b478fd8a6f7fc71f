"""What a process may use of its machine, on file trees as Linux shows them."""

import os
import stat

import pytest

from intarsia.workflow.hardware import (
    Memory,
    NvidiaDriver,
    cores_allowed,
    instruction_sets,
    memory,
    nvidia_driver,
    processor_name,
)

CPUINFO = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_tile\n"
MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\nHugePages_Total:       0\n"


@pytest.fixture
def tree(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_the_processor_is_read(tree):
    root = tree(proc__cpuinfo=CPUINFO)
    assert processor_name(root) == "Fast CPU @ 3 GHz"
    assert instruction_sets(root) == ("avx2", "avx512f", "avx512_bf16", "amx_tile")
    assert instruction_sets(tree(proc__cpuinfo="Features\t: fp asimd bf16 i8mm\n")) == ("asimd", "i8mm", "bf16")


def test_memory_and_the_limit_of_a_container_of_version_2(tree):
    root = tree(
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/pod/job\n",
        sys__fs__cgroup__pod__memoryDOTmax="4000000000\n",
        sys__fs__cgroup__pod__job__memoryDOTmax="max\n",
    )
    assert memory(root) == Memory(16_384_000_000, 8_192_000_000, 4_000_000_000)


def test_memory_and_the_limit_of_a_container_of_version_1(tree):
    root = tree(
        proc__meminfo=MEMINFO,
        proc__self__cgroup="4:memory:/not/seen/inside\n1:cpu,cpuacct:/\n0::/\n",
        sys__fs__cgroup__memory__memoryDOTlimit_in_bytes="9223372036854771712\n",
    )
    assert memory(root).limit is None
    tree(sys__fs__cgroup__memory__memoryDOTlimit_in_bytes="2000000000\n")
    assert memory(root).limit == 2_000_000_000


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc__self__cgroup": "0::/a\n", "sys__fs__cgroup__a__cpuDOTmax": "max 100000\n"}, 8),
        ({"proc__self__cgroup": "0::/a\n", "sys__fs__cgroup__a__cpuDOTmax": "250000 100000\n"}, 3),
        ({"proc__self__cgroup": "0::/a/b\n", "sys__fs__cgroup__cpuDOTmax": "50000 100000\n"}, 1),
        (
            {
                "proc__self__cgroup": "1:cpu,cpuacct:/\n",
                "sys__fs__cgroup__cpu__cpuDOTcfs_quota_us": "400000\n",
                "sys__fs__cgroup__cpu__cpuDOTcfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc__self__cgroup": "1:cpu,cpuacct:/\n",
                "sys__fs__cgroup__cpu__cpuDOTcfs_quota_us": "-1\n",
                "sys__fs__cgroup__cpu__cpuDOTcfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_cores_are_those_of_the_affinity_or_of_the_quota(files, cores, tree, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    assert cores_allowed(tree(**files)) == cores


def test_where_the_system_shows_no_files_nothing_fails(tmp_path):
    assert instruction_sets(tmp_path) == ()
    assert processor_name(tmp_path)
    assert memory(tmp_path).limit is None
    assert 1 <= cores_allowed(tmp_path) <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("script", "driver"),
    [
        ("echo '570.86.10, NVIDIA H200'; echo '570.86.10, NVIDIA A40'", NvidiaDriver("570.86.10", ("NVIDIA H200", "NVIDIA A40"))),
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
            NvidiaDriver(None, error="Failed to initialize NVML: Driver/library version mismatch"),
        ),
        ("echo 'No devices were found'", NvidiaDriver(None, error="No devices were found")),
        ("exit 9", NvidiaDriver(None, error="exit code 9")),
    ],
)
def test_nvidia_smi_is_asked(script, driver, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert nvidia_driver() == driver


def test_without_nvidia_smi_there_is_no_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_driver() is None
