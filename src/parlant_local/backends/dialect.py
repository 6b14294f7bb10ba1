"""Which form of schema an endpoint accepts, probed once.

Endpoints that speak OpenAI's API differ most in ``response_format``. The ladder, best first::

    json_schema         OpenAI, vLLM, llama-server        the schema binds the decoder
    json_object_schema  llama-cpp-python's server         json_object with the schema beside it
    json_object         DeepSeek's cloud, older endpoints any JSON object; the schema is spelled out in the prompt
    prompt              everything else                   the schema is spelled out, nothing binds

A rung is left when the endpoint refuses it or answers what does not fit; the first one that brings a fitting answer stays.
Refusals are remembered for good and cost no answer; answers that don't fit count among the attempts of their call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from parlant_local.backends.retry_budget import acquire_retry
from parlant_local.backends.structured import instruct, strict_schema
from parlant_local.engine.constraint.bounds import check_json
from parlant_local.errors import BadRequestError, InvalidOutputError
from parlant_local.messages import Message, ResponseFormat
from parlant_local.observability import Logger
from parlant_local.settings.constraints import DEFAULT_BOUNDS

__all__ = ["FORMAT", "LADDER", "Dialect", "DialectMemory", "apply", "blames_format"]

T = TypeVar("T")

FORMAT = "response_format"

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
        if self.chosen is None:
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
        if wanted.type == "text" or self.settled():
            return await attempt(self.candidate)
        if wanted.type == "json_object":
            try:
                return await attempt(self.any_object)
            except BadRequestError as error:
                if error.field != FORMAT:
                    raise
                self.refute("json_object", refused=True)
                return await attempt("prompt")
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


def blames_format(status: int, text: str) -> bool:
    """Whether an error's text says that ``response_format``, or a schema in it, was not understood."""
    return status in (400, 404, 422, 500, 501) and _BLAME.search(text) is not None


_BLAME = re.compile(r"response_format|json_schema|json_object|json schema|structured output|grammar", re.IGNORECASE)


def _safe(name: str) -> str:
    """Schema names may hold letters, digits, ``_`` and ``-`` only, 64 of them at most."""
    return (
        "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in name)[:64]
        or "response"
    )
