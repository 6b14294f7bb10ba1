"""A text as a model would have written it, read into thoughts, content and calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from parlant_local.engine.parsing import CallParser, ContentReader, OutputParser, PlainContent, collect
from parlant_local.engine.templates import ChatTemplate
from parlant_local.engine.templates.template import Speech
from parlant_local.messages import Tool, ToolCall

__all__ = ["ParsedText", "parse_text"]

_MARK = re.compile(r"<[^<>\s]+>")
_MARKS_ONLY = re.compile(r"(?:\s|<[^<>]*>)*")


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What a text says."""

    content: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Calls with their arguments as values, not as text."""
        calls = [{"name": call.name, "arguments": call.parsed()} for call in self.tool_calls]
        return {"content": self.content, "reasoning": self.reasoning, "tool_calls": calls}


def parse_text(
    template: ChatTemplate, text: str, tools: Sequence[Tool] | None = None, *, step: int | None = None
) -> ParsedText:
    """Reads ``text`` as an answer, ``step`` characters at a time where given; the result is the same.

    Without ``tools`` calls of any name are looked for, and values have the types that they seem to have. What the template
    writes behind an answer is no part of it, nor what follows a mark at which an answer would have been stopped.
    """
    speech = template.speech(tools or ())
    text = text[: min((at for mark in template.ends if (at := text.find(mark)) >= 0), default=len(text))]
    text = _as_one_turn(text, speech)
    for ending in (speech.turn_end, speech.syntax.ending if speech.syntax else ""):
        text = _without_end(text, ending)
    tags, mark = speech.profile.reasoning, speech.profile.begun
    begun = bool(mark) and text.startswith(mark)
    # The prompt may have opened the thoughts, and then only their end stands in the text.
    opened = bool(tags and not mark and tags.end in text and tags.start not in text[: text.index(tags.end)])
    parser = OutputParser(speech.profile, _reader(speech, tools), opened=opened, begun=begun)
    pieces: Iterable[str] = (text,) if step is None else (text[at : at + step] for at in range(0, len(text), step))
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    found = collect([*deltas, *parser.finish()])
    return ParsedText(found.content, found.reasoning, found.tool_calls, parser.warnings)


def _reader(speech: Speech, tools: Sequence[Tool] | None) -> ContentReader:
    if tools is not None and not tools:
        return PlainContent()
    return CallParser(speech.calls, None if tools is None else [tool.name for tool in tools])


def _as_one_turn(text: str, speech: Speech) -> str:
    """Some templates write text and calls of one message as two turns of the assistant."""
    if not speech.turn_end or not speech.header or speech.profile.begun:
        return text
    return re.sub(rf"\s*{re.escape(speech.turn_end)}\s*{re.escape(speech.header)}", "\n", text)


def _without_end(text: str, ending: str) -> str:
    """``text`` up to ``ending``, or to the mark with which it begins where nothing but marks follows."""
    first = _MARK.match(ending)
    for mark in (ending, first[0] if first else ""):
        at = text.rfind(mark) if mark else -1
        if at >= 0 and _MARKS_ONLY.fullmatch(text, at + len(mark)):
            return text[:at]
    return text
