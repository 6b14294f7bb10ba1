"""Everything that probing shows of a template, probed once and cached by its digest."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from parlant_local.engine.future_cache import FutureCache
from parlant_local.engine.parsing.syntax import CallSyntax
from parlant_local.engine.templates.capabilities import ALL_CAPABILITIES, Capabilities, probe
from parlant_local.engine.templates.derivation import A, derive_calls, probe_calls
from parlant_local.engine.templates.probing import RenderAll
from parlant_local.engine.templates.thoughts import Marks, derive_marks, probe_thoughts
from parlant_local.errors import TemplateError, TemplateLimitError

__all__ = ["UNPROBED", "Dialect", "DialectCache", "probe_dialect"]

_CACHE_SIZE = 64


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a template can express, and in which syntax."""

    capabilities: Capabilities
    syntax: CallSyntax | None = None
    """None: it renders no calls, or their syntax is ambiguous."""
    marks: Marks = Marks()


UNPROBED = Dialect(ALL_CAPABILITIES)
"""For a template that could not be probed within the limits; rendering reports its own errors."""


def probe_dialect(render_all: RenderAll, *, with_tools: bool) -> Dialect:
    """Renders three batches of probes. Where a template exceeds a limit, the findings so far apply."""
    try:
        capabilities = probe(render_all, with_tools=with_tools)
    except TemplateLimitError:
        return UNPROBED
    try:
        called = A if capabilities.object_arguments else '{"called_key": "called-value"}'
        marks = derive_marks(probe_thoughts(render_all, tools=with_tools, called=called))
        if not capabilities.tool_calls:
            return Dialect(capabilities, marks=marks)
        content = None if capabilities.null_content else ""
        texts = probe_calls(render_all, as_object=capabilities.object_arguments, content=content, tools=with_tools)
        return Dialect(capabilities, derive_calls(texts), marks)
    except TemplateError:
        return Dialect(capabilities)


class DialectCache:
    """Dialects by the digest of their template. Thread-safe; one thread probes a template, others wait."""

    def __init__(self) -> None:
        self._found: FutureCache[Dialect] = FutureCache(_CACHE_SIZE)
        self._failed: OrderedDict[str, None] = OrderedDict()

    def get(self, key: tuple[str, ...], find: Callable[[], Dialect]) -> Dialect:
        digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()

        def start(future: Future[Dialect]) -> None:
            try:
                future.set_result(find())
            except BaseException as error:  # raised in every waiting thread
                future.set_exception(error)

        future = self._found.get(digest, start)
        dialect = future.result()
        if dialect is UNPROBED and digest not in self._failed:
            # A limit can also be exceeded because the machine is overloaded: probed once more at the next call.
            self._failed[digest] = None
            self._found.remove(digest, future)
            while len(self._failed) > _CACHE_SIZE:
                self._failed.popitem(last=False)
        return dialect
