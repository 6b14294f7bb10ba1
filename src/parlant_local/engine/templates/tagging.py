"""Derives how a template writes arguments between marks, from rendered probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from parlant_local.engine.parsing.syntax import KEY, Kind, TaggedBody
from parlant_local.engine.templates.differences import shared_end, shared_start, tidy_end
from parlant_local.engine.templates.notation import element_marks, nested_notation, spelt_words
from parlant_local.engine.templates.probing import KEYS, NAMES, VALUES

__all__ = ["Tagged", "Tagging"]


@dataclass(frozen=True, slots=True)
class Tagged:
    """Arguments between marks, and the position of the first call's."""

    body: TaggedBody
    start: int
    end: int
    tail: str
    """The text between a name and its arguments, whether there are any or not."""
    empty: str | None
    """The text after a name without arguments, to the end of the turn."""


class Tagging:
    """Compares calls of one argument, two and none, and of each type. ``header``, ``end``: the bounds of the turn's calls."""

    def __init__(self, texts: Mapping[str, str | None], one: str, header: int, end: int) -> None:
        self._texts = texts
        self._one = one
        self._header = header
        self._end = end

    def found(self) -> Tagged | None:
        one, both, none = self._one, self._texts["both"], self._texts["none"]
        name = one.find(NAMES[0], self._header)
        key, value = one.find(KEYS[0], name), one.find(VALUES[0], name)
        if both is None or not 0 <= name < key < value:
            return None
        name_end = _last_name(one, name, key)
        head = one[name_end:key]
        assign_text = one[key + len(KEYS[0]) : value]
        ended = one[value + len(VALUES[0]) : self._end]
        gap = self._gap(both)
        if gap is None:
            return None
        empty = self._empty(none, one.count(NAMES[0], name, key))
        tail = _common_tail(head, empty, gap)
        opened = head[len(tail) :]
        keyed = ended.replace(KEYS[0], KEY)
        close = _close_before(keyed, gap, None if empty is None else empty[len(tail) :])
        number = self._around(self._texts["number"], "31337")
        if number is None:
            return None
        before, behind = number[0], number[1][: len(number[1]) - (len(one) - self._end)]
        quote, closing = _around_text(assign_text, ended, before, behind)
        wrap = ("", "")
        if closing and quote != closing:  # strings always have marks of their own
            quote, wrap = "", (assign_text.removeprefix(before), closing)
            assign_text, close, gap = before, close.removeprefix(closing), gap.removeprefix(closing)
        assign: dict[Kind, str] = {"string": assign_text, "number": before}
        if quote:
            close = close.removeprefix(quote)
        between = gap[len(quote) + len(close) : len(gap) - len(opened)] if gap.endswith(opened) else None
        if between is None or (not quote and not close.strip()):
            return None
        body = self._body(opened, assign, close, between, quote, wrap)
        if body is None:
            return None
        if body.nested == "elements":
            body, tail = _with_shared_prefix(body, tail)
            opened, close = body.open, body.close
        end = value + len(VALUES[0]) + len(quote + wrap[1]) + len(close.replace(KEY, KEYS[0]))
        return Tagged(body, key - len(opened), end, tail, empty)

    def _gap(self, both: str) -> str | None:
        """Between the first value and the second key."""
        first, key = both.find(VALUES[0]), both.find(KEYS[1])
        if not 0 <= first < key:
            return None
        return both[first + len(VALUES[0]) : key].replace(KEYS[0], KEY)

    def _empty(self, none: str | None, times: int) -> str | None:
        """Between the name, which comes so many ``times``, and the end of the turn of a call that has no arguments."""
        if none is None or NAMES[0] not in none:
            return None
        end = len(none) - (len(self._one) - self._end)
        behind = none[self._header : end].split(NAMES[0], times)
        return behind[times] if len(behind) > times else None

    def _around(self, text: str | None, value: str) -> tuple[str, str] | None:
        """The text between the key and a value, and after the value."""
        if text is None:
            return None
        key = text.find(KEYS[0], text.find(NAMES[0], self._header))
        at = text.find(value, key)
        if not 0 <= key < at:
            return None
        return text[key + len(KEYS[0]) : at], text[at + len(value) :]

    def _body(
        self, opened: str, assign: dict[Kind, str], close: str, between: str, quote: str, wrap: tuple[str, str]
    ) -> TaggedBody | None:
        found: dict[str, str] = {}
        rest = self._one[self._one.find(VALUES[0]) + len(VALUES[0]) + len(quote + wrap[1]) :]
        for kind in ("boolean", "false", "null", "array", "object"):
            text = self._texts[kind]
            if text is None or KEYS[0] not in text or not text.endswith(rest):
                continue
            key = text.find(KEYS[0], text.find(NAMES[0], self._header))
            if key < 0:
                continue
            inside = text[key + len(KEYS[0]) : len(text) - len(rest)]
            mark = _mark_of(inside, assign)
            if mark is None:
                continue
            assign["boolean" if kind == "false" else kind] = mark  # type: ignore[index]  # the loop's names are kinds
            found[kind] = inside[len(mark) :]
        others: tuple[Kind, ...] = ("boolean", "null", "array", "object")
        for other in others:
            assign.setdefault(other, assign["number"])
        nested = nested_notation(found.get("array"), found.get("object"), quote)
        element = element_marks(found.get("object", "")) if nested == "elements" else None
        if nested is None or (nested == "elements" and element is None):
            nested, element = "json", None
        marked = self._around(self._texts["marks"], "a<b>&c")
        if marked and marked[0].startswith(assign["string"]) and not quote and not wrap[0]:
            before = marked[0][len(assign["string"]) :]
            after = marked[1].partition(close.replace(KEY, KEYS[0]).strip())[0].rstrip() if before else ""
            wrap = (before, after) if before and after else ("", "")
        return TaggedBody(
            opened,
            assign,
            close,
            between,
            quote,
            wrap,
            spelt_words(found),
            nested,
            *((element,) if element else ()),
        )


