"""Ours and the peers behind one face: start with a model, answer calls at once, stop.

Each runs in a process of its own (``python -m benchmarks.serve_peer NAME``), speaks lines of JSON, and measures inside, so that
starting Python counts for nobody.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any, Protocol

__all__ = ["SYSTEMS", "System"]

N_CTX = 12_288  # the longest prompt of T with its answer
SLOTS = 8


class System(Protocol):
    async def start(self, model: str, options: dict[str, Any]) -> None: ...

    async def run(self, calls: list[dict[str, Any]]) -> list[tuple[str, float]]:
        """All calls at once: each one's text and the seconds until it was whole."""
        ...

    def facts(self) -> dict[str, Any]: ...

    async def stop(self) -> None: ...


async def _all(calls: list[dict[str, Any]], one: Any) -> list[tuple[str, float]]:
    """Each call starts at once, or when the calls that its ``after`` names are done."""
    begun = time.perf_counter()
    done = [asyncio.Event() for _ in calls]

    async def timed(index: int, call: dict[str, Any]) -> tuple[str, float]:
        for earlier in call.get("after", ()):
            await done[earlier].wait()
        try:
            text = await one(call)
        finally:
            done[index].set()
        return text, time.perf_counter() - begun

    return list(await asyncio.gather(*(timed(index, call) for index, call in enumerate(calls))))


class Ours:
    """parlant-local's engine."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        from parlant_local.engine import LlamaEngine
        from parlant_local.settings import EngineSettings

        prefix_dir = options.pop("prefix_dir", None)
        settings = EngineSettings.model_validate({"n_ctx": N_CTX, **options})
        self.engine = LlamaEngine(model, settings=settings, prefix_dir=Path(prefix_dir) if prefix_dir else None)
        await self.engine.load()

    async def run(self, calls: list[dict[str, Any]]) -> list[tuple[str, float]]:
        from parlant_local.engine.requests import GenerationRequest, JsonSchema

        async def one(call: dict[str, Any]) -> str:
            schema = call["schema"]
            request = GenerationRequest(
                prompt=call["prompt"],
                max_tokens=call["max_tokens"],
                constraint=JsonSchema(schema) if schema else None,
                prefix_group=call["group"] or None,
                session=call["session"] or None,
            )
            return (await self.engine.generate(request)).text

        return await _all(calls, one)

    def facts(self) -> dict[str, Any]:
        return self.engine.stats().as_dict()

    async def stop(self) -> None:
        await self.engine.close()


class LlamaBehindLock:
    """llama-cpp-python's own class, one call at a time, with a compact grammar."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        from llama_cpp import Llama

        self.llama = Llama(model, n_ctx=N_CTX, n_batch=512, verbose=False, **options)
        self.lock = threading.Lock()
        self.grammars: dict[str, Any] = {}

    async def run(self, calls: list[dict[str, Any]]) -> list[tuple[str, float]]:
        from llama_cpp import LlamaGrammar

        from benchmarks.gbnf import compact_gbnf

        def work(call: dict[str, Any]) -> str:
            grammar = None
            if call["schema"]:
                text = compact_gbnf(call["schema"])
                with self.lock:
                    if text not in self.grammars:
                        self.grammars[text] = LlamaGrammar.from_string(text, verbose=False)
                grammar = self.grammars[text]
            with self.lock:
                result: Any = self.llama.create_completion(
                    call["prompt"], max_tokens=call["max_tokens"], temperature=0.0, grammar=grammar
                )
            return str(result["choices"][0]["text"])

        return await _all(calls, lambda call: asyncio.to_thread(work, call))

    def facts(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        self.llama.close()


class Xllamacpp:
    """llama.cpp's server inside a process, by its Python binding: slots, prompt cache, llguidance grammars."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        import xllamacpp as xlc

        params = xlc.CommonParams()
        params.model.path = model
        params.n_ctx = N_CTX * SLOTS
        params.n_parallel = SLOTS
        params.n_batch = 2048
        params.n_ubatch = 512
        params.warmup = False
        params.cpuparams.n_threads = 2
        params.cpuparams_batch.n_threads = 2
        params.kv_unified = bool(options.get("unified", False))
        params.no_perf = True
        self.server = xlc.Server(params)

    async def run(self, calls: list[dict[str, Any]]) -> list[tuple[str, float]]:
        def work(call: dict[str, Any]) -> str:
            body: dict[str, Any] = {
                "prompt": call["prompt"],
                "n_predict": call["max_tokens"],
                "temperature": 0.0,
                "cache_prompt": True,
            }
            if call["schema"]:
                options = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
                schema = {**call["schema"], "x-guidance": options}
                body["grammar"] = "%llguidance {}\nstart: %json " + json.dumps(schema)
            result = self.server.handle_completions(body)
            if isinstance(result, str):
                result = json.loads(result)
            if "choices" in result:
                return str(result["choices"][0]["text"])
            return str(result["content"])

        return await _all(calls, lambda call: asyncio.to_thread(work, call))

    def facts(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        del self.server


SYSTEMS: dict[str, type[Any]] = {"ours": Ours, "llama_lock": LlamaBehindLock, "xllamacpp": Xllamacpp}
