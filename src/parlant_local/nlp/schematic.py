"""Answers of a schema: decoding bound to it, tightened with what the prompt says, and validated before the host sees it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from parlant.core.nlp.generation import BaseSchematicGenerator, SchematicGenerationResult, T
from parlant.core.nlp.generation_info import GenerationInfo
from typing_extensions import override

from parlant_local.backends.base import ChatOptions
from parlant_local.errors import (
    BadRequestError,
    ContextOverflowError,
    InvalidOutputError,
    ParlantLocalError,
    SchemaError,
    TruncatedOutputError,
)
from parlant_local.messages import ChatReply, Message, ResponseFormat, Usage
from parlant_local.nlp.calls import Core, as_text, usage_info
from parlant_local.nlp.schemas import AnswerType, answer_type
from parlant_local.nlp.tightening import tighten
from parlant_local.nlp.tightening.fixed import fixed_texts
from parlant_local.nlp.tokenizer import BackendTokenizer

__all__ = ["LocalSchematicGenerator"]

_MAX_ATTEMPTS = 3


class LocalSchematicGenerator(BaseSchematicGenerator[T]):
    """Make it as ``LocalSchematicGenerator[MySchema](core)``: the host reads the type from there."""

    def __init__(self, core: Core) -> None:
        super().__init__(**core.host.arguments_for(BaseSchematicGenerator, model_name=core.model_id))
        self._core = core
        self._tokenizer = BackendTokenizer(core.backend)
        self._takes_tightened = True

    @property
    @override
    def id(self) -> str:
        return self._core.model_id

    @property
    @override
    def max_tokens(self) -> int:
        return self._core.context_tokens

    @property
    @override
    def tokenizer(self) -> BackendTokenizer:
        return self._tokenizer

    @override
    async def do_generate(
        self, prompt: str | PromptBuilder, hints: Mapping[str, Any] = {}
    ) -> SchematicGenerationResult[T]:
        answer: AnswerType[T] = answer_type(self.schema)
        counters = self._core.counters
        with self.logger.scope(f"Local model request ({answer.name})"):
            started = time.monotonic()
            counters.add(answer.name, calls=1)
            try:
                content, usage, model = await self._answer(answer, prompt, hints)
            except asyncio.CancelledError:
                counters.add(answer.name, cancelled=1)
                raise
            except ParlantLocalError as error:
                counters.add(answer.name, failed=1)
                self.logger.warning(f"{self._core.model_id} gave no {answer.name}: {error}")
                raise
            finally:
                counters.add(answer.name, seconds=time.monotonic() - started)
            await self._core.record(answer.name, usage)
            info = GenerationInfo(
                schema_name=answer.name,
                model=model or self.id,
                duration=time.monotonic() - started,
                usage=usage_info(usage),
            )
            return SchematicGenerationResult(content=content, info=info)

    async def _answer(
        self, answer: AnswerType[T], prompt: str | PromptBuilder, hints: Mapping[str, Any]
    ) -> tuple[T, Usage, str]:
        """The content, all that it cost, and which model answered (behind a switcher, not always the same)."""
        text = as_text(prompt)
        options = self._core.options(answer.name, prompt, hints)
        session = options.get("session")
        if self._core.counters.was_answered(answer.name, session, text):
            self.logger.warning(f"Parlant asks the same {answer.name} again: it rejected the last answer.")
        schema, tightened = self._schema(answer, prompt)
        messages = [Message.user(text)]
        spent = Usage()
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            limit, counted = options["max_tokens"] or 0, False
            try:
                reply = await self._ask(messages, schema, answer.name, options)
                spent, counted = spent + reply.usage, True
                if reply.finish_reason == "length":
                    raise TruncatedOutputError("", used=reply.usage.completion_tokens, limit=limit)
                content = answer.parse(reply.content)
                self._core.counters.note_answered(answer.name, session, text)
                if tightened:
                    await self._count_fixed(answer.name, schema, reply)
                return content, spent, reply.model
            except (SchemaError, BadRequestError) as error:
                if not tightened:
                    raise
                # Some endpoints know fewer keywords than the engine; tightening must only ever help.
                self.logger.debug(f"{self._core.model_id} does not take the tightened {answer.name}: {error}")
                self._core.counters.add(answer.name, refused=1)
                self._takes_tightened, schema, tightened = False, answer.schema, False
            except ContextOverflowError as error:
                if (room := self._core.fitted(error, limit)) is None:
                    raise
                options["max_tokens"] = room
            except TruncatedOutputError as error:
                if not counted:
                    spent += Usage(completion_tokens=error.used)
                if attempt == _MAX_ATTEMPTS or hints.get("max_tokens") is not None:
                    raise TruncatedOutputError(
                        f"{self._core.model_id} filled its {error.limit} tokens ({error.used} used) before the "
                        f"{answer.name} was whole.",
                        used=error.used,
                        limit=error.limit,
                        hint="Raise generation.max_tokens, or lower generation.limits.max_string.",
                    ) from error
                options["max_tokens"] = min(2 * limit, self._core.context_tokens)
                self._core.counters.add(answer.name, retried=1)
            except InvalidOutputError as error:
                if attempt == _MAX_ATTEMPTS:
                    raise
                # Rules that a JSON schema can't say (a model's own validators): tell the model what was wrong, once more.
                messages = [Message.user(f"{text}\n\nYour last answer was rejected: {error.message} Answer again.")]
                self._core.counters.add(answer.name, retried=1)
        raise InvalidOutputError(f"{self._core.model_id} gave no valid {answer.name} in {_MAX_ATTEMPTS} attempts.")

    def _schema(self, answer: AnswerType[T], prompt: str | PromptBuilder) -> tuple[Mapping[str, Any], bool]:
        if not self._core.settings.generation.tighten or isinstance(prompt, str) or not self._takes_tightened:
            self._core.counters.add(answer.name, plain=1)
            return answer.schema, False
        outcome = tighten(answer.name, answer.schema, prompt)
        if outcome.problem:
            self.logger.debug(f"{answer.name} is not tightened: {outcome.problem}")
        self._core.counters.add(answer.name, **({"tightened": 1} if outcome.tightened else {"plain": 1}))
        return outcome.schema, outcome.tightened

    async def _count_fixed(self, name: str, schema: Mapping[str, Any], reply: ChatReply) -> None:
        texts = fixed_texts(schema, json.loads(reply.content))
        if not texts:
            return
        try:
            count = await self._core.backend.count_tokens("\n".join(texts))
        except ParlantLocalError as error:
            # The answer is whole; only its statistics are not.
            self.logger.debug(f"What tightening fixed in {name} can't be counted: {error}")
            return
        self._core.counters.add(name, fixed_tokens=count)
        self.logger.debug(
            f"{name} was tightened: {count} of its {reply.usage.completion_tokens} tokens were fixed by that, "
            f"{reply.timings.sampled_tokens} were sampled."
        )

    async def _ask(
        self, messages: list[Message], schema: Mapping[str, Any], name: str, options: ChatOptions
    ) -> ChatReply:
        call: ChatOptions = {**options, "response_format": ResponseFormat.json_schema(schema, name)}
        reply = await self._core.backend.chat(messages, **call)
        self._core.counters.add_answer(name, reply.usage, reply.timings)
        return reply
