"""A file is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from parlant_local.errors import StateFileError
from parlant_local.storage import locked, scratch_folder, set_aside, sweep, whole_file, write_whole
from tests.support.damage import scratch_of_a_dead_process


def test_the_folder_is_created_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "state"
    write_whole(path, "one")
    write_whole(path, b"two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_private_files_are_their_owners_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "private" / "state", "x", private=True)
    assert stat.S_IMODE((tmp_path / "private" / "state").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700
    (tmp_path / "open").touch(mode=0o644)
    write_whole(tmp_path / "open", "x", private=True)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o600


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.touch()
    path.chmod(0o640)
    write_whole(path, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("old")
    (tmp_path / "state").symlink_to("elsewhere/file")
    write_whole(tmp_path / "state", "new")
    assert (tmp_path / "state").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failed_write_keeps_the_old_file(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "state", "old")

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StateFileError, match=os.strerror(number)):
        write_whole(tmp_path / "state", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_an_exception_during_a_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "state", "old")

    def write_half() -> None:
        with whole_file(tmp_path / "state") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path),
        lambda path: (os.mkfifo(path.parent / "pipe"), path.symlink_to("pipe")),
    ],
)
def test_only_regular_files_are_replaced(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "state")
    before = sorted((path.name, path.lstat().st_ino) for path in tmp_path.iterdir())
    with pytest.raises(StateFileError, match="can't be written"):
        write_whole(tmp_path / "state", "x")
    assert sorted((path.name, path.lstat().st_ino) for path in tmp_path.iterdir()) == before
    aside = set_aside(tmp_path / "state")
    write_whole(tmp_path / "state", "x")
    assert (tmp_path / "state").read_text() == "x"
    assert os.path.lexists(aside)


def test_long_names_fit(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        write_whole(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_only_leftovers_of_dead_writers_are_swept(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    dead = scratch_of_a_dead_process(tmp_path / "state")
    below = scratch_of_a_dead_process(tmp_path / "below" / "state")
    others = [tmp_path / name for name in ("state", ".state.tmp", ".state.part", "x.12345678-1-12345678.tmp")]
    foreign = tmp_path / ".state.00000000-999999999-00000000.tmp"  # of a container, where processes have other numbers
    for path in (dead, below, foreign, *others):
        path.touch()
    with whole_file(tmp_path / "living") as file:  # who writes sweeps
        file.write(b"x")
        assert not dead.exists()
        assert sweep(tmp_path) == 0
    assert below.exists()
    assert sweep(tmp_path, below=True) == 1
    assert all(path.exists() for path in (foreign, *others, tmp_path / "living"))
    for age in (-200_000, 200_000):  # days old, or written when the clock was days ahead
        os.utime(foreign, (time.time() + age,) * 2)
        assert sweep(tmp_path) == 1
        foreign.touch()
    assert sweep(tmp_path / "nowhere") == 0


def test_a_held_lock_and_an_impossible_one_are_reported(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(TimeoutError, match=r"lock for 0\.1 s"),
        locked(tmp_path / "lock", 0.1),
    ):
        pass
    with locked(tmp_path / "lock", 0.1):
        pass
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "lock", tmp_path / "folder"):
        with pytest.raises(StateFileError, match="can't be locked"), locked(path, 0.1):
            pass


def test_folders_of_killed_writers_are_swept_with_everything_in_them(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "model") as living:
        (living / "deep").mkdir()
        (living / "deep" / "part").write_bytes(b"x")
        assert sweep(tmp_path, below=True) == 0
        dead = living.with_name(living.name.replace(f"-{os.getpid()}-", "-999999999-"))
        shutil.copytree(living, dead)
        assert sweep(tmp_path, below=True) == 1
        assert not dead.exists()
    assert list(tmp_path.iterdir()) == []
