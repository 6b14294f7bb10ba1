"""How a model writes its answers: the marks of thoughts, answers and calls, and the call format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from parlant_local.engine.parsing.families import FAMILY_SYNTAX, PYTHONIC
from parlant_local.engine.parsing.formats import CALL_FORMATS, CallFormat
from parlant_local.engine.parsing.json_calls import read_bare_json
from parlant_local.engine.parsing.reading import SyntaxReader, bare_reader, syntax_reader
from parlant_local.engine.parsing.sections import Reader, either
from parlant_local.engine.parsing.syntax import CallSyntax
from parlant_local.engine.parsing.writing import write_calls
from parlant_local.engine.templates.derivation import adjusted, is_unambiguous
from parlant_local.engine.templates.dialect import Dialect
from parlant_local.engine.templates.thoughts import Marks
from parlant_local.messages import Tool
from parlant_local.profiles import Profile, ToolFormat

__all__ = ["Speech", "speech_of"]


@dataclass(frozen=True, slots=True)
class Speech:
    """How one model writes its answers: its family's profile completed from its template, and its tool-call format."""

    profile: Profile
    calls: CallFormat
    syntax: CallSyntax | None
    """The template's own call syntax, or its family's; None: neither is known."""
    derived: bool = False
    """Whether it was derived from the template."""
    turn_end: str = ""
    """What the template writes after an answer."""
    header: str = ""
    """What it writes before an answer."""

    @property
    def calls_are(self) -> Literal["template", "family", "generic"]:
        """Where the call format comes from."""
        return "generic" if self.syntax is None else "template" if self.derived else "family"


def speech_of(profile: Profile, dialect: Dialect, tools: Sequence[Tool]) -> Speech:
    """By what its template shows, and by what its family is known for where it doesn't."""
    marks, syntax = dialect.marks, dialect.syntax
    profile = _with_shown_marks(profile, marks)
    family = CALL_FORMATS[profile.tools]
    turn_end = marks.behind.strip()
    if profile.answer_tags is not None and profile.answer_tags.end in turn_end:
        turn_end = turn_end.partition(profile.answer_tags.end)[2].strip() if profile.answer_tags.end else turn_end
    shown = syntax is not None and profile.tools != "harmony"
    syntax = syntax if shown else FAMILY_SYNTAX.get(profile.tools)
    if syntax is None:
        return Speech(profile, family, None, turn_end=turn_end, header=marks.header)
    around = [text for tags in (profile.reasoning, profile.answer_tags) if tags for text in (tags.start, tags.end)]
    syntax = adjusted(syntax, around, profile.begun, turn_end)
    if shown and not is_unambiguous(syntax):
        return Speech(profile, family, None, turn_end=turn_end, header=marks.header)
    calls = _call_format(profile.tools, syntax, tools)
    return Speech(profile, calls, syntax, shown, turn_end, marks.header)


def _call_format(tools: ToolFormat, syntax: CallSyntax, offered: Sequence[Tool]) -> CallFormat:
    """Reads calls in ``syntax``, and in the family's known format."""
    family = CALL_FORMATS[tools]
    openers = dict(family.openers) if tools != "json" else {}
    weak: dict[str, Reader] = {}
    if syntax.opener and tools != "harmony":
        reader = syntax_reader(syntax, {tool.name: tool.parameters for tool in offered})
        if syntax.opener in openers:
            reader = either(reader, family.openers[syntax.opener])
        (weak if syntax.weak else openers)[syntax.opener] = reader
        if syntax.weak:  # with the name of a tool it is no ordinary text
            openers |= dict.fromkeys(filter(None, (syntax.opener_of(tool.name) for tool in offered)), reader)
    if tools == "llama":
        weak["["] = either(SyntaxReader(PYTHONIC, {tool.name: tool.parameters for tool in offered}), read_bare_json)
    return CallFormat(tools, openers, partial(write_calls, syntax), weak, bare_reader(syntax))


def _with_shown_marks(profile: Profile, marks: Marks) -> Profile:
    """The family's profile with the marks that the template shows."""
    if profile.fixed_marks:
        return profile
    if marks.thoughts is not None:
        profile = replace(profile, reasoning=marks.thoughts)
    if marks.answer is not None:
        profile = replace(profile, answer_tags=marks.answer, begun=marks.begun)
    return profile
