"""Ours and the peers that generate, behind one face: start with a model, answer calls at once, stop.

Each runs in a process of its own (``python -m benchmarks.serve_peer NAME``), speaks lines of JSON, and measures inside, so that
starting Python counts for nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Answer", "LlamaBehindLock", "LlamaServer", "Ours", "System", "Xllamacpp", "usable_threads"]

N_CTX = 12_288  # the longest prompt of T with its answer
SLOTS = 8

Answer = dict[str, Any]
"""``text``; ``seconds`` until it was whole; ``first``: seconds until its first piece, where it was streamed; ``cut``: whether
it has all the tokens that it was allowed."""


class System(Protocol):
    async def start(self, model: str, options: dict[str, Any]) -> None: ...

    async def run(self, calls: list[dict[str, Any]]) -> list[Answer]:
        """All calls at once."""
        ...

    def facts(self) -> dict[str, Any]: ...

    async def stop(self) -> None: ...


def usable_threads() -> int:
    """Peers get all cores: llama-cpp-python by itself would decode with half of them."""
    return len(os.sched_getaffinity(0))


class Watch:
    """Notes when the first piece of an answer came."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.first: float | None = None

    def piece(self) -> None:
        if self.first is None:
            self.first = time.perf_counter() - self.begun

    def answer(self, text: str, *, cut: bool) -> Answer:
        return {"text": text, "seconds": time.perf_counter() - self.begun, "first": self.first, "cut": cut}


async def run_all(calls: list[dict[str, Any]], one: Callable[[dict[str, Any], Watch], Any]) -> list[Answer]:
    """Each call starts at once, or when the calls that its ``after`` names are done; time counts from the common start."""
    begun = time.perf_counter()
    done = [asyncio.Event() for _ in calls]

    async def timed(index: int, call: dict[str, Any]) -> Answer:
        for earlier in call.get("after", ()):
            await done[earlier].wait()
        watch = Watch()
        watch.begun = begun
        try:
            answer: Answer = await one(call, watch)
            return answer
        finally:
            done[index].set()

    return list(await asyncio.gather(*(timed(index, call) for index, call in enumerate(calls))))


_THREADS = ThreadPoolExecutor(64)  # asyncio's own has six on two cores, which would leave two of eight slots empty


def in_threads(work: Callable[[dict[str, Any], Watch], Answer]) -> Callable[[dict[str, Any], Watch], Any]:
    return lambda call, watch: asyncio.get_running_loop().run_in_executor(_THREADS, work, call, watch)


