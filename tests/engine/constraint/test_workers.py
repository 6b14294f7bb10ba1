"""Compiling: nobody waits for somebody else's schema."""

from __future__ import annotations

import threading

from parlant_local.engine import LlamaEngine
from parlant_local.engine.constraint.workers import in_compile_thread
from parlant_local.engine.requests import GenerationRequest, JsonSchema
from tests.engine.conftest import MakeEngine


async def test_a_quick_schema_is_compiled_while_many_slow_ones_are(engine_of: MakeEngine) -> None:
    engine: LlamaEngine = engine_of("llama")
    await engine.load()
    done = threading.Event()
    slow = [in_compile_thread(lambda: done.wait(60)) for _ in range(24)]
    try:
        answer = await engine.generate(GenerationRequest("x", 8, constraint=JsonSchema({"type": "boolean"})))
        assert answer.text in ("true", "false")
        assert not any(future.done() for future in slow)
    finally:
        done.set()
    assert all(future.result(60) for future in slow)
