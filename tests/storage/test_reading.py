"""Whatever stands in a file: a value, or one line that says what is wrong. Never a hang, never another exception."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from parlant_local.errors import StateFileError
from parlant_local.storage import parse_json, read_as, read_bytes, read_json, read_text
from tests.support.damage import DAMAGES, JSON_VALUES, put

LIMIT = 1 << 20


@pytest.mark.parametrize("damage", DAMAGES)
def test_invalid_json_is_reported_in_one_line(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    put(damage, path)
    if damage in ("null", "number", "list", "text", "another version"):
        assert read_json(path, LIMIT) == json.loads(path.read_bytes())
        return
    with pytest.raises(FileNotFoundError if damage == "link to nothing" else StateFileError) as caught:
        read_json(path, LIMIT)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200 + len(str(path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a\0b", "null"), ("x" * 300, "too long"), ("file/below", "Not a directory")],
)
def test_an_invalid_file_name(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateFileError, match=reason) as caught:
        read_bytes(tmp_path / name, LIMIT)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("{}")
    (tmp_path / "state").chmod(0)
    with pytest.raises(StateFileError, match="Permission denied"):
        read_json(tmp_path / "state", LIMIT)


def test_the_limit_is_exact(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"x" * 100)
    assert len(read_bytes(tmp_path / "state", 100)) == 100
    with pytest.raises(StateFileError, match="larger than 99 bytes"):
        read_bytes(tmp_path / "state", 99)


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "state", LIMIT) == [1]


def test_what_a_shell_pipes_in_by_a_file_name_is_read() -> None:
    code = (
        "import sys; from pathlib import Path; from parlant_local.storage import read_text\n"
        "print(read_text(Path(sys.argv[1]), 100), end='')"
    )
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"piped")
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, f"/dev/fd/{reading}"],
            pass_fds=[reading],
            capture_output=True,
            check=True,
            timeout=60,
        )
    finally:
        os.close(reading)
    assert done.stdout == b"piped"


def test_depth_and_digits_have_limits_that_honest_files_keep() -> None:
    assert parse_json("[" * 60 + "]" * 60)
    assert parse_json("9" * 400) == int("9" * 400)
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 65 + "]" * 65)
    with pytest.raises(ValueError, match="401 digits"):
        parse_json("9" * 401)


@given(st.binary(max_size=300) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
@hypothesis_settings(max_examples=300, deadline=None)
def test_what_is_read_can_be_written_and_printed(data: bytes) -> None:
    value: Any = None
    with contextlib.suppress(ValueError):
        value = parse_json(data)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode()) == value


class _Shape:
    KIND: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Annotated[int, Field(ge=0)]])


@given(content=st.binary(max_size=100) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_of_another_kind_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(content)
    found, told = {}, ""
    try:
        found = read_as(_Shape.KIND, tmp_path / "state", LIMIT)
    except StateFileError as error:
        told = str(error)
    assert "\n" not in told
    assert all(isinstance(value, int) and value >= 0 for value in found.values())


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"ab\xff")
    with pytest.raises(StateFileError, match="byte 2"):
        read_text(tmp_path / "state", LIMIT)
