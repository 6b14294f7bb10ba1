"""How many cores count: by affinity, by the groups of a container, by kind."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from parlant_local import cgroups, cores
from parlant_local.cores import linux, macos, windows
from parlant_local.cores.quota import quota


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


V2 = "0::/app.slice/job.scope\n"
V1 = "12:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        (V2, {"app.slice/job.scope/cpu.max": "150000 100000\n", "app.slice/cpu.max": "max 100000\n"}, 1.5),
        (V2, {"app.slice/job.scope/cpu.max": "max 100000\n", "app.slice/cpu.max": "200000 100000\n"}, 2.0),
        (V2, {"app.slice/job.scope/cpu.max": "400000 100000\n", "app.slice/cpu.max": "50000 100000\n"}, 0.5),
        (V2, {"app.slice/job.scope/cpu.max": "max 100000\n"}, None),
        (V2, {"cpu.max": "300000 100000\n"}, 3.0),  # in a container: the path is the host's, the root is ours
        ("0::/../../job\n", {"cpu.max": "300000 100000\n"}, 3.0),  # out of the namespace
        (V2, {"app.slice/job.scope/cpu.max": "nonsense\n"}, None),
        ("nonsense\n\n", {"cpu.max": "300000 100000\n"}, None),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "250000\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n"}, 2.5),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "-1\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.0),
        (
            V1,
            {
                "cpu/docker/abc/cpu.cfs_quota_us": "-1\n",
                "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
                "cpu/docker/cpu.cfs_quota_us": "200000\n",
                "cpu/docker/cpu.cfs_period_us": "50000\n",
            },
            4.0,
        ),
    ],
)
def test_the_tightest_group_counts(tmp_path: Path, membership: str, files: dict[str, str], expected: float) -> None:
    root = tree(tmp_path / "cgroup", files)
    me = tmp_path / "self"
    me.write_text(membership, "utf-8")
    assert quota(root, me) == expected


def test_other_systems_have_no_groups(tmp_path: Path) -> None:
    assert quota(tmp_path, tmp_path / "none") is None
    assert list(cgroups.folders("cpu", tmp_path, tmp_path / "none")) == []


def processors(*found: tuple[int, int], capacities: tuple[int, ...] = ()) -> dict[str, str]:
    """(package, core) of each logical processor."""
    files = {}
    for number, (package, core) in enumerate(found):
        files[f"system/cpu/cpu{number}/topology/physical_package_id"] = f"{package}\n"
        files[f"system/cpu/cpu{number}/topology/core_id"] = f"{core}\n"
    for number, capacity in enumerate(capacities):
        files[f"system/cpu/cpu{number}/cpu_capacity"] = f"{capacity}\n"
    return files


HYPERTHREADED = processors((0, 0), (0, 1), (0, 0), (0, 1))
TWO_SOCKETS = processors((0, 0), (0, 1), (1, 0), (1, 1))
INTEL_HYBRID = processors((0, 0), (0, 0), (0, 4), (0, 4), (0, 8), (0, 9), (0, 10), (0, 11)) | {
    "cpu_core/cpus": "0-3\n",
    "cpu_atom/cpus": "4-7\n",
}
BIG_LITTLE = processors(*((0, core) for core in range(8)), capacities=(380, 380, 380, 380, 1024, 1024, 1024, 1024))
PHONE = processors(*((0, core) for core in range(8)), capacities=(250, 250, 250, 800, 800, 800, 800, 1024))


@pytest.mark.parametrize(
    ("files", "affinity", "expected"),
    [
        (HYPERTHREADED, {0, 1, 2, 3}, 2),
        (HYPERTHREADED, {0, 2}, 1),  # two threads of one core
        (TWO_SOCKETS, {0, 1, 2, 3}, 4),
        (INTEL_HYBRID, set(range(8)), 2),
        (INTEL_HYBRID, {4, 5, 6}, 3),  # efficiency cores only: then those
        (INTEL_HYBRID, {0, 1, 6}, 1),
        (BIG_LITTLE, set(range(8)), 4),
        (BIG_LITTLE, {0, 1}, 2),
        (PHONE, set(range(8)), 5),
        ({}, {0, 1}, None),
        (HYPERTHREADED, set(), None),
    ],
)
def test_physical_cores_of_the_fastest_kind(
    tmp_path: Path, files: dict[str, str], affinity: set[int], expected: int | None
) -> None:
    assert linux.fast_cores(affinity, tree(tmp_path, files)) == expected


def test_the_cores_of_this_machine_are_within_its_processors() -> None:
    assert 1 <= cores.usable_cores() <= cores.usable_threads() <= (os.cpu_count() or 1)


def test_affinity_and_quota_count_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "quota", lambda: 1.2)
    assert (cores.usable_threads(), cores.usable_cores()) == (1, 1)
    monkeypatch.setattr(cores, "quota", lambda: 0.1)
    assert (cores.usable_threads(), cores.usable_cores()) == (1, 1)


@pytest.mark.parametrize(("performance", "expected"), [(4, 4), (None, 6)])  # M1; a Mac with one kind
def test_a_mac_counts_performance_cores(
    monkeypatch: pytest.MonkeyPatch, performance: int | None, expected: int
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 12 if logical else 6)
    monkeypatch.setattr(macos, "sysctl", {b"hw.perflevel0.physicalcpu": performance}.get)
    monkeypatch.setattr(cores, "quota", lambda: None)
    assert (cores.usable_threads(), cores.usable_cores()) == (12, expected)


def core(efficiency: int, size: int = 48) -> bytes:
    return struct.pack("<IIBB", 0, size, 1, efficiency).ljust(size, b"\0")


def test_windows_efficiency_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = struct.pack("<II", 2, 52).ljust(52, b"\0")
    records = core(1) * 6 + cache + core(0, 80) * 8
    assert windows.cores_by_class(records) == {1: 6, 0: 8}
    assert windows.cores_by_class(b"") == windows.cores_by_class(b"\0" * 48) == {}
    monkeypatch.setattr(windows, "_processor_information", lambda: records)
    assert windows.fast_cores() == 6
