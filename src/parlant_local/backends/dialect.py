"""Which form of schema an endpoint accepts, probed once.

Endpoints that speak OpenAI's API differ most in ``response_format``. The ladder, best first::

    json_schema         OpenAI, vLLM, llama-server        the schema binds the decoder
    json_object_schema  llama-cpp-python's server         json_object with the schema beside it
    json_object         DeepSeek's cloud, older endpoints any JSON object; the schema is spelled out in the prompt
    prompt              everything else                   the schema is spelled out, nothing binds

A rung is left when the endpoint refuses it or answers what does not fit; the first one that brings a fitting answer stays.
Refusals are remembered for good and cost no answer; answers that don't fit count among the attempts of their call. One schema
that an endpoint's decoder can't express (vLLM with xgrammar: ``uniqueItems``, say) is a matter of that schema alone: it is spelled
out in the prompt, and the others stay bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from parlant_local.backends.retry_budget import acquire_retry
from parlant_local.backends.structured import instruct, strict_schema
from parlant_local.engine.constraint.bounds import check_json
from parlant_local.errors import BadRequestError, InvalidOutputError
from parlant_local.messages import Message, ResponseFormat
from parlant_local.observability import Logger
from parlant_local.settings.constraints import DEFAULT_BOUNDS

__all__ = ["FORMAT", "LADDER", "SCHEMA", "Dialect", "DialectMemory", "apply", "blamed_field"]

T = TypeVar("T")

FORMAT = "response_format"
SCHEMA = "response_format.schema"
"""What an error's ``field`` says: the form is not understood, or this one schema is not."""
_REMEMBERED = 256

Dialect = Literal["json_schema", "json_object_schema", "json_object", "prompt"]
LADDER: tuple[Dialect, ...] = ("json_schema", "json_object_schema", "json_object", "prompt")


class DialectMemory:
    """What is known of one endpoint so far."""

    def __init__(self, target: str, logger: Logger, chosen: Dialect | None = None) -> None:
        self.chosen = chosen
        self._target = target
        self._logger = logger
        self._exploring: asyncio.Event | None = None
        """There while a call finds out; others wait for it, once."""
        self._refused: set[Dialect] = set()
        self._inexpressible: OrderedDict[bytes, None] = OrderedDict()
        """Digests of schemas that the endpoint's decoder can't bind."""
        self._rung = 0

    @property
    def candidate(self) -> Dialect:
        return self.chosen or LADDER[self._rung]

    @property
    def any_object(self) -> Dialect:
        """For any JSON object, which no schema describes."""
        return "prompt" if "json_object" in self._refused else "json_object"

    def settled(self) -> bool:
        return self.chosen is not None

    def confirm(self, dialect: Dialect) -> None:
        if self.chosen is None and dialect == LADDER[self._rung]:
            self.chosen = dialect

    def refute(self, dialect: Dialect, *, refused: bool = False) -> bool:
        """Leaves ``dialect`` for the next rung; false when it is certain, or the last one.

        ``refused``: the endpoint does not take it at all, which no later call needs to find out again.
        """
        if refused and dialect != LADDER[-1]:
            self._refused.add(dialect)
        if self.chosen is not None:
            return False
        if LADDER[self._rung] != dialect:
            return True
        later = [rung for rung in range(self._rung + 1, len(LADDER)) if LADDER[rung] not in self._refused]
        # Nothing fitted: the next call may start over.
        self._rung = later[0] if later else self._first()
        return bool(later)

    async def run(
        self, wanted: ResponseFormat, attempt: Callable[[Dialect], Awaitable[T]], *, confirm: bool = True
    ) -> T:
        """Runs ``attempt``, going down the ladder until the endpoint understands what ``wanted`` is."""
        if wanted.type == "text":
            return await attempt(self.candidate)
        if wanted.type == "json_object" and not self.settled():
            return await self._unbound(attempt)
        if self._inexpressible and (known := _digest(wanted)) in self._inexpressible:
            self._inexpressible.move_to_end(known)
            return await self._unbound(attempt)
        try:
            return await self._bound(attempt, confirm=confirm)
        except BadRequestError as error:
            if error.field != SCHEMA:
                raise
            self._logger.warning(
                f"{self._target} can't bind the schema {wanted.name!r} ({error.message}): it stands in the prompt instead."
            )
            self._inexpressible[_digest(wanted)] = None
            if len(self._inexpressible) > _REMEMBERED:
                self._inexpressible.popitem(last=False)
            return await self._unbound(attempt)

    async def _unbound(self, attempt: Callable[[Dialect], Awaitable[T]]) -> T:
        """Any JSON object, where the endpoint knows how to ask for one."""
        try:
            return await attempt(self.any_object)
        except BadRequestError as error:
            if error.field not in (FORMAT, SCHEMA):
                raise
            self.refute("json_object", refused=True)
            return await attempt("prompt")

    async def _bound(self, attempt: Callable[[Dialect], Awaitable[T]], *, confirm: bool) -> T:
        if self.settled():
            return await attempt(self.candidate)
        if self._exploring is not None:
            # Once only: if the probing call failed, the endpoint may be down, and waiting in turn would cost a timeout each.
            await self._exploring.wait()
            if self.settled():
                return await attempt(self.candidate)
        mine = asyncio.Event()
        self._exploring = self._exploring or mine
        try:
            return await self._explore(attempt, confirm=confirm)
        finally:
            mine.set()
            if self._exploring is mine:
                self._exploring = None

    async def _explore(self, attempt: Callable[[Dialect], Awaitable[T]], *, confirm: bool) -> T:
        while True:
            dialect = self.candidate
            try:
                result = await attempt(dialect)
            except (BadRequestError, InvalidOutputError) as error:
                refused = isinstance(error, BadRequestError)
                if isinstance(error, BadRequestError) and error.field != FORMAT:
                    raise
                self._logger.debug(f"{self._target} does not accept schemas as {dialect}: {type(error).__name__}")
                if not self.refute(dialect, refused=refused) or not (refused or acquire_retry()):
                    raise
                continue
            if confirm and not self.settled():
                self.confirm(dialect)
                self._logger.info(f"{self._target} accepts schemas as {dialect}.")
            return result

    def _first(self) -> int:
        return next(rung for rung, dialect in enumerate(LADDER) if dialect not in self._refused)


