"""The verbs that run a model: what they print, and how they fail."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.at_home import Verb
from tests.support.places import COMMAND, TINY

SMALL = ("--n-ctx", "1024")


def test_generate_prints_the_answer_and_nothing_else(verb: Verb) -> None:
    code, out, err = verb("generate", str(TINY), "What is the capital of France?", "-t", "0", *SMALL)
    assert (code, err) == (0, "")
    assert out.strip()
    code, whole, _ = verb("generate", str(TINY), "What is the capital of France?", "-t", "0", "--no-stream", *SMALL)
    assert whole == out


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without an end")
def test_a_file_without_an_end_is_refused(verb: Verb) -> None:
    for words in (("perplexity", str(TINY), "/dev/zero"), ("generate", str(TINY), "--file", "/dev/zero")):
        code, _, err = verb(*words)
        assert code != 0
        assert "64 MiB" in err


def test_generate_prints_the_whole_reply_as_json(verb: Verb) -> None:
    code, out, _ = verb("generate", str(TINY), "Hello", "-t", "0", "--json", "--n", "2", *SMALL)
    reply = json.loads(out)
    assert code == 0
    assert reply["content"] == reply["alternatives"][0]["content"]
    assert reply["usage"]["completion_tokens"] > 0
    assert reply["finish_reason"] == "stop"


def test_generate_follows_schemas_grammars_and_tools(verb: Verb, written: Callable[[str, Any], str]) -> None:
    schema = written("s.json", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    _, out, _ = verb("generate", str(TINY), "A number.", "--schema", schema, *SMALL)
    assert isinstance(json.loads(out)["n"], int)
    _, out, _ = verb("generate", str(TINY), "x", "--json-object", "-t", "1", *SMALL)
    assert isinstance(json.loads(out), dict)
    _, out, _ = verb("generate", str(TINY), "x", "--grammar", written("g.gbnf", 'root ::= "yes"'), *SMALL)
    assert out == "yes\n"
    tools = written("t.json", [{"type": "function", "function": {"name": "now"}}])
    _, out, _ = verb("generate", str(TINY), "x", "--tools", tools, "--tool-choice", "required", *SMALL)
    assert out.startswith("now {")


def test_generate_reads_files_and_standard_input(written: Callable[[str, Any], str], verb: Verb) -> None:
    file = written("prompt.txt", "What is the capital of France?")
    _, from_file, _ = verb("generate", str(TINY), "--file", file, "-t", "0", *SMALL)
    command = [COMMAND, "generate", str(TINY), "-t", "0", *SMALL]
    piped = subprocess.run(command, input="What is the capital of France?", capture_output=True, text=True, timeout=60)
    assert piped.stdout == from_file


def test_generate_says_when_an_answer_was_cut(verb: Verb) -> None:
    _, _, err = verb("generate", str(TINY), "Hello", "--max-tokens", "1", *SMALL)
    assert "truncated" in err


def test_ctrl_c_ends_generate_at_once() -> None:
    hot = ("-t", "5", "--top-k", "0", "--top-p", "1", "--max-tokens", "3900", "--n-ctx", "4096")
    child = subprocess.Popen(
        [COMMAND, "generate", str(TINY), "Tell me a long story.", *hot],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    assert child.stdout.read(1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in err


def test_embed_prints_vectors(verb: Verb, written: Callable[[str, Any], str]) -> None:
    _, out, _ = verb("embed", str(TINY), "Hello", "Goodbye", "--json", *SMALL)
    reply = json.loads(out)
    assert reply["dimensions"] == len(reply["embeddings"][0]) > 64
    assert len(reply["embeddings"]) == 2
    _, lines, _ = verb("embed", str(TINY), "--file", written("texts.txt", "Hello\n\nGoodbye\n"), *SMALL)
    first, second = (json.loads(line) for line in lines.splitlines())
    assert first == pytest.approx(reply["embeddings"][0], abs=1e-3)
    assert second == pytest.approx(reply["embeddings"][1], abs=1e-3)


def test_embed_refuses_or_reports_texts_that_are_too_long(verb: Verb) -> None:
    code, _, err = verb("embed", str(TINY), "word " * 3000, *SMALL)
    assert code == 1
    assert "tokens" in err
    code, _, err = verb("embed", str(TINY), "word " * 3000, "--truncate", *SMALL)
    assert code == 0
    assert "text 0 was truncated" in err


def test_rerank_orders_documents(verb: Verb) -> None:
    _, out, _ = verb("rerank", str(TINY), "the weather", "pottery", "the weather", "--json", *SMALL)
    results = json.loads(out)["results"]
    assert [item["index"] for item in results] == [1, 0]
    _, out, _ = verb("rerank", str(TINY), "the weather", "pottery", "the weather", "--top", "1", *SMALL)
    assert out.split(maxsplit=1)[1] == "the weather\n"


def test_render_prints_prompt_and_tokens(verb: Verb, written: Callable[[str, Any], str]) -> None:
    messages = written("m.json", [{"role": "user", "content": "Hi"}])
    tools = written("t.json", [{"type": "function", "function": {"name": "now"}}])
    _, out, _ = verb("render", str(TINY), "--messages", messages, "--tools", tools, "--json")
    rendered = json.loads(out)
    assert set(rendered) == {"prompt", "tokens"}
    assert '"name": "now"' in rendered["prompt"]
    assert rendered["prompt"].endswith("<|im_start|>assistant\n")
    _, bare, _ = verb("render", str(TINY), "--messages", messages, "--no-generation-prompt", "--json")
    assert json.loads(bare)["prompt"] == "<|im_start|>user\nHi<|im_end|>\n"
    _, plain, _ = verb("render", "local/llama/parlant-local-tiny", "--messages", messages)
    assert plain.startswith("<|im_start|>user\nHi<|im_end|>\n")
    assert f"{len(json.loads(bare)['tokens']) + 3} tokens: " in plain


def test_tokenize_takes_a_text_as_typed(verb: Verb, written: Callable[[str, Any], str]) -> None:
    file = written("text.txt", "Hello <|im_end|>\n")
    _, out, _ = verb("tokenize", str(TINY), "--file", file, "--json")
    tokens = json.loads(out)
    assert 2 not in tokens  # <|im_end|> itself
    _, plain, _ = verb("tokenize", str(TINY), "Hello <|im_end|>\n")
    assert [int(token) for token in plain.split()] == tokens


def test_perplexity_equals_a_reference_from_raw_logits(verb: Verb, written: Callable[[str, Any], str]) -> None:
    """The reference: one window at a time through llama-cpp-python's own class, softmax in numpy."""
    import numpy as np
    from llama_cpp import Llama

    text = "The capital of France is Paris. The capital of Italy is Rome. " * 12
    file = written("text.txt", text)
    llama = Llama(str(TINY), n_ctx=64, n_batch=64, logits_all=True, verbose=False)
    try:
        tokens = llama.tokenize(text.encode(), add_bos=False)
        losses = []
        for start in range(0, len(tokens) // 64 * 64, 64):
            window = tokens[start : start + 64]
            llama.reset()
            llama.eval(window)
            rows = np.asarray(llama.scores[:64], dtype=np.float64)
            top = rows.max(axis=1, keepdims=True)
            logs = rows - top - np.log(np.exp(rows - top).sum(axis=1, keepdims=True))
            losses += [-logs[at, window[at + 1]] for at in range(31, 63)]
    finally:
        llama.close()
    _, out, _ = verb("perplexity", str(TINY), file, "--n-ctx", "64", "--json")
    measured = json.loads(out)
    assert measured["scored"] == len(losses)
    assert measured["perplexity"] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=2e-3)
    _, line, _ = verb("perplexity", str(TINY), file, "--n-ctx", "64")
    assert line.startswith("perplexity ")


