"""The workshop's verbs: what they print, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local.cli.workshop_options import byte_count
from parlant_local.errors import BadRequestError
from tests.support.at_home import Verb
from tests.support.gguf_models import llama
from tests.support.places import TINY


def test_edit_says_where_its_product_is_and_show_says_where_it_came_from(verb: Verb, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages[0].content }}", "utf-8")
    code, out, err = verb(
        "edit", str(TINY), "--set", "general.name=Mine", "--template", str(template), "--token", "eot=<|im_end|>",
        "--name", "mine",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.startswith("local/other/mine is available: ") or "/mine is available: " in out
    _, shown, _ = verb("show", "mine")
    assert "made by        edit " in shown
    assert "set=['general.name=Mine']" in shown
    _, told, _ = verb("show", "mine", "--json")
    assert json.loads(told)["chat_template"] == "{{ messages[0].content }}"
    assert json.loads(told)["made"]["verb"] == "edit"


def test_split_and_merge_print_their_records_as_json(verb: Verb, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    code, out, _ = verb("split", str(source), "--size", "60kB", "--name", "parts", "--json")
    assert code == 0
    assert len(json.loads(out)["files"]) > 1
    code, out, _ = verb("merge", "parts", "--output", str(tmp_path / "whole.gguf"), "--json")
    assert code == 0
    assert (tmp_path / "whole.gguf").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("words", [("--size", "much"), ("--size", "1GB", "--tensors", "2"), ()])
def test_a_limit_that_is_none_is_a_usage_error(words: tuple[str, ...], verb: Verb) -> None:
    code, _, err = verb("split", str(TINY), *words)
    assert code == 2
    assert "error: " in err


def test_sizes_are_read_as_people_write_them() -> None:
    assert [byte_count(text) for text in ("10", "2kB", "1.5 MB", "1GiB", "3g")] == [
        10, 2000, 1_500_000, 1 << 30, 3_000_000_000,
    ]  # fmt: skip
    with pytest.raises(BadRequestError):
        byte_count("2 boxes")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process")
def test_ctrl_c_ends_a_job_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf", vocabulary=32_000, width=256, feed_forward=512)
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(source)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "interrupted" in err
    assert [path for path in (home / "models").rglob("*") if path.is_file() and path.suffix in (".gguf", ".tmp")] == []


SLOW = """
import sys, time
from parlant_local.cli.main import main
from parlant_local.workshop import copying

def add(self, count):
    print("begun", flush=True)
    time.sleep(60)

copying.Meter.add = add
main(["edit", sys.argv[1], "--set", "general.name=x"])
"""
"""The verb, stopped at its first piece."""
