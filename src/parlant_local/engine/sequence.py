"""One request in progress: its tokens, what is computed, the answer so far. Independent of llama.cpp."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from parlant_local.engine.booleans import decided_boolean
from parlant_local.engine.constraint.early_closing import EarlyCloser
from parlant_local.engine.constraint.keys import KeyGuard
from parlant_local.engine.constraint.matcher import ConstraintMatcher
from parlant_local.engine.media.spans import Spans
from parlant_local.engine.prefixes import Tokens, as_tokens
from parlant_local.engine.requests import Generation, GenerationPiece, GenerationRequest
from parlant_local.engine.sampling import Sampler, log_softmax_at
from parlant_local.engine.text import TextAssembler
from parlant_local.messages import FinishReason, Timings, TokenLogprob, Usage

__all__ = ["Checkpoint", "Sequence", "Vocabulary"]

Stage = Literal["new", "waiting", "prefill", "decode", "done"]
_PRIORITIES = {"interactive": 0, "normal": 1, "background": 2}


class Vocabulary(Protocol):
    """What a sequence needs from the model."""

    @property
    def end_tokens(self) -> frozenset[int]: ...

    @property
    def n_vocab(self) -> int: ...

    def piece(self, token: int, *, special: bool = False) -> bytes: ...


_NO_SPANS = Spans()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A position in the prompt where the state is worth retaining."""

    position: int
    static: bool


@dataclass(slots=True)
class _Clock:
    submitted: float = field(default_factory=time.monotonic)
    admitted: float = 0.0
    first_token: float = 0.0
    decoding: float = 0.0


