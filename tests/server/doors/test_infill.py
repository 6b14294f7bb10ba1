"""What editors send to be filled in, word for word, against a model that has the tokens for it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from parlant_local.messages import ChatChunk, Delta, Usage
from parlant_local.server.doors.infill import FilledText, fields_of
from parlant_local.server.shapes.infill import InfillRequest
from tests.server.conftest import TINY
from tests.support.in_process import InProcess

EXTRA = [{"text": "def area(r):\n    return 3 * r * r\n" * 4, "time": [1756, 301], "filename": "circle.py"}]
# autoload/llama.vim: s:ring_update and llama#fim, with its defaults.
VIM_WARMING: dict[str, Any] = {
    "id_slot": 0, "input_prefix": "", "input_suffix": "", "input_extra": EXTRA, "prompt": "", "n_predict": 0,
    "temperature": 0.0, "samplers": [], "stream": False, "cache_prompt": True, "t_max_prompt_ms": 1, "t_max_predict_ms": 1,
    "response_fields": [""],
}  # fmt: skip
VIM: dict[str, Any] = {
    "id_slot": 0, "input_prefix": "from circle import area\n\n\ndef volume(r, h):\n", "input_suffix": "\n\nprint(volume(1, 2))\n",
    "input_extra": EXTRA, "prompt": "    return ", "n_predict": 128, "stop": [], "n_indent": 4, "top_k": 40, "top_p": 0.90,
    "samplers": ["top_k", "top_p", "infill"], "stream": False, "cache_prompt": True, "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": [
        "content", "timings/prompt_n", "timings/prompt_ms", "timings/prompt_per_token_ms", "timings/prompt_per_second",
        "timings/predicted_n", "timings/predicted_ms", "timings/predicted_per_token_ms", "timings/predicted_per_second",
        "truncated", "tokens_cached",
    ],
}  # fmt: skip
# src/llama-server.ts: createRequestPayload, with the extension's defaults.
VSCODE_WARMING: dict[str, Any] = {
    "id_slot": 0, "input_prefix": "", "input_suffix": "", "input_extra": EXTRA, "prompt": "", "n_predict": 0, "samplers": [],
    "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 1,
}  # fmt: skip
VSCODE: dict[str, Any] = {
    "id_slot": 0, "input_prefix": "def volume(r, h):\n", "input_suffix": "\n\nprint(volume(1, 2))\n", "input_extra": EXTRA,
    "prompt": "    return ", "n_predict": 128, "n_cmpl": 3, "top_k": 40, "top_p": 0.99, "stream": False,
    "samplers": ["top_k", "top_p", "infill"], "cache_prompt": True, "n_indent": 4, "t_max_prompt_ms": 500,
    "t_max_predict_ms": 500,
}  # fmt: skip


def ask(server: InProcess, body: dict[str, Any], path: str = "/infill") -> httpx2.Response:
    return httpx2.post(f"{server.url}{path}", json=body, timeout=60)


def whole(server: InProcess, **body: Any) -> dict[str, Any]:
    answer = ask(server, {"input_prefix": "a", "input_suffix": "b", "n_predict": 12, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_vim(coder: InProcess) -> None:
    warmed = ask(coder, VIM_WARMING)
    assert (warmed.status_code, warmed.json()) == (200, {})
    answer = ask(coder, VIM)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == set(VIM["response_fields"])
    assert found["content"]
    assert found["timings/prompt_per_second"] > 0
    assert found["truncated"] is False
    assert found["tokens_cached"] > 0  # the other file was read before
    ignored = answer.headers["x-parlant-local-ignored"].split(", ")
    assert ignored == ["id_slot", "samplers", "cache_prompt", "t_max_prompt_ms", "input_extra.time"]


def test_vscode(coder: InProcess) -> None:
    warmed = ask(coder, VSCODE_WARMING).json()
    assert (warmed["content"], warmed["tokens_predicted"]) == ("", 0)
    answers = ask(coder, VSCODE).json()
    assert [item["index"] for item in answers] == [0, 1, 2]
    for item in answers:
        assert item["content"]
        assert item["generation_settings"]["n_ctx"] == 1024
        assert item["timings"]["predicted_n"] == item["tokens_predicted"] > 0


def test_the_prompt_is_what_the_model_was_shown(coder: InProcess) -> None:
    """The same tokens by hand give the same text."""
    filled = whole(coder, prompt="x = ", n_predict=12)
    with httpx2.Client(base_url=coder.url, timeout=60) as http:
        prompt = "<fill pre>ax = <fill suf>b<fill mid>"
        tokens = http.post("/tokenize", json={"content": prompt, "parse_special": True}).json()["tokens"]
        by_hand = http.post("/v1/completions", json={"prompt": tokens, "max_tokens": 12, "temperature": 0}).json()
    assert filled["content"] == by_hand["choices"][0]["text"]
    assert filled["tokens_evaluated"] == len(tokens)


def test_streams_what_it_would_have_answered_whole(coder: InProcess) -> None:
    told = ask(coder, {"input_prefix": "a", "input_suffix": "b", "n_predict": 12, "stream": True}).text
    events = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line]
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert "".join(event["content"] for event in events[:-1]) == events[-1]["content"] == whole(coder)["content"]


def test_why_it_ended(coder: InProcess) -> None:
    full = whole(coder)
    assert (full["stop_type"], full["tokens_predicted"]) == ("limit", 12)
    word = full["content"][2:4]
    cut = whole(coder, stop=[word])
    assert (cut["stop_type"], cut["stopping_word"]) == ("word", word)
    assert word not in cut["content"]


def test_what_does_not_fit_is_left_out(coder: InProcess) -> None:
    found = whole(coder, input_prefix="word " * 3000, input_suffix=" end" * 3000)
    assert found["truncated"]
    assert found["tokens_evaluated"] + 12 <= 1024


def test_a_suffix_of_a_completion_is_the_other_side_of_a_gap(coder: InProcess) -> None:
    with openai.OpenAI(base_url=f"{coder.url}/v1", api_key="none", max_retries=0) as client:
        asked: Any = {"model": "coder", "prompt": "a", "suffix": "b", "max_tokens": 12, "temperature": 0}
        answer = client.completions.create(**asked)
        assert answer.choices[0].text == whole(coder)["content"]
        streamed = client.completions.create(**asked, stream=True)
        assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == answer.choices[0].text
        with pytest.raises(openai.BadRequestError, match="must be text"):
            client.completions.create(**asked | {"prompt": [5, 6]})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": TINY}, "fim_pre"),
        ({"model": "ollama/x:1b"}, "does not run in this process"),
        ({"model": "none"}, "not available"),
        ({"input_prefix": 1}, "input_prefix"),
        ({"input_extra": [{"filename": "x"}]}, "text"),
        ({"input_extra": [{"text": "x"}] * 3000}, "limits.texts"),
        ({"n_predict": -2}, "n_predict"),
        ({"n_cmpl": 33}, "n_cmpl"),
        ({"n_cmpl": 9}, "limits.choices"),
        ({"n": 2}, "n=1"),
        ({"n_predict": 5000}, "context"),
        ({"tools": [{}]}, "tools"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"stop": ["x"] * 17}, "limits.stops"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_refused_is_refused_in_words(coder: InProcess, body: dict[str, Any], said: str) -> None:
    for stream in (False, True):
        answer = ask(coder, {"input_prefix": "a", "input_suffix": "b", "stream": stream, **body})
        assert 400 <= answer.status_code < 500, answer.text
        assert said in answer.json()["error"]["message"]
    if "model" in body:
        answer = ask(coder, {"prompt": "a", "suffix": "b", **body}, "/v1/completions")
        assert 400 <= answer.status_code < 500, answer.text


def chunks(*texts: str) -> list[ChatChunk]:
    return [ChatChunk(Delta(text)) for text in texts]


def grown(body: dict[str, Any], *texts: str, clock: Any = None) -> tuple[list[str], FilledText]:
    """What is shown of each piece."""
    text = FilledText(0, InfillRequest(**body), clock or (lambda: 0.0))
    ending = ChatChunk(finish_reason="stop", usage=Usage(5, 5))
    return [text.feed(chunk) for chunk in [*chunks(*texts), ending] if not text.ended], text


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["x\n", "    y\n    z"], "x\n    y\n    z"),
        (["x\n    y\nz()"], "x\n    y"),
        (["x", "\n", "  ", "  y", "\n", " ", " z"], "x\n    y"),
        (["x\n\n    y"], "x\n\n    y"),
        (["x\n", "\n", "\n    y"], "x\n\n\n    y"),
        (["y"], "y"),
        (["x\n  "], "x\n  "),
        (["x\n\ty\n\t\t\t\tz"], "x"),
    ],
)
def test_an_answer_ends_where_a_line_is_indented_less(texts: list[str], shown: str) -> None:
    pieces, text = grown({"n_indent": 4}, *texts)
    assert "".join(pieces) == shown
    assert text.whole("m", 5, {}, truncated=False)["content"] == shown


def test_an_answer_ends_at_the_first_line_after_its_time() -> None:
    now = iter(range(100))
    pieces, text = grown({"t_max_predict_ms": 3000}, *"a\nb\nc\nd\ne\nf", clock=lambda: float(next(now)))
    assert text.ended
    assert text.whole("m", 5, {}, truncated=False)["stop_type"] == "limit"
    shown = "".join(pieces)
    assert shown.endswith("\n")
    assert len(shown) < 11


def test_fields_are_named_by_their_way() -> None:
    _, text = grown({}, "x")
    answer = text.whole("m", 5, {"n_ctx": 9}, truncated=False)
    assert fields_of(answer, ["content", "timings/prompt_n", "timings/none", "none/x", "content/x", ""]) == {
        "content": "x",
        "timings/prompt_n": 0,
    }
    assert fields_of(answer, None) == answer