def apply(
    dialect: Dialect, wanted: ResponseFormat, messages: Sequence[Message]
) -> tuple[tuple[Message, ...], dict[str, Any] | None]:
    """The messages to send and the ``response_format`` beside them."""
    if wanted.type == "text":
        return tuple(messages), None
    check_json(wanted.schema or {}, DEFAULT_BOUNDS)  # a client's: what follows walks it, here
    if dialect == "prompt":
        return instruct(messages, wanted), None
    if wanted.type == "json_object" or dialect == "json_object":
        return instruct(messages, wanted), {"type": "json_object"}
    schema = dict(wanted.schema or {})
    if dialect == "json_object_schema":
        return tuple(messages), {"type": "json_object", "schema": schema}
    strict = strict_schema(schema)
    inner = {"name": _safe(wanted.name), "schema": strict or schema, "strict": strict is not None}
    return tuple(messages), {"type": "json_schema", "json_schema": inner}


def blamed_field(status: int, text: str) -> str | None:
    """``FORMAT`` or ``SCHEMA`` where an error's text says that ``response_format``, or the schema in it, was not understood."""
    if status not in (400, 404, 422, 500, 501):
        return None
    if _INEXPRESSIBLE.search(text):
        return SCHEMA
    return FORMAT if _BLAME.search(text) else None


_BLAME = re.compile(r"response_format|json_schema|json_object|json schema|structured output|grammar", re.IGNORECASE)
# vLLM with xgrammar, guidance and outlines; OpenAI's strict mode; llama-server; SGLang
_INEXPRESSIBLE = re.compile(
    r"features not supported by|failed to transform json schema|grammar error|invalid grammar specification|"
    r"invalid schema for response_format|json schema conversion failed|failed to (parse|compile) (the )?(grammar|json schema)|"
    r"unsupported json schema",
    re.IGNORECASE,
)


def _digest(wanted: ResponseFormat) -> bytes:
    check_json(wanted.schema or {}, DEFAULT_BOUNDS)
    return hashlib.sha256(json.dumps(wanted.schema, sort_keys=True).encode("utf-8", "surrogatepass")).digest()


def _safe(name: str) -> str:
    """Schema names may hold letters, digits, ``_`` and ``-`` only, 64 of them at most."""
    return (
        "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in name)[:64]
        or "response"
    )
