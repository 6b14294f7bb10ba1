"""Programs that use parlant_local as its users do. Never run: mypy, strict, has to accept each line, and to refuse what is marked.

A mark (``type: ignore`` with its code) that is no longer needed is a failure too, so what is refused stays refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

import parlant.sdk as p
from parlant.core.common import DefaultBaseModel
from pydantic import BaseModel

import parlant_local
from parlant_local import (
    ConsoleLogger,
    LlamaCppBackend,
    LlamaService,
    LocalModel,
    LocalModelManager,
    Message,
    ModelSwitcher,
    ModelType,
    NLPServiceFactory,
    OllamaBackend,
    OpenAIBackend,
    ParlantLocalError,
    ResponseFormat,
    Settings,
    create_backend,
)
from parlant_local.backends.base import Backend
from parlant_local.messages import ChatChunk, ChatReply


class City(DefaultBaseModel):
    name: str
    people: int


class Plain(BaseModel):
    name: str


async def catalogue() -> None:
    manager = LocalModelManager(logger=ConsoleLogger())
    await manager.initialize()
    assert_type(manager.list_models(ModelType.LLAMA), list[LocalModel])
    model = await manager.download_model("llama3.2:3b", source="ollama")
    assert_type(model, LocalModel)
    assert_type(model.id, str)
    assert_type(manager.get_model("local/llama/parlant-local-tiny"), LocalModel)
    await manager.download_model(3)  # type: ignore[arg-type]  # a reference is a text


async def chat() -> None:
    async with LlamaCppBackend(model="local/llama/parlant-local-tiny", n_ctx=8192) as backend:
        reply = await backend.chat("Hello", temperature=0.0, max_tokens=16)
        assert_type(reply, ChatReply)
        assert_type(reply.content, str)
        await backend.chat([Message.system("Be brief."), Message.user("Hello")])
        await backend.chat("As JSON.", response_format=ResponseFormat.json_schema(City.model_json_schema()))
        await backend.chat("Hello", temperature="warm")  # type: ignore[arg-type]  # a number
        await backend.chat("Hello", warmth=1.0)  # type: ignore[call-arg]  # no such option
        async for chunk in backend.chat_stream("Hello"):
            assert_type(chunk, ChatChunk)
            assert_type(chunk.delta.content, str)


async def any_backend(backend: Backend) -> str:
    return (await backend.chat("Hello")).content


async def every_backend() -> None:
    await any_backend(LlamaCppBackend(model_path="m.gguf"))
    await any_backend(OllamaBackend(model="llama3.2:3b"))
    await any_backend(OpenAIBackend(model="gpt-4o", api_key="…"))
    await any_backend(create_backend("llamacpp", model_path="m.gguf"))
    await any_backend("llamacpp")  # type: ignore[arg-type]  # not a backend but the name of one


async def service(manager: LocalModelManager) -> City:
    llama = LlamaService(model_manager=manager, model_id="local/llama/parlant-local-tiny")
    generator = await llama.get_schematic_generator(City)
    result = await generator.generate("Tell of a city.")
    assert_type(result.content, City)
    await llama.get_schematic_generator(Plain)  # type: ignore[type-var]  # works, but Parlant's own signature wants its base
    return result.content


async def stream(manager: LocalModelManager) -> AsyncIterator[str]:
    texts = await LlamaService(model_manager=manager).get_streaming_text_generator()
    async for piece in texts.generate("Hello").stream:
        if piece is not None:
            yield piece


async def switcher(manager: LocalModelManager) -> None:
    switcher = ModelSwitcher(model_manager=manager, default_model_id="local/llama/a", fallback_model_id="openai/gpt-4o")
    await switcher.initialize()
    switcher.set_model("local/deepseek/b")


async def agent() -> None:
    factory = NLPServiceFactory(logger=ConsoleLogger())
    await factory.create_service("llama")
    async with p.Server(nlp_service=parlant_local.nlp_service) as server:
        await server.create_agent(name="Paige", description="You help.")


def errors_and_settings() -> None:
    try:
        assert_type(Settings(), Settings)
    except ParlantLocalError as error:
        assert_type(error.hint, str)
    assert_type(parlant_local.__version__, str)
    print(parlant_local.LamaService)  # type: ignore[attr-defined]  # mistyped
