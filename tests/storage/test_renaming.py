"""Renaming over a file that somebody reads: Windows refuses it for as long."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.errors import StateFileError
from parlant_local.storage import renaming, write_whole


class _SharingViolation(PermissionError):
    winerror = 32
    strerror = "The process cannot access the file because it is being used by another process"


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whoever has the target open; one leaves at each try."""
    found: list[str] = []
    replace = Path.replace

    def as_on_windows(source: Path, target: Path) -> Path:
        if found:
            found.pop()
            raise _SharingViolation
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", as_on_windows)
    return found


def test_a_file_that_is_read_for_a_moment_is_replaced(tmp_path: Path, readers: list[str]) -> None:
    target = tmp_path / "state.json"
    target.write_text("old", "utf-8")
    readers += ["a scanner", "an indexer"]
    write_whole(target, "new")
    assert target.read_text("utf-8") == "new"


def test_one_that_stays_open_is_a_typed_error_and_stays_as_it_was(
    tmp_path: Path, readers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming, "_PATIENCE_SECONDS", 0.0)
    target = tmp_path / "state.json"
    target.write_text("old", "utf-8")
    readers += ["an editor"] * 100
    with pytest.raises(StateFileError, match="being used by another process"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert target.read_text("utf-8") == "old"


def test_no_permission_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refused(source: Path, target: Path) -> Path:
        tries.append(target)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(StateFileError, match="Permission denied"):
        write_whole(tmp_path / "state.json", "new")
    assert len(tries) == 1
