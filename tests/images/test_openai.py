"""Endpoints that make pictures by OpenAI's API, and what each of them refuses."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from PIL import Image

from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    CloudNotAllowedError,
    InvalidOutputError,
    ParlantLocalError,
    RateLimitedError,
    TargetDownError,
    TransientError,
    UnsupportedCallError,
)
from parlant_local.images import ImageDirectory, ImageProgress, ImageRequest
from parlant_local.settings import Settings
from tests.fakes.http import Fault
from tests.fakes.images import PNG, FakeImages
from tests.images.conftest import Opening, file_of, opened
from tests.support.eventually import eventually

CAT = ImageRequest("a cat", width=64, height=64)
RED = file_of(Image.new("RGB", (96, 64), "red"))
MADE = "/v1/images/generations"


def sent(server: FakeImages) -> list[dict[str, Any]]:
    return [request.body for request in server.requests if request.path == MADE]


async def test_a_picture(opening: Opening) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux")
        reply = await backend.generate(CAT)
        assert opened(reply.pictures[0].data).size == (64, 64)
        assert (reply.model, reply.pictures[0].seed, reply.sampler) == ("sd/flux", None, None)
        assert sent(server) == [{"model": "flux", "prompt": "a cat", "size": "64x64", "response_format": "b64_json"}]
        await backend.generate(CAT)
        assert server.calls("/sdcpp/v1/capabilities") == 1  # asked once
        assert backend.model_info().loaded


async def test_what_servers_over_diffusers_take(opening: Opening) -> None:
    async with FakeImages() as server:
        request = ImageRequest("a cat", negative_prompt="dogs", steps=4, guidance=2.0, seed=9, count=2)
        await opening(server.base_url, "sd/flux").generate(request)
        [body] = sent(server)
        assert (
            body.items()
            >= {"negative_prompt": "dogs", "num_inference_steps": 4, "guidance_scale": 2.0, "seed": 9, "n": 2}.items()
        )
        with pytest.raises(UnsupportedCallError, match="takes no sampler"):
            await opening(server.base_url, "sd/flux").generate(ImageRequest("a cat", sampler="euler"))


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-1-mini", "chatgpt-image-latest"])
async def test_openais_newer_models_are_not_asked_for_base64(opening: Opening, model: str) -> None:
    async with FakeImages(refuses=("response_format", "seed")) as server:
        backend = opening(server.base_url, f"sd/{model}", **{"images.steps": 20, "images.guidance": 3.0})
        await backend.generate(CAT)
        assert sent(server) == [{"model": model, "prompt": "a cat", "size": "64x64"}]
        assert not backend.model_info().controls
        for wrong in ({"seed": 1}, {"steps": 5}, {"negative_prompt": "dogs"}, {"guidance": 1.0}):
            with pytest.raises(UnsupportedCallError, match="takes no"):
                await backend.generate(ImageRequest("a cat", **wrong))
        assert len(sent(server)) == 1


async def test_a_refused_response_format_is_left_out_from_then_on(opening: Opening) -> None:
    async with FakeImages(refuses=("response_format",)) as server:
        backend = opening(server.base_url, "sd/flux")
        for _ in range(2):
            await backend.generate(CAT)
        assert ["response_format" in body for body in sent(server)] == [True, False, False]


async def test_an_endpoint_that_makes_one_at_a_time_and_says_so(opening: Opening) -> None:
    async with FakeImages(most=1) as server:
        backend = opening(server.base_url, "sd/dall-e-3")
        seen: list[ImageProgress] = []
        reply = await backend.generate(ImageRequest("a cat", count=3), seen.append)
        assert len(reply.pictures) == 3
        assert [body.get("n") for body in sent(server)] == [3, None, None, None]
        assert [(moment.picture, moment.count) for moment in seen] == [(1, 3), (2, 3), (3, 3)]


async def test_an_endpoint_that_makes_one_whatever_is_asked(opening: Opening) -> None:
    async with FakeImages(ignores_n=True) as server:
        reply = await opening(server.base_url, "sd/flux").generate(ImageRequest("a cat", count=3, seed=5))
        assert len(reply.pictures) == 3
        assert [body["seed"] for body in sent(server)] == [5, 6, 7]


async def test_an_endpoint_that_makes_more_than_was_asked(opening: Opening) -> None:
    async with FakeImages() as server:
        server.items = [{"b64_json": base64.b64encode(PNG).decode()}] * 9
        assert len((await opening(server.base_url, "sd/flux").generate(CAT)).pictures) == 1


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
async def test_what_leaves_is_a_png(opening: Opening, form: str) -> None:
    async with FakeImages() as server:
        data = file_of(
            Image.new("RGB", (40, 30), "blue"), form, **({"exif": b"Exif\0\0secret"} if form == "JPEG" else {})
        )
        server.items = [{"b64_json": base64.b64encode(data).decode(), "seed": 12}]
        [picture] = (await opening(server.base_url, "sd/flux").generate(CAT)).pictures
        assert opened(picture.data).format == "PNG"
        assert (picture.width, picture.height, picture.seed) == (40, 30, 12)
        assert b"secret" not in picture.data


async def test_transparency_stays(opening: Opening) -> None:
    async with FakeImages() as server:
        server.items = [{"b64_json": base64.b64encode(file_of(Image.new("RGBA", (8, 8), (1, 2, 3, 4)))).decode()}]
        [picture] = (await opening(server.base_url, "sd/flux").generate(CAT)).pictures
        assert opened(picture.data).getpixel((0, 0)) == (1, 2, 3, 4)


async def test_an_address_of_its_own_is_fetched_and_no_other(opening: Opening) -> None:
    async with FakeImages() as server, FakeImages() as stranger:
        backend = opening(server.base_url, "sd/flux")
        server.items = [{"url": f"{server.url}/files/1.png"}]
        with pytest.raises(TargetDownError, match="404"):
            await backend.generate(CAT)
        for url in (
            f"{stranger.url}/1.png",
            "http://169.254.169.254/latest/meta-data",
            f"//{stranger.url.removeprefix('http://')}/1.png",
            "file:///etc/passwd",
            f"{server.url.replace('127.0.0.1', 'localhost')}/1.png",
            f"http://127.0.0.1:{server.url.rpartition(':')[2]}@example.org/1.png",
            "http://[::1",
        ):
            server.items = [{"url": url}]
            with pytest.raises(InvalidOutputError, match="isn't fetched"):
                await backend.generate(CAT)
        assert not stranger.requests


async def test_a_file_of_its_own(opening: Opening) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux")
        await backend.load()
        server.items = [{"url": "/files/1.png"}]
        server.files["/files/1.png"] = PNG
        assert (await backend.generate(CAT)).pictures[0].width == 64
        server.files["/files/1.png"] = b"<html>"
        with pytest.raises(InvalidOutputError, match="no usable picture"):
            await backend.generate(CAT)
        server.items = [{"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}]
        assert (await backend.generate(CAT)).pictures[0].width == 64


async def test_an_edit_is_a_form(opening: Opening) -> None:
    async with FakeImages() as server:
        mask = Image.new("L", (96, 64), 0)
        mask.paste(255, (0, 0, 10, 64))
        request = ImageRequest("a dog", sources=(RED,), mask=file_of(mask), count=2, strength=0.5)
        assert len((await opening(server.base_url, "sd/flux").generate(request)).pictures) == 2
        [form] = server.forms
        fields = {name: value.decode() for name, value in form if name not in ("image", "mask")}
        assert fields == {
            "model": "flux",
            "prompt": "a dog",
            "n": "2",
            "response_format": "b64_json",
            "strength": "0.5",
        }
        parts = dict(form)
        assert opened(parts["image"]).size == (96, 64)
        sent_mask = opened(parts["mask"])
        assert sent_mask.getpixel((0, 0)) == (0, 0, 0, 0)  # OpenAI's masks are transparent where the picture may change
        assert sent_mask.getpixel((50, 0)) == (0, 0, 0, 255)


async def test_several_sources(opening: Opening) -> None:
    async with FakeImages() as server:
        await opening(server.base_url, "sd/gpt-image-1").generate(ImageRequest("both", sources=(RED, RED)))
        assert [name for name, _ in server.forms[0]].count("image[]") == 2


async def test_an_endpoint_without_edits(opening: Opening) -> None:
    async with FakeImages(edits=False) as server:
        with pytest.raises(UnsupportedCallError, match="no /images/edits"):
            await opening(server.base_url, "sd/flux").generate(ImageRequest("a dog", sources=(RED,)))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (
            Fault("status", 400, {"error": {"message": "Your request was rejected by the safety system."}}),
            BadRequestError,
        ),
        (Fault("status", 429), RateLimitedError),
        (Fault("status", 500), TransientError),
        (Fault("status", 404, {"error": {"message": "The model `flux` does not exist"}}), TargetDownError),
        (Fault("redirect", body="http://127.0.0.1:9/"), TargetDownError),
        (Fault("bad_json"), TransientError),
        (Fault("empty"), TransientError),
        (Fault("cut_in_head"), ParlantLocalError),
        (Fault("status", 200, {"error": {"message": "no", "code": 400}}), BadRequestError),
        (Fault("status", 200, {"data": "x"}), TransientError),
        (Fault("status", 200, {"data": []}), InvalidOutputError),
        (Fault("status", 200, {"data": [{}]}), InvalidOutputError),
        (Fault("status", 200, {"data": [{"b64_json": "%%%"}]}), InvalidOutputError),
        (Fault("status", 200, "{}", {"content-encoding": "gzip"}), InvalidOutputError),
    ],
)
async def test_failures_are_typed(opening: Opening, fault: Fault, kind: type[ParlantLocalError]) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux")
        await backend.load()
        server.faults.append(fault)
        with pytest.raises(kind):
            await backend.generate(CAT)
        assert len((await backend.generate(CAT)).pictures) == 1


async def test_an_answer_without_end(opening: Opening) -> None:
    async with FakeImages() as server:
        server.items = [{"b64_json": "A" * 12_000_000}]
        with pytest.raises(InvalidOutputError, match=r"images\.max_megapixels"):
            await opening(server.base_url, "sd/flux", **{"images.max_megapixels": 0.1}).generate(CAT)


async def test_an_answer_that_never_ends(opening: Opening) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux", **{"images.timeout_seconds": 0.5})
        await backend.load()
        server.faults.append(Fault("drip", delay=0.2))
        with pytest.raises(TargetDownError, match="in time"):
            await backend.generate(CAT)


async def test_cancelling_closes_the_connection(opening: Opening) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux")
        await backend.load()
        server.faults.append(Fault("hang"))
        task = asyncio.create_task(backend.generate(CAT))
        await eventually(lambda: server.calls(MADE) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: server.requests[-1].disconnected)


async def test_its_key_is_sent_and_never_shown(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTURE_KEY", "sk-pictures-123456")
    async with FakeImages() as server:
        server.key = "sk-pictures-123456"
        backend = opening(server.base_url, "sd/flux", **{"endpoints.sd.api_key_env": "PICTURE_KEY"})
        await backend.generate(CAT)
        server.key = "another"
        with pytest.raises(AuthenticationError) as caught:
            await backend.generate(CAT)
        assert "sk-pictures" not in str(caught.value)


async def test_a_bare_endpoint_that_is_no_sd_server(opening: Opening) -> None:
    async with FakeImages() as server:
        with pytest.raises(BadRequestError, match="Write sd/MODEL"):
            await opening(server.base_url).generate(CAT)


async def test_an_endpoint_in_trouble_is_asked_again_what_it_is(opening: Opening) -> None:
    async with FakeImages() as server:
        backend = opening(server.base_url, "sd/flux")
        server.faults.append(Fault("status", 500))
        await backend.generate(CAT)
        await backend.generate(CAT)
        await backend.generate(CAT)
        assert server.calls("/sdcpp/v1/capabilities") == 2


async def test_nothing_remote_without_leave() -> None:
    def directory(**settings: Any) -> ImageDirectory:
        return ImageDirectory(
            Settings.load(
                **{"endpoints.far.base_url": "http://198.51.100.7:9/v1", "images.model": "far/flux", **settings}
            )
        )

    found = directory()
    assert [(model.id, model.remote) for model in found.models()] == [("far/flux", True)]
    for refused in (found, directory(**{"switcher.allow_cloud": "always", "offline": True})):
        with pytest.raises(CloudNotAllowedError, match="not on this machine"):
            await refused.backend().generate(CAT)
        with pytest.raises(CloudNotAllowedError):
            await refused.backend().load()
        await refused.close()


async def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    directory = ImageDirectory(
        Settings.load(**{"images.model": "openai/gpt-image-1", "switcher.allow_cloud": "always"})
    )
    assert [(model.id, model.remote, model.controls) for model in directory.models()] == [
        ("openai/gpt-image-1", True, False)
    ]
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        directory.backend()


async def test_openai_by_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeImages() as server:
        server.key = "sk-own-123456"
        monkeypatch.setenv("OPENAI_API_KEY", "sk-own-123456")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        directory = ImageDirectory(Settings.load(**{"images.model": "openai/gpt-image-1"}))
        assert len((await directory.backend().generate(CAT)).pictures) == 1
        assert server.calls("/sdcpp/v1/capabilities") == 0
        await directory.close()
