"""Parts of a file written by several threads, on systems with and without ``pwrite``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from parlant_local.catalog.transfer import segments


@pytest.mark.parametrize("how", [segments._write_at, segments._seek_and_write], ids=["pwrite", "seek and write"])
def test_threads_that_share_a_file_write_each_its_own_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[int, memoryview, int], int]
) -> None:
    monkeypatch.setattr(segments, "_write_at", how)
    part, count = 4096, 64
    content = bytes(at % 251 for at in range(part * count))
    path = tmp_path / "part"
    path.touch()
    with path.open("rb+", buffering=0) as file, ThreadPoolExecutor(8) as pool:
        parts = [(memoryview(content)[at : at + part], at) for at in range(0, len(content), part)]
        list(pool.map(lambda found: segments.write_all(file.fileno(), *found), reversed(parts)))
    assert path.read_bytes() == content
