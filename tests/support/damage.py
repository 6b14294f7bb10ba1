"""What may stand where a state file should be."""

from __future__ import annotations

import copy
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from parlant_local.storage import scratch_for

__all__ = ["DAMAGES", "JSON_VALUES", "damaged", "put", "scratch_of_a_dead_process"]


def scratch_of_a_dead_process(target: Path) -> Path:
    """The name of a scratch file beside ``target`` whose writer is gone (no system numbers so many)."""
    path = scratch_for(target)
    return path.with_name(path.name.replace(f"-{os.getpid()}-", "-999999999-"))


DAMAGES: Mapping[str, bytes | Callable[[Path], object]] = {
    "empty": b"",
    "cut": b'{"version": 1, "mo',
    "null": b"null",
    "number": b"1",
    "list": b"[1, 2]",
    "text": b'"text"',
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "deep but whole": b"[" * 500 + b"]" * 500,
    "NaN": b'{"version": NaN}',
    "infinite": b'{"version": 1e999}',
    "many digits": b'{"version": ' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"version": "\xff"}',
    "UTF-16": '{"version": 1}'.encode("utf-16"),
    "half a character": b'{"version": 1, "model": {"id": "\\ud800"}}',
    "NULs": b"\0" * 4096,
    "another version": b'{"version": 99, "model": {}}',
    "large": lambda path: path.write_bytes(b"{") and os.truncate(path, 1 << 30),
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
}
"""Content, or what puts something else there."""


def put(damage: str | bytes, path: Path) -> None:
    """Damage by name, or bytes, in the place of ``path``."""
    what = DAMAGES[damage] if isinstance(damage, str) else damage
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if isinstance(what, bytes):
        path.write_bytes(what)
    else:
        what(path)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(categories=["L", "N", "P", "Cc", "Cs"]), max_size=12)
    | st.sampled_from(["/etc/passwd", "../../x", "a\0b", "x" * 5000, "2026-99-99", "local/llama/x", "available"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def damaged(good: Any) -> st.SearchStrategy[bytes]:
    """Bytes that may stand where the JSON value ``good`` should: arbitrary ones, arbitrary JSON, and ``good`` with one value
    replaced, taken out or added, or cut short."""
    places = list(_places(good))
    text = json.dumps(good).encode()

    def changed(pair: tuple[int, Any]) -> bytes:
        value = copy.deepcopy(good)
        *way, last = places[pair[0]]
        node = value
        for step in way:
            node = node[step]
        node[last] = pair[1]
        return json.dumps(value).encode()

    return st.one_of(
        st.binary(max_size=200),
        JSON_VALUES.map(lambda value: json.dumps(value).encode()),
        st.tuples(st.integers(0, len(places) - 1), JSON_VALUES).map(changed),
        st.integers(0, len(text)).map(lambda at: text[:at]),
        st.tuples(st.integers(0, len(text)), st.binary(min_size=1, max_size=3)).map(
            lambda pair: text[: pair[0]] + pair[1] + text[pair[0] :]
        ),
    )


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*way, key)
        yield from _places(below, (*way, key))
