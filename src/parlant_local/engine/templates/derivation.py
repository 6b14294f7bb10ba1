"""Derives a template's call syntax from rendered probes.

Calls that differ in one respect are rendered and compared: what changes is input, what stays is the template's own text.
Where the comparison is ambiguous no syntax is derived, and the caller falls back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from parlant_local.engine.parsing.reading import syntax_reader
from parlant_local.engine.parsing.syntax import (
    ARGUMENTS,
    CALLED,
    HOLES,
    ID,
    INDEX,
    KEY,
    NAME,
    CallSyntax,
    JsonBody,
    JsonCalls,
    TaggedBody,
)
from parlant_local.engine.templates.differences import find_json, shared_end, shared_start, tidy_end, tidy_start
from parlant_local.engine.templates.probing import (
    ASK,
    IDS,
    KEYS,
    NAMES,
    VALUES,
    Conversation,
    RenderAll,
    answer,
    calling,
    turn,
)
from parlant_local.engine.templates.tagging import Tagging

__all__ = ["PROBED", "adjusted", "derive_calls", "is_unambiguous", "probe_calls"]

A, B = {KEYS[0]: VALUES[0]}, {KEYS[1]: VALUES[1]}
PROBED: dict[str, tuple[Mapping[str, Any], ...]] = {
    "one": (A,),
    "two": (A, B),
    "three": (A, B, A),
    "none": ({},),
    "both": ({**A, **B},),
    "number": ({KEYS[0]: 31337},),
    "boolean": ({KEYS[0]: True},),
    "false": ({KEYS[0]: False},),
    "null": ({KEYS[0]: None},),
    "array": ({KEYS[0]: [71, "needle-item"]},),
    "object": ({KEYS[0]: {"needle_inner": "needle-text", "needle_number": 71}},),
    "marks": ({KEYS[0]: "a<b>&c"},),
}
"""The arguments of each probe's calls."""

Texts = Mapping[str, str | None]


def probe_calls(render_all: RenderAll, *, as_object: bool, content: Any, tools: bool) -> Texts:
    """Each probe's rendering after the user's message, and that of a plain ``answer``."""

    def form(arguments: Mapping[str, Any]) -> Any:
        return arguments if as_object else json.dumps(arguments)

    conversations = [
        Conversation([ASK, calling(*map(form, arguments), content=content)], tools=tools)
        for arguments in PROBED.values()
    ]
    conversations.append(Conversation([ASK, answer("needle-answer")], tools=tools))
    conversations.append(Conversation([ASK], prompt=True, tools=tools))
    texts = [turn(text) for text in render_all(conversations)]
    return dict(zip([*PROBED, "answer", "prompt"], texts, strict=True))


def derive_calls(texts: Texts) -> CallSyntax | None:
    """The syntax; None where it can't be told for certain: it has to read what it was taken from."""
    one, plain = texts["one"], texts["answer"]
    if one is None or plain is None or any(hole in one for hole in HOLES) or NAMES[0] not in one:
        return None
    calls = _Calls(texts, one, plain)
    derived = calls.syntax()
    if derived is None or not calls.read_by(derived):
        return None
    return replace(derived, ending=calls.ending)


def adjusted(syntax: CallSyntax, marks: Sequence[str], begun: str, turn_end: str) -> CallSyntax:
    """``syntax`` adjusted to the template's other marks.

    Without leading ``marks`` of empty thoughts and answers, including what the prompt has ``begun``, and up to the
    ``turn_end`` where an answer's closing mark is part of the calls' ending.
    """
    first = syntax.first
    while mark := next((mark for mark in marks if mark and first.lstrip().startswith(mark)), None):
        first = first.lstrip().removeprefix(mark)
    if begun and not first.startswith(begun):
        shared = next(length for length in range(len(begun), -1, -1) if first.startswith(begun[len(begun) - length :]))
        first = begun + first[shared:]
    last, ending = syntax.last, syntax.ending
    if turn_end and len(ending) > len(turn_end) and ending.endswith(turn_end):
        last, ending = last + ending.removesuffix(turn_end), turn_end
    return replace(syntax, first=first, last=last, ending=ending, begun=begun)


