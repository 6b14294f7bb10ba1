"""From a request to a sequence: all that can fail before work starts. On any thread."""

from __future__ import annotations

from collections.abc import Callable

from parlant_local.engine.checking import check
from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.constraint.early_closing import ClosingTokens
from parlant_local.engine.constraint.early_closing_marked import early_closer_for
from parlant_local.engine.media.spans import ReadPrompt, Spans
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.prefixes import as_tokens
from parlant_local.engine.requests import GenerationPiece, GenerationRequest
from parlant_local.engine.sequence import Sequence
from parlant_local.errors import BadRequestError, ContextOverflowError

__all__ = ["Intake"]


class Intake:
    """Tokenises requests to one model, compares them with its context, and compiles their constraints."""

    def __init__(self, model: LoadedModel, compiler: ConstraintCompiler, context_size: int, seed: int | None) -> None:
        self._model = model
        self._compiler = compiler
        self._context_size = context_size
        self._seed = seed
        self._closing_tokens = ClosingTokens(model)

    def sequence(self, request: GenerationRequest, deliver: Callable[[GenerationPiece], None] | None) -> Sequence:
        check(request)
        with self._model.held():
            return self._sequence(request, deliver)

    def _sequence(self, request: GenerationRequest, deliver: Callable[[GenerationPiece], None] | None) -> Sequence:
        model = self._model
        if not model.generates:
            raise BadRequestError(
                f"{model.path.name} ({model.architecture}) is an embedding model; it does not generate text.",
                hint="Use a chat model.",
            )
        read = request.prompt if isinstance(request.prompt, ReadPrompt) else None
        prompt = as_tokens(self._prompt(request)) if read is None else read.tokens
        self._check_size(len(prompt), request.max_tokens)
        matcher = self._compiler.matcher(request.constraint) if request.constraint is not None else None
        start: list[int] = []
        end: list[int] = []
        if (reasoning := request.reasoning) is not None:
            end = model.tokenize(reasoning.end, parse_special=True)
            start = [] if reasoning.opened else model.tokenize(reasoning.start, parse_special=True)
        return Sequence(
            request,
            prompt,
            model,
            matcher=matcher,
            early_closer=early_closer_for(self._closing_tokens, matcher) if matcher is not None else None,
            seed=self._seed,
            think_start=start,
            think_end=end,
            deliver=deliver,
            spans=Spans() if read is None else read.spans,
        )

    def _check_size(self, prompt: int, answer: int) -> None:
        name, available = self._model.path.name, self._context_size
        if prompt + 1 > available:
            raise ContextOverflowError(
                f"The prompt has {prompt} tokens; {name} allows {available}, the answer included.",
                needed=prompt + 1,
                available=available,
                hint="Raise engine.n_ctx where memory allows, shorten the prompt, or use a model with a longer context.",
            )
        if prompt + answer > available:
            raise ContextOverflowError(
                f"The prompt's {prompt} tokens and an answer of up to {answer} need "
                f"{prompt + answer}; {name} allows {available}.",
                needed=prompt + answer,
                available=available,
                hint="Lower max_tokens, raise engine.n_ctx, or shorten the prompt.",
            )

    def _prompt(self, request: GenerationRequest) -> list[int]:
        model = self._model
        assert not isinstance(request.prompt, ReadPrompt)
        if isinstance(request.prompt, str):
            tokens = model.tokenize(request.prompt, parse_special=True)
        else:
            tokens = list(request.prompt)
            model.check_tokens(tokens)
        add_bos = model.add_bos if request.add_bos is None else request.add_bos
        if add_bos and model.bos >= 0 and (not tokens or tokens[0] != model.bos):
            tokens.insert(0, model.bos)
        if not tokens:
            if model.bos < 0 and model.eos < 0:
                raise BadRequestError("The prompt is empty.", hint="Give at least one token.")
            tokens = [model.bos if model.bos >= 0 else model.eos]
        return tokens
