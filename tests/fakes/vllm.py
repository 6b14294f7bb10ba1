"""vLLM's OpenAI server, as its sources have it (0.12 to 0.20): what it takes, ignores and refuses, and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.fakes.http import Reply, Request
from tests.fakes.openai import FakeOpenAI

# Of ChatCompletionRequest; anything else is taken and ignored, with a line in its debug log.
_KNOWN = set(
    "messages model frequency_penalty logit_bias logprobs top_logprobs max_tokens max_completion_tokens n presence_penalty "
    "response_format seed stop stream stream_options temperature top_p tools tool_choice reasoning_effort parallel_tool_calls user "
    "top_k min_p repetition_penalty length_penalty stop_token_ids ignore_eos min_tokens chat_template_kwargs structured_outputs "
    "priority request_id cache_salt continue_final_message add_generation_prompt truncate_prompt_tokens include_reasoning".split()
)
_FORMATS = set("email date time date-time duration ipv4 ipv6 hostname uuid uri".split())


class FakeVLLM(FakeOpenAI):
    """``vllm serve MODEL --served-model-name NAME …``. ``decoder``: ``auto``, or ``xgrammar`` alone, which refuses some schemas;
    ``prompt_details``: ``--enable-prompt-tokens-details``; ``engine_died``: the API answers, and the engine behind it is gone."""

    def __init__(
        self,
        *,
        names: tuple[str, ...] = ("m",),
        decoder: str = "auto",
        max_model_len: int = 8192,
        prompt_details: bool = False,
        key: str | None = None,
    ) -> None:
        super().__init__(name=names[0], dialects=("json_schema", "json_object"), key=key)
        self.names = names
        self.decoder = decoder
        self.max_model_len = max_model_len
        self.prompt_details = prompt_details
        self.engine_died = False
        self.ignored: list[str] = []
        self.models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": "/models/m", "parent": None,
             "max_model_len": max_model_len, "permission": []}
            for name in names
        ]  # fmt: skip

    async def route(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/health"):
            return Reply(None, status=503 if self.engine_died else 200)
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply({"error": "Unauthorized"}, status=401)
        if request.method == "POST" and (refusal := self._refusal(request.body)) is not None:
            return refusal
        reply = await super().route(request)
        if reply.lines is not None:
            reply.lines = _thoughts_renamed(reply.lines)
        for choice in (reply.body or {}).get("choices", ()):
            if "reasoning_content" in choice.get("message", {}):
                choice["message"]["reasoning"] = choice["message"].pop("reasoning_content")
        return reply

    def _refusal(self, body: dict[str, Any]) -> Reply | None:
        if body.get("model") not in self.names:
            return _error(404, f"The model `{body.get('model')}` does not exist.", "NotFoundError", "model")
        if self.engine_died:
            text = "EngineCore encountered an issue. See stack trace (above) for the root cause."
            return _error(500, text, "InternalServerError")
        self.ignored += [name for name in body if name not in _KNOWN]
        prompt = self._usage(body)["prompt_tokens"]
        if prompt > self.max_model_len:
            text = (
                f"This model's maximum context length is {self.max_model_len} tokens. However, your request has {prompt} input "
                "tokens. Please reduce the length of the input messages."
            )
            return _error(400, text, "BadRequestError", "input_tokens")
        wanted = body.get("response_format") or {}
        if (
            wanted.get("type") == "json_schema"
            and self.decoder == "xgrammar"
            and _inexpressible(wanted["json_schema"]["schema"])
        ):
            return _error(
                400, "The provided JSON schema contains features not supported by xgrammar.", "BadRequestError"
            )
        return None

    def _usage(self, body: dict[str, Any]) -> dict[str, Any]:
        usage = super()._usage(body)
        return usage if self.prompt_details else usage | {"prompt_tokens_details": None}


async def _thoughts_renamed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line.replace(b'"reasoning_content"', b'"reasoning"')


def _inexpressible(schema: Any) -> bool:
    """What ``has_xgrammar_unsupported_json_features`` looks for."""
    if isinstance(schema, list):
        return any(map(_inexpressible, schema))
    if not isinstance(schema, dict):
        return False
    bounded = {"minLength", "maxLength"} & schema.keys()
    return bool(
        {"multipleOf", "uniqueItems", "contains", "minContains", "maxContains", "patternProperties", "propertyNames"}
        & schema.keys()
        or ("format" in schema and schema["format"] not in _FORMATS)
        or ({"pattern", "format"} & schema.keys() and bounded)
    ) or any(map(_inexpressible, schema.values()))


def _error(status: int, message: str, kind: str, param: str | None = None) -> Reply:
    return Reply({"error": {"message": message, "type": kind, "param": param, "code": status}}, status=status)