def is_unambiguous(syntax: CallSyntax) -> bool:
    """Whether calls in the derived syntax can be told from ordinary text."""
    if isinstance(syntax.body, JsonCalls):
        return True
    after_name = syntax.first.rpartition(NAME)[2]
    opened = syntax.body.open.strip() if isinstance(syntax.body, TaggedBody) else "{"
    return bool(syntax.opener) and bool(after_name.strip() or opened)


class _Calls:
    def __init__(self, texts: Texts, one: str, plain: str) -> None:
        self._texts = texts
        self._one = one
        self._plain = plain
        prompt = texts["prompt"] or ""
        length = shared_start(one, plain)
        header = tidy_end(one[:length], one[length : length + 1])
        # An answer may be between marks, too: if these begin where the prompt ends, the header ends there.
        if prompt and header.startswith(prompt):
            header = prompt
        self._header = len(header)
        tail = one[len(one) - shared_end(one, plain) :]
        self._end = len(one) - len(tidy_start(tail, one[: len(one) - len(tail)]))

    @property
    def ending(self) -> str:
        return self._one[self._end :].strip()

    def read_by(self, syntax: CallSyntax) -> bool:
        """Whether the probes come back as they were. What a template makes of empty and nested values is its own affair."""
        reader = syntax_reader(syntax, {})
        for probe in ("one", "two", "both", "number"):
            text, given = self._texts[probe], PROBED[probe]
            if text is None or (len(given) > 1 and syntax.again is None):
                continue
            section = reader(text[self._header :], True, NAMES)
            found = [(name, json.loads(arguments)) for name, arguments in section.calls] if section else []
            wanted = list(zip(NAMES, given, strict=False))
            # Sections that end as whole as they begin hold one call each.
            if found not in (wanted, wanted[:1]):
                return False
        return True

    def syntax(self) -> CallSyntax | None:
        arguments = find_json(self._one, A, self._header)
        if arguments is None:
            return self._tagged()
        holder = self._holder(arguments)
        return self._json_calls(*holder) if holder is not None else self._json_body(*arguments)

    # -- calls that are JSON ------------------------------------------------------------------------------------------

    def _holder(self, arguments: tuple[int, int]) -> tuple[int, int, Any] | None:
        """The JSON object that contains name and arguments."""
        decoder = json.JSONDecoder()
        best: tuple[int, int, Any] | None = None
        at = self._one.rfind("{", 0, arguments[0])
        while at >= self._header:
            try:
                value, end = decoder.raw_decode(self._one, at)
            except (ValueError, RecursionError):
                value, end = None, 0
            if end >= arguments[1] and isinstance(value, dict) and NAMES[0] in self._one[at:end]:
                best = at, end, value
            at = self._one.rfind("{", 0, at)
        return best

    def _json_calls(self, start: int, end: int, value: Any) -> CallSyntax:
        before, after = self._one[self._header : start], self._one[end : self._end]
        listed = before.rstrip().endswith("[") and after.lstrip().startswith("]")
        again: str | None = None
        two = self._texts["two"]
        if two is not None and NAMES[1] in two:
            second = two.find(NAMES[1])
            head = self._one[start:end].find(NAMES[0])
            again = two[end : max(second - head, end)]
        shape = json.dumps(_shaped(value), ensure_ascii=False)
        return CallSyntax(before, again, after, JsonCalls(shape, listed))

    # -- a name, and arguments in JSON --------------------------------------------------------------------------------

    def _json_body(self, start: int, end: int) -> CallSyntax | None:
        return self._finished(start, end, JsonBody())

    def _finished(
        self, start: int, end: int, body: Any, *, tail: str = "", empty: str | None = None
    ) -> CallSyntax | None:
        """The syntax around the arguments between ``start`` and ``end``."""
        one = self._one
        first, last = one[self._header : start], one[end : self._end]
        again: str | None = None
        base = 0
        two = self._texts["two"]
        if two is not None and NAMES[1] in two and two.startswith(one[:end]):
            again = self._again(two, end, body)
            if again is None:
                return None
            ended = two[: len(two) - (len(one) - self._end)]
            after_name = self._text_after(ended, 1, body, whole=True).replace(NAMES[1], CALLED)
            last = last.replace(NAMES[0], CALLED)
            last = (
                after_name if after_name.startswith(last) else last
            )  # some templates end a single call differently from several
            three = self._texts["three"]
            if three is not None and NAMES[2] in three:
                again, first, base = _indexed(again, first, self._text_after(three, 2, body))
        if NAMES[0] not in first and NAME not in first:
            return None
        return CallSyntax(
            first.replace(NAMES[0], NAME).replace(IDS[0], ID),
            None if again is None else again.replace(NAMES[0], CALLED).replace(NAMES[1], NAME).replace(IDS[1], ID),
            last.replace(NAMES[0], CALLED).replace(IDS[0], ID),
            body,
            empty=None if empty is None else empty.replace(NAMES[0], CALLED),
            tail=tail,
            index_base=base,
        )

    def _again(self, two: str, end: int, body: Any) -> str | None:
        """The text between the first and the second arguments."""
        if isinstance(body, JsonBody):
            second = find_json(two, B, end)
            return two[end : second[0]] if second else None
        key = two.find(KEYS[1], two.find(NAMES[1], end))
        return two[end : key - len(body.open)] if key >= 0 else None

    def _text_after(self, three: str, number: int, body: Any, *, whole: bool = False) -> str:
        """The text between the second and the third arguments; ``whole``: all that follows the second."""
        if isinstance(body, JsonBody):
            second = find_json(three, B)
            if whole:
                return three[second[1] :] if second else ""
            third = find_json(three, A, second[1]) if second else None
            return three[second[1] : third[0]] if second and third else ""
        name = three.find(NAMES[number])
        key = -1 if whole else three.find(KEYS[0], name)
        value = three.find(VALUES[1])
        quote = body.quote
        start = value + len(VALUES[1]) + len(quote) + len(body.close.replace(KEY, KEYS[1]))
        if whole:
            return three[start:]
        return three[start : key - len(body.open)]

    def _tagged(self) -> CallSyntax | None:
        tagged = Tagging(self._texts, self._one, self._header, self._end).found()
        if tagged is None:
            return None
        return self._finished(tagged.start, tagged.end, tagged.body, tail=tagged.tail, empty=tagged.empty)


