"""Locks on files in use, between processes and within one."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local.errors import InvalidModelError, ModelInUseError
from parlant_local.gguf_info import in_use


def test_a_held_file_cannot_be_claimed_and_a_released_one_can(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    with in_use.hold(path) as locked, in_use.hold([path]):
        assert locked
        with pytest.raises(ModelInUseError, match="loaded"), in_use.claim(path):
            pass
    with in_use.claim(path), pytest.raises(ModelInUseError, match="deleted"), in_use.hold(path):
        pass


def test_another_process_counts_and_a_killed_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    code = (
        "import sys, time; from parlant_local.gguf_info import in_use\n"
        "with in_use.hold(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(link)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ModelInUseError), in_use.claim(path):
            pass
        process.kill()
    with in_use.claim(path):
        pass


def test_a_missing_file_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError), in_use.hold(tmp_path / "none.gguf"):
        pass


def test_where_no_kind_of_lock_exists_a_model_loads_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with in_use.hold(path) as locked, in_use.claim(path):
        assert not locked


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_apart_from_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")

    def flock(_descriptor: int, _mode: int) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with in_use.hold(path) as locked, in_use.claim(path):
        assert not locked
