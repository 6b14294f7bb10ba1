"""`parlant-local ps` and `stop` (docs/server.md), with a real server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.at_home import Verb
from tests.support.places import COMMAND, TINY

KEY = "0123456789abcdef-admin"


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    keys = tmp_path / "keys"
    keys.write_text(f"me:{KEY}\n", "utf-8")
    keys.chmod(0o600)
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--model", str(TINY), "--n-ctx", "512", "--admin-key-file", str(keys)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PARLANT_LOCAL_HOME": str(home)},
    )
    assert process.stderr is not None
    address = ""
    for line in process.stderr:
        if found := re.search(r"Serving at (http://[\d.:]+)", line):
            address = found[1]
        if "is loaded" in line:
            break
    yield address, process
    process.kill()
    process.wait()
    process.stderr.close()


def test_a_server_is_shown_emptied_and_ended(
    server: tuple[str, subprocess.Popen[str]], verb: Verb, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, process = server
    [record] = (home / "servers").iterdir()
    assert KEY not in record.read_text("utf-8")
    code, out, _ = verb("ps")
    assert code == 0
    assert f"{address} (process {process.pid}): The server at {address} requires an admin key." in out

    monkeypatch.setenv("PARLANT_LOCAL_AUTH__ADMIN_API_KEY", KEY)
    _, out, _ = verb("ps")
    assert re.search(rf"{address} \(process {process.pid}\): (ok|loading), up .*, 0 requests now", out)
    assert re.search(r"parlant-local-tiny +loaded +[\d.]+ MB +\d+ s +\d+ s +0 +0", out)
    [told] = json.loads(verb("ps", "--json")[1])["servers"]
    [(name, model)] = told["models"].items()
    assert (told["pid"], told["address"], model["state"]) == (process.pid, address, "loaded")

    assert verb("stop", "no/such-model")[0] == 1
    assert verb("stop", name) == (0, f"{name} is unloaded from {address}.\n", "")
    assert "No model is loaded" in verb("ps", "--address", address.removeprefix("http://"))[1]
    code, _, err = verb("stop", name)
    assert (code, err) == (1, f"error: {name} is not loaded. `parlant-local ps` shows what is.\n")

    code, out, _ = verb("stop", "--server")
    assert code == 0
    assert out.startswith(f"The server at {address} has ended after ")
    assert process.wait(timeout=60) == 0
    assert list((home / "servers").iterdir()) == []
    assert verb("ps")[1] == "No server is running. `parlant-local serve` starts one.\n"


def test_a_killed_servers_record_is_recognised_and_removed(verb: Verb, home: Path) -> None:
    folder = home / "servers"
    folder.mkdir()
    me = psutil.Process()
    records = {
        "gone": {"pid": 2**22 + 1, "process_started": 1.0},
        "another": {"pid": me.pid, "process_started": me.create_time() - 1000},
    }
    for name, facts in records.items():
        whole = {"address": "http://127.0.0.1:9", "started": 1.0, "version": "0", **facts}
        (folder / f"{name}.json").write_text(json.dumps(whole), "utf-8")
    assert verb("ps")[1].startswith("No server is running.")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"pid": 1}', '{"pid": -1, "process_started": 1, "address": "http://[", "started": 1, "version": ""}'],
)
def test_a_damaged_record_is_said_and_passed_over(verb: Verb, home: Path, text: str) -> None:
    (home / "servers").mkdir()
    (home / "servers" / "1.json").write_text(text, "utf-8")
    code, out, err = verb("ps")
    assert code == 0
    assert out.startswith("No server is running.")
    assert "A server's record can't be used" in err


@pytest.mark.parametrize(
    "address", ["192.0.2.1:80", "https://127.0.0.1", "http://evil.example", "http://127.0.0.1:x", "["]
)
def test_only_this_machine_is_asked(verb: Verb, address: str) -> None:
    code, _, err = verb("ps", "--address", address)
    assert code == 2
    assert "is not a server of this machine" in err


def test_what_is_not_there_is_said(verb: Verb) -> None:
    assert (
        verb("stop", "model")[2] == "error: No server is running. `parlant-local ps` shows the servers of this home.\n"
    )
    assert "Give a MODEL, or --server" in verb("stop")[2]
    code, out, _ = verb("ps", "--address", "127.0.0.1:9")
    assert code == 1
    assert "does not answer" in out
