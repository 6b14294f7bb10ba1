"""Text to tokens and back, by a model's own vocabulary."""

from __future__ import annotations

import ctypes
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from parlant_local.engine.runs import pieces
from parlant_local.errors import BadRequestError, InvalidModelError
from parlant_local.messages import whole_text

__all__ = ["FillMarks", "Vocabulary"]


class FillMarks(NamedTuple):
    """Tokens that ask a model to fill in what stands between two texts."""

    before: int
    after: int
    middle: int
    repository: int | None
    file: int | None


class Vocabulary(ABC):
    """The vocabulary's side of a loaded model. Calls are safe from any thread while the model is held."""

    path: Path
    _lib: Any

    @property
    @abstractmethod
    def vocab(self) -> Any:
        """llama.cpp's pointer to it."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, str]: ...

    @abstractmethod
    def held(self) -> AbstractContextManager[Any]:
        """Keeps the model in memory while the block runs."""

    @cached_property
    def n_vocab(self) -> int:
        return int(self._lib.llama_vocab_n_tokens(self.vocab))

    @cached_property
    def bos(self) -> int:
        return int(self._lib.llama_vocab_bos(self.vocab))

    @cached_property
    def eos(self) -> int:
        return int(self._lib.llama_vocab_eos(self.vocab))

    @cached_property
    def eot(self) -> int:
        """End of turn; end of sequence where the vocabulary has no separate token."""
        token = int(self._lib.llama_vocab_eot(self.vocab))
        return token if token >= 0 else self.eos

    @cached_property
    def add_bos(self) -> bool:
        return bool(self._lib.llama_vocab_get_add_bos(self.vocab))

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Every token that ends a generation."""
        lib = self._lib
        return frozenset(token for token in range(self.n_vocab) if lib.llama_vocab_is_eog(self.vocab, token))

    @cached_property
    def fill_marks(self) -> FillMarks | None:
        """None where the vocabulary has none."""
        lib = self._lib
        names = ("pre", "suf", "mid", "rep", "sep")
        before, after, middle, *files = (int(getattr(lib, f"llama_vocab_fim_{name}")(self.vocab)) for name in names)
        if min(before, after, middle) < 0:
            return None
        repository, file = (token if token >= 0 else None for token in files)
        return FillMarks(before, after, middle, repository, file)

    @cached_property
    def bos_text(self) -> str:
        return self.piece(self.bos, special=True).decode("utf-8", "replace") if self.bos >= 0 else ""

    @cached_property
    def eos_text(self) -> str:
        return self.piece(self.eos, special=True).decode("utf-8", "replace") if self.eos >= 0 else ""

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``. ``add_special`` adds what the vocabulary prescribes (BOS, CLS/SEP); ``parse_special`` parses control tokens in the text."""
        with self.held():
            parts = pieces(text, self._pre_tokenizer, lambda: self._special_texts)
            if len(parts) == 1:
                return self._tokenize(parts[0], add_special=add_special, parse_special=parse_special)
            first = [self.bos] if add_special and self.add_bos else []
            last = [self.eos] if add_special and self._lib.llama_vocab_get_add_eos(self.vocab) else []
            inner = [self._tokenize(part, add_special=False, parse_special=parse_special) for part in parts]
            return [*first, *chain.from_iterable(inner), *last]

    def _tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = whole_text(text).encode()
        capacity = len(data) + 8
        while True:
            buffer = (ctypes.c_int32 * capacity)()
            n = self._lib.llama_tokenize(self.vocab, data, len(data), buffer, capacity, add_special, parse_special)
            if n >= 0:
                return buffer[:n]
            if n == -(1 << 31) or capacity >= -n:
                raise InvalidModelError(f"The vocabulary of {self.path.name} could not tokenise the text.")
            capacity = -n

    @cached_property
    def _pre_tokenizer(self) -> str:
        """The name of the pre-tokenizer; vocabularies that need none count as the safest one."""
        if int(self._lib.llama_vocab_type(self.vocab)) != self._lib.LLAMA_VOCAB_TYPE_BPE:
            return "gpt-2"
        return self.metadata.get("tokenizer.ggml.pre", "default")

    @cached_property
    def _special_texts(self) -> re.Pattern[str]:
        """Tokens that are matched before a text is pre-tokenized."""
        lib = self._lib
        wanted = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        tokens = [token for token in range(self.n_vocab) if lib.llama_vocab_get_attr(self.vocab, token) & wanted]
        texts = {self.piece(token, special=True).decode("utf-8", "replace") for token in tokens} - {""}
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; empty for control tokens unless ``special``."""
        buffer = ctypes.create_string_buffer(64)
        n = self._lib.llama_token_to_piece(self.vocab, token, buffer, 64, 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = self._lib.llama_token_to_piece(self.vocab, token, buffer, -n, 0, special)
        return buffer.raw[:n]

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str:
        with self.held():
            return b"".join(self.piece(token, special=special) for token in tokens).decode("utf-8", "replace")

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Raises :class:`BadRequestError` for ids that native code must not see."""
        if tokens and not (min(tokens) >= 0 and max(tokens) < self.n_vocab):
            raise BadRequestError(f"Token ids of {self.path.name} are between 0 and {self.n_vocab - 1}.")

    def knows(self, text: str) -> bool:
        """Whether ``text`` is a single token."""
        tokens = self.tokenize(text, parse_special=True)
        return len(tokens) == 1 and self.piece(tokens[0], special=True) == text.encode()

    def is_control(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_is_control(self.vocab, token))