def _shaped(value: Any) -> Any:
    """A call's object with placeholders for what differs."""
    if isinstance(value, dict):
        if value == A:
            return ARGUMENTS
        return {NAME if key == NAMES[0] else key: _shaped(item) for key, item in value.items()}
    if value == NAMES[0]:
        return NAME
    if value == IDS[0]:
        return ID
    if isinstance(value, str):
        try:
            if json.loads(value) == A:
                return ARGUMENTS
        except ValueError:
            pass
        return INDEX if value == "0" else value
    return value


def _indexed(again: str, first: str, later: str) -> tuple[str, str, int]:
    """Replaces a number that increases from call to call with ``INDEX``."""
    plain = again.replace(NAMES[0], CALLED).replace(NAMES[1], NAME).replace(IDS[1], ID)
    other = later.replace(NAMES[1], CALLED).replace(NAMES[2], NAME).replace(IDS[2], ID)
    if plain == other or not other:
        return again, first, 0
    start = shared_start(plain, other)
    end = shared_end(plain[start:], other[start:])
    number, following = plain[start : len(plain) - end], other[start : len(other) - end]
    if not (number.isdigit() and following.isdigit() and int(following) == int(number) + 1):
        return again, first, 0
    after_name = plain[len(plain) - end :]
    base = int(number) - 1
    written = first.replace(NAMES[0], NAME).replace(IDS[0], ID)
    if not written.endswith(f"{base}{after_name}"):
        return again, first, 0
    return (
        plain[:start] + INDEX + after_name,
        written[: len(written) - len(after_name) - len(str(base))] + INDEX + after_name,
        base,
    )
