"""Models made for moderation: each family has its own format, described in a table.

A guard answers in its own words (``unsafe`` and a category, or ``Yes``) to its own prompt, which its chat template renders.
Its confidence is the probability of the first token, where the backend returns log-probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.errors import InvalidOutputError
from parlant_local.messages import ChatReply, Message
from parlant_local.moderation.verdict import MODERATION_TAGS, Judge, Tag, Verdict

__all__ = ["GUARDS", "Guard", "GuardJudge", "guard_of", "read_verdict"]


@dataclass(frozen=True, slots=True)
class Guard:
    """One family of guard models."""

    name: str
    recognised_by: str
    """A pattern in the model's name or id (lower case)."""
    flagged: str
    """First word of a verdict that flags."""
    passed: str
    """First word of one that does not."""
    categories: Mapping[str, tuple[Tag, ...]]
    """Category codes to tags; codes that no tag fits are flagged without one."""
    prompt: str = ""
    """Written around the message for models whose template does not; ``{message}`` stands for it. The template's own
    marks are part of it, and it goes to the model as it is."""
    template_mark: str = ""
    """Text that the family's own chat template has; without it in the model's template, ``prompt`` is used."""


_LLAMA_GUARD_3: dict[str, tuple[Tag, ...]] = {
    "S1": ("violence",),
    "S2": ("illicit",),
    "S3": ("sexual", "illicit"),
    "S4": ("sexual", "illicit"),
    "S5": ("harassment",),
    "S6": (),
    "S7": (),
    "S8": ("illicit",),
    "S9": ("violence", "illicit"),
    "S10": ("hate",),
    "S11": ("self-harm",),
    "S12": ("sexual",),
    "S13": (),
    "S14": ("jailbreak",),
}
_LLAMA_GUARD_2: dict[str, tuple[Tag, ...]] = {
    "S1": ("violence",),
    "S2": ("illicit",),
    "S3": ("sexual", "illicit"),
    "S4": ("sexual", "illicit"),
    "S5": (),
    "S6": (),
    "S7": ("illicit",),
    "S8": ("violence", "illicit"),
    "S9": ("hate",),
    "S10": ("self-harm",),
    "S11": ("sexual",),
}
_LLAMA_GUARD_1: dict[str, tuple[Tag, ...]] = {
    "O1": ("violence", "hate"),
    "O2": ("sexual",),
    "O3": ("illicit",),
    "O4": ("illicit", "violence"),
    "O5": ("illicit",),
    "O6": ("self-harm",),
}
_LLAMA_GUARD_3_PROMPT = """<|start_header_id|>user<|end_header_id|>

Task: Check if there is unsafe content in 'User' messages in conversations according our safety policy with the below \
categories.

<BEGIN UNSAFE CONTENT CATEGORIES>

S1: Violent Crimes.
S2: Non-Violent Crimes.
S3: Sex Crimes.
S4: Child Exploitation.
S5: Defamation.
S6: Specialized Advice.
S7: Privacy.
S8: Intellectual Property.
S9: Indiscriminate Weapons.
S10: Hate.
S11: Self-Harm.
S12: Sexual Content.
S13: Elections.
S14: Code Interpreter Abuse.

<END UNSAFE CONTENT CATEGORIES>

<BEGIN CONVERSATION>

User: {message}

<END CONVERSATION>

Provide your safety assessment for ONLY THE LAST User message in the above conversation:
 - First line must read 'safe' or 'unsafe'.
 - If unsafe, a second line must include a comma-separated list of violated \
categories.<|eot_id|><|start_header_id|>assistant<|end_header_id|>

"""

# The more specific names stand before the less specific ones.
GUARDS: tuple[Guard, ...] = (
    Guard(
        "llama-guard-2", r"llama[-_ ]?guard[-_ ]?2", "unsafe", "safe", _LLAMA_GUARD_2,
        template_mark="UNSAFE CONTENT CATEGORIES",
    ),
    Guard("llama-guard-1", r"llamaguard[-_ ]?7b", "unsafe", "safe", _LLAMA_GUARD_1, template_mark="UNSAFE CONTENT CATEGORIES"),
    Guard(
        "llama-guard", r"llama[-_ ]?guard", "unsafe", "safe", _LLAMA_GUARD_3,
        prompt=_LLAMA_GUARD_3_PROMPT, template_mark="UNSAFE CONTENT CATEGORIES",
    ),
    Guard("granite-guardian", r"granite.{0,8}guardian", "Yes", "No", {}),
    Guard("shieldgemma", r"shield[-_ ]?gemma", "Yes", "No", {}),
)  # fmt: skip


def guard_of(info: ModelInfo) -> Guard | None:
    """The family of a guard model, or ``None`` for a model that is not known as one."""
    named = " ".join((info.id, info.name, info.metadata.get("general.name", ""))).lower()
    return next((guard for guard in GUARDS if re.search(guard.recognised_by, named)), None)


def read_verdict(guard: Guard, reply: ChatReply) -> Verdict:
    """A guard's verdict. Anything but its two labels is :class:`InvalidOutputError`, never "not flagged"."""
    lines = [line.strip() for line in reply.content.strip().splitlines() if line.strip()]
    word = re.sub(r"[^a-z]", "", lines[0].lower()) if lines else ""
    if word not in (guard.flagged.lower(), guard.passed.lower()):
        raise InvalidOutputError(
            f"{reply.model or guard.name} did not answer with a verdict in the format of {guard.name}."
        )
    flagged = word == guard.flagged.lower()
    codes = re.findall(r"[SO]\d{1,2}", " ".join(lines[1:]))
    measured = _probability(guard, reply)
    probability = float(flagged) if measured is None else measured
    scores: dict[Tag, float | None] = dict.fromkeys(MODERATION_TAGS)
    scores |= {tag: 0.0 for tags in guard.categories.values() for tag in tags}
    if flagged:
        scores |= {tag: probability for code in codes for tag in guard.categories.get(code, ())}
    return Verdict(probability, scores)


def _probability(guard: Guard, reply: ChatReply) -> float | None:
    """From the first token that is not blank: the share of the flagging word among the two words' beginnings."""
    for token in reply.logprobs or ():
        if not token.token.strip():
            continue
        mass = {True: 0.0, False: 0.0}
        for text, logprob in {(token.token, token.logprob), *token.top}:
            start = text.strip().lower()
            flagging = bool(start) and guard.flagged.lower().startswith(start)
            passing = bool(start) and guard.passed.lower().startswith(start)
            if flagging != passing:
                mass[flagging] += math.exp(min(logprob, 0.0))
        whole = mass[True] + mass[False]
        return mass[True] / whole if whole > 0 else None
    return None


class GuardJudge(Judge):
    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._guard = guard

    @override
    async def judge(self, text: str) -> Verdict:
        return read_verdict(self._guard, await self._ask(text))

    async def _ask(self, text: str) -> ChatReply:
        guard = self._guard
        await self._backend.load()  # only a loaded model knows its template
        template = self._backend.model_info().chat_template
        if guard.prompt and template is not None and guard.template_mark not in template:
            # The text is data: special tokens in it are broken up.
            prompt = guard.prompt.replace("{message}", text.replace("<|", "< |"))
            return await self._backend.complete(prompt, temperature=0.0, max_tokens=32, logprobs=5)
        return await self._backend.chat(
            [Message.user(text)],
            temperature=0.0,
            max_tokens=32,
            logprobs=5,
            prefix_group="moderation",
            priority="interactive",
        )
