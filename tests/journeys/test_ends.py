"""How things end that nobody closed: the interpreter says nothing and hangs on nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAD = """
import asyncio, sys, threading
from pathlib import Path
from parlant_local import LlamaCppBackend, LlamaService, ModelSwitcher, Settings
from parlant_local.observability import NullLogger
TINY = "local/llama/parlant-local-tiny"
settings = Settings.load()
"""

_ENDS = {
    "a backend": """
async def main():
    global backend
    backend = LlamaCppBackend(TINY, settings=settings)
    await backend.chat("Hello", max_tokens=3)
asyncio.run(main())
""",
    "a backend that was never loaded": """
backend = LlamaCppBackend(TINY, settings=settings)
""",
    "a backend in the middle of an answer": """
async def main():
    global backend
    backend = LlamaCppBackend(TINY, settings=settings)
    task = asyncio.ensure_future(backend.chat("Hello " * 400, max_tokens=500))
    await asyncio.sleep(1)
asyncio.run(main())
""",
    "an answer in a thread": """
backend = LlamaCppBackend(TINY, settings=settings).sync
threading.Thread(target=lambda: backend.chat("Hello " * 400, max_tokens=2000), daemon=True).start()
import time; time.sleep(1)
""",
    "a stream that a script has half read": """
backend = LlamaCppBackend(TINY, settings=settings).sync
stream = backend.chat_stream("Hello", max_tokens=500)
next(stream)
""",
    "a synchronous backend": """
backend = LlamaCppBackend(TINY, settings=settings).sync
backend.chat("Hello", max_tokens=3)
""",
    "a service": """
async def main():
    global service
    service = LlamaService(model_id=TINY, settings=settings, logger=NullLogger())
    await (await service.get_schematic_generator(dict)).generate("Hello")
try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__)
""",
    "a switcher": """
async def main():
    global switcher
    switcher = ModelSwitcher(default_model_id=TINY, fallback_model_id="ollama/none:1b", settings=settings, logger=NullLogger())
    await switcher.initialize()
    stream = (await switcher.get_streaming_text_generator()).generate("Hello").stream
    async for piece in stream:
        break
asyncio.run(main())
""",
    "an embedder": """
async def main():
    global service
    from parlant_local.nlp.llama import gguf_backend
    service = LlamaService(model_id=TINY, settings=settings, logger=NullLogger(), embedding_backend=gguf_backend(TINY, settings))
    await (await service.get_embedder()).embed(["a"])
asyncio.run(main())
""",
    "a load that goes on": """
async def main():
    global backend
    backend = LlamaCppBackend(TINY, settings=settings)
    task = asyncio.ensure_future(backend.load())
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
}


@pytest.mark.parametrize("what", _ENDS)
def test_an_interpreter_that_ends_with_it_open_says_nothing(what: str, tmp_path: Path) -> None:
    code = _HEAD + _ENDS[what] + "\nprint('END', flush=True)\n"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=_environment(tmp_path),
    )
    said = [line for line in done.stderr.splitlines() if line and not line.startswith("Executing <")]
    assert done.returncode == 0, done.stderr
    assert said == []
    assert done.stdout.endswith("END\n")


def _environment(home: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PARLANT_LOCAL_HOME": str(home), "PARLANT_HOME": str(home / "parlant")}
