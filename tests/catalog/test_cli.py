"""The verbs: output, JSON, exit codes; as processes, interruption and a real terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pytest

from parlant_local.cli.main import main
from parlant_local.gguf_info import sha256_file
from tests.fakes.hub import FakeHub
from tests.fakes.transfers import Fault
from tests.support.eventually import wait_until
from tests.support.small_gguf import write_gguf, write_split

MIB = 1 << 20
PROGRAM = [sys.executable, "-c", "from parlant_local.cli import main; main()"]


class Said(NamedTuple):
    stdout: str
    stderr: str


def run(*arguments: str | Path, code: int = 0) -> Said:
    """What a verb prints, in this process: a few dozen verbs are a few dozen imports otherwise."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    found = []
    for stream in (out, err):
        stream.seek(0)
        found.append(stream.read())
    assert (ended.value.code or 0) == code, "".join(found)
    return Said(*found)


def data(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def origin(hub: FakeHub, tmp_path: Path) -> Path:
    path = write_gguf(tmp_path / "origin" / "Tiny-Llama-Q4_K_M.gguf", payload=8 * MIB, file_type=15)
    hub.add("maker/Tiny-Llama-GGUF", {path.name: path})
    return path


def test_pull_list_show_verify_and_rm(origin: Path, hub: FakeHub, tmp_path: Path) -> None:
    pulled = run("pull", "maker/Tiny-Llama-GGUF:q4_k_m")
    assert "resolves to hf.co/maker/Tiny-Llama-GGUF:q4_k_m" in pulled.stderr
    assert "100% 8.4 MB of 8.4 MB, done" in pulled.stderr
    assert "local/llama/tiny-llama-q4_k_m is available" in pulled.stdout
    (record,) = [item for item in data("list") if item["source"] == "huggingface"]
    assert (record["id"], record["state"], record["type"]) == ("local/llama/tiny-llama-q4_k_m", "available", "llama")
    assert record["sha256"] == sha256_file(origin)
    assert record["size"] == origin.stat().st_size
    assert Path(record["path"]).read_bytes() == origin.read_bytes()
    shown = data("show", "maker/Tiny-Llama-GGUF", "--n-ctx", "512")
    assert shown["memory"]["n_ctx"] == 512
    assert shown["memory"]["fits"]
    assert "quantization" in run("show", record["id"]).stdout
    assert "local/llama/tiny-llama-q4_k_m" in run("list").stdout
    assert run("verify").stdout.count(": ok") == 2
    assert data("rm", record["id"]) == [{"id": record["id"], "freed": origin.stat().st_size}]
    assert [item["source"] for item in data("list", "--all")] == ["shipped"]


def test_an_explicit_folder_holds_everything(
    origin: Path, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HOME")
    record = data("pull", "maker/Tiny-Llama-GGUF", "--models-dir", tmp_path / "big disk")
    assert Path(record["path"]).is_relative_to(tmp_path / "big disk")
    assert [item["id"] for item in data("list", "--source", "huggingface", "--models-dir", tmp_path / "big disk")] == [
        record["id"]
    ]


def test_rot_is_found_with_exit_code_1(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    record = data("add", path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (result,) = data("verify", record["id"], code=1)
    assert result["ok"] is False
    assert "sha256" in result["reason"]
    assert "broken" in run("list", "--all").stdout
    assert record["id"] not in run("list").stdout


def test_ctrl_c_leaves_it_resumable_and_says_so(origin: Path, hub: FakeHub) -> None:
    hub.file_faults.append(Fault(rate=2e6))
    with subprocess.Popen(
        [*PROGRAM, "pull", "maker/Tiny-Llama-GGUF"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: hub.file_bytes > MIB)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "to resume: parlant-local pull maker/Tiny-Llama-GGUF" in err
    (record,) = [item for item in data("list", "--all") if item["source"] == "huggingface"]
    assert record["state"] == "incomplete"
    assert 0 < record["done"] < record["total"]
    hub.file_faults.clear()
    run("pull", "maker/Tiny-Llama-GGUF")
    run("verify")


def test_a_terminal_gets_live_lines_one_for_each_shard(hub: FakeHub, tmp_path: Path) -> None:
    shards = write_split(tmp_path / "origin", "Big-Q8_0", 3, payload=MIB)
    hub.add("maker/Big-GGUF", {path.name: path for path in shards})
    hub.file_faults.append(Fault(rate=2e6))
    with pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], "pull", "maker/Big-GGUF"],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
        timeout=60,
    ) as terminal:
        for path in shards:
            terminal.expect_exact(path.name)
        terminal.expect("MB/s")
        terminal.expect("is available")
        terminal.expect(pexpect.EOF)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pull", "maker/Nothing-GGUF"], 1, "no token is set"),
        (["pull", "maker/Nothing-GGUF", "--offline"], 1, "offline mode is on"),
        (["pull", "a/b/c"], 1, "is not a valid model reference"),
        (["pull"], 2, "Missing argument"),
        (["pull", "x", "--source", "mars"], 2, "mars"),
        (["show", "local/llama/nothing"], 1, "parlant-local list --all"),
        (["rm", "parlant-local-tiny"], 1, "can't be deleted"),
        (["add"], 2, "PATH"),
        (["add", "none.gguf"], 1, "does not exist"),
        (["list", "--type", "cat"], 2, "cat"),
        (["list", "--config", "/nonexistent.yaml"], 2, "can't be read"),
        (["verify", "nothing"], 1, "No model"),
    ],
)
def test_failures_are_one_line_with_their_exit_code(hub: FakeHub, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments, code=code)
    assert says in result.stderr
    assert result.stdout == ""


