"""Ours and the peers that embed, behind one face: start with a model, embed texts, stop."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.systems import SLOTS, usable_threads

__all__ = ["LlamaEmbedder", "OurEmbedder", "XllamacppEmbedder"]

Vectors = list[list[float]]


class OurEmbedder:
    """parlant-local's engine, all texts at once."""

    async def start(self, model: str, _options: dict[str, Any]) -> None:
        from parlant_local.engine import LlamaEngine

        self.engine = LlamaEngine(model)
        await self.engine.embed(["warm up"])

    async def embed(self, texts: list[str]) -> tuple[Vectors, float]:
        begun = time.perf_counter()
        found = await self.engine.embed(texts)
        return found.vectors.tolist(), time.perf_counter() - begun

    async def stop(self) -> None:
        await self.engine.close()


class LlamaEmbedder:
    """llama-cpp-python's own class, one text after the other or as one list."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        from llama_cpp import Llama

        self.together = bool(options["together"])
        threads = usable_threads()
        self.llama = Llama(
            model,
            embedding=True,
            n_ctx=512,
            n_batch=512,
            n_ubatch=512,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        self.llama.embed("warm up")

    async def embed(self, texts: list[str]) -> tuple[Vectors, float]:
        def work() -> Vectors:
            if self.together:
                return list(self.llama.embed(texts, normalize=True))
            return [self.llama.embed(text, normalize=True) for text in texts]

        begun = time.perf_counter()
        vectors = await asyncio.to_thread(work)
        return vectors, time.perf_counter() - begun

    async def stop(self) -> None:
        self.llama.close()


class XllamacppEmbedder:
    """llama.cpp's embedding server inside a process: eight slots; as one list, or a call per text, eight at a time."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        import xllamacpp as xlc

        self.together = bool(options["together"])
        params = xlc.CommonParams()
        params.model.path = model
        params.embedding = True
        params.n_ctx = 512 * SLOTS
        params.n_parallel = SLOTS
        params.n_batch = params.n_ubatch = 2048
        params.warmup = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = usable_threads()
        params.no_perf = True
        self.server = xlc.Server(params)
        self._ask(["warm up"])

    def _ask(self, texts: list[str]) -> Vectors:
        result = self.server.handle_embeddings({"input": texts, "model": "benchmark"})
        if isinstance(result, str):
            result = json.loads(result)
        return [row["embedding"] for row in sorted(result["data"], key=lambda row: row["index"])]

    async def embed(self, texts: list[str]) -> tuple[Vectors, float]:
        def work() -> Vectors:
            if self.together:
                return self._ask(texts)
            with ThreadPoolExecutor(SLOTS) as pool:
                return [rows[0] for rows in pool.map(lambda text: self._ask([text]), texts)]

        begun = time.perf_counter()
        vectors = await asyncio.to_thread(work)
        return vectors, time.perf_counter() - begun

    async def stop(self) -> None:
        del self.server
