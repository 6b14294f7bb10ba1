"""Which models make pictures: what the settings name, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parlant_local.errors import ConfigurationError, ModelNotFoundError, PluginError
from parlant_local.images import ImageBackend, ImageDirectory, ImageModel, ImageReply, ImageRequest, OnProgress, Picture
from parlant_local.images.registry import IMAGE_BACKENDS
from parlant_local.settings import Settings
from tests.images.conftest import Opening
from tests.support.sd_server import SdServer


def directory(**settings: Any) -> ImageDirectory:
    endpoints = {
        "endpoints.sd.base_url": "http://127.0.0.1:9",
        "endpoints.cloud.base_url": "https://images.example.org/v1",
    }
    return ImageDirectory(Settings.load(**{**endpoints, **settings}))


def names(found: ImageDirectory) -> list[str]:
    return [model.id for model in found.models()]


def test_the_default_one_comes_first() -> None:
    found = directory(**{"images.model": "sd", "images.served": ["cloud/flux", "sd"]})
    assert names(found) == ["sd", "cloud/flux"]
    assert found.backend().model_info().id == "sd"
    assert found.backend("cloud/flux").model_info().remote
    assert found.backend("sd") is found.backend()


def test_one_is_the_default_and_several_are_not() -> None:
    assert directory(**{"images.served": ["sd"]}).backend().model_info().id == "sd"
    with pytest.raises(ModelNotFoundError, match=r"Set images\.model to one of sd, cloud/flux"):
        directory(**{"images.served": ["sd", "cloud/flux"]}).backend()
    with pytest.raises(ModelNotFoundError, match="Endpoints that are configured: sd, cloud"):
        directory().backend()


@pytest.mark.parametrize("name", ["cloud/dall-e-3", "cloud", "openai/gpt-image-1", "sd/other", "../sd", "", "local/x"])
def test_what_is_not_configured_can_not_be_named(name: str) -> None:
    found = directory(**{"images.model": "sd", "images.served": ["cloud/flux"]})
    with pytest.raises(ModelNotFoundError, match="makes pictures here"):
        found.backend(name)


def test_both_names_of_an_sd_server() -> None:
    assert directory(**{"images.model": "sd"}).backend("sd/sd-cpp-local").model_info().id == "sd"


def test_a_model_whose_settings_are_wrong_is_left_out() -> None:
    found = directory(**{"images.model": "sd", "images.served": ["nowhere/flux", "openai"]})
    assert names(found) == ["sd"]
    with pytest.raises(ModelNotFoundError, match="no endpoint is called 'nowhere'"):
        found.backend("nowhere/flux")


def test_an_endpoints_key_in_a_file_is_refused(tmp_path: Any) -> None:
    config = tmp_path / "config.yml"
    config.write_text("endpoints: {sd: {base_url: 'http://127.0.0.1:9', api_key: sk-123}}\nimages: {model: sd}\n")
    with pytest.raises(ConfigurationError, match="keys do not belong in settings files"):
        ImageDirectory(Settings.load(config)).backend()


async def test_requests_at_once_ask_once_what_an_endpoint_is(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    request = ImageRequest("a cat", width=64, height=64)
    await asyncio.gather(*(backend.generate(request) for _ in range(5)))
    assert sd_server.calls("/sdcpp/v1/capabilities") == 1


async def test_a_server_that_comes_back_as_another_is_asked_again(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    request = ImageRequest("a cat", width=64, height=64)
    await backend.generate(request)
    await sd_server.stop()
    with pytest.raises(Exception, match="can't be reached"):
        await backend.generate(request)
    await sd_server.start()
    await backend.generate(request)
    assert sd_server.calls("/sdcpp/v1/capabilities") == 2


class Painter(ImageBackend):
    """As a plug-in brings it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def from_reference(cls, name: str, context: Any) -> Painter:
        if name == "broken":
            raise KeyError(context.prefix)
        return cls(name)

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        return ImageReply((Picture(b"", 1, 1),), self.name)

    def model_info(self) -> ImageModel:
        return ImageModel(f"painter/{self.name}")


class Point:
    """An entry point of an installed package."""

    def __init__(self) -> None:
        self.name, self.value, self.module, self.group, self.dist = (
            "painter",
            "x:Painter",
            "x",
            "parlant_local.image_backends",
            None,
        )

    def load(self) -> type[ImageBackend]:
        return Painter


async def test_a_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from parlant_local import registry

    monkeypatch.setattr(registry, "_installed", lambda _group, _path: {"painter": [Point()]})
    found = directory(**{"images.model": "painter/oil", "images.served": ["painter/broken"]})
    assert names(found) == ["painter/oil"]
    assert (await found.backend().generate(ImageRequest("a cat"))).model == "oil"
    with pytest.raises(PluginError, match="failed: KeyError"):
        found.backend("painter/broken")
    assert "painter" in IMAGE_BACKENDS


def test_an_image_backend_of_ones_own_can_leave_out_references() -> None:
    class Own(ImageBackend):
        async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
            raise NotImplementedError

        def model_info(self) -> ImageModel:
            return ImageModel("own")

    with pytest.raises(ConfigurationError, match="no models that a reference can name"):
        Own.from_reference("x", None)  # type: ignore[arg-type]  # it is not read
    assert repr(Own()) == "Own('own')"
