"""A backend that answers any schema with random values that fit it: what a model with no sense at all would say.

It stands for the engine where a test is about the host's side: prompts, flows, failures, cancellation. Tests of what a
model says use the real engine.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlant_local.backends.base import Backend, ChatParams, ChatStream, EmbedReply, ModelInfo, RerankReply
from parlant_local.messages import ChatChunk, ChatReply, Delta, Usage, as_messages

WORDS = [
    "yes",
    "certainly",
    "our",
    "shop",
    "opens",
    "at",
    "nine",
    "and",
    "closes",
    "late",
    "thank",
    "you",
    "for",
    "asking",
    "about",
    "the",
    "order",
]

SCRIPTED = ModelInfo(id="local/test/scripted", n_ctx=32768, loaded=True, digest="ab" * 32)


@dataclass
class Call:
    name: str
    prompt: str
    params: ChatParams
    cancelled: bool = False
    finished: bool = False


@dataclass(eq=False)
class ScriptedBackend(Backend):
    seed: int = 0
    delay: float = 0.0
    """Seconds that each answer takes."""
    answers: dict[str, Callable[[Call], Any]] = field(default_factory=dict)
    """Schema name to a function that gives the answer: text, a value to be dumped, an exception to raise, or a reply."""
    info: ModelInfo = SCRIPTED
    keep_optional: float = 0.5
    calls: list[Call] = field(default_factory=list)
    active: int = 0
    most_active: int = 0
    loads: int = 0
    closes: int = 0
    load_error: Exception | None = None
    embed_dimensions: int = 32

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def load(self) -> None:
        self.loads += 1
        if self.load_error is not None:
            raise self.load_error

    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        call = self._call(messages, options)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(self.delay)
            answer = self.answers[call.name](call) if call.name in self.answers else None
            if isinstance(answer, ChatReply):
                return answer
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                schema = call.params.response_format.schema
                answer = self.value(schema, schema.get("$defs", {})) if schema else self.sentence()
            text = answer if isinstance(answer, str) else json.dumps(answer)
            call.finished = True
            return ChatReply(content=text, usage=self._usage(call, text), model=self.info.id)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            self.active -= 1

    async def chat_stream(self, messages: Any, **options: Any) -> ChatStream:
        call = self._call(messages, options)
        answer = self.answers["streaming"](call) if "streaming" in self.answers else self.sentence()
        if isinstance(answer, BaseException):
            raise answer
        try:
            for word in answer.split():
                await asyncio.sleep(self.delay / 10)
                yield ChatChunk(Delta(content=word + " "))
            call.finished = True
            yield ChatChunk(finish_reason="stop", usage=self._usage(call, answer))
        finally:
            call.cancelled = not call.finished

    async def complete(self, prompt: str, **options: Any) -> ChatReply:
        return await self.chat(prompt, **options)

    async def embed(self, texts: Sequence[str], *, truncate: bool = False) -> EmbedReply:
        vectors = []
        for text in texts:
            source = random.Random(f"{self.info.digest}{text}")
            raw = [source.gauss(0, 1) for _ in range(self.embed_dimensions)]
            length = sum(value * value for value in raw) ** 0.5
            vectors.append(tuple(value / length for value in raw))
        return EmbedReply(tuple(vectors), self.embed_dimensions, self.info.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> RerankReply:
        return RerankReply(tuple(0.0 for _ in documents), self.info.id)

    async def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    async def count_tokens(self, text: str) -> int:
        return len(text.split())

    def model_info(self) -> ModelInfo:
        return self.info

    async def close(self) -> None:
        self.closes += 1

    def named(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    def sentence(self) -> str:
        return " ".join(self.random.choices(WORDS, k=self.random.randint(3, 9)))

    def value(self, schema: Any, definitions: Mapping[str, Any]) -> Any:
        """A random value that fits ``schema``; written from the JSON Schema specification, not from our own code."""
        if schema is True or schema == {}:
            return self.sentence()
        if "$ref" in schema:
            return self.value(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self.value(self.random.choice(schema[union]), definitions)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._object(schema, definitions)
            case "array":
                return self._array(schema, definitions)
            case "string":
                text = self.sentence()
                return text if schema.get("minLength") or self.random.random() < 0.9 else ""
            case "boolean":
                return self.random.random() < 0.5
            case "integer":
                return self.random.randint(0, 9)
            case "number":
                return round(self.random.random(), 3)
            case "null":
                return None
            case other:
                raise AssertionError(f"no rule for a schema of type {other!r}: {schema}")

    def _object(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
        result = {}
        for key, child in schema.get("properties", {}).items():
            if key in schema.get("required", ()) or self.random.random() < self.keep_optional:
                result[key] = self.value(child, definitions)
        extra = schema.get("additionalProperties", "properties" not in schema)
        if extra and "properties" not in schema:
            for key in self.random.sample(WORDS, k=self.random.randint(1, 3)):
                result[key] = self.value(extra, definitions)
        return result

    def _array(self, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Any]:
        prefix: Iterable[Any] = schema.get("prefixItems", ())
        result = [self.value(child, definitions) for child in prefix]
        rest = schema.get("items", True)
        if rest is not False:
            low = schema.get("minItems", 0) - len(result)
            high = max(low, min(schema.get("maxItems", 3) - len(result), 3))
            result += [self.value(rest, definitions) for _ in range(self.random.randint(max(low, 0), max(high, 0)))]
        return result

    def _call(self, messages: Any, options: Mapping[str, Any]) -> Call:
        params = ChatParams.of(options)
        name = params.response_format.name if params.response_format.type != "text" else "streaming"
        prompt = "\n".join(message.content or "" for message in as_messages(messages))
        call = Call(name, prompt, params)
        self.calls.append(call)
        return call

    def _usage(self, call: Call, text: str) -> Usage:
        return Usage(prompt_tokens=len(call.prompt) // 4, completion_tokens=len(text) // 4)
