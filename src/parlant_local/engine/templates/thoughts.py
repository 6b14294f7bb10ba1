"""Derives a template's marks around thoughts and answers, from rendered probes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parlant_local.engine.parsing.syntax import distinctive
from parlant_local.engine.templates.differences import shared_end, shared_start, tidy_end, tidy_start
from parlant_local.engine.templates.probing import ASK, Conversation, RenderAll, answer, calling, turn
from parlant_local.profiles import ReasoningTags

__all__ = ["FIELDS", "Marks", "derive_marks", "probe_thoughts", "thinking_answer"]

FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "parts")
"""Fields in which templates expect an assistant's thoughts; the last one: parts of the content."""
_ON = {"enable_thinking": True, "thinking": True}
_THOUGHT, _ANSWER = "needle-thought", "needle-answer"
# Message parts that a template printed as an object.
_PRINTED = re.compile(r"[\"']type[\"']\s*:")
_FIRST_MARK = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_LAST_MARK = re.compile(r"(?:<[^<>\s]+>|\[[^\[\]\s]+\])\w*$")


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks around the parts of an assistant's message."""

    thoughts: ReasoningTags | None = None
    answer: ReasoningTags | None = None
    begun: str = ""
    """What every part begins with, and the prompt already contains."""
    field: str | None = None
    """The field in which the template expects thoughts; None: it shows none."""
    behind: str = ""
    """All text after an answer."""
    header: str = ""
    """What opens the assistant's turn."""


def thinking_answer(field: str, thought: str, content: Any) -> dict[str, Any]:
    """An assistant's message with its thoughts in a template's field."""
    if field == "parts":
        parts = [{"type": "thinking", "thinking": thought}]
        return answer([*parts, {"type": "text", "text": content}] if content else parts)
    return answer(content, **{field: thought})


def probe_thoughts(render_all: RenderAll, *, tools: bool, called: Any) -> Mapping[str, str | None]:
    """Answers and calls with thoughts in each field, and the prompts with thoughts on and off."""
    conversations: dict[str, Conversation] = {
        "prompt": Conversation([ASK], prompt=True, tools=tools),
        "closed": Conversation([ASK], tools=tools),
        "prompt on": Conversation([ASK], prompt=True, tools=tools, arguments=_ON),
        "answer": Conversation([ASK, answer(_ANSWER)], tools=tools),
        "call": Conversation([ASK, calling(called, content="")], tools=tools, arguments=_ON),
    }
    for field in FIELDS:
        conversations[field] = Conversation(
            [ASK, thinking_answer(field, _THOUGHT, _ANSWER)], tools=tools, arguments=_ON
        )
        if field != "parts":
            message = calling(called, content="", **{field: _THOUGHT})
            conversations[f"{field} call"] = Conversation([ASK, message], tools=tools, arguments=_ON)
    texts = render_all(list(conversations.values()))
    return {name: turn(text) for name, text in zip(conversations, texts, strict=True)}


def derive_marks(texts: Mapping[str, str | None]) -> Marks:
    """The marks, as far as the template shows them."""
    marks = _thoughts(texts)
    plain, prompt = texts["answer"], texts["prompt"]
    if plain is None or _ANSWER not in plain:
        return marks
    behind = plain[plain.rindex(_ANSWER) + len(_ANSWER) :]
    if prompt is not None and prompt == texts["closed"]:  # it opens the next turn unconditionally
        behind = behind[: len(behind) - shared_end(behind, prompt)]
    if marks.answer is None and prompt is not None and (wrapped := _wrapped(plain, prompt, behind, marks.thoughts)):
        marks = replace(marks, answer=wrapped)
    header = ""
    if prompt is not None:
        length = shared_start(prompt, plain)
        opened = tidy_end(plain[:length], plain[length : length + 1])
        header = opened.strip().removeprefix(behind.strip())  # the user's turn ends the same way
    return replace(marks, behind=behind, header=header.strip())


def _wrapped(plain: str, prompt: str, behind: str, thoughts: ReasoningTags | None) -> ReasoningTags | None:
    """Marks around an answer without thoughts."""
    lead = plain[: plain.index(_ANSWER)]
    length = shared_start(lead, prompt)
    rest = lead[len(tidy_end(lead[:length], lead[length : length + 1])) :]
    for tag in (thoughts.start, thoughts.end) if thoughts else ():
        rest = rest.replace(tag, "")
    end = _FIRST_MARK.match(behind.lstrip())
    if not distinctive(rest.strip()) or end is None or "think" in rest.lower():
        return None
    return ReasoningTags(rest.strip(), end[0])


