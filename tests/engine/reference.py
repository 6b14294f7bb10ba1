"""The plainest way to run a GGUF: one sequence, one request, nothing shared, nothing kept. What the engine must agree with."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from parlant_local.engine.native import library


@dataclass
class PlainAnswer:
    tokens: list[int] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    """By how much the best allowed token beat the second best, per token; infinite for forced ones."""
    text: str = ""
    ended: bool = False


class PlainRun:
    """A model and a context of one sequence, driven by hand."""

    def __init__(self, path: Path, *, n_ctx: int, n_ubatch: int = 512) -> None:
        self._lib = lib = library()
        params = lib.llama_model_default_params()
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        assert self._model
        self.vocab = lib.llama_model_get_vocab(self._model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        self._n_ubatch = n_ubatch
        wanted = lib.llama_context_default_params()
        wanted.n_ctx, wanted.n_batch, wanted.n_ubatch, wanted.n_seq_max = n_ctx, n_ubatch, n_ubatch, 1
        wanted.n_threads = wanted.n_threads_batch = 1
        wanted.no_perf = True
        self._context = lib.llama_init_from_model(self._model, wanted)
        assert self._context
        self._tokenizer: Any = None

    def close(self) -> None:
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    # -- vocabulary ---------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        data = text.encode()
        buffer = (ctypes.c_int32 * (len(data) + 8))()
        n = self._lib.llama_tokenize(self.vocab, data, len(data), buffer, len(buffer), False, special)
        assert n >= 0
        tokens = list(buffer[:n])
        if self._lib.llama_vocab_get_add_bos(self.vocab) and special:
            tokens.insert(0, self._lib.llama_vocab_bos(self.vocab))
        return tokens

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        n = self._lib.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
        return buffer.raw[: max(0, n)]

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(self.piece(token) for token in tokens).decode("utf-8", "replace")

    # -- running ------------------------------------------------------------------------------------------------------

    def start_over(self) -> None:
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)

    def feed(self, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Appends tokens; the logits after the last one."""
        for begin in range(0, len(tokens), self._n_ubatch):
            part = tokens[begin : begin + self._n_ubatch]
            array = (ctypes.c_int32 * len(part))(*part)
            assert self._lib.llama_decode(self._context, self._lib.llama_batch_get_one(array, len(part))) == 0
        pointer = self._lib.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()

    def _grammar_tokenizer(self, ends: list[int]) -> Any:
        """As llguidance's own bridge to llama-cpp-python makes it."""
        lib, tokens = self._lib, []
        buffer = ctypes.create_string_buffer(1 << 14)
        for token in range(self.n_vocab):
            n = lib.llama_token_to_piece(self.vocab, token, buffer, 1 << 14, 0, True)
            piece = buffer.raw[:n]
            attributes = lib.llama_vocab_get_attr(self.vocab, token)
            named = piece.startswith(b"<") and piece.endswith(b">")
            is_special = attributes & lib.LLAMA_TOKEN_ATTR_CONTROL or (
                attributes & lib.LLAMA_TOKEN_ATTR_USER_DEFINED and named
            )
            tokens.append(b"\xff" + piece if is_special else piece)
        address = lib.address("llama_tokenize")
        return LLTokenizer.from_llamacpp(
            tokens=tokens, vocab_ptr=self.vocab, tokenize_fptr=address, eos_token=ends, slices=None
        )

    def matcher(self, closed_schema: Mapping[str, Any]) -> Any:
        if self._tokenizer is None:
            ends = [token for token in range(self.n_vocab) if self._lib.llama_vocab_is_eog(self.vocab, token)]
            eot = self._lib.llama_vocab_eot(self.vocab)
            ends.sort(key=lambda token: token != eot)
            self._tokenizer = self._grammar_tokenizer(ends)
        compact = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(closed_schema), overrides=compact)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        return matcher

    def generate(
        self,
        prompt: str | Sequence[int],
        max_tokens: int,
        *,
        schema: Mapping[str, Any] | None = None,
        jump: bool = True,
    ) -> PlainAnswer:
        """Greedy. ``schema`` is a closed one; without ``jump`` even forced tokens are chosen by the model."""
        answer = PlainAnswer()
        matcher = self.matcher(schema) if schema is not None else None
        self.start_over()
        pending = self.tokenize(prompt) if isinstance(prompt, str) else list(prompt)
        while len(answer.tokens) < max_tokens:
            if matcher is not None and jump and (forced := matcher.compute_ff_tokens()):
                assert matcher.consume_tokens(forced)
                answer.tokens += forced
                answer.gaps += [float("inf")] * len(forced)
                pending += forced
            if matcher is not None and matcher.is_stopped():
                answer.ended = True
                break
            if len(answer.tokens) >= max_tokens:
                break
            logits = self.feed(pending)
            if matcher is not None:
                bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
                logits = np.where(bits[: self.n_vocab] == 1, logits, -np.inf)
            second, best = np.partition(logits, -2)[-2:]
            token = int(logits.argmax())
            answer.gaps.append(float(best - second))
            if self._lib.llama_vocab_is_eog(self.vocab, token):
                answer.ended = True
                break
            answer.tokens.append(token)
            pending = [token]
            if matcher is not None:
                assert matcher.consume_tokens([token])
        answer.tokens = answer.tokens[:max_tokens]
        answer.gaps.append(float("inf"))
        answer.text = self.text(answer.tokens)
        return answer