def test_doctor_and_recommend_tell_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    monkeypatch.setenv("PARLANT_LOCAL_ENGINE__N_CTX", "4096")
    report = data("doctor")
    assert report["llama_cpp"]["works"] is True
    assert report["network"]["hub token"] == "present"
    assert report["network"]["ollama reachable"] is False
    assert report["settings"]["engine.n_ctx"] == "4096   (from PARLANT_LOCAL_ENGINE__N_CTX)"
    assert "secretsecret" not in run("doctor").stdout
    named = data("recommend", "--limit", "3", "--no-measure")
    assert len(named["models"]) == 3
    assert named["models"][0]["cold_turn_seconds"] is None


@pytest.mark.evidence
def test_recommend_measures_once_and_remembers(tmp_path: Path) -> None:
    first = data("recommend")
    assert data("recommend")["models"] == first["models"]  # a second measurement would never give the same figures
    assert all(item["cold_turn_seconds"] > 0 for item in first["models"])


HOSTILE = "a\nb\rc\x1b[31md\x9b31me\u202ef\u2066g[bold red]h"


def test_what_a_file_calls_itself_moves_no_cursor(tmp_path: Path, hub: FakeHub) -> None:
    path = write_gguf(tmp_path / "evil.gguf", name=HOSTILE, extra={"general.license": HOSTILE})
    for refused in (
        write_gguf(tmp_path / "foreign.gguf", architecture="lla\x1b[31mma"),
        write_gguf(tmp_path / f"evil{HOSTILE}.gguf"),
    ):
        assert all(line.isprintable() for line in run("add", refused, code=1).stderr.split("\n"))
    for arguments in (
        ["add", path],
        ["list", "--all"],
        ["show", path],
        ["doctor"],
        ["add", path, "--json"],
        ["list", "--json"],
    ):
        result = run(*arguments)
        assert all(line.isprintable() for line in (result.stdout + result.stderr).split("\n")), arguments
    assert any((item["license"] or "").startswith("a") for item in data("list", "--all"))
    for code, arguments in (
        (1, ["show", f"no{HOSTILE}"]),
        (1, ["rm", f"no{HOSTILE}"]),
        (1, ["pull", f"no/{HOSTILE}"]),
        (1, ["serve", "--model", HOSTILE]),
    ):
        told = run(*arguments, code=code).stderr
        assert all(line.isprintable() for line in told.split("\n")), arguments
        assert len(told.splitlines()) <= 2, told
