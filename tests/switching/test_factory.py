"""Services by name, and which one is taken where nobody said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lagom import Container
from parlant.core.loggers import Logger as HostLogger
from parlant.core.meter import LocalMeter, Meter
from parlant.core.tracer import LocalTracer, Tracer
from parlant.sdk import NLPServiceConfigurationError

from parlant_local import NLPServiceFactory, nlp_service
from parlant_local.errors import ConfigurationError
from parlant_local.factory import model_backend
from parlant_local.nlp import LlamaService, ModelSwitcher, OllamaService, OpenAIService
from parlant_local.nlp.host import as_host_logger
from parlant_local.nlp.service import SHIPPED_MODEL_ID, LocalNLPService
from tests.fakes.ollama import FakeOllama
from tests.support.gguf_models import llama, qwen2

from .conftest import Configure
from .test_routed import Lines


def factory(configure: Configure, log: Any = None, **settings: Any) -> NLPServiceFactory:
    return NLPServiceFactory(logger=log or Lines(), settings=configure(**settings))


async def test_every_name_makes_its_service(configure: Configure) -> None:
    made = factory(configure)
    await made.initialize()
    assert type(await made.create_service("llama", model_id=SHIPPED_MODEL_ID)) is LlamaService
    assert type(await made.create_service("ollama", model="m")) is OllamaService
    assert type(await made.create_service("openai", model="m", endpoint="vllm")) is OpenAIService
    switcher = await made.create_service("model_switcher", default_model_id="ollama/m", fallback_model_id="vllm/m")
    assert isinstance(switcher, ModelSwitcher)
    assert switcher.model == "ollama/m"


async def test_an_unknown_name_lists_the_known_ones(configure: Configure) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Did you mean 'ollama'\?.*deepseek, llama, model_switcher, ollama, openai"
    ):
        await factory(configure).create_service("olama")


async def test_a_registered_service_is_made_by_its_name(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    from parlant_local.factory import SERVICES

    monkeypatch.setattr(SERVICES, "_entries", dict(SERVICES._entries))
    NLPServiceFactory.register("mine", lambda **arguments: ("made", sorted(arguments)))  # type: ignore[arg-type, return-value]  # any object will do
    made: Any = await factory(configure).create_service("mine")
    assert made == ("made", ["container", "logger", "settings"])


async def test_what_is_wrong_with_a_model_is_told_the_hosts_way(configure: Configure) -> None:
    with pytest.raises(NLPServiceConfigurationError, match="no-such"):
        await factory(configure).create_service("llama", model_id="local/llama/no-such")


# The default, rule by rule


async def test_a_configured_model_comes_first(configure: Configure) -> None:
    log = Lines()
    service = await factory(configure, log, model="vllm/m").create_default_service()
    assert isinstance(service, ModelSwitcher)
    assert service.model == "vllm/m"
    assert "Using vllm/m: it is configured (argument)." in log.lines


async def test_the_largest_catalogued_model_that_fits_comes_next(configure: Configure, tmp_path: Path) -> None:
    log = Lines()
    made = factory(configure, log)
    await made.model_manager.register_model(llama(tmp_path / "small.gguf", width=32))
    larger = await made.model_manager.register_model(qwen2(tmp_path / "larger.gguf", width=64))
    service = await made.create_default_service()
    assert isinstance(service, LlamaService)
    assert service.backend.model_info().id in (larger.id, str(larger.path))
    assert any(f"Using {larger.id}" in line and "fits in memory" in line for line in log.lines)


async def test_then_a_daemon_on_this_machine(configure: Configure, daemon: FakeOllama) -> None:
    daemon.models = {"chatty:7b": 1}
    log = Lines()
    service = await factory(configure, log).create_default_service()
    assert isinstance(service, ModelSwitcher)
    assert service.model == "ollama/chatty:7b"


async def test_embedding_and_cloud_models_of_a_daemon_do_not_count(configure: Configure, daemon: FakeOllama) -> None:
    daemon.capabilities = ["embedding"]
    assert (await _default(configure)) == SHIPPED_MODEL_ID
    daemon.capabilities = ["completion"]
    daemon.models = {"gpt-oss:120b-cloud": 1}
    assert (await _default(configure)) == SHIPPED_MODEL_ID


async def test_a_daemon_on_another_host_is_not_even_asked(configure: Configure, forbid_sockets: list[Any]) -> None:
    assert (await _default(configure, **{"ollama.host": "192.0.2.7"})) == SHIPPED_MODEL_ID
    assert forbid_sockets == []


async def test_then_a_configured_cloud_where_it_is_allowed(configure: Configure, daemon: FakeOllama) -> None:
    await daemon.stop()
    fallbacks = {"switcher.fallbacks": ["openai/gpt-4o"]}
    assert (await _default(configure, **fallbacks, **{"switcher.allow_cloud": "always"})) == "openai/gpt-4o"
    assert (await _default(configure, **fallbacks, **{"switcher.allow_cloud": "fallback"})) == SHIPPED_MODEL_ID
    assert (await _default(configure, **fallbacks)) == SHIPPED_MODEL_ID


async def test_the_shipped_model_comes_last_and_with_a_notice(configure: Configure, daemon: FakeOllama) -> None:
    await daemon.stop()
    log = Lines()
    service = await factory(configure, log).create_default_service()
    assert isinstance(service, LlamaService)
    assert any("recommend" in line for line in log.lines)


# For p.Server


def _container() -> Container:
    container = Container()
    logger = as_host_logger(Lines())
    container[HostLogger] = logger  # type: ignore[type-abstract]  # as the host registers it
    container[Tracer] = LocalTracer()  # type: ignore[type-abstract]  # as above
    container[Meter] = LocalMeter(logger)  # type: ignore[type-abstract]  # as above
    return container


def test_the_hosts_factory_is_synchronous_and_follows_the_settings(configure: Configure) -> None:
    service = nlp_service(_container(), settings=configure(model=SHIPPED_MODEL_ID))
    assert isinstance(service, LlamaService)
    service = nlp_service(
        _container(), settings=configure(model=SHIPPED_MODEL_ID, **{"switcher.fallbacks": ["vllm/m"]})
    )
    assert isinstance(service, ModelSwitcher)
    assert isinstance(service, LocalNLPService)


def test_bad_configuration_is_what_the_host_shows_in_a_panel(configure: Configure) -> None:
    for settings in ({"model": "local/llama/nothing"}, {"model": SHIPPED_MODEL_ID, "switcher.fallbacks": ["nobody/m"]}):
        with pytest.raises(NLPServiceConfigurationError):
            nlp_service(_container(), settings=configure(**settings))


async def test_the_demonstrations_backend_follows_the_same_rules(configure: Configure, daemon: FakeOllama) -> None:
    model, backend = await asyncio.to_thread(model_backend, configure())
    assert model == "ollama/m:latest"
    assert (await backend.chat("hello")).content
    await backend.close()
    await daemon.stop()
    assert model_backend(configure())[0] == SHIPPED_MODEL_ID


async def _default(configure: Configure, **settings: Any) -> str:
    log = Lines()
    await factory(configure, log, **settings).create_default_service()
    line = next(line for line in log.lines if line.startswith("Using "))
    return line.removeprefix("Using ").split(": ")[0]
