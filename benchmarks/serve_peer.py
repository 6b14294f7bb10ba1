"""One system in a process of its own: commands come as lines of JSON on standard input, answers go out the same way."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from benchmarks.embedders import LlamaEmbedder, OurEmbedder, XllamacppEmbedder
from benchmarks.systems import LlamaBehindLock, LlamaServer, Ours, Xllamacpp

SYSTEMS: dict[str, type[Any]] = {
    "ours": Ours,
    "llama_lock": LlamaBehindLock,
    "llama_server": LlamaServer,
    "xllamacpp": Xllamacpp,
    "ours, embedding": OurEmbedder,
    "llama, embedding": LlamaEmbedder,
    "xllamacpp, embedding": XllamacppEmbedder,
}

# Native libraries print where they like: answers get a descriptor of their own.
_OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(value: Any) -> None:
    _OUT.write(json.dumps(value) + "\n")
    _OUT.flush()


async def main(name: str) -> None:
    system = SYSTEMS[name]()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        match command["do"]:
            case "start":
                await system.start(command["model"], command.get("options", {}))
                answer("started")
            case "run":
                answer(await system.run(command["calls"]))
            case "embed":
                answer(await system.embed(command["texts"]))
            case "facts":
                answer(system.facts())
            case "count":
                answer(await system.count(command["calls"]))
            case "rates":
                answer(await system.rates(command["depth"]))
            case "stop":
                await system.stop()
                answer("stopped")
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
