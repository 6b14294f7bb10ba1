"""OpenAI's harmony: every part of an answer is a message with a channel and, for calls, a recipient."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from parlant_local.engine.parsing.json_text import decode_lenient, dump, value_end
from parlant_local.engine.parsing.sections import Reader, Section

__all__ = ["HARMONY_OPENERS"]

_TO = r"to=(?P<{}>[^\s<>]{{1,256}})"
# The recipient comes before or after the channel; the content type is optional.
_HEAD = re.compile(
    r"(?:<\|end\|>\s*)?(?:<\|start\|>assistant)?\s*(?:" + _TO.format("before") + r"\s*)?"
    r"<\|channel\|>\s*(?P<channel>\w+)\s*(?:" + _TO.format("after") + r"\s*)?"
    r"(?:<\|constrain\|>)?\s*\w*\s*<\|message\|>"
)
_MAX_HEAD = 512
_ENDS = ("<|call|>", "<|end|>")


def _read(text: str, final: bool, _names: Collection[str]) -> Section | None:
    if text.startswith("<|call|>"):
        return Section(len("<|call|>"), text="")
    head = _HEAD.match(text)
    if head is None:
        return _without_head(text, final)
    recipient = head["before"] or head["after"] or ""
    if recipient and recipient != "assistant":
        return _call(text, head.end(), recipient.removeprefix("functions."), final)
    if head["channel"] == "analysis":
        end = text.find("<|end|>", head.end())
        if end < 0:
            return Section(len(text), text="") if final else None
        return Section(end, text="")
    return Section(head.end(), text="\n\n" if text.startswith("<|end|>") else "")


def _without_head(text: str, final: bool) -> Section | None:
    incomplete = "<|message|>" not in text and len(text) < _MAX_HEAD
    if incomplete and not final:
        return None
    opener = next((mark for mark in HARMONY_OPENERS if text.startswith(mark)), text[:1])
    return Section(len(opener), text="")


def _call(text: str, start: int, name: str, final: bool) -> Section | None:
    brace = start
    while brace < len(text) and text[brace].isspace():
        brace += 1
    end = value_end(text, brace) if brace < len(text) and text[brace] == "{" else None
    if end is None:
        if not final and (brace >= len(text) or text[brace] == "{"):
            return None
        return Section(len(text) if final else start, problem="its arguments are not a JSON object")
    try:
        arguments = decode_lenient(text[brace:end])
    except ValueError:
        arguments = None
    if not isinstance(arguments, Mapping):
        return Section(end, problem="its arguments are not a JSON object")
    after = end + next((len(mark) for mark in _ENDS if text.startswith(mark, end)), 0)
    return Section(after, ((name, dump(arguments)),))


HARMONY_OPENERS: dict[str, Reader] = dict.fromkeys(("<|start|>assistant", "<|channel|>", "<|end|>", "<|call|>"), _read)
