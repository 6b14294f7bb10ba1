"""docs/doors.md says of every field what becomes of it; each is sent, and its examples are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic.types import message_create_params
from openai.types.responses import response_create_params

from tests.examples.documents import blocks
from tests.server.conftest import Server
from tests.support.in_process import InProcess

from .conftest import Reciter
from .test_infill import VIM, VIM_WARMING, VSCODE, VSCODE_WARMING

PAGE = Path(__file__).parents[3] / "docs" / "doors.md"
TOOL = {"name": "f", "input_schema": {"type": "object"}}
LEAST: dict[str, dict[str, Any]] = {
    "POST /v1/messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4},
    "POST /v1/responses": {"input": "x"},
    "POST /infill": {"input_prefix": "x", "input_suffix": "y", "n_predict": 4},
}
SENT: dict[str, Any] = {
    "model": None, "max_tokens": 3, "messages": [{"role": "user", "content": "x"}], "system": "Be brief.",
    "thinking": {"type": "disabled"}, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    "metadata": {"user_id": "u"}, "temperature": 0.5, "top_p": 0.5, "top_k": 5, "min_p": 0.1, "seed": 1, "stream": True,
    "stop_sequences": ["."], "cache_control": {"type": "ephemeral"}, "container": "c", "diagnostics": {"previous_message_id": "m"},
    "inference_geo": "eu", "service_tier": "auto", "speed": "fast", "user_profile_id": "u", "workspace_id": "w",
    "input": [{"role": "user", "content": "x"}], "instructions": "Be brief.", "store": False, "max_output_tokens": 3,
    "parallel_tool_calls": False, "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"},
    "include": ["message.output_text.logprobs"], "top_logprobs": 1, "user": "u", "safety_identifier": "u", "truncation": "auto",
    "background": True, "conversation": "c", "prompt": {"id": "p"}, "access_programs": {"cyber": "standard"},
    "context_management": [{"type": "compaction"}], "image": {"context_compression": "auto"}, "max_tool_calls": 1,
    "moderation": {"model": "m"}, "prompt_cache_key": "k", "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h", "stream_options": {"include_obfuscation": False}, "input_prefix": "a", "input_suffix": "b",
    "input_extra": [{"text": "x", "filename": "y"}], "n_predict": 2, "n_cmpl": 2, "n_indent": 4, "t_max_predict_ms": 500,
    "response_fields": ["content"], "stop": ["."], "n": 2, "samplers": ["top_k"], "id_slot": 0, "cache_prompt": True,
    "t_max_prompt_ms": 500, "lora": [{"id": 0, "scale": 0.5}],
}  # fmt: skip
OWN = {
    ("POST /v1/messages", "tools"): {"tools": [TOOL]},
    ("POST /v1/messages", "tool_choice"): {"tools": [TOOL], "tool_choice": {"type": "auto"}},
    ("POST /v1/responses", "tools"): {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]},
    ("POST /v1/responses", "tool_choice"): {"tool_choice": "auto"},
    ("POST /v1/responses", "metadata"): {"metadata": {"a": "b"}},
    ("POST /infill", "tools"): {"tools": [TOOL]},
    ("POST /infill", "prompt"): {"prompt": "x"},
}
STRANGERS = {"POST /v1/messages": "betas", "POST /v1/responses": "personality", "POST /infill": "n_keep"}


def told() -> dict[str, dict[str, str]]:
    """By route, what the page says of each field."""
    found = {}
    for route, table in re.findall(r"<!-- fields: (.+?) -->(.+?)<!-- /fields -->", PAGE.read_text("utf-8"), re.DOTALL):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.MULTILINE)
        assert len(rows) == len(dict(rows)) == table.count("\n| `"), route
        found[route] = dict(rows)
    return found


FIELDS = [(route, name, verdict) for route, fields in told().items() for name, verdict in fields.items()]


def test_every_field_that_clients_know_is_told() -> None:
    fields = told()
    assert set(fields) == set(LEAST)
    known = {
        *message_create_params.MessageCreateParamsBase.__annotations__,
        *message_create_params.MessageCreateParamsStreaming.__annotations__,
    }
    assert known <= set(fields["POST /v1/messages"])
    known = {
        *response_create_params.ResponseCreateParamsBase.__annotations__,
        *response_create_params.ResponseCreateParamsStreaming.__annotations__,
    }
    assert known <= set(fields["POST /v1/responses"])
    assert {*VIM, *VIM_WARMING, *VSCODE, *VSCODE_WARMING} <= set(fields["POST /infill"])


def verdict(url: str, route: str, name: str, given: dict[str, Any]) -> set[str]:
    answer = httpx2.post(f"{url}{route.split()[1]}", json=LEAST[route] | given, timeout=60)
    if answer.status_code >= 400:
        message = answer.json()["error"]["message"]
        assert message
        return {"refused"}
    ignored = {item.partition(".")[0] for item in answer.headers.get("x-parlant-local-ignored", "").split(", ")}
    return {"ignored"} if name in ignored else {"taken", "converted"}


@pytest.mark.parametrize(("route", "name", "said"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
def test_each_field_is_treated_as_the_page_says(
    reciting: tuple[InProcess, Reciter], coder: InProcess, route: str, name: str, said: str
) -> None:
    server, _ = reciting
    given = OWN.get((route, name), {name: SENT.get(name)})
    if name == "previous_response_id":
        made = httpx2.post(f"{server.url}/v1/responses", json=LEAST[route]).json()
        given = {name: made["id"]}
    assert said in verdict(coder.url if route == "POST /infill" else server.url, route, name, given)


@pytest.mark.parametrize("route", LEAST)
def test_a_field_that_no_table_has_is_told(reciting: tuple[InProcess, Reciter], coder: InProcess, route: str) -> None:
    server, _ = reciting
    url = coder.url if route == "POST /infill" else server.url
    assert verdict(url, route, STRANGERS[route], {STRANGERS[route]: "x"}) == {"ignored"}


SCRIPTS = [block for block in blocks(PAGE) if block.language == "python"]


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_what_the_page_shows_runs(block: Any, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert block.way.what == "tests/server/doors/test_docs.py"
    server.wait_loaded()
    names: dict[str, Any] = {}
    exec(compile(block.text.replace("http://127.0.0.1:8080", server.url), str(block), "exec"), names)
    names["client"].close()
    assert "Paris" in capsys.readouterr().out
