"""A stand-in for endpoints that speak OpenAI's API, which nobody can reach from here."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.fakes.http import FaultServer, Reply, Request
from tests.fakes.instances import instance

DIALECTS = ("json_schema", "json_object_schema", "json_object", "prompt")


class FakeOpenAI(FaultServer):
    """``dialects`` are the forms of ``response_format`` it knows; ``answer`` overrides what the model says."""

    def __init__(
        self,
        *,
        name: str = "fake",
        dialects: tuple[str, ...] = DIALECTS,
        ignores_format: bool = False,
        key: str | None = None,
        unsupported: tuple[str, ...] = (),
        base64_embeddings: bool = True,
        sends_usage: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        self.dialects = dialects
        self.ignores_format = ignores_format
        self.key = key
        self.unsupported = unsupported
        self.base64_embeddings = base64_embeddings
        self.sends_usage = sends_usage
        self.text = "Paris is the capital of France."
        self.reasoning = ""
        self.finish = "stop"
        self.tool_calls: list[tuple[str, str]] = []
        self.answer: Callable[[dict[str, Any]], str] | None = None
        self.models = [{"id": "m", "object": "model", "created": 1, "owned_by": "fake", "max_model_len": 8192}]

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def route(self, request: Request) -> Reply:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided.", "invalid_request_error", code="invalid_api_key")
        route = (request.method, request.path)
        if route == ("GET", "/v1/models"):
            return Reply({"object": "list", "data": self.models})
        if route == ("POST", "/v1/chat/completions"):
            return self._chat(request.body)
        if route == ("POST", "/v1/completions"):
            choice = {"index": 0, "text": self.text, "finish_reason": "stop", "logprobs": None}
            return Reply({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": self.name,
                          "choices": [choice], "usage": self._usage(request.body)})  # fmt: skip
        if route == ("POST", "/v1/embeddings"):
            return self._embed(request.body)
        if route == ("POST", "/v1/rerank"):
            scores = [len(document) / 100 for document in request.body["documents"]]
            results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
            return Reply({"results": sorted(results, key=lambda item: -item["relevance_score"])})
        if route == ("POST", "/v1/moderations"):
            scores = {"violence": 0.9, "self-harm": 0.01}
            result = {"flagged": True, "categories": {}, "category_scores": scores, "category_applied_input_types": {}}
            return Reply({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})
        return _error(404, f"Unknown request URL: {request.method} {request.path}.", "invalid_request_error")

    def _chat(self, body: dict[str, Any]) -> Reply:
        if body["model"] not in {model["id"] for model in self.models}:
            text = f"The model `{body['model']}` does not exist or you do not have access to it."
            return _error(404, text, "invalid_request_error", code="model_not_found")
        for name in self.unsupported:
            if name in body:
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                if name == "max_tokens":
                    text += " Use 'max_completion_tokens' instead."
                return _error(400, text, "invalid_request_error", param=name, code="unsupported_parameter")
        wanted = body.get("response_format")
        kind = _dialect(wanted)
        if kind is not None and kind not in self.dialects:
            return _error(400, "This response_format type is unavailable now", "invalid_request_error")
        content = self._content(body, wanted, kind)
        if body.get("stream"):
            return Reply(lines=self._lines(body, content), content_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = self._calls()
            message["content"] = None
        choice = {"index": 0, "message": message, "finish_reason": self._finish(), "logprobs": None}
        choices = [choice | {"index": index} for index in range(body.get("n", 1))]
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.name, "choices": choices}
        return Reply(reply | ({"usage": self._usage(body)} if self.sends_usage else {}))

    def _content(self, body: dict[str, Any], wanted: Any, kind: str | None) -> str:
        if self.answer is not None:
            return self.answer(body)
        prompted = _prompted_schema(body)
        if self.ignores_format and prompted is None:
            return self.text
        if kind == "json_schema":
            return json.dumps(instance(wanted["json_schema"]["schema"]))
        if kind == "json_object_schema":
            return json.dumps(instance(wanted["schema"]))
        if prompted is not None and kind is not None:
            return json.dumps(instance(prompted))
        if prompted is not None:
            return f"Of course!\n```json\n{json.dumps(instance(prompted))}\n```"
        return '{"any": 1}' if kind == "json_object" else self.text

    async def _lines(self, body: dict[str, Any], content: str) -> AsyncIterator[bytes]:
        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
            return _event(self.name, [choice])

        yield event({"role": "assistant", "content": ""})
        if self.reasoning:
            yield event({"reasoning_content": self.reasoning})
        for call in self._calls():
            yield event({"tool_calls": [{"index": 0, **call, "function": call["function"] | {"arguments": ""}}]})
            arguments = call["function"]["arguments"]
            for start in range(0, len(arguments), 4):
                piece = {"index": 0, "function": {"arguments": arguments[start : start + 4]}}
                yield event({"tool_calls": [piece]})
        if not self.tool_calls:
            for start in range(0, len(content), 5):
                yield event({"content": content[start : start + 5]})
        yield event({}, self._finish())
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event(self.name, [], usage=self._usage(body))
        yield b"data: [DONE]\n\n"

    def _finish(self) -> str:
        return "tool_calls" if self.tool_calls else self.finish

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(self.tool_calls)
        ]

    def _usage(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = sum(len(str(item.get("content"))) for item in body.get("messages", ())) // 4 + 1
        return {"prompt_tokens": prompt, "completion_tokens": 8, "total_tokens": prompt + 8,
                "prompt_tokens_details": {"cached_tokens": 1}}  # fmt: skip

    def _embed(self, body: dict[str, Any]) -> Reply:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if any(len(text) > 4000 for text in texts):
            text = "This model's maximum context length is 1000 tokens, however you requested 1300 tokens."
            return _error(400, text, "invalid_request_error")
        entries = []
        for index, text in enumerate(texts):
            vector: Any = [float(len(text)), 1.0, -2.0, 0.5]
            if body.get("encoding_format") == "base64" and self.base64_embeddings:
                vector = base64.b64encode(struct.pack("<4f", *vector)).decode()
            entries.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return Reply({"object": "list", "data": entries[::-1], "model": self.name, "usage": usage})

    def error_body(self, status: int) -> Any:
        texts = {401: "Incorrect API key provided.", 404: "The model does not exist.", 413: "Request too large.",
                 429: "Rate limit reached for requests.", 503: "The engine is currently overloaded."}  # fmt: skip
        return _error_body(texts.get(status, "The server had an error."), "server_error")

    def error_line(self) -> bytes:
        return (
            f"data: {json.dumps(_error_body('The server had an error while processing.', 'server_error'))}\n\n".encode()
        )


def _event(model: str, choices: list[Any], usage: Any = None) -> bytes:
    data = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return f"data: {json.dumps(data | ({'usage': usage} if usage else {}))}\n\n".encode()


def _dialect(wanted: Any) -> str | None:
    if wanted is None or wanted["type"] == "text":
        return None
    if wanted["type"] == "json_object" and "schema" in wanted:
        return "json_object_schema"
    return str(wanted["type"])


def _prompted_schema(body: dict[str, Any]) -> Any:
    last = str(body["messages"][-1].get("content"))
    marker = "JSON Schema, and with nothing else:\n"
    return json.loads(last.split(marker)[1]) if marker in last else None


def _error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _error(status: int, message: str, kind: str, *, param: str | None = None, code: str | None = None) -> Reply:
    return Reply(_error_body(message, kind, param, code), status=status)
