"""Requests that no honest client sends: kinds with names, and siblings of them by the thousand.

``kinds()`` gives one request of each kind, ``generated(count, seed)`` as many siblings as wanted, the same ones for a seed.
Bodies are made when they are asked for: some are megabytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

__all__ = ["JSON", "POSTS", "HostileRequest", "bodies", "code_of", "generated", "header_values", "kinds"]

JSON: Mapping[str, str] = {"content-type": "application/json"}
CHAT = "/v1/chat/completions"
POSTS = (
    CHAT, "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/moderations", "/tokenize", "/detokenize",
    "/apply-template", "/api/chat", "/models/load", "/models/unload", "/models/cancel", "/models", "/v1/messages",
    "/v1/messages/count_tokens", "/v1/responses", "/v1/responses/input_tokens", "/infill",
    "/v1/chat/completions/control",
)  # fmt: skip
USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@dataclass(frozen=True)
class HostileRequest:
    name: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    make: Callable[[], bytes] = bytes

    @property
    def body(self) -> bytes:
        return self.make()


def code_of(path: str, body: dict[str, Any]) -> str | None:
    """The code of an error, whose form must be that of the API which the path belongs to."""
    error = body["error"]
    if path.startswith("/v1/messages"):
        assert set(body) == {"type", "error", "request_id"}, body
        assert set(error) <= {"type", "message", "details"}, body
        return error.get("details", {}).get("error_code")  # type: ignore[no-any-return]  # of JSON
    assert set(error) == {"message", "type", "param", "code"}, body
    return error["code"]  # type: ignore[no-any-return]  # as above


def kinds() -> list[HostileRequest]:
    """One of each kind."""
    return [*_malformed(), *_multiplying(), *_wrong_types(), *_heavy_tokens(), *_names(), *_surrogates(), *_addresses()]


def generated(count: int, seed: int = 0) -> Iterator[HostileRequest]:
    """Siblings: values of every kind put into every place of bodies that would be right, and bytes that are no JSON."""
    source = random.Random(seed)
    for number in range(count):
        maker = source.choice([_mutant, _mutant, _mutant, _noise, _odd_headers, _odd_name])
        yield maker(f"generated {number}", random.Random(source.random()))


def _post(name: str, path: str, body: Any, **headers: str) -> HostileRequest:
    def make() -> bytes:
        value = body() if callable(body) else body
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogatepass")
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return HostileRequest(name, "POST", path, {**JSON, **named}, make)


def _chat(name: str, **change: Any) -> HostileRequest:
    return _post(name, CHAT, lambda: {"messages": [USER], "max_tokens": 1, **{k: _value(v) for k, v in change.items()}})


def _value(value: Any) -> Any:
    return value() if callable(value) else value


def _malformed() -> Iterator[HostileRequest]:
    yield _post("an empty body", CHAT, b"")
    yield _post("a body of blanks", CHAT, b" \n\t" * 1000)
    yield _post("no JSON", CHAT, b"messages=hi")
    yield _post("half a JSON", CHAT, b'{"messages": [{"role": "user", "con')
    yield _post("two JSONs", CHAT, b'{"messages": []}{"messages": []}')
    for name, value in (("list", b"[]"), ("text", b'"hi"'), ("number", b"1"), ("null", b"null"), ("true", b"true")):
        yield _post(f"a {name} at the top", CHAT, value)
    yield _post("NaN", CHAT, b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}')
    yield _post("Infinity", CHAT, b'{"messages": [{"role": "user", "content": "x"}], "temperature": -Infinity}')
    yield _post("1e999", CHAT, b'{"messages": [{"role": "user", "content": "x"}], "logit_bias": {"5": 1e999}}')
    yield _post(
        "NaN in a schema", CHAT, b'{"messages": [], "tools": [{"type": "function", "function": {"name": NaN}}]}'
    )
    yield _post("a number of 100,000 digits", CHAT, lambda: b'{"seed": ' + b"9" * 100_000 + b"}")
    yield _post("a number of 4,000 digits", CHAT, lambda: b'{"messages": [], "seed": ' + b"9" * 4000 + b"}")
    yield _post("a fraction of 100,000 digits", CHAT, lambda: b'{"temperature": 0.' + b"9" * 100_000 + b"}")
    yield _post("the same key twice", CHAT, b'{"messages": 1, "messages": [], "messages": {}}')
    yield _post("the same key 100,000 times", CHAT, lambda: b"{" + b'"a":1,' * 100_000 + b'"a":2}')
    yield _post("a byte order mark", CHAT, lambda: b"\xef\xbb\xbf" + json.dumps({"messages": [USER], "n": 0}).encode())
    for code in ("utf-16", "utf-16-le", "utf-32", "latin-1"):
        text = json.dumps({"messages": [{"role": "user", "content": "é"}]}, ensure_ascii=False)
        yield _post(f"a body in {code}", CHAT, text.encode(code))
    yield _post("a compressed body", CHAT, b"\x1f\x8b\x08\x00\x00\x00\x00\x00", content_encoding="gzip")
    yield _post("a body said to be compressed", CHAT, {"messages": [USER]}, content_encoding="br")
    yield _post("NUL in a text", "/tokenize", {"content": "a\x00b"})
    yield _post("a text of NULs", "/v1/completions", {"prompt": "\x00" * 500, "max_tokens": 1})
    yield HostileRequest("no content type", "POST", CHAT, {}, lambda: b'{"messages": []}')
    yield HostileRequest("a form", "POST", CHAT, {"content-type": "application/x-www-form-urlencoded"}, lambda: b"a=b")
    yield HostileRequest("a content type of nonsense", "POST", CHAT, {"content-type": "json;;;=/"}, lambda: b"{}")
    yield HostileRequest("a multipart body", "POST", CHAT, {"content-type": "multipart/form-data"}, lambda: b"--x\r\n")
    for depth in (100, 200, 1000, 100_000):
        yield _post(
            f"lists {depth} deep", CHAT, lambda depth=depth: b'{"messages": ' + b"[" * depth + b"]" * depth + b"}"
        )
        yield _post(f"objects {depth} deep", CHAT, lambda depth=depth: b'{"a":' * depth + b"1" + b"}" * depth)
    yield _post("brackets never closed", CHAT, lambda: b"[" * 4_000_000)
    yield _post("brackets in a text", "/tokenize", lambda: {"content": "[{" * 200_000})
    yield _post("quotes in a text", "/tokenize", lambda: {"content": '"\\' * 200_000})
    yield _post("a text never closed", CHAT, lambda: b'{"messages": "' + b"x" * 4_000_000)
    yield _post("escapes", "/tokenize", lambda: b'{"content": "' + b"\\u00e9" * 900_000 + b'"}')


def _multiplying() -> Iterator[HostileRequest]:
    """A few megabytes that validation, building or refusing would turn into gigabytes."""
    million = 1_000_000
    for unit in ("{}", "[]", "[[]]", "null", "0", '""', '{"a":1}', "1.5", "true", "-1"):
        filled = f"[{','.join([unit] * (3_000_000 // (len(unit) + 1)))}]".encode()
        for path, key in (
            ("/v1/completions", "prompt"), ("/v1/embeddings", "input"), (CHAT, "messages"), ("/v1/rerank", "documents"),
        ):  # fmt: skip
            yield _post(
                f"{key}: a million of {unit}", path, lambda f=filled, k=key: b'{"query":"x","%s":%s}' % (k.encode(), f)
            )
    few = 100_000  # under the limit of values
    for unit in ("{}", "[]", "null", "0", '{"role":"user"}'):
        filled = f"[{','.join([unit] * few)}]".encode()
        for path, key in (
            ("/v1/completions", "prompt"), ("/v1/embeddings", "input"), (CHAT, "messages"), ("/v1/rerank", "documents"),
            (CHAT, "tools"), (CHAT, "stop"), ("/detokenize", "tokens"), ("/v1/moderations", "input"),
        ):  # fmt: skip
            yield _post(
                f"{path} {key}: 100,000 of {unit}",
                path,
                lambda f=filled, k=key: b'{"query":"x","%s":%s}' % (k.encode(), f),
            )
    yield _chat("100,000 parts", messages=lambda: [{"role": "user", "content": [{"type": "text", "text": "x"}] * few}])
    yield _chat("100,000 parts of no kind", messages=lambda: [{"role": "user", "content": [{}] * few}])
    yield _chat(
        "1,000 messages with 100 wrong parts", messages=lambda: [{"role": "user", "content": [{}] * 100}] * 1000
    )
    yield _chat("100,000 calls", messages=lambda: [{"role": "assistant", "tool_calls": [{"function": {}}] * few}])
    yield _chat("100,000 tools", tools=lambda: [TOOL] * few)
    yield _chat(
        "a tool with 100,000 properties", tools=lambda: [_tool({str(i): {"type": "string"} for i in range(few)})]
    )
    yield _chat("100,000 biases", logit_bias=lambda: {str(i): 1 for i in range(few)})
    yield _chat("100,000 wrong biases", logit_bias=lambda: {f"x{i}": "y" for i in range(few)})
    yield _post("100,000 wrong biases among options", "/api/chat", lambda: {
        "message": "x", "stream": False, "options": {"logit_bias": {f"x{i}": "y" for i in range(few)}, "stop": [1] * few}})  # fmt: skip
    yield _chat("100,000 stops", stop=lambda: ["x"] * few)
    yield _chat("a stop of a million letters", stop=lambda: ["a" * million])
    yield _chat("100,000 unknown fields", **{f"field{i}": 1 for i in range(few)})
    yield _chat("100,000 template arguments", chat_template_kwargs=lambda: {str(i): i for i in range(few)})
    yield _chat("a billion answers", n=1_000_000_000)
    yield _chat("a message of a million letters", messages=lambda: [{"role": "user", "content": "x" * million}])
    yield _chat("1,024 messages", messages=lambda: [USER] * 1024)
    yield _chat("1,025 messages", messages=lambda: [USER] * 1025)
    yield _post("8 MiB of letters", "/v1/completions", lambda: {"prompt": "x " * (4 * million), "max_tokens": 1})
    yield _post("2,048 texts", "/v1/embeddings", lambda: {"input": ["hello"] * 2048})
    yield _post("2,048 texts in base64", "/v1/embeddings", lambda: {"input": ["a"] * 2048, "encoding_format": "base64"})
    yield _post("2,049 texts", "/v1/embeddings", lambda: {"input": ["hello"] * 2049})
    yield _post("2,048 documents", "/v1/rerank", lambda: {"query": "x", "documents": ["y"] * 2048})


def _tool(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}


def _wrong_types() -> Iterator[HostileRequest]:
    wrong: tuple[Any, ...] = (None, True, -1, 1.5, 10**30, "x", [], [None], {}, {"a": {}})
    for key in ("messages", "model", "tools", "tool_choice", "response_format", "stop", "logit_bias", "stream_options"):
        for value in wrong:
            yield _chat(f"{key}: {value!r}", **{key: value})
    for path, key in (
        ("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/v1/rerank", "documents"), ("/tokenize", "content"),
        ("/detokenize", "tokens"), ("/api/chat", "message"), ("/api/chat", "options"), ("/models", "model"),
        ("/v1/moderations", "input"),
    ):  # fmt: skip
        for value in wrong:
            yield _post(
                f"{path} {key}: {value!r}",
                path,
                {"query": "x", "message": "x", "max_tokens": 1, "stream": False, key: value},
            )


def _heavy_tokens() -> Iterator[HostileRequest]:
    yield _post("300,000 ids to embed", "/v1/embeddings", lambda: {"input": [5] * 300_000})
    yield _post("2,000 lists of 150 ids", "/v1/embeddings", lambda: {"input": [[5] * 150] * 2000})
    yield _post("300,000 ids to continue", "/v1/completions", lambda: {"prompt": [5] * 300_000, "max_tokens": 1})
    yield _post("8 lists of 30,000 ids", "/v1/completions", lambda: {"prompt": [[5] * 30_000] * 8, "max_tokens": 1})
    yield _post("300,000 ids to text", "/detokenize", lambda: {"tokens": [5] * 300_000})
    yield _post("300,001 ids to text", "/detokenize", lambda: {"tokens": [5] * 300_001})
    yield _post("a million letters to tokens", "/tokenize", lambda: {"content": "hello wide world " * 58_000})
    yield _post("with pieces", "/tokenize", lambda: {"content": "hello wide world " * 58_000, "with_pieces": True})
    yield _post("ids below zero", "/detokenize", {"tokens": [-1]})
    yield _post("ids above all", "/v1/embeddings", {"input": [[1 << 70]]})
    yield _post("ids that are fractions", "/v1/completions", {"prompt": [1.5], "max_tokens": 1})
    yield _post("a template of 1,000 messages", "/apply-template", lambda: {"messages": [USER] * 1000})
    log = {"prompt": "Once", "max_tokens": 400, "temperature": 1, "logprobs": 20, "n": 8, "ignore_eos": True}
    yield _post("8 answers with 20 log-probabilities", "/v1/completions", log)


def _names() -> Iterator[HostileRequest]:
    odd = ("\x1b[2J", "a\nb", "a\x00b", "..", "../../etc/passwd", "/", "//", "x" * 100_000, "é" * 5000, "\u202e", "a" * 512,
           "hf.co/../..:x", "C:\\x", "file:///etc/passwd", "%00", "ollama/", "/x", "openai/\n", "auto", " ")  # fmt: skip
    for name in odd:
        shown = name if len(name) < 40 else f"{name[0]!r} × {len(name)}"
        yield _chat(f"the model {shown!r}", model=name)
        yield _post(f"to load {shown!r}", "/models/load", {"model": name})
        yield _post(f"to fetch {shown!r}", "/models/cancel", {"model": name})
    for number in range(40):
        yield _chat(f"the made-up model {number}", model=f"ollama/made-up-{number}")
    yield _chat("a user of a million letters", user=lambda: "u" * 1_000_000)
    yield _chat("a name of a million letters", messages=lambda: [{**USER, "name": "n" * 1_000_000}])
    yield _chat(
        "a tool's name of a million letters", tools=lambda: [{"type": "function", "function": {"name": "n" * 10**6}}]
    )
    yield _post("a request id of control characters", CHAT, {"messages": []}, x_request_id="\x1b[2J")
    yield _post("a request id of 8,000 letters", CHAT, {"messages": []}, x_request_id="r" * 8000)


def _surrogates() -> Iterator[HostileRequest]:
    lone = "\ud800"
    yield _chat("a surrogate in a message", messages=[{"role": "user", "content": lone}])
    yield _chat("a surrogate in a part", messages=[{"role": "user", "content": [{"type": "text", "text": f"a{lone}"}]}])
    yield _chat("a surrogate in a role", messages=[{"role": lone, "content": ""}])
    yield _chat("a surrogate in a name", messages=[{**USER, "name": lone}])
    yield _chat("a surrogate in a model's name", model=lone)
    yield _chat("a surrogate in a user", user=lone)
    yield _chat("a surrogate in a stop", stop=[lone])
    yield _chat("a surrogate in a tool", tools=[{"type": "function", "function": {"name": "f", "description": lone}}])
    yield _chat("a surrogate in a schema", tools=[_tool({lone: {"type": "string", "enum": [lone]}})])
    yield _chat(
        "a surrogate in a format", response_format={"type": "json_schema", "json_schema": {"schema": {"const": lone}}}
    )
    yield _chat("a surrogate in a call", messages=[
        USER, {"role": "assistant", "tool_calls": [{"id": lone, "function": {"name": lone, "arguments": lone}}]},
        {"role": "tool", "tool_call_id": lone, "content": lone}])  # fmt: skip
    yield _chat("a surrogate as a key", **{lone: 1})
    yield _chat("a surrogate in a grammar", grammar=lone)
    for path, key in (("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/tokenize", "content"),
                      ("/v1/moderations", "input"), ("/api/chat", "message"), ("/models/load", "model")):  # fmt: skip
        yield _post(f"a surrogate in {key} of {path}", path, {key: f"x{lone}y\udc00", "max_tokens": 1, "stream": False})
    yield _post("a surrogate as it is", CHAT, b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}')
    yield _post("a pair of surrogates", "/tokenize", b'{"content": "\\ud83d\\ude00"}')
    yield _post("a surrogate to rank", "/v1/rerank", {"query": lone, "documents": [lone, {"text": lone}]})


def _addresses() -> Iterator[HostileRequest]:
    for path in ("/v1/models/%00", "/v1/models/%ff%fe", "/v1/models/..%2f..%2fetc", "/v1/models/" + "x" * 20_000,
                 "/v1/models/%1b%5b2J", "/%00", "/v1//models", "/page/%2e%2e%2fapp.py", "/vendor/%00", "/v1/models/%0a"):  # fmt: skip
        yield HostileRequest(f"GET {path[:40]}", "GET", path)
    for query in (
        "",
        "?model=",
        "?model=%00",
        "?model=%ff",
        "?model=" + "x" * 20_000,
        "?model=..%2f..",
        "?model=a&model=b",
    ):
        yield HostileRequest(f"DELETE /models{query[:30]}", "DELETE", f"/models{query}")
    for method in ("PUT", "PATCH", "TRACE", "OPTIONS", "HEAD", "BREW"):
        yield HostileRequest(f"{method} a chat", method, CHAT)


# -- siblings ---------------------------------------------------------------------------------------------------------

_RIGHT: Mapping[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "anna"},
            {"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            {"role": "user", "content": "Go on"},
        ],
        "max_tokens": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 1, "stop": ["x"], "n": 1, "user": "u",
        "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "tools": [TOOL], "tool_choice": "none",
        "stream_options": {"include_usage": True}, "reasoning_effort": "low", "chat_template_kwargs": {"x": 1},
    },
    "/v1/completions": {"prompt": ["a", "b"], "max_tokens": 1, "echo": True, "logprobs": 1, "best_of": 1, "suffix": ""},
    "/v1/embeddings": {"input": [[5, 6], [7]], "encoding_format": "float", "dimensions": 8, "user": "u"},
    "/v1/rerank": {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True},
    "/v1/moderations": {"input": ["a"], "model": "omni-moderation-latest"},
    "/tokenize": {"content": "a", "add_special": True, "parse_special": True, "with_pieces": True},
    "/detokenize": {"tokens": [5, 6]},
    "/apply-template": {"messages": [USER], "tools": [TOOL], "add_generation_prompt": False},
    "/api/chat": {"message": "Hi", "stream": False, "system": "s", "options": {"max_tokens": 1, "temperature": 1}},
    "/v1/messages": {
        "max_tokens": 1, "system": [{"type": "text", "text": "Be brief."}], "metadata": {"user_id": "u"},
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "done"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}, "stop_sequences": ["x"],
        "thinking": {"type": "enabled", "budget_tokens": 8}, "output_config": {"effort": "low"}, "top_k": 5,
    },
    "/v1/messages/count_tokens": {"messages": [USER], "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    "/v1/responses": {
        "max_output_tokens": 1, "instructions": "Be brief.", "store": True, "metadata": {"a": "b"}, "top_logprobs": 2,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "done"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": "auto",
        "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"],
    },
    "/v1/chat/completions/control": {"id": "chatcmpl-1", "action": "reasoning_end"},
    "/infill": {
        "input_prefix": "a", "input_suffix": "b", "input_extra": [{"text": "x", "filename": "y"}], "prompt": "c", "n_predict": 1,
        "n_cmpl": 1, "n_indent": 4, "t_max_predict_ms": 9, "response_fields": ["content", "timings/prompt_n"], "stop": [],
    },
    "/v1/responses/input_tokens": {"input": "Hi", "instructions": "Be brief."},
    "/models/load": {"model": "nothing"},
    "/models/cancel": {"model": "nothing"},
}  # fmt: skip


def _odd_value(source: random.Random) -> Any:
    many = source.choice([10, 1000, 50_000])
    return source.choice([
        None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e308, "", "x", "\x00", "\ud800", "\x1b[0m",
        "a\r\nb", "é" * 100, "x" * many, "😀" * many, [], {}, [[]], [{}], [None], [0] * many, ["x"] * many, [{}] * many,
        {"type": "text"}, {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, {str(i): i for i in range(many)},
        {"$ref": "#"}, {"function": {"name": None}}, "auto", "function", ["a", 1, None, {}], "NaN", {"": ""},
    ])  # fmt: skip


def _mutant(name: str, source: random.Random) -> HostileRequest:
    path = source.choice(list(_RIGHT))
    body: Any = json.loads(json.dumps(_RIGHT[path]))
    for _ in range(source.choice([1, 1, 2, 4])):
        owner, key = source.choice(list(_places(body)))
        if source.random() < 0.15:
            owner[key] = [owner[key]] * source.choice([2, 300, 3000])
        else:
            owner[key] = _odd_value(source)
    return _post(f"{name}: {path}", path, body)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = range(len(value)) if isinstance(value, list) else list(value)
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list) and len(value[key]) < 50:
            yield from _places(value[key])


def _noise(name: str, source: random.Random) -> HostileRequest:
    path = source.choice(POSTS)
    text = json.dumps(_RIGHT.get(path, {"model": "x"})).encode()
    place = source.randrange(len(text))
    piece = source.choice(
        [b"", b"\x00", b"\xff", b'"', b"\\", b"{", b"[", b"]", b",", b"\\ud83d", b"1e999", b"NaN", b"\n" * 9]
    )
    changed = text[:place] + piece * source.choice([1, 3, 5000]) + text[place + source.choice([0, 1, 9]) :]
    return _post(f"{name}: {path}", path, changed)


def _odd_headers(name: str, source: random.Random) -> HostileRequest:
    path = source.choice(POSTS)
    key = source.choice([
        "content-type", "accept", "x-request-id", "authorization", "user-agent", "origin", "referer", "x-forwarded-for",
        "content-encoding", "cookie", "accept-encoding", "x-parlant-local",
    ])  # fmt: skip
    value = source.choice(
        ["", "x" * 4000, "a\tb", "é", "application/json; charset=utf-16", "gzip, br", "*/*", "%0d%0a", "null"]
    )
    made = _post(f"{name}: {key}", path, _RIGHT.get(path, {"model": "x"}))
    return HostileRequest(made.name, "POST", path, {**made.headers, key: value}, made.make)


def _odd_name(name: str, source: random.Random) -> HostileRequest:
    letters = "".join(
        chr(source.choice([*range(1, 300), 0x202E, 0xFEFF, 0x1F600])) for _ in range(source.choice([1, 9, 700]))
    )
    place = source.choice(["", "ollama/", "openai/", "local/llama/", "hf.co/", "https://", "/", "../"])
    return _post(f"{name}: a name", source.choice([CHAT, "/models/load", "/models/cancel", "/v1/embeddings", "/v1/messages", "/v1/responses"]), {
        "model": place + letters, "messages": [USER], "input": "x", "max_tokens": 1})  # fmt: skip


def header_values() -> st.SearchStrategy[str]:
    """What may stand in a header on the wire: no line breaks, Latin-1."""
    return st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=200).map(
        str.strip
    )


def bodies() -> st.SearchStrategy[bytes]:
    """JSON of any shape, and right bodies with any JSON in one place."""
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    )
    keys = st.sampled_from(sorted({key for body in _RIGHT.values() for key in body}))
    return st.dictionaries(keys, value, max_size=5).map(lambda found: json.dumps(found).encode()) | st.binary(
        max_size=200
    )
