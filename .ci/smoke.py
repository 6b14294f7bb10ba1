"""Use an installed parlant-local as a stranger would. Runs in that environment, away from any checkout: ``smoke.py base|binary|all``."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import parlant_local

TINY = "local/llama/parlant-local-tiny"
QUESTION = "What is the capital of France?"


def main() -> None:
    where = Path(parlant_local.__file__).resolve()
    assert "site-packages" in where.parts, f"This is not the installed package but {where}"
    assert (where.parent / "py.typed").exists()
    assert importlib.metadata.version("parlant-local") == parlant_local.__version__
    command("--version", says=parlant_local.__version__)
    if sys.argv[1] == "base":
        asks_for_an_extra("generate", TINY, QUESTION)
    else:
        command("generate", TINY, QUESTION, says="Paris")
        asyncio.run(ask())
    if sys.argv[1] == "all":
        for name in parlant_local.__all__:
            getattr(parlant_local, name)
        asyncio.run(serve())
        asyncio.run(speak_to_parlant())
    else:
        missing("parlant_local.LlamaService", "parlant-local[parlant]")
    print(
        f"{sys.argv[1]}: parlant-local {parlant_local.__version__} works on Python {sys.version.split()[0]}", flush=True
    )


def command(*arguments: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "parlant_local", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert says in done.stdout, f"{arguments}: {done.stdout}"


def asks_for_an_extra(*arguments: str) -> None:
    """Without llama.cpp, models don't run in this process; the way to get it is told in words."""
    done = subprocess.run(
        [sys.executable, "-m", "parlant_local", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done
    assert 'pip install "parlant-local[binary]"' in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def missing(name: str, extra: str) -> None:
    """What an extra brings is asked for by that extra's name."""
    code = f"import parlant_local; {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert extra in done.stderr, f"{name} without its extra says: {done.stderr[-500:]}"


async def ask() -> None:
    from parlant_local import LlamaCppBackend, Message, ResponseFormat

    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    async with LlamaCppBackend(model=TINY) as backend:
        reply = await backend.chat(QUESTION)
        assert "Paris" in reply.content, reply
        bound = await backend.chat([Message.user(QUESTION)], response_format=ResponseFormat.json_schema(schema))
        assert isinstance(json.loads(bound.content)["city"], str)


async def serve() -> None:
    """The server in a process of its own, asked by the real client."""
    import openai

    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parlant_local", "serve", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            address = await address_of(server)
            async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
                asked = [{"role": "user", "content": QUESTION}]
                answer = await client.chat.completions.create(model=TINY, messages=asked)  # type: ignore[arg-type]
                assert "Paris" in (answer.choices[0].message.content or ""), answer
    finally:
        server.terminate()
        await server.wait()


async def address_of(server: asyncio.subprocess.Process) -> str:
    assert server.stdout is not None
    said = ""
    async for line in server.stdout:
        said += line.decode()
        if found := re.search(r"http://127\.0\.0\.1:\d+", said):
            return found.group()
    raise AssertionError(f"The server ended: {said}")


async def speak_to_parlant() -> None:
    from pydantic import BaseModel

    from parlant_local import LlamaService, LocalModelManager

    class City(BaseModel):
        city: str

    manager = LocalModelManager()
    await manager.initialize()
    service = LlamaService(model_manager=manager, model_id=TINY)
    generator = await service.get_schematic_generator(City)
    result = await generator.generate(QUESTION)
    assert isinstance(result.content, City), result


if __name__ == "__main__":
    main()
