"""Asks a GGUF through llama.cpp, greedily: in prose through its own chat template, or bound to a JSON schema.

Small on purpose: the trainer's check and the tests of the shipped file use it, and nothing of the package is involved.
"""

import ctypes
import json
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Spinning threads stall each other on a busy machine.

import llama_cpp
import llguidance
import numpy as np
from jinja2.sandbox import ImmutableSandboxedEnvironment
from llguidance.llamacpp import lltokenizer_from_vocab

Messages = list[dict[str, Any]]


@llama_cpp.llama_log_callback
def _quiet(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    """llama.cpp reports every tensor it loads."""


@dataclass(frozen=True)
class Answer:
    """What came out, and whether the model ended it or the limit did."""

    text: str
    stopped: bool
    tokens: int
    prefill_seconds: float = 0.0


class Asker:
    """One model and one context."""

    def __init__(self, path: Path, n_ctx: int = 4096, threads: int = 2) -> None:
        llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
        model_params = llama_cpp.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params)
        if not self.model:
            raise ValueError(f"llama.cpp cannot load {path.name}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, 512, 512
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise ValueError(f"llama.cpp gives no context of {n_ctx} tokens")
        self.n_ctx = n_ctx
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # llguidance still calls llama.cpp by its older names.
            self.ll_tokenizer = lltokenizer_from_vocab(self.vocab)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self.template = environment.from_string(self.meta("tokenizer.chat_template") or "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)

    def meta(self, key: str) -> str | None:
        """A value of the header, as text."""
        buffer = ctypes.create_string_buffer(1 << 16)
        length = llama_cpp.llama_model_meta_val_str(self.model, key.encode(), buffer, len(buffer))
        return buffer.value.decode() if length >= 0 else None

    def tokenize(self, text: str) -> list[int]:
        """Tokens as llama.cpp makes them for a rendered prompt: the header decides about BOS, marks are recognised."""
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), buffer, len(buffer), True, True)
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of one token; marks of turns have none."""
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(0, length)]

    def render(self, messages: Messages, tools: list[dict[str, Any]] | None = None) -> str:
        """The prompt for these messages."""
        return self.template.render(messages=messages, tools=tools, add_generation_prompt=True)

    def ask(self, question: str | Messages, tools: list[dict[str, Any]] | None = None, limit: int = 64) -> Answer:
        """The greedy answer to a question or a conversation."""
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self.complete(self.render(messages, tools), limit)

    def ask_json(self, question: str | Messages, schema: dict[str, Any], limit: int = 256) -> Answer:
        """The greedy answer within a schema: compact JSON, what is forced is not sampled."""
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self.complete(self.render(messages), limit, self.bound_to(schema))

    def bound_to(self, schema: dict[str, Any]) -> llguidance.LLMatcher:
        """A fresh constraint: compact JSON of this schema, and nothing else."""
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
        return llguidance.LLMatcher(self.ll_tokenizer, grammar)

    def complete(self, text: str, limit: int, matcher: llguidance.LLMatcher | None = None) -> Answer:
        """Continues a text greedily until the model ends it or `limit` tokens are out."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        started = time.monotonic()
        logits = self._feed(self.tokenize(text))
        prefill = time.monotonic() - started
        out: list[int] = []
        stopped = False
        while len(out) < limit:
            forced = matcher.compute_ff_tokens() if matcher else []
            if not forced:
                token = int(np.argmax(self._masked(logits, matcher)))
                if llama_cpp.llama_vocab_is_eog(self.vocab, token):
                    stopped = True
                    break
                forced = [token]
            if matcher:
                matcher.consume_tokens(forced)
            out += forced
            if matcher and matcher.is_stopped():
                stopped = True
                break
            logits = self._feed(forced)
        return Answer(b"".join(self.piece(token) for token in out).decode(errors="replace"), stopped, len(out), prefill)

    def _masked(self, logits: np.ndarray, matcher: llguidance.LLMatcher | None) -> np.ndarray:
        if matcher is None:
            return logits
        allowed = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")[
            : self.n_vocab
        ]
        return np.where(allowed.astype(bool), logits, -np.inf)

    def _feed(self, tokens: list[int]) -> np.ndarray:
        for start in range(0, len(tokens), 512):
            part = tokens[start : start + 512]
            array = (llama_cpp.llama_token * len(part))(
                *part
            )  # The batch only points at it: it has to outlive the call.
            code = llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(part)))
            if code:
                raise RuntimeError(f"llama_decode: {code}")
        pointer = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()