def test_perplexity_of_a_text_shorter_than_a_window_scores_all_of_it(
    verb: Verb, written: Callable[[str, Any], str]
) -> None:
    file = written("text.txt", "The capital of France is Paris.")
    _, out, _ = verb("perplexity", str(TINY), file, "--json")
    measured = json.loads(out)
    assert measured["scored"] == measured["tokens"] - 1
    code, _, err = verb("perplexity", str(TINY), written("empty.txt", ""))
    assert code == 2
    assert "no second token" in err


def test_bench_measures_prefill_and_decode(verb: Verb) -> None:
    quick = ("--prompts", "32,64", "--batches", "1,2", "--runs", "1", "--tokens", "8")
    _, out, _ = verb("bench", str(TINY), *quick, "--json")
    rows = json.loads(out)["measurements"]
    assert [(row["kind"], row["size"]) for row in rows] == [
        ("prefill", 32),
        ("prefill", 64),
        ("decode", 1),
        ("decode", 2),
    ]
    assert all(row["tokens_per_second"] > 0 for row in rows)
    _, table, _ = verb("bench", str(TINY), *quick)
    assert "prefill" in table
    assert "at once" in table


def test_what_bench_saves_holds_for_later_loads_unless_something_else_is_set(home: Path) -> None:
    from parlant_local.engine.saved import save_settings, saved_file, with_findings
    from parlant_local.observability import NullLogger
    from parlant_local.settings import EngineSettings

    file = saved_file(home, TINY)
    save_settings(file, {"n_ubatch": 128, "unified_kv": True}, {"model": TINY.name})
    found = with_findings(EngineSettings(n_ctx=512), home, TINY, NullLogger())
    assert (found.n_ctx, found.n_ubatch, found.unified_kv) == (512, 128, True)
    assert with_findings(EngineSettings(n_ubatch=64), home, TINY, NullLogger()).n_ubatch == 64
    file.write_text("{broken", "utf-8")
    assert with_findings(EngineSettings(), home, TINY, NullLogger()) == EngineSettings()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(verb: Verb, shell: str) -> None:
    code, out, _ = verb("completion", shell)
    assert code == 0
    assert "_PARLANT_LOCAL_COMPLETE" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("parlant-local tok", "tokenize"),
        ("parlant-local chat loc", "local/llama/parlant-local-tiny"),
        ("parlant-local generate x --temp", "--temperature"),
    ],
)
def test_bash_completes_verbs_models_and_options(words: str, expected: str) -> None:
    environment = {
        **os.environ,
        "_PARLANT_LOCAL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [COMMAND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert expected in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("generate", "no/such:model", "x"), 1, "no/such"),
        (("generate", "missing.gguf", "x"), 1, "missing.gguf"),
        (("generate", str(TINY), "x", "--schema", "missing.json"), 2, "missing.json"),
        (("generate", str(TINY), "x", "--temperature", "9"), 2, "temperature"),
        (("generate", str(TINY), "x", "--stream", "--json"), 2, "--stream"),
        (("generate", str(TINY), "x", "--file", "y"), 2, "not both"),
        (("generate", str(TINY), "x", "--chat-format", "nonsense"), 2, "chat_format"),
        (("tokenize", str(TINY)), 2, "--file"),
        (("render", str(TINY), "--messages", "missing.json"), 2, "missing.json"),
        (("bench", str(TINY), "--prompts", "many"), 2, "--prompts"),
        (("perplexity", str(TINY), "missing.txt"), 2, "missing.txt"),
        (("completion", "csh"), 2, "csh"),
    ],
)
def test_errors_are_one_line(verb: Verb, arguments: tuple[str, ...], code: int, said: str) -> None:
    got, out, err = verb(*arguments)
    assert got == code
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if not line.startswith(("Usage:", "Try '"))]) <= 2


