"""A stand-in for the Ollama daemon, which can't be installed here: its routes, NDJSON streams and error shapes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.fakes.http import FaultServer, Reply, Request
from tests.fakes.instances import instance

BYTES_PER_TOKEN = 4


class FakeOllama(FaultServer):
    """Cuts prompts to ``num_ctx`` without a word, as the real one does, unless ``refuses_long`` is set."""

    def __init__(
        self,
        *,
        capabilities: tuple[str, ...] = ("completion", "tools"),
        context_length: int = 8192,
        ignores_format: bool = False,
        refuses_long: bool = False,
        drops_messages: bool = False,
    ) -> None:
        super().__init__()
        self.capabilities = list(capabilities)
        self.context_length = context_length
        self.ignores_format = ignores_format
        self.refuses_long = refuses_long
        self.drops_messages = drops_messages
        self.text = "Paris is the capital of France."
        self.thinking = ""
        self.template = "{{ .Prompt }}"
        self.tool_calls: list[tuple[str, dict[str, Any]]] = []
        self.done_reason = "stop"
        self.answer: Callable[[dict[str, Any]], str] | None = None
        self.models = {"m:latest": 4_000_000}
        self.loaded: dict[str, int] = {}
        """Model to the num_ctx it was loaded with."""
        self.loads = 0
        self.published: dict[str, int] | None = None
        """What can be pulled, with its size; None: anything, and nothing comes of it."""
        self.pause = 0.0
        """Seconds between the events of a pull."""

    async def route(self, request: Request) -> Reply:
        body = request.body or {}
        route = (request.method, request.path)
        if route == ("GET", "/api/tags"):
            return Reply({"models": [self._entry(name) for name in self.models]})
        if route == ("GET", "/api/ps"):
            return Reply({"models": [self._entry(name) | {"context_length": ctx} for name, ctx in self.loaded.items()]})
        if route == ("GET", "/api/version"):
            return Reply({"version": "0.30.5"})
        if route == ("POST", "/api/pull"):
            return Reply(lines=self._pull(body["model"]), content_type="application/x-ndjson")
        if route == ("DELETE", "/api/delete"):
            known = self.models.pop(body["model"], None) is not None
            return Reply({}) if known else Reply({"error": f"model '{body['model']}' not found"}, status=404)
        if request.method != "POST":
            return Reply({"error": "404 page not found"}, status=404)
        name = body.get("model", "")
        full = name if ":" in name else f"{name}:latest"
        if full not in self.models:
            return Reply({"error": f"model '{name}' not found"}, status=404)
        if request.path == "/api/show":
            return Reply(self._show())
        if request.path == "/api/embed":
            return self._embed(body)
        if request.path in ("/api/chat", "/api/generate"):
            return self._generate(full, body, chat=request.path == "/api/chat")
        return Reply({"error": "404 page not found"}, status=404)

    def _generate(self, name: str, body: dict[str, Any], *, chat: bool) -> Reply:
        if body.get("tools") and "tools" not in self.capabilities:
            return Reply({"error": f"registry.ollama.ai/library/{name} does not support tools"}, status=400)
        if body.get("think") and "thinking" not in self.capabilities:
            return Reply({"error": f'"{name}" does not support thinking'}, status=400)
        num_ctx = (body.get("options") or {}).get("num_ctx", 4096)
        if self.loaded.get(name) != num_ctx:
            self.loaded[name] = num_ctx
            self.loads += 1
        texts = [str(item.get("content", "")) for item in body["messages"]] if chat else [body["prompt"]]
        tokens = sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 8
        if tokens > num_ctx:
            if self.refuses_long:
                detail = {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": tokens,
                          "n_ctx": num_ctx, "message": "the request exceeds the available context size"}}  # fmt: skip
                return Reply({"error": json.dumps(detail)}, status=400)
            tokens = len(texts[-1].encode()) // BYTES_PER_TOKEN + 8 if self.drops_messages else num_ctx
        content = self._content(body)
        pieces = self._pieces(name, content, tokens, chat=chat)
        return Reply(lines=pieces, content_type="application/x-ndjson")

    def _content(self, body: dict[str, Any]) -> str:
        if self.answer is not None:
            return self.answer(body)
        wanted = body.get("format")
        if wanted and not self.ignores_format:
            return json.dumps({"any": 1} if wanted == "json" else instance(wanted))
        return self.text

    async def _pieces(self, name: str, content: str, tokens: int, *, chat: bool) -> AsyncIterator[bytes]:
        def line(text: str = "", done: bool = False, **more: Any) -> bytes:
            data: dict[str, Any] = {"model": name, "created_at": "2026-11-20T00:00:00Z", "done": done}
            if chat:
                data["message"] = {"role": "assistant", "content": text} | more.pop("message", {})
            else:
                data["response"] = text
            return json.dumps(data | more).encode() + b"\n"

        if self.thinking:
            yield line(**({"message": {"thinking": self.thinking}} if chat else {"thinking": self.thinking}))
        for tool, arguments in self.tool_calls:
            yield line(message={"tool_calls": [{"function": {"name": tool, "arguments": arguments}}]})
        if not self.tool_calls:
            for start in range(0, len(content), 5):
                yield line(content[start : start + 5])
        yield line(
            done=True,
            done_reason=self.done_reason,
            total_duration=5_000_000,
            load_duration=1_000_000,
            prompt_eval_count=tokens,
            prompt_eval_duration=2_000_000,
            eval_count=8,
            eval_duration=2_000_000,
        )

    async def _pull(self, name: str) -> AsyncIterator[bytes]:
        def line(status: str, **more: Any) -> bytes:
            return json.dumps({"status": status, **more}).encode() + b"\n"

        yield line("pulling manifest")
        if self.published is not None and name not in self.published:
            yield b'{"error":"pull model manifest: file does not exist"}\n'
            return
        size = 10 if self.published is None else self.published[name]
        for tenth in range(11):
            yield line("pulling aa", digest=f"sha256:{_digest(name)}", total=size, completed=size * tenth // 10)
            await asyncio.sleep(self.pause)
        if self.published is not None:
            self.models[name] = size
        yield line("verifying sha256 digest")
        yield line("success")

    def _entry(self, name: str) -> dict[str, Any]:
        return {"name": name, "model": name, "modified_at": "2026-11-20T00:00:00Z", "size": self.models[name],
                "digest": _digest(name), "details": self._details()}  # fmt: skip

    def _show(self) -> dict[str, Any]:
        facts = {"general.architecture": "llama", "general.parameter_count": 3_000_000,
                 "llama.context_length": self.context_length, "llama.embedding_length": 4}  # fmt: skip
        return {"modelfile": "", "template": self.template, "details": self._details(), "model_info": facts,
                "capabilities": self.capabilities}  # fmt: skip

    @staticmethod
    def _details() -> dict[str, Any]:
        return {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
                "parameter_size": "3B", "quantization_level": "Q4_K_M"}  # fmt: skip

    def _embed(self, body: dict[str, Any]) -> Reply:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not body.get("truncate", True) and any(len(text) > 4000 for text in texts):
            return Reply({"error": "the input length exceeds the context length"}, status=400)
        vectors = [[float(len(text)), 1.0, -2.0, 0.5] for text in texts]
        return Reply({"model": body["model"], "embeddings": vectors, "prompt_eval_count": 3, "total_duration": 1})

    def error_body(self, status: int) -> Any:
        texts = {404: "model 'm' not found", 429: "too many requests", 401: "unauthorized",
                 503: "server busy, please try again.  maximum pending requests exceeded"}  # fmt: skip
        return {"error": texts.get(status, "llama runner process has terminated: exit status 2")}

    def error_line(self) -> bytes:
        return b'{"error":"an error was encountered while running the model: unexpected EOF"}\n'


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
