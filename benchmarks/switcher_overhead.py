"""What a switcher costs a call: the same backend bare and behind one healthy target, by turns, in one run.

python benchmarks/switcher_overhead.py [--calls 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

from parlant_local.backends.base import ModelInfo
from parlant_local.messages import ChatChunk, ChatReply, Delta, Message, Usage
from parlant_local.switching import RoutedBackend, Target

LIMIT_US = 200.0
PROMPT = [Message.user("word " * 4000)]
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}


class Instant:
    """Answers at once, so that nothing but the switcher is measured."""

    async def chat(self, messages: Any, **options: Any) -> ChatReply:
        return ChatReply(content="{}", usage=Usage(4000, 50))

    async def chat_stream(self, messages: Any, **options: Any) -> AsyncIterator[ChatChunk]:
        yield ChatChunk(Delta("{}"))
        yield ChatChunk(finish_reason="stop", usage=Usage(4000, 50))

    def model_info(self) -> ModelInfo:
        return ModelInfo("instant", capabilities=frozenset({"chat", "schema", "streaming"}))

    async def close(self) -> None: ...


async def whole(backend: Any) -> None:
    await backend.chat(PROMPT, response_format=FORMAT, prefix_group="Schema", max_tokens=500)


async def streamed(backend: Any) -> None:
    async for _ in backend.chat_stream(PROMPT, prefix_group="Schema", max_tokens=500):
        pass


async def measure(call: Any, backend: Any, calls: int) -> float:
    """Microseconds of the median call."""
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        await call(backend)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


async def run(calls: int) -> bool:
    bare: Any = Instant()
    routed = RoutedBackend([Target("instant", lambda: bare, info=bare.model_info())])
    fine = True
    for name, call in (("whole", whole), ("streamed", streamed)):
        await measure(call, routed, 200)
        rounds = [(await measure(call, bare, calls // 5), await measure(call, routed, calls // 5)) for _ in range(5)]
        plain = statistics.median(item[0] for item in rounds)
        behind = statistics.median(item[1] for item in rounds)
        fine &= behind - plain < LIMIT_US
        print(f"{name:<9} bare {plain:7.1f} us   switcher {behind:7.1f} us   overhead {behind - plain:7.1f} us")
    print(f"limit {LIMIT_US:.0f} us: {'kept' if fine else 'EXCEEDED'}")
    await routed.close()
    return fine


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    raise SystemExit(0 if asyncio.run(run(parser.parse_args().calls)) else 1)
