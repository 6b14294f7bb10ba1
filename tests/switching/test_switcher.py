"""ModelSwitcher and the services over it, as the host sees them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from parlant.core.common import DefaultBaseModel
from parlant.core.nlp.generation import SchematicGenerator
from parlant.core.nlp.service import ModelSize, NLPService

from parlant_local.errors import (
    AllTargetsFailedError,
    CloudNotAllowedError,
    ConfigurationError,
    EmbeddingIdentityError,
    ModelNotFoundError,
    SettingsError,
    TargetDownError,
)
from parlant_local.nlp import DeepSeekService, ModelSwitcher, OllamaService, OpenAIService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.observability import NullLogger
from parlant_local.switching import CallRecord
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI
from tests.fakes.simulated import Clock
from tests.support.eventually import eventually

from .conftest import Configure


class City(DefaultBaseModel):
    capital: str
    inhabitants: int
    river: str | None = None


def switcher(configure: Configure, **arguments: Any) -> ModelSwitcher:
    settings = arguments.pop("settings", None) or configure()
    return ModelSwitcher(settings=settings, logger=NullLogger(), **arguments)


async def test_it_is_an_nlp_service_that_answers_in_every_way(configure: Configure) -> None:
    service = switcher(configure, default_model_id="ollama/m")
    assert isinstance(service, NLPService)
    await service.initialize()
    result = await (await service.get_schematic_generator(City)).generate("Which city?")
    assert result.content == City(capital="Paris", inhabitants=7, river=None) or result.content.capital == "Paris"
    assert result.info.model == "ollama/m"
    assert result.info.usage.input_tokens > 0
    stream = (await service.get_streaming_text_generator()).generate("Say something.")
    pieces = [piece async for piece in stream.stream]
    assert "Paris" in "".join(piece for piece in pieces if piece)
    assert pieces[-1] is None
    vectors = (await (await service.get_embedder()).embed(["hello"])).vectors
    assert len(vectors) == 1
    await service.close()


async def test_generators_handed_out_once_follow_every_later_choice(configure: Configure) -> None:
    service = switcher(configure, default_model_id="ollama/m", fallback_model_id="vllm/m")
    generator = await service.get_schematic_generator(City)
    streamer = await service.get_streaming_text_generator()

    async def answering() -> str:
        return (await generator.generate("Which city?")).info.model

    assert await answering() == "ollama/m"
    service.set_model("vllm/m")
    assert await answering() == "vllm/m"
    assert generator.id == "vllm/m"
    assert streamer.id == "vllm/m"
    service.set_model("ollama/m:latest")
    assert await answering() == "ollama/m:latest"
    await service.close()


async def test_a_dead_primary_is_replaced_and_comes_back(configure: Configure, daemon: FakeOllama) -> None:
    clock = Clock()
    settings = configure(**{"switcher.max_attempts": 1})
    service = switcher(configure, settings=settings, default_model_id="ollama/m", fallback_model_id="vllm/m")
    service._routed._clock = service._routed._attempts._clock = clock
    generator = await service.get_schematic_generator(City)
    assert await _model(generator) == "ollama/m"
    await daemon.stop()
    assert [await _model(generator) for _ in range(10)] == ["vllm/m"] * 10
    failures = service.stats()["switcher"]["targets"]["ollama/m"]["failures"]
    assert failures == {"TargetDownError": 3}
    await daemon.start()
    clock.now += settings.switcher.breaker.cooldown_seconds
    assert await _model(generator) == "ollama/m"
    assert service.stats()["switcher"]["targets"]["vllm/m"]["fallbacks"] == 10
    await service.close()


async def test_a_stream_falls_back_before_its_first_word(configure: Configure, daemon: FakeOllama) -> None:
    service = switcher(configure, default_model_id="ollama/m", fallback_model_id="vllm/m")
    streamer = await service.get_streaming_text_generator()
    await daemon.stop()
    result = streamer.generate("Say something.")
    assert "Paris" in "".join([piece async for piece in result.stream if piece])
    await service.close()


async def test_the_fallback_is_optional(configure: Configure, daemon: FakeOllama) -> None:
    service = switcher(configure, default_model_id="ollama/m")
    generator = await service.get_schematic_generator(City)
    await daemon.stop()
    with pytest.raises(TargetDownError):
        await generator.generate("Which city?")
    service.set_fallbacks("vllm/m")
    assert await _model(generator) == "vllm/m"
    service.set_fallbacks()
    with pytest.raises(TargetDownError):
        await generator.generate("Which city?")
    await service.close()


async def test_an_id_that_means_nothing_is_told_at_once(configure: Configure) -> None:
    with pytest.raises(ModelNotFoundError):
        switcher(configure, default_model_id="local/llama/no-such-model")
    service = switcher(configure, default_model_id="ollama/m")
    with pytest.raises(ModelNotFoundError, match="parlant-local-tiny"):
        service.set_model("local/llama/parlant-local-tinny")
    assert service.model == "ollama/m"


async def test_a_cloud_fallback_is_listed_as_blocked_and_never_asked(configure: Configure, daemon: FakeOllama) -> None:
    service = switcher(configure, default_model_id="ollama/m", fallback_model_id="openai/gpt-4o")
    listed = {item.id: item for item in service.list_available_models()}
    assert listed["openai/gpt-4o"].blocked
    assert listed["ollama/m"].primary
    assert not listed["ollama/m"].remote
    assert SHIPPED_MODEL_ID in listed
    with pytest.raises(CloudNotAllowedError):
        service.set_model("openai/gpt-4o")
    generator = await service.get_schematic_generator(City)
    await daemon.stop()
    with pytest.raises(AllTargetsFailedError) as caught:
        await generator.generate("Which city?")
    assert any(isinstance(cause, CloudNotAllowedError) for cause in caught.value.causes.exceptions)
    await service.close()


async def test_hints_choose_by_what_the_owner_said_of_the_models(configure: Configure) -> None:
    targets = {"ollama/m": {"model_size": "nano"}, "vllm/m": {"model_size": "large", "model_type": "reasoning"}}
    settings = configure(**{"switcher.targets": targets})
    service = switcher(configure, settings=settings, default_model_id="ollama/m", fallback_model_id="vllm/m")
    assert await _model(await service.get_schematic_generator(City)) == "ollama/m"
    assert await _model(await service.get_schematic_generator(City, {"model_size": ModelSize.LARGE})) == "vllm/m"
    assert await _model(await service.get_schematic_generator(City, {"model_size": ModelSize.AUTO})) == "ollama/m"
    assert await _model(await service.get_schematic_generator(City, {"model_type": "reasoning"})) == "ollama/m"
    await service.close()


async def test_switching_the_embedding_model_is_an_error_that_says_what_to_do(configure: Configure) -> None:
    service = switcher(configure, default_model_id="ollama/m")
    with pytest.raises(EmbeddingIdentityError, match="restart"):
        service.set_embedding_model("ollama/nomic-embed-text")


async def test_attempts_are_told_to_the_observer_and_the_hosts_trace(configure: Configure, daemon: FakeOllama) -> None:
    records: list[CallRecord] = []
    service = switcher(configure, default_model_id="ollama/m", fallback_model_id="vllm/m", observer=records.append)
    generator = await service.get_schematic_generator(City)
    await daemon.stop()
    await generator.generate("Which city?")
    assert [(record.target, record.schema, record.error) for record in records] == [
        ("ollama/m", "City", "TargetDownError"),
        ("vllm/m", "City", None),
    ]
    await service.close()


# The model that comes with the package, really loaded


@pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning")  # llguidance still calls it
async def test_a_model_in_this_process_is_swapped_out_and_its_memory_given_back(configure: Configure) -> None:
    service = switcher(configure, default_model_id=SHIPPED_MODEL_ID, fallback_model_id="vllm/m")
    generator = await service.get_schematic_generator(City)
    assert await _model(generator) == SHIPPED_MODEL_ID
    assert {item.id for item in service.list_available_models() if item.loaded} == {SHIPPED_MODEL_ID}
    slow = [asyncio.ensure_future(_model(generator)) for _ in range(4)]
    await eventually(lambda: service._routed._pool.in_use[SHIPPED_MODEL_ID] == len(slow))
    engine: Any = service._routed._pool.peek(SHIPPED_MODEL_ID)
    service.set_model("ollama/m")
    assert await _model(generator) == "ollama/m"
    assert await asyncio.gather(*slow) == [SHIPPED_MODEL_ID] * 4
    await service._routed.drained()
    assert service._routed._pool.peek(SHIPPED_MODEL_ID) is None
    assert not engine.model_info().loaded
    service.set_model(SHIPPED_MODEL_ID)
    assert await _model(generator) == SHIPPED_MODEL_ID
    await service.close()


# The other services


async def test_ollama_service_serves_one_model_of_the_daemon(configure: Configure, daemon: FakeOllama) -> None:
    service = OllamaService("m", num_ctx=4096, settings=configure(), logger=NullLogger())
    assert await _model(await service.get_schematic_generator(City)) == "ollama/m"
    assert {r.body["options"]["num_ctx"] for r in daemon.requests if r.path == "/api/chat"} == {4096}
    generator = await service.get_schematic_generator(City)
    assert generator.max_tokens == 4096
    assert await generator.tokenizer.estimate_token_count("some words") > 0
    await service.close()


async def test_openai_service_serves_any_endpoint(configure: Configure, vllm: FakeOpenAI) -> None:
    for service in (
        OpenAIService("m", endpoint="vllm", settings=configure(), logger=NullLogger()),
        OpenAIService("m", base_url=vllm.base_url, api_key="sk-local", settings=configure(), logger=NullLogger()),
    ):
        assert (await _model(await service.get_schematic_generator(City))).endswith("/m")
        await service.close()
    assert vllm.requests[-1].headers["authorization"] == "Bearer sk-local"
    with pytest.raises(SettingsError, match="vllm"):
        OpenAIService("m", endpoint="vlm", settings=configure())


async def test_openai_itself_needs_permission(configure: Configure) -> None:
    service = OpenAIService("gpt-4o", settings=configure(), logger=NullLogger())
    generator = await service.get_schematic_generator(City)
    with pytest.raises(CloudNotAllowedError, match="ALLOW_CLOUD"):
        await generator.generate("Which city?")


@pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning")
async def test_deepseek_service_refuses_another_family(configure: Configure) -> None:
    service = DeepSeekService(model_id=SHIPPED_MODEL_ID, settings=configure(), logger=NullLogger())
    with pytest.raises(Exception, match="not to DeepSeek"):
        await service.get_schematic_generator(City)
    await service.close()
    with pytest.raises(ModelNotFoundError, match="pull"):
        DeepSeekService(settings=configure(), logger=NullLogger())


async def test_services_without_a_model_say_so(configure: Configure) -> None:
    with pytest.raises(ConfigurationError, match="llama3"):
        OllamaService(settings=configure())
    with pytest.raises(ConfigurationError):
        OpenAIService(settings=configure())


async def test_a_key_in_a_settings_file_is_refused(tmp_path: Path) -> None:
    from parlant_local.settings import Settings

    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps({"endpoints": {"x": {"base_url": "http://127.0.0.1:1/v1", "api_key": "sk-in-a-file"}}}))
    settings = Settings.load(path, home=tmp_path)
    with pytest.raises(ConfigurationError, match="api_key_env") as caught:
        ModelSwitcher(default_model_id="x/m", settings=settings, logger=NullLogger())
    assert "sk-in" not in str(caught.value)


async def _model(generator: SchematicGenerator[Any]) -> str:
    return (await generator.generate("Which city?")).info.model