def _last_name(text: str, name: int, limit: int) -> int:
    """The end of the name's last occurrence before ``limit``: some templates write it twice."""
    end = name
    while 0 <= name < limit:
        end = name + len(NAMES[0])
        name = text.find(NAMES[0], end)
    return end


def _common_tail(head: str, empty: str | None, gap: str) -> str:
    """The text between a name and its arguments, whether there are any or not.

    It can't be longer than what both have in common, nor shorter than what does not open a second argument, too; between
    these, marks are not cut in two.
    """
    if empty is None:
        return ""
    most = shared_start(head, empty)
    least = min(len(head) - shared_end(head, gap), most)
    tidy = tidy_end(head[:most], head[most : most + 1])
    if least <= len(tidy) < most:
        return tidy
    spaced = max((at + 1 for at in range(least, most) if head[at].isspace()), default=0)
    if most == len(head) or most == len(empty):
        return head[:most]
    return head[: spaced or least]


def _close_before(ended: str, gap: str, last: str | None) -> str:
    """What ends a value, whatever comes next; ``last`` is what ends a call without arguments."""
    if last and ended.endswith(last) and gap.startswith(close := ended.removesuffix(last)):
        return close
    length = shared_start(gap, ended)
    return tidy_end(gap[:length], gap[length : length + 1])


def _with_shared_prefix(body: TaggedBody, tail: str) -> tuple[TaggedBody, str]:
    """Elements whose marks share a prefix: it belongs to the mark after it."""
    lead = body.element[0].removesuffix(body.open)
    if lead == body.element[0] or not lead or not (body.close.endswith(lead) and tail.endswith(lead)):
        return body, tail
    return replace(body, open=lead + body.open, close=body.close.removesuffix(lead)), tail.removesuffix(lead)


def _around_text(assign: str, ended: str, before: str, behind: str) -> tuple[str, str]:
    """The marks around strings but not around numbers: a quote, or a pair."""
    opening = assign.removeprefix(before) if assign.startswith(before) else ""
    closing = ended.removesuffix(behind) if behind and ended.endswith(behind) else ""
    return (opening, closing) if opening.strip() and closing.strip() else ("", "")


def _mark_of(inside: str, assign: Mapping[Kind, str]) -> str | None:
    """The mark before a value that is neither a string nor a number."""
    string, number = assign["string"], assign["number"]
    if inside.startswith(number):
        return number
    start = shared_start(string, number)
    end = shared_end(string[start:], number[start:])
    before, after = number[:start], number[len(number) - end :]
    if string != number and inside.startswith(before) and after and (at := inside.find(after, len(before))) >= 0:
        return inside[: at + len(after)]
    return string if inside.startswith(string) else None
