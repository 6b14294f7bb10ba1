"""All that probing tells of a template, found once and kept by its digest."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from parlant_local.engine.kept import Kept
from parlant_local.engine.parsing.syntax import CallSyntax
from parlant_local.engine.templates.capabilities import EVERYTHING, Capabilities, probe
from parlant_local.engine.templates.derivation import A, derive_calls, probe_calls
from parlant_local.engine.templates.probing import RenderAll
from parlant_local.engine.templates.thoughts import Marks, derive_marks, probe_thoughts
from parlant_local.errors import TemplateError, TemplateLimitError

__all__ = ["UNPROBED", "Dialect", "DialectCache", "probe_dialect"]

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a template can express, and how it writes it."""

    can: Capabilities
    syntax: CallSyntax | None = None
    """None: it writes no calls, or it can't be told how."""
    marks: Marks = Marks()


UNPROBED = Dialect(EVERYTHING)
"""Of a template that could not be probed within its limits; rendering tells its own trouble."""


def probe_dialect(render_all: RenderAll, *, with_tools: bool) -> Dialect:
    """Three batches of renderings. A template that breaks a limit is left at what was found before."""
    try:
        can = probe(render_all, with_tools=with_tools)
    except TemplateLimitError:
        return UNPROBED
    try:
        called = A if can.object_arguments else '{"called_key": "called-value"}'
        marks = derive_marks(probe_thoughts(render_all, tools=with_tools, called=called))
        if not can.tool_calls:
            return Dialect(can, marks=marks)
        content = None if can.null_content else ""
        texts = probe_calls(render_all, as_object=can.object_arguments, content=content, tools=with_tools)
        return Dialect(can, derive_calls(texts), marks)
    except TemplateError:
        return Dialect(can)


class DialectCache:
    """Dialects by the digest of what they come from. Thread-safe; one thread probes a template, others wait."""

    def __init__(self) -> None:
        self._found: Kept[Dialect] = Kept(_KEPT)
        self._failed: OrderedDict[str, None] = OrderedDict()

    def get(self, key: tuple[str, ...], find: Callable[[], Dialect]) -> Dialect:
        digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()

        def start(future: Future[Dialect]) -> None:
            try:
                future.set_result(find())
            except BaseException as error:  # whoever waits gets it
                future.set_exception(error)

        future = self._found.get(digest, start)
        dialect = future.result()
        if dialect is UNPROBED and digest not in self._failed:
            # A limit can be broken by a machine that is short of breath: once more at the next call.
            self._failed[digest] = None
            self._found.forget(digest, future)
            while len(self._failed) > _KEPT:
                self._failed.popitem(last=False)
        return dialect