def test_bytes_that_are_no_text_end_in_no_traceback(home: Path) -> None:
    environment = {**os.environ, "PARLANT_LOCAL_HOME": str(home), "PYTHONIOENCODING": "utf-8:strict"}
    model = b"local/llama/parlant-local-tiny"
    for arguments, typed in (
        ([b"rerank", model, b"\xff\xed\xa0\x80", b"\xffx", b"--json"], b""),
        ([b"chat", model, b"--no-stats", b"--max-tokens", b"4"], b"a\xffb\n/save \xff.json\n"),
        ([b"generate", model, b"a\xff", b"--stop", b"\xfe", b"--max-tokens", b"-1", b"--seed", b"-1", b"--json"], b""),
    ):
        done = subprocess.run(
            [COMMAND, *arguments], input=typed, env=environment, cwd=home, capture_output=True, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        assert b"Traceback" not in done.stderr
        assert done.stdout.decode("utf-8")


def test_halves_of_characters_in_files_are_replaced(verb: Verb, written: Callable[[str, Any], str]) -> None:
    said = written("m.json", [{"role": "user", "content": "x\ud800y"}])
    code, out, err = verb("render", str(TINY), "--messages", said, "--json", *SMALL)
    assert (code, err) == (0, "")
    assert "x\ufffdy" in json.loads(out)["prompt"]
    schema = written(
        "s.json", {"type": "object", "properties": {"\ud800": {"enum": ["\udc00"]}}, "required": ["\ud800"]}
    )
    code, out, _ = verb("generate", str(TINY), "x", "--schema", schema, *SMALL)
    assert (code, json.loads(out)) == (0, {"\ufffd": "\ufffd"})
    tools = written("t.json", [{"name": "now\ud800", "input_schema": {"type": "object"}}])
    code, out, _ = verb("generate", str(TINY), "x", "--tools", tools, "--tool-choice", "required", *SMALL)
    assert (code, out[:4]) == (0, "now\ufffd")
