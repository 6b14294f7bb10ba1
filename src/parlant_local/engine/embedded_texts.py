"""Texts to embed, as tokens: with the vocabulary's special ones, and never cut in silence."""

from __future__ import annotations

from collections.abc import Sequence

from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library
from parlant_local.errors import TextTooLongError

__all__ = ["EmbeddedTexts"]


class EmbeddedTexts:
    """May be used from any thread."""

    def __init__(self, model: LoadedModel, max_tokens: int) -> None:
        self._model = model
        self.max_tokens = max_tokens

    def tokens_of(self, texts: Sequence[str | Sequence[int]], *, truncate: bool) -> tuple[list[list[int]], list[int]]:
        """Token lists, texts with the vocabulary's special tokens, and the indices of those that were cut."""
        with self._model.held():
            return self._tokens_of(texts, truncate=truncate)

    def _tokens_of(self, texts: Sequence[str | Sequence[int]], *, truncate: bool) -> tuple[list[list[int]], list[int]]:
        lists, cut = [], []
        for index, text in enumerate(texts):
            tokens = self._tokens(text)
            if not tokens:
                tokens = [max(self._model.bos, self._model.eos, 0)]  # an empty text still has a vector
            if len(tokens) > self.max_tokens:
                if not truncate:
                    raise TextTooLongError(
                        f"Text {index} has {len(tokens)} tokens; {self._model.path.name} allows {self.max_tokens}.",
                        needed=len(tokens),
                        available=self.max_tokens,
                        hint="Split it, or allow truncation (`truncate`).",
                    )
                # Keeps the closing token (SEP, EOS) where the model expects one.
                closing = tokens[-1:] if self._model.is_control(tokens[-1]) else []
                tokens = tokens[: self.max_tokens - len(closing)] + closing
                cut.append(index)
            lists.append(tokens)
        return lists, cut

    def _tokens(self, text: str | Sequence[int]) -> list[int]:
        if isinstance(text, str):
            return self._model.tokenize(text, add_special=True)
        self._model.check_tokens(text)
        return list(text)

    def pair(self, query: str, document: str) -> list[int]:
        """Query and document as one sequence, as cross-encoders are trained."""
        with self._model.held() as model:
            return self._pair(model, query, document)

    def _pair(self, model: LoadedModel, query: str, document: str) -> list[int]:
        sep = int(library().llama_vocab_sep(model.vocab))
        first = model.tokenize(query, add_special=False)
        second = model.tokenize(document, add_special=False)
        opening = [model.bos] if model.bos >= 0 else []
        middle = [token for token in (model.eos if model.eos >= 0 else sep, sep) if token >= 0]
        if len(middle) == 2 and middle[0] == middle[1]:
            middle = middle[:1]
        closing = [sep if sep >= 0 else model.eos]
        return [*opening, *first, *middle, *second, *[token for token in closing if token >= 0]]
