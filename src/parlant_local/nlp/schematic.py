"""Structured answers: decoding constrained to the schema, tightened with what the prompt says, and validated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder
from parlant.core.nlp.generation import BaseSchematicGenerator, SchematicGenerationResult, T
from parlant.core.nlp.generation_info import GenerationInfo
from typing_extensions import override

from parlant_local.errors import ParlantLocalError, TruncatedOutputError
from parlant_local.messages import ChatReply, Usage, whole_value
from parlant_local.nlp.calls import Core, as_text, usage_info
from parlant_local.nlp.counted import counted
from parlant_local.nlp.levers import Levers, levers_for
from parlant_local.nlp.schemas import AnswerType, answer_type
from parlant_local.nlp.schematic_call import SchematicCall
from parlant_local.nlp.shots import without_shots
from parlant_local.nlp.tightening import tighten
from parlant_local.nlp.tightening.fixed import fixed_texts
from parlant_local.nlp.tokenizer import BackendTokenizer
from parlant_local.switching.asking import ask

__all__ = ["LocalSchematicGenerator"]


class LocalSchematicGenerator(BaseSchematicGenerator[T]):
    """Create it as ``LocalSchematicGenerator[MySchema](core)``: the host reads the type argument."""

    def __init__(self, core: Core) -> None:
        super().__init__(**core.host.arguments_for(BaseSchematicGenerator, model_name=core.model_id))
        self._core = core
        self._tokenizer = BackendTokenizer(core.backend)
        self._plain_only: set[str] = set()

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
        with self.logger.scope(f"Local model request ({answer.name})"):
            started = time.monotonic()
            with counted(self._core, answer.name, self.logger, f"returned no valid {answer.name}"):
                content, usage, model = await self._answer(answer, prompt, hints)
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
        """The content, its total usage, and which model answered (behind a switcher, not always the same)."""
        levers = levers_for(answer.name, self._core.settings.generation.calls, self._core.model_id)
        asked = levers.prompt(prompt)
        text = levers.text(prompt, as_text(asked))
        options = self._core.options(answer.name, prompt, hints, levers.options)
        session = options.get("session")
        counters = self._core.counters
        if counters.was_answered(answer.name, session, text):
            self.logger.warning(f"Parlant rejected the last {answer.name} and repeats the request.")
        call = SchematicCall(
            answer,
            text,
            self._schema(answer, prompt, levers),
            options,
            counters,
            self._plain_only,
            longest=self._core.context_tokens if hints.get("max_tokens") is None else None,
            without_shots=self._without_shots(asked, levers),
        )
        retried = -1
        try:
            with self._core.recorder.record(answer.name, session, self._core.model_id) as call.tally:
                content = await self._asked(call)
            retried = 0
        except TruncatedOutputError as error:
            raise self._truncated_error(answer.name, error) from error
        finally:
            counters.add(answer.name, retried=max(0, call.invalid_answers + retried), brief=int(call.omitted_examples))
            self._warn_examples_omitted(call)
        counters.note_answered(answer.name, session, text)
        if call.used_tightened:
            await self._count_fixed(answer.name, call.schema, call.last)
        return content, call.spent, call.last.model

    async def _asked(self, call: SchematicCall[T]) -> T:
        try:
            return await ask(self._core.backend, call.question(), self._core.settings.switcher)
        finally:
            call.tally.retries = call.invalid_answers
            call.tally.model = call.last.model or call.tally.model

    def _truncated_error(self, name: str, error: TruncatedOutputError) -> TruncatedOutputError:
        limit = error.used if error.limit is None else error.limit
        return TruncatedOutputError(
            f"{self._core.model_id} reached its limit of {limit} tokens ({error.used} used) before the {name} was complete.",
            used=error.used,
            limit=error.limit,
            hint="Raise generation.max_tokens, or lower generation.limits.max_string.",
        )

    def _without_shots(self, prompt: str | PromptBuilder, levers: Levers) -> Callable[[], str | None] | None:
        if not self._core.settings.generation.leave_out_examples:
            return None

        def shortened() -> str | None:
            text = without_shots(prompt)
            return None if text is None else levers.text(prompt, text)

        return shortened

    def _warn_examples_omitted(self, call: SchematicCall[T]) -> None:
        """Once; after that, only counted."""
        if call.omitted_examples and call.overflow is not None and self._core.counters.first_omission():
            self.logger.warning(
                f"{call.answer.name} fits the context of no configured model ({call.overflow.message}), so the examples in its prompt are left "
                "out, and so they are from now on wherever a prompt does not fit; stats() counts them as `brief`. "
                "generation.leave_out_examples=false lets such calls fail instead."
            )

    def _schema(self, answer: AnswerType[T], prompt: str | PromptBuilder, levers: Levers) -> Mapping[str, Any]:
        """The type's schema, tightened with what the prompt says and as the levers have it, where accepted by the model."""
        accepted = self._core.model_id not in self._plain_only
        if not self._core.settings.generation.tighten or isinstance(prompt, str) or not accepted:
            self._core.counters.add(answer.name, plain=1)
            return levers.schema(answer.schema, prompt) if accepted else answer.schema
        outcome = tighten(answer.name, answer.schema, prompt)
        if outcome.problem:
            self.logger.debug(f"{answer.name} is not tightened: {outcome.problem}")
        self._core.counters.add(answer.name, **({"tightened": 1} if outcome.tightened else {"plain": 1}))
        return levers.schema(whole_value(outcome.schema) if outcome.tightened else answer.schema, prompt)

    async def _count_fixed(self, name: str, schema: Mapping[str, Any], reply: ChatReply) -> None:
        texts = fixed_texts(schema, json.loads(reply.content))
        if not texts:
            return
        try:
            count = await self._core.backend.count_tokens("\n".join(texts))
        except ParlantLocalError as error:
            # The answer is complete; only its statistics are not.
            self.logger.debug(f"Tokens fixed by tightening in {name} can't be counted: {error}")
            return
        self._core.counters.add(name, fixed_tokens=count)
        self.logger.debug(
            f"{name} was tightened: {count} of its {reply.usage.completion_tokens} tokens were fixed by that, "
            f"{reply.timings.sampled_tokens} were sampled."
        )