def _thoughts(texts: Mapping[str, str | None]) -> Marks:
    plain, prompt = texts["answer"], texts["prompt"]
    for field in FIELDS:
        shown = texts.get(field)
        called = texts.get(f"{field} call")
        if shown is not None and _THOUGHT in shown and _ANSWER in shown and not _PRINTED.search(shown):
            return _between(field, shown, texts)
    for field in FIELDS:
        called, bare = texts.get(f"{field} call"), texts.get("call")
        if called is not None and bare is not None and _THOUGHT in called:
            return _before_calls(field, called, bare, texts["prompt on"] or prompt or "", plain or "")
    return _answer_marks_alone(prompt, plain)


def _before_calls(field: str, called: str, bare: str, prompt: str, plain: str) -> Marks:
    """Where a template shows thoughts only before calls."""
    at = called.index(_THOUGHT)
    before, after = called[:at], called[at + len(_THOUGHT) :]
    end = after[: len(after) - shared_end(after, bare)]
    rest = after[len(end) :]
    end = after[: len(after) - len(tidy_start(rest, end))]
    if not end.strip() and bare.startswith(before.rstrip()):  # empty thoughts have their marks, too
        opened, closed = _LAST_MARK.search(before.rstrip()), _FIRST_MARK.match(after.lstrip())
        return _marked(field, opened[0] if opened else "", closed[0] if closed else "")
    return _marked(field, _beginning(before, prompt, plain, end), end)


def _marked(field: str, start: str, end: str) -> Marks:
    start, end = start.strip(), end.strip()
    if not start or not distinctive(end) or start in end:
        return Marks(field=field)
    return Marks(ReasoningTags(start, end), field=field)


def _answer_marks_alone(prompt: str | None, plain: str | None) -> Marks:
    """Marks of answers, for templates that show no thoughts."""
    if prompt is None or plain is None or _ANSWER not in plain or not plain.startswith(prompt):
        return Marks()
    mark = plain[len(prompt) : plain.index(_ANSWER)]
    begun = _begun(prompt)
    if mark.strip() and begun:
        return Marks(begun=begun, answer=ReasoningTags(begun + mark, ""))
    return Marks()


def _begun(prompt: str) -> str:
    """The symbols at the end of a prompt that begin any part (``>>>``)."""
    found = re.search(r"([^\w\s<\[|])\1{2,}$", prompt)
    return found[0] if found else ""


def _between(field: str, shown: str, texts: Mapping[str, str | None]) -> Marks:
    at, after = shown.index(_THOUGHT), shown.index(_ANSWER)
    if after < at:
        return Marks(field=field)
    before, gap = shown[:at], shown[at + len(_THOUGHT) : after]
    prompt, plain = texts["prompt"] or "", texts["answer"] or ""
    if channel := _channels(field, before, gap, prompt, plain, texts["closed"] or ""):
        return channel
    end = _ending(gap, texts.get(f"{field} call"))
    return _marked(field, _beginning(before, texts["prompt on"] or prompt, plain, end), end)


def _channels(field: str, before: str, gap: str, prompt: str, plain: str, closed: str) -> Marks | None:
    """Where thoughts and answer are messages of their own, and the prompt has begun the first one."""
    begun = prompt.removeprefix(closed)
    if not prompt.startswith(closed) or not plain.startswith(prompt) or not before.startswith(prompt):
        return None
    mark = plain[len(prompt) : plain.index(_ANSWER)] if _ANSWER in plain else ""
    if not mark.strip() or not distinctive(begun) or not gap.endswith(begun + mark):
        return None
    end = gap.removesuffix(begun + mark).strip()
    if not end:
        return None
    start = begun + before[len(prompt) :]
    return Marks(ReasoningTags(start, end), ReasoningTags(begun + mark, end), begun, field)


def _ending(gap: str, called: str | None) -> str:
    """What ends thoughts, whatever comes next."""
    if called is not None and _THOUGHT in called:
        following = called[called.index(_THOUGHT) + len(_THOUGHT) :]
        length = shared_start(gap, following)
        shared = tidy_end(gap[:length], gap[length : length + 1])
        if shared.strip():
            return shared
    return gap


def _beginning(before: str, prompt: str, plain: str, end: str) -> str:
    """What opens thoughts; ``prompt`` may have opened them already."""
    if prompt and before.startswith(prompt):
        if rest := before[len(prompt) :].strip():
            return rest
        opening = end.strip().replace("/", "", 1)  # closing marks are formed like this
        if opening != end.strip() and prompt.rstrip().endswith(opening):
            return opening
        found = _LAST_MARK.search(prompt.rstrip())
        return found[0] if found else ""
    if prompt.startswith(before.rstrip()) and (rest := prompt[len(before.rstrip()) :].strip()):
        found = _LAST_MARK.search(before.rstrip())
        return rest if not rest.startswith(end.strip()) else found[0] if found else ""
    reference = prompt or plain
    length = shared_start(before, reference)
    return before[len(tidy_end(before[:length], before[length : length + 1])) :]
