"""Models made for moderation: each family judges in its own way, told by a table.

A guard answers freely (``unsafe`` and a category, or ``Yes``) to its own prompt, which its chat template writes. How sure
it is, is read from the probability of its first word where the backend tells probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from parlant.core.nlp.moderation import (
    BaseModerationService,
    CustomerModerationContext,
    ModerationCheck,
    ModerationTag,
)
from typing_extensions import override

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.errors import InvalidOutputError, ParlantLocalError
from parlant_local.messages import ChatReply, Message, whole_text
from parlant_local.nlp.host import Host
from parlant_local.settings import ModerationSettings
from parlant_local.switching import RoutedBackend

__all__ = ["GUARDS", "Guard", "GuardModeration", "OpenAIModeration", "guard_of", "read_verdict"]


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
    categories: Mapping[str, tuple[ModerationTag, ...]]
    """Category codes to the host's tags; codes that no tag fits are flagged without one."""
    prompt: str = ""
    """Written around the message for models whose template does not; ``{message}`` stands for it. The template's own
    marks are part of it, and it goes to the model as it is."""
    template_mark: str = ""
    """Text that the family's own chat template has; without it in the model's template, ``prompt`` is used."""


_LLAMA_GUARD_3: dict[str, tuple[ModerationTag, ...]] = {
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
_LLAMA_GUARD_2: dict[str, tuple[ModerationTag, ...]] = {
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
_LLAMA_GUARD_1: dict[str, tuple[ModerationTag, ...]] = {
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


@dataclass(frozen=True, slots=True)
class Verdict:
    probability: float
    """That the message is to be flagged."""
    tags: tuple[ModerationTag, ...] = ()


def read_verdict(guard: Guard, reply: ChatReply) -> Verdict:
    """What a guard said. Anything but its two words is :class:`InvalidOutputError`, never "not flagged"."""
    lines = [line.strip() for line in reply.content.strip().splitlines() if line.strip()]
    word = re.sub(r"[^a-z]", "", lines[0].lower()) if lines else ""
    if word not in (guard.flagged.lower(), guard.passed.lower()):
        raise InvalidOutputError(f"{reply.model or guard.name} gave no verdict of the form {guard.name} gives.")
    flagged = word == guard.flagged.lower()
    codes = re.findall(r"[SO]\d{1,2}", " ".join(lines[1:]))
    tags = tuple(dict.fromkeys(tag for code in codes for tag in guard.categories.get(code, ())))
    probability = _probability(guard, reply)
    return Verdict(float(flagged) if probability is None else probability, tags if flagged else ())


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


class _Moderation(BaseModerationService):
    """What both kinds share: the threshold, and a failure that is never "not flagged" unless the owner says so."""

    def __init__(self, host: Host, settings: ModerationSettings) -> None:
        super().__init__(**host.arguments_for(BaseModerationService))
        self._settings = settings

    @override
    async def do_moderate(self, context: CustomerModerationContext) -> ModerationCheck:
        try:
            return await self._check(whole_text(context.message))
        except ParlantLocalError as error:
            closed = self._settings.on_failure == "closed"
            verdict = "it is flagged" if closed else "it passes unchecked"
            self.logger.error(
                f"A customer's message could not be moderated ({type(error).__name__}); {verdict} (moderation.on_failure)."
            )
            return ModerationCheck(flagged=closed, tags=[])

    async def _check(self, message: str) -> ModerationCheck:
        raise NotImplementedError


class GuardModeration(_Moderation):
    """A guard model's verdict on each message."""

    def __init__(self, host: Host, backend: Backend, guard: Guard, settings: ModerationSettings) -> None:
        super().__init__(host, settings)
        self._backend = backend
        self._guard = guard

    @override
    async def _check(self, message: str) -> ModerationCheck:
        verdict = read_verdict(self._guard, await self._ask(message))
        flagged = verdict.probability >= self._settings.threshold
        return ModerationCheck(flagged=flagged, tags=list(verdict.tags) if flagged else [])

    async def _ask(self, message: str) -> ChatReply:
        guard = self._guard
        if (load := getattr(self._backend, "load", None)) is not None:
            await load()  # only a loaded model knows its template
        template = self._backend.model_info().chat_template
        if guard.prompt and template is not None and guard.template_mark not in template:
            # The message is data: marks in it that mean something to the model are taken apart.
            prompt = guard.prompt.replace("{message}", message.replace("<|", "< |"))
            return await self._backend.complete(prompt, temperature=0.0, max_tokens=32, logprobs=5)
        return await self._backend.chat(
            [Message.user(message)],
            temperature=0.0,
            max_tokens=32,
            logprobs=5,
            prefix_group="moderation",
            priority="interactive",
        )


_OPENAI_TAGS: Mapping[str, ModerationTag] = {
    "harassment": "harassment",
    "hate": "hate",
    "illicit": "illicit",
    "self-harm": "self-harm",
    "self_harm": "self-harm",
    "sexual": "sexual",
    "violence": "violence",
}


class OpenAIModeration(_Moderation):
    """OpenAI's moderation endpoint, where the owner allows it; every message sent is counted and logged as remote."""

    def __init__(self, host: Host, backend: RoutedBackend, settings: ModerationSettings) -> None:
        super().__init__(host, settings)
        self._backend = backend

    @override
    async def _check(self, message: str) -> ModerationCheck:
        scores = await self._backend.moderate(message)
        over = [name for name, score in scores.items() if score >= self._settings.threshold]
        # "harassment/threatening" belongs to "harassment".
        tags = dict.fromkeys(tag for name in over if (tag := _OPENAI_TAGS.get(re.split(r"[/]", name)[0])) is not None)
        return ModerationCheck(flagged=bool(over), tags=list(tags))
