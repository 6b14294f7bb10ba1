"""T: what a real Parlant server asks of its NLP service, recorded with a scripted one and replayed in its own order.

A call starts when all calls that had ended before it did when it was recorded have ended again: concurrency and order are the
host's. Answers have the shape and the string lengths of the recorded ones, so that every system writes as much.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workloads import Call

__all__ = ["Recorded", "record"]

CONVERSATIONS = (
    ("Hello, I would like to order a book.", "The one by Woolf, please, as a gift.", "Can I still change the address?"),
    ("Hi! Do you have travel guides?", "One about Lisbon would be nice.", "How long does the delivery take?"),
    ("Good morning, my parcel has not arrived.", "The order number is 4711.", "Thank you, then I will wait."),
)


@dataclass(frozen=True)
class Recorded:
    call: Call
    phase: str
    """``start-up``, or conversation and turn such as ``2.1``."""
    after: tuple[int, ...]
    """Calls of the same phase that had ended before this one began."""
    answer: Any = None
    """What the scripted service answered; None for text."""
    tightened: Mapping[str, Any] | None = None
    """The schema as it reached the backend, with what the prompt says built in."""

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "call": self.call.as_dict(), "after": list(self.after)}


def record(path: Path) -> list[dict[str, Any]]:
    """The recorded calls, made once and kept in ``path``."""
    loaded: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    if not loaded or "tightened" not in loaded[0]:
        # A fresh home: evaluations are made anew.
        with tempfile.TemporaryDirectory() as home:
            os.environ["PARLANT_HOME"] = home
            calls = asyncio.run(_record())
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([item.as_dict() for item in calls]), "utf-8")
        loaded = json.loads(path.read_text("utf-8"))
    return loaded


async def _record() -> list[Recorded]:
    from tests.fakes.scripted import ScriptedBackend

    from benchmarks.agent import create_agent
    from parlant_local.agent.customer import Customer
    from parlant_local.agent.serving import running_server
    from parlant_local.nlp import LocalNLPService
    from parlant_local.settings import Settings

    class Recorder(ScriptedBackend):
        def __init__(self) -> None:
            super().__init__(seed=3, delay=0.25)
            self.phase = "start-up"
            self.log: list[tuple[str, float, float, str, Mapping[str, Any] | None, str, str]] = []

        async def chat(self, messages: Any, **options: Any) -> Any:
            begun = time.monotonic()
            phase = self.phase
            reply = await super().chat(messages, **options)
            schema = options["response_format"].schema
            prompt = "".join(message.content for message in messages)
            entry = (prompt, begun, time.monotonic(), reply.content, schema, options["prefix_group"], phase)
            self.log.append(entry)
            return reply

    backend = Recorder()

    def factory(container: Any) -> Any:
        return LocalNLPService(backend, settings=Settings(), container=container)

    async with running_server(factory, create_agent) as server:
        for number, lines in enumerate(CONVERSATIONS, 1):
            customer = Customer(server.address, "bench")
            for turn, line in enumerate(lines, 1):
                backend.phase = f"{number}.{turn}"
                await customer.say(line)
    return _with_order(backend.log)


def _with_order(log: list[tuple[str, float, float, str, Mapping[str, Any] | None, str, str]]) -> list[Recorded]:
    recorded = []
    phases: dict[str, list[tuple[float, float]]] = {}
    for prompt, begun, ended, answer, schema, group, phase in sorted(log, key=lambda entry: entry[1]):
        earlier = phases.setdefault(phase, [])
        after = tuple(index for index, (_, end) in enumerate(earlier) if end <= begun)
        earlier.append((begun, ended))
        value = json.loads(answer) if schema is not None else None
        exact = shaped(value) if schema is not None else None
        session = phase.partition(".")[0]
        recorded.append(Recorded(Call(prompt, 1536, exact, group, session), phase, after, value, schema))
    return recorded


def shaped(value: Any) -> dict[str, Any]:
    """A schema of values like this one: same keys and lengths, other words."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: shaped(item) for key, item in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        # The first item's shape stands for all: arrays of the host are of one kind.
        count = len(value)
        return {
            "type": "array",
            "items": shaped(value[0]) if value else {"type": "null"},
            "minItems": count,
            "maxItems": count,
        }
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer", "minimum": 0, "maximum": 10}
    if isinstance(value, str):
        length = max(1, len(value))
        return {"type": "string", "minLength": length, "maxLength": length}
    return {"type": "null"}
