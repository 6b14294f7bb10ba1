"""What a code page lacks: pipes carry it, terminals show it, nothing fails."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from parlant_local.cli.streams import prepare_streams

TEXT = "\u25aa caf\u00e9 \u65e5\u672c \U0001f600 \u2026"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def written(monkeypatch: pytest.MonkeyPatch, stream: io.TextIOWrapper) -> bytes:
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_streams()
    print(TEXT, end="")
    sys.stdout.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()


def test_a_pipe_of_a_code_page_carries_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    assert written(monkeypatch, io.TextIOWrapper(io.BytesIO(), "cp1252")).decode("utf-8") == TEXT


@pytest.mark.parametrize("kind", [Terminal, io.TextIOWrapper], ids=["terminal", "named encoding"])
def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch, kind: type[io.TextIOWrapper]) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp437")
    shown = written(monkeypatch, kind(io.BytesIO(), "cp437")).decode("cp437")
    assert shown == "\\u25aa caf\u00e9 \\u65e5\\u672c \\U0001f600 \\u2026"


@pytest.mark.parametrize(
    ("encoding", "verb"),
    [
        ("cp437", ("list",)),
        ("cp437", ("recommend", "--no-measure")),
        ("ascii", ("--help",)),
        ("ascii", ("show", "\u65e5\u672c")),
    ],
)
def test_verbs_run_where_output_has_few_characters(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, encoding: str, verb: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = subprocess.run([sys.executable, "-m", "parlant_local", *verb], capture_output=True, timeout=120, check=False)
    assert b"Traceback" not in done.stderr, done.stderr[-2000:]
    assert done.stdout or done.stderr