class Sequence:
    """State of one request from submission to its last token.

    ``tokens`` is everything known so far, prompt and answer; the first ``computed`` of them are in the KV cache. The rest
    is computed in the next steps; when none is left, the model's logits for the next token are due.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt: AbstractSequence[int] | Tokens,
        vocabulary: Vocabulary,
        *,
        matcher: ConstraintMatcher | None,
        early_closer: EarlyCloser | None,
        seed: int | None = None,
        think_start: AbstractSequence[int] = (),
        think_end: AbstractSequence[int] = (),
        deliver: Callable[[GenerationPiece], None] | None = None,
        spans: Spans = _NO_SPANS,
    ) -> None:
        self.request = request
        self.prompt: Tokens = as_tokens(prompt)
        self.spans = spans
        self.vocabulary = vocabulary
        self.stage: Stage = "new"
        self.slot = -1
        self.computed = 0
        self.reused = 0
        self.overtaken = 0  # times that requests sharing a live prefix went first
        self.cancelled = False
        self.checkpoints: list[Checkpoint] = []
        self.clock = _Clock()
        self.closed_early = False
        self.thoughts_wanted = True
        """False ends them as a spent budget does; it may be set from any thread."""
        self._answer: list[int] = []
        self._tokens = np.empty(self.prompt.size + request.max_tokens + 1, dtype=np.int32)
        self._tokens[: self.prompt.size] = self.prompt
        self._matcher = matcher
        self._early_closer = early_closer
        self._keys = KeyGuard() if matcher is not None and matcher.open_keys else None
        self._sampler = Sampler(request.sampling, seed if request.sampling.seed is None else request.sampling.seed)
        self._deliver = deliver
        self._think_end = list(think_end)
        self._thinking = request.reasoning is not None
        self._thought_tokens = 0
        ends = (request.reasoning.end, request.reasoning.call) if request.reasoning else ()
        self._thoughts = TextAssembler(tuple(filter(None, ends)))
        self._text = TextAssembler(request.stop)
        self._texts: list[str] = []
        self._thought_texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._forced = 0
        self._sampled = 0
        self._finish: FinishReason | None = None
        self._piece_text = ""
        self._piece_thought = ""
        self._piece_tokens: list[int] = []
        self._piece_logprobs: list[TokenLogprob] = []
        if think_start:
            self._append(list(think_start), forced=True, silent=True)
        if request.reasoning is not None and request.reasoning.budget == 0:
            self._force_thoughts_end()
        elif not self._thinking:
            self._jump_forward()

    # -- for the scheduler --------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Tokens known so far."""
        return self.prompt.size + len(self._answer)

    @property
    def tokens(self) -> Tokens:
        return self._tokens[: self.size]

    @property
    def pending(self) -> int:
        """Tokens known but not yet computed."""
        return self.size - self.computed

    @property
    def max_size(self) -> int:
        """Tokens it can grow to."""
        return self.prompt.size + self.request.max_tokens

    @property
    def rank(self) -> tuple[int, float]:
        """Queue order: priority, then arrival."""
        return _PRIORITIES[self.request.priority], self.clock.submitted

    @property
    def finished(self) -> bool:
        return self._finish is not None

    @property
    def thinking(self) -> bool:
        """Whether its thoughts have not ended."""
        return self._thinking and not self.finished

    @property
    def group(self) -> str:
        return self.request.prefix_group or ""

    def next_pause(self) -> int | None:
        """Where the running prefill has to pause: at a checkpoint, or before embeddings, which are computed by themselves."""
        checkpoint = next((c.position for c in self.checkpoints if c.position > self.computed), None)
        embeddings = self.spans.next_start(self.computed)
        return min((each for each in (checkpoint, embeddings) if each is not None), default=None)

    # -- decoding ----------------------------------------------------------------------------------------------------

    def take(self, logits: npt.NDArray[np.float32]) -> None:
        """Samples the next token from logits of shape ``(n_vocab,)`` and appends all that is then forced."""
        if not self.clock.first_token:
            self.clock.first_token = time.monotonic()
        token = self._choose(self._sampler.adjust(logits, self._answer))
        self._sampled += 1
        if token in self.vocabulary.end_tokens:
            self._end_token(token)
        elif not self._closes_early(token):
            if self.request.logprobs is not None:
                self._record_logprob(logits, token)
            self._append([token], forced=False)
            if self._finish is None:
                self._advance(token)
        self._flush()

    def _choose(self, logits: npt.NDArray[np.float32]) -> int:
        matcher = None if self._thinking else self._matcher
        if matcher is None:
            return self._sampler.draw(logits, None)
        if self._sampler.boolean_bias is not None:
            decided = decided_boolean(
                logits, matcher.mask(self.vocabulary.n_vocab), self.vocabulary.piece, self._sampler.boolean_bias
            )
            if decided is not None:
                return decided
        token = -1
        if self._sampler.greedy:
            # If the overall best token is allowed it is the best allowed one: most masks are never computed.
            best = int(logits.argmax())
            token = best if matcher.allows(best) else -1
        if token < 0:
            token = self._sampler.draw(logits, matcher.mask(self.vocabulary.n_vocab))
        return self._without_repeated_key(logits, matcher, token) if self._keys is not None else token

    def _without_repeated_key(self, logits: npt.NDArray[np.float32], matcher: ConstraintMatcher, token: int) -> int:
        """``token``, or the next best that repeats no key; ``token`` itself where every allowed one does."""
        assert self._keys is not None
        first, mask = token, None
        while self._keys.repeats(self.vocabulary.piece(token)):
            mask = matcher.mask(self.vocabulary.n_vocab).copy() if mask is None else mask
            mask[token] = False
            if not mask.any():
                return first
            token = self._sampler.draw(logits, mask)
        return token

    def _closes_early(self, token: int) -> bool:
        """Closes the answer in the fewest tokens where, after ``token``, the remaining ones would no longer suffice."""
        matcher, early_closer = self._matcher, self._early_closer
        left = self.request.max_tokens - len(self._answer)
        if early_closer is None or matcher is None or self._thinking or not early_closer.is_near(left):
            return False
        started = time.perf_counter()
        ending = None if early_closer.allows(matcher, token, left) else early_closer.shortest_ending(matcher, left)
        matcher.seconds += time.perf_counter() - started
        if ending is None:
            return False
        matcher.accept(ending)
        self._append(ending, forced=True)
        self._finish, self.closed_early = "stop", True
        return True

    def _advance(self, token: int) -> None:
        if self._thinking:
            self._thought_tokens += 1
            assert self.request.reasoning is not None
            if self._thoughts.stopped_by is not None:
                self._on_thoughts_ended(token)
            elif self._thought_tokens >= self.request.reasoning.budget or not self.thoughts_wanted:
                self._force_thoughts_end()
        elif self._matcher is not None:
            self._matcher.accept([token])
            self._jump_forward()

    def _on_thoughts_ended(self, token: int) -> None:
        """The model ended its thoughts with ``token``: at the end mark, or at a call's mark, which belongs to the answer."""
        assert self.request.reasoning is not None
        mark = self._thoughts.stopped_by if self._thoughts.stopped_by == self.request.reasoning.call else ""
        if self._matcher is None:
            self._thinking = False
            self._append_answer_text(f"{mark}{self._thoughts.rest}".encode())
        elif not mark:
            self._begin_answer()
        elif self.vocabulary.piece(token, special=True) == mark.encode() and self._matcher.allows(token):
            self._thinking = False
            self._append_answer_text(mark.encode())
            self._matcher.accept([token])
            self._jump_forward()
        else:
            self._force_thoughts_end()

    def _force_thoughts_end(self) -> None:
        self._append(self._think_end, forced=True)
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._thinking = False
        self._jump_forward()

    def _jump_forward(self) -> None:
        """Appends the grammar's forced tokens; finishes where the grammar does."""
        if self._matcher is None or self._finish is not None:
            return
        forced = self._matcher.forced()
        if forced:
            self._matcher.accept(forced)
            self._append(forced, forced=True)
        if not self.finished and self._matcher.finished:
            self._finish = "stop"

    def _end_token(self, token: int) -> None:
        if self._thinking and self._matcher is not None:
            # It ended without closing its thoughts; the answer is still due.
            self._force_thoughts_end()
            return
        if self._matcher is not None and not self._thinking:
            self._matcher.accept([token])
        self._finish = "stop"

    def _append(self, tokens: list[int], *, forced: bool, silent: bool = False) -> None:
        room = self.request.max_tokens - len(self._answer)
        cut = len(tokens) > room
        for token in tokens[:room]:
            self._tokens[self.size] = token
            self._answer.append(token)
            self._piece_tokens.append(token)
            if not silent:
                self._append_token_text(token)
            if forced and self.request.logprobs is not None:
                data = self.vocabulary.piece(token)
                self._piece_logprobs.append(TokenLogprob(data.decode("utf-8", "replace"), 0.0, tuple(data)))
        if forced:
            self._forced += min(len(tokens), room)
        if self._text.stopped_by is not None:
            self._finish = "stop"
        elif cut or len(self._answer) >= self.request.max_tokens:
            # A grammar that completes exactly at the limit has still completed.
            self._finish = "length"
            matcher = None if cut or self._thinking else self._matcher
            if matcher is not None:
                if not forced:
                    matcher.accept(tokens)
                if matcher.complete:
                    self._finish = "stop"

    def _append_token_text(self, token: int) -> None:
        data = self.vocabulary.piece(token, special=self._thinking or self.request.control_text)
        if self._thinking:
            thought = self._thoughts.feed(data)
            self._thought_texts.append(thought)
            self._piece_thought += thought
        else:
            self._append_answer_text(data)

    def _append_answer_text(self, data: bytes) -> None:
        if self._early_closer is not None:
            self._early_closer.feed(data)
        if self._keys is not None:
            self._keys.feed(data)
        text = self._text.feed(data)
        self._texts.append(text)
        self._piece_text += text

    def _record_logprob(self, logits: npt.NDArray[np.float32], token: int) -> None:
        logprob, top = log_softmax_at(logits, token, self.request.logprobs or 0)
        data = self.vocabulary.piece(token, special=True)
        named = tuple((self.vocabulary.piece(t, special=True).decode("utf-8", "replace"), value) for t, value in top)
        self._piece_logprobs.append(TokenLogprob(data.decode("utf-8", "replace"), logprob, tuple(data), named))

    # -- results -----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        if not self._piece_tokens:
            return
        piece = GenerationPiece(
            self._piece_text, self._piece_thought, tuple(self._piece_tokens), tuple(self._piece_logprobs)
        )
        self._logprobs.extend(self._piece_logprobs)
        self._piece_text, self._piece_thought, self._piece_tokens, self._piece_logprobs = "", "", [], []
        if self._deliver is not None and (piece.text or piece.reasoning or piece.logprobs):
            self._deliver(piece)

    def result(self) -> Generation:
        """The finished generation; delivers the text that was held back."""
        assert self._finish is not None
        self._flush()
        thought = self._thoughts.finish() if self._thinking else ""
        rest = self._text.finish()
        self._thought_texts.append(thought)
        self._texts.append(rest)
        if self._deliver is not None and (rest or thought):
            self._deliver(GenerationPiece(rest, thought))
        now = time.monotonic()
        clock = self.clock
        return Generation(
            text="".join(self._texts),
            reasoning="".join(self._thought_texts).strip(),
            tokens=tuple(self._answer),
            finish_reason=self._finish,
            usage=Usage(
                prompt_tokens=int(self.prompt.size),
                completion_tokens=len(self._answer),
                cached_tokens=self.reused,
                reasoning_tokens=self._thought_tokens,
            ),
            timings=Timings(
                queued=max(0.0, clock.admitted - clock.submitted),
                prefill=max(0.0, clock.first_token - clock.admitted),
                decode=now - (clock.first_token or now),
                first_token=(clock.first_token or now) - clock.submitted,
                constraint=self._matcher.seconds if self._matcher else 0.0,
                prefilled_tokens=int(self.prompt.size) - self.reused if clock.admitted else 0,
                reused_tokens=self.reused,
                forced_tokens=self._forced,
                sampled_tokens=self._sampled,
            ),
            logprobs=tuple(self._logprobs) if self.request.logprobs is not None else None,
            stopped_by=self._text.stopped_by,
            closed_early=self.closed_early,
            unbound=self._matcher.unbound if self._matcher is not None else frozenset(),
        )