class Ours:
    """parlant-local's engine."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        from parlant_local.engine import LlamaEngine
        from parlant_local.settings import EngineSettings

        prefix_dir = options.pop("prefix_dir", None)
        settings = EngineSettings.model_validate({"n_ctx": N_CTX, **options})
        self.engine = LlamaEngine(model, settings=settings, prefix_dir=Path(prefix_dir) if prefix_dir else None)
        await self.engine.load()

    async def run(self, calls: list[dict[str, Any]]) -> list[Answer]:
        from parlant_local.engine.requests import GenerationRequest, JsonSchema

        async def one(call: dict[str, Any], watch: Watch) -> Answer:
            schema = call["schema"]
            request = GenerationRequest(
                prompt=call["prompt"],
                max_tokens=call["max_tokens"],
                constraint=JsonSchema(schema) if schema else None,
                prefix_group=call["group"] or None,
                session=call["session"] or None,
            )
            if not call.get("stream"):
                done = await self.engine.generate(request)
                return watch.answer(done.text, cut=done.finish_reason == "length")
            async for piece in self.engine.stream(request):
                if piece.text:
                    watch.piece()
                if piece.final is not None:
                    return watch.answer(piece.final.text, cut=piece.final.finish_reason == "length")
            raise RuntimeError("The stream ended without a result.")

        return await run_all(calls, one)

    def facts(self) -> dict[str, Any]:
        return self.engine.stats().as_dict()

    async def count(self, calls: list[dict[str, Any]]) -> int:
        """Tokens of the prompts, those of a common beginning once: what any system has to compute at least."""
        lists = sorted([await self.engine.tokenize(call["prompt"], parse_special=True) for call in calls])
        unique, before = 0, list[int]()
        for tokens in lists:
            same = 0
            while same < min(len(before), len(tokens)) and before[same] == tokens[same]:
                same += 1
            unique, before = unique + len(tokens) - same, tokens
        return unique

    async def rates(self, depth: int) -> dict[str, float]:
        """Tokens per second of prefill, and of decoding at ``depth``, alone or as many at once as run here: the better one."""
        from parlant_local.engine.measuring.speed import measure_decode, measure_prefill

        most = max(1, self.engine.sizing.layout.n_seq - 1)  # the last slot is kept for interactive calls
        prefill = await measure_prefill(self.engine, [512], 3)
        decode = await measure_decode(self.engine, [1, most], 1, depth=depth)
        return {
            "prefill": max(row.tokens_per_second for row in prefill),
            "decode": max(row.tokens_per_second for row in decode),
        }

    async def stop(self) -> None:
        await self.engine.close()


class LlamaBehindLock:
    """llama-cpp-python's own class, one call at a time, with a compact grammar."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        from llama_cpp import Llama

        threads = usable_threads()
        self.llama = Llama(
            model, n_ctx=N_CTX, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False, **options
        )
        self.lock = threading.Lock()
        self.grammars: dict[str, Any] = {}

    async def run(self, calls: list[dict[str, Any]]) -> list[Answer]:
        from llama_cpp import LlamaGrammar

        from benchmarks.gbnf import compact_gbnf

        def work(call: dict[str, Any], watch: Watch) -> Answer:
            grammar = None
            if call["schema"]:
                text = compact_gbnf(call["schema"])
                with self.lock:
                    if text not in self.grammars:
                        self.grammars[text] = LlamaGrammar.from_string(text, verbose=False)
                grammar = self.grammars[text]
            with self.lock:
                result: Any = self.llama.create_completion(
                    call["prompt"],
                    max_tokens=call["max_tokens"],
                    temperature=0.0,
                    grammar=grammar,
                    stream=bool(call.get("stream")),
                )
                return collect(result if call.get("stream") else [result], watch)

        return await run_all(calls, in_threads(work))

    def facts(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        self.llama.close()


def collect(pieces: Any, watch: Watch) -> Answer:
    """An answer of OpenAI's completions, whole or in pieces."""
    said, cut = [], False
    for piece in pieces:
        choice = piece["choices"][0]
        if choice["text"]:
            watch.piece()
        said.append(str(choice["text"]))
        cut = cut or choice["finish_reason"] == "length"
    answer = watch.answer("".join(said), cut=cut)
    return answer if len(said) > 1 else {**answer, "first": None}


class LlamaServer:
    """``python -m llama_cpp.server``: llama-cpp-python's HTTP server."""

    async def start(self, model: str, options: dict[str, Any]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        threads = str(usable_threads())
        settings = {
            "--model": model,
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--n_ctx": str(N_CTX),
            "--n_threads": threads,
            "--n_threads_batch": threads,
            "--logits_all": "false",
            "--verbose": "false",
            **options,
        }
        arguments = [part for pair in settings.items() for part in pair]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the server
        self.server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "llama_cpp.server", *arguments, stdout=self.log, stderr=self.log
        )
        while not await asyncio.to_thread(self._listens):
            if self.server.returncode is not None:
                self.log.seek(0)
                raise RuntimeError(f"llama_cpp.server ended: {self.log.read()[-500:].decode('utf-8', 'replace')}")
            await asyncio.sleep(0.2)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def run(self, calls: list[dict[str, Any]]) -> list[Answer]:
        from benchmarks import sse
        from benchmarks.gbnf import compact_gbnf

        def work(call: dict[str, Any], watch: Watch) -> Answer:
            body = {
                "prompt": call["prompt"],
                "max_tokens": call["max_tokens"],
                "temperature": 0.0,
                "repeat_penalty": 1.0,
            }
            if call["schema"]:
                body["grammar"] = compact_gbnf(call["schema"])
            if call.get("stream"):
                return collect(sse.stream("127.0.0.1", self.port, "/v1/completions", body), watch)
            return collect([sse.post("127.0.0.1", self.port, "/v1/completions", body)], watch)

        return await run_all(calls, in_threads(work))

    def facts(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        self.server.terminate()
        await self.server.wait()
        self.log.close()


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
        params.cpuparams.n_threads = usable_threads()
        params.cpuparams_batch.n_threads = usable_threads()
        params.kv_unified = bool(options.get("unified", False))
        params.no_perf = True
        params.port = 0  # any that is free; streams are read there
        self.server = xlc.Server(params)

    async def run(self, calls: list[dict[str, Any]]) -> list[Answer]:
        def work(call: dict[str, Any], watch: Watch) -> Answer:
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
            if call.get("stream"):
                return self._stream(body, watch)
            result = self.server.handle_completions(body)
            if isinstance(result, str):
                result = json.loads(result)
            if "choices" in result:
                return collect([result], watch)
            return watch.answer(str(result["content"]), cut=result["stop_type"] == "limit")

        return await run_all(calls, in_threads(work))

    def _stream(self, body: dict[str, Any], watch: Watch) -> Answer:
        from benchmarks import sse

        address = urllib.parse.urlsplit(self.server.listening_address)
        said, cut = [], False
        for event in sse.stream(str(address.hostname), int(address.port or 80), "/completion", body):
            if event["content"]:
                watch.piece()
            said.append(event["content"])
            cut = cut or event.get("stop_type") == "limit"
        return watch.answer("".join(said), cut=cut)

    def facts(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        del self.server
