"""Answers without a model: a sequence that is fed random logits, as a merciless stand-in for a confused one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parlant_local.engine.constraint import ConstraintCompiler
from parlant_local.engine.constraint.early_closing import ClosingTokens
from parlant_local.engine.constraint.early_closing_marked import early_closer_for
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.requests import CallOf, Constraint, Generation, GenerationRequest, Sampling
from parlant_local.engine.sequence import Sequence
from parlant_local.settings import ConstraintSettings, EngineSettings


class Dice:
    """A vocabulary, its compiler, and nothing that computes."""

    def __init__(self, path: Path, bounds: ConstraintSettings | None = None) -> None:
        self.model = LoadedModel(path, EngineSettings(), vocabulary_only=True)
        self.compiler = ConstraintCompiler(self.model, bounds or ConstraintSettings())
        self._closing_tokens = ClosingTokens(self.model)

    def watched(self, constraint: Constraint) -> int:
        """Tokens with which an answer must be able to end."""
        return self.compiler.compile(constraint).closing_budget

    def answer(self, constraint: Constraint, *, max_tokens: int, seed: int, temperature: float = 1.0) -> Generation:
        matcher = self.compiler.matcher(constraint)
        early_closer = early_closer_for(self._closing_tokens, matcher)
        sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0, seed=seed)
        request = GenerationRequest(
            [1], max_tokens, sampling=sampling, constraint=constraint, control_text=isinstance(constraint, CallOf)
        )
        sequence = Sequence(request, [1], self.model, matcher=matcher, early_closer=early_closer)
        random = np.random.default_rng(seed)
        while not sequence.finished:
            sequence.computed = sequence.size
            sequence.take(random.normal(0, 2, self.model.n_vocab).astype(np.float32))
        return sequence.result()

    def accepts(self, constraint: Constraint, text: str) -> bool:
        """Whether ``text`` as a whole is an answer."""
        matcher = self.compiler.matcher(constraint)
        tokens = self.model.tokenize(text)
        if any(not matcher.allows(token) or matcher.accept([token]) for token in tokens):
            return False
        return matcher.complete

    def close(self) -> None:
        self.model.release()
