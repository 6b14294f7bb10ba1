"""A short life of the whole package: run by test_without_posix.py, and by hand on any machine (``python tests/portability/life.py HOME``).

With ``--without-posix`` what Windows lacks is hidden first.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import pkgutil
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path

TINY = "local/llama/parlant-local-tiny"
QUESTION = "What is the capital of France?"


def main(home: Path) -> None:
    # With -X warn_default_encoding: text without an encoding is the system's, which is not UTF-8 everywhere.
    warnings.filterwarnings("error", category=EncodingWarning, module=r"parlant_local\b")
    os.environ.update(PARLANT_LOCAL_HOME=str(home), HF_HOME=str(home / "hub"), OLLAMA_MODELS=str(home / "ollama"))
    imported = import_everything()
    done(f"{imported} modules")
    asyncio.run(generate())
    done("generated, rendered")
    asyncio.run(keep_prefixes(home / "kept"))
    done("a prefix came back from disk")
    asyncio.run(catalogue(home))
    done("catalogued, vetted, refused while in use, deleted")
    decode_pictures()
    done("decoded, and refused what is none")
    asyncio.run(interrupt())
    done("interrupted")
    serve()
    done("served, and stopped")


def done(what: str) -> None:
    print(what, flush=True)


def import_everything() -> int:
    import parlant_local

    names = [
        found.name
        for found in pkgutil.walk_packages(parlant_local.__path__, "parlant_local.")
        if not found.name.endswith("__main__")
    ]
    for name in names:
        importlib.import_module(name)
    for name in parlant_local.__all__:
        getattr(parlant_local, name)
    return len(names)


async def generate() -> None:
    from parlant_local import LlamaCppBackend, Message

    async with LlamaCppBackend(model=TINY) as backend:
        reply = await backend.chat([Message.system("Answer in a word."), Message.user(QUESTION)])
        assert "Paris" in reply.content, reply


async def keep_prefixes(folder: Path) -> None:
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.requests import GenerationRequest
    from parlant_local.settings import EngineSettings
    from parlant_local.shipped import shipped_file

    static = "The agent follows each guideline whose condition applies. " * 20
    for life, sessions in enumerate((("anna", "ben"), ("carl",))):
        engine = LlamaEngine(shipped_file(), settings=EngineSettings(n_threads=1), prefix_dir=folder)
        for session in sessions:
            request = GenerationRequest(f"{static}\n{session} asks.", 2, prefix_group="schema", session=session)
            answer = await engine.generate(request)
        await engine.close()
        if life:
            assert answer.timings.reused_tokens >= 64, answer.timings


async def catalogue(home: Path) -> None:
    from parlant_local import LlamaCppBackend, LocalModelManager
    from parlant_local.errors import ModelInUseError
    from parlant_local.gguf_info import in_use
    from parlant_local.shipped import shipped_file

    manager = LocalModelManager()
    await manager.initialize()
    source = Path(shutil.copyfile(shipped_file(), home / "other.gguf"))
    model = await manager.register_model(source, copy=True, name="Aux: a model?")
    assert model.path is not None
    async with LlamaCppBackend(model=model.id, manager=manager) as backend:  # a file of unknown origin: tried first
        assert "Paris" in (await backend.chat(QUESTION)).content
        with in_use.hold(model.paths) as locked:
            try:
                await manager.delete_model(model.id)
                assert not locked, "deleted under a lock"
                return  # no locks are to be had here
            except ModelInUseError:
                assert locked
    await manager.delete_model(model.id)
    assert not model.path.exists()


def decode_pictures() -> None:
    from PIL import Image as Pillow

    from parlant_local.engine.media.decoding import decode
    from parlant_local.engine.media.inputs import Image
    from parlant_local.errors import BadRequestError
    from parlant_local.settings import MediaSettings

    def width(data: bytes) -> int:
        try:
            picture = decode(data, "image", MediaSettings(), rate=16_000, stopped=threading.Event())
        except BadRequestError:
            return 0
        return picture.width if isinstance(picture, Image) else 0

    file = io.BytesIO()
    Pillow.new("RGB", (8, 4), "red").save(file, "PNG")
    assert [width(data) for data in (file.getvalue(), b"none", file.getvalue())] == [8, 0, 8]


async def interrupt() -> None:
    from parlant_local.agent.interruption import until_interrupted

    asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGINT)
    assert await until_interrupted(asyncio.sleep(60))


def serve() -> None:
    from parlant_local.server.serving import serve as serve_until_stopped
    from parlant_local.settings import load_settings

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers: list[str] = []

    def chat() -> None:
        import openai

        try:
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
                answers.append(_first_answer(client) or "")
        finally:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C does

    asking = threading.Thread(target=chat)
    asking.start()
    serve_until_stopped(load_settings(overrides={"server.port": port, "model": TINY}))
    asking.join()
    assert answers, "no answer"
    assert "Paris" in answers[0]


def _first_answer(client: object) -> str | None:
    import openai

    assert isinstance(client, openai.OpenAI)
    for _ in range(300):
        try:
            found = client.chat.completions.create(model=TINY, messages=[{"role": "user", "content": QUESTION}])
            return found.choices[0].message.content
        except openai.APIConnectionError:
            time.sleep(0.1)  # it is starting
    return None


if __name__ == "__main__":
    if "--without-posix" in sys.argv:
        sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
        import without_posix

        without_posix.install()
        without_posix.hide_from_helpers()
    main(Path(sys.argv[1]))
