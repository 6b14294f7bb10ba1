"""sd-server by its own API: jobs, what they tell, and everything that goes wrong with them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from parlant_local.errors import (
    BackendError,
    BadRequestError,
    InvalidOutputError,
    ParlantLocalError,
    QueueFullError,
    RateLimitedError,
    TargetDownError,
    TransientError,
)
from parlant_local.images import ImageProgress, ImageRequest
from parlant_local.images.png import texts_of
from tests.fakes.http import Fault
from tests.images.conftest import Opening, file_of, opened
from tests.support.eventually import eventually
from tests.support.sd_server import JOBS, SdServer

CAT = ImageRequest("a cat", width=64, height=64, steps=4, guidance=1.5, seed=7)
RED = file_of(Image.new("RGB", (96, 64), "red"), "JPEG")


async def test_a_picture_and_what_is_told_of_it(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(f"{sd_server.url}/v1")
    reply = await backend.generate(CAT)
    [picture] = reply.pictures
    assert opened(picture.data).size == (picture.width, picture.height) == (64, 64)
    assert opened(picture.data).format == "PNG"
    assert (picture.seed, reply.steps, reply.guidance, reply.sampler, reply.model) == (7, 4, 1.5, "euler_a", "sd")
    assert texts_of(picture.data) == {}  # what strangers write into pictures doesn't go on
    info = backend.model_info()
    assert (info.id, info.name, info.remote, info.edits, info.width, info.loaded) == (
        "sd",
        "sd15",
        False,
        True,
        512,
        True,
    )
    assert sd_server.calls("/sdcpp/v1/capabilities") == 1


async def test_the_same_request_makes_the_same_picture_and_a_server_without_a_v1_or_with_a_name_is_the_same(
    sd_server: SdServer, opening: Opening
) -> None:
    first = await opening(sd_server.url).generate(CAT)
    second = await opening(f"{sd_server.url}/v1/", "sd/sd-cpp-local").generate(CAT)
    assert first.pictures == second.pictures
    assert second.model == "sd/sd-cpp-local"


async def test_an_earlier_server_without_modes(opening: Opening) -> None:
    async with SdServer(earlier=True) as server:
        backend = opening(server.url)
        assert len((await backend.generate(CAT)).pictures) == 1
        assert backend.model_info().width == 512


async def test_only_what_was_asked_for_is_sent(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    await backend.generate(ImageRequest("a ção 猫", negative_prompt="dogs", sampler="euler"))
    [job] = sd_server.jobs.values()
    assert job.body["prompt"] == "a ção 猫"
    assert job.body["sample_params"] == {"sample_method": "euler"}
    assert "width" not in job.body
    assert 0 <= job.body["seed"] < 2**31


async def test_the_settings_say_what_requests_leave_out(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url, **{"images.steps": 3, "images.guidance": 2.0, "images.width": 128})
    await backend.generate(ImageRequest("a cat"))
    [job] = sd_server.jobs.values()
    assert job.body["sample_params"] == {"sample_steps": 3, "guidance": {"txt_cfg": 2.0}}
    assert (job.body["width"], job.body["height"]) == (128, 128)


async def test_seeds_count_on_over_jobs(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url, **{"images.max_count": 12})
    request = ImageRequest("a cat", width=64, height=64, seed=100, count=11)
    seen: list[ImageProgress] = []
    reply = await backend.generate(request, seen.append)
    assert [picture.seed for picture in reply.pictures] == list(range(100, 111))
    assert len({picture.data for picture in reply.pictures}) == 11
    assert [job.body["batch_count"] for job in sd_server.jobs.values()] == [8, 3]
    assert {moment.picture for moment in seen} == {1, 9}
    alone = await backend.generate(ImageRequest("a cat", width=64, height=64, seed=109))
    assert alone.pictures[0] == reply.pictures[9]


async def test_without_a_seed_one_is_drawn_and_told(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    seeds = {(await backend.generate(ImageRequest("a cat", width=64))).pictures[0].seed for _ in range(3)}
    assert len(seeds) == 3


async def test_a_prompt_that_looks_like_a_pictures_text_changes_nothing(sd_server: SdServer, opening: Opening) -> None:
    prompt = "a cat\nSteps: 99, CFG scale: 3.0, Seed: 5, Sampler: lcm, SDCPP: {}"
    reply = await opening(sd_server.url).generate(ImageRequest(prompt, width=64, seed=8, steps=2))
    assert (reply.pictures[0].seed, reply.steps, reply.sampler) == (8, 2, "euler_a")


async def test_a_model_that_draws_in_layers(sd_server: SdServer, opening: Opening) -> None:
    sd_server.layers = 3
    reply = await opening(sd_server.url).generate(ImageRequest("a cat", width=64, seed=1, count=2))
    assert [picture.seed for picture in reply.pictures] == [1, 2]


async def test_queue_positions(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.allowed.clear()
    seen: list[list[int]] = [[], [], []]

    def noted(where: list[int]) -> Callable[[ImageProgress], None]:
        return lambda moment: where.append(moment.queued)

    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(backend.generate(CAT, noted(seen[number]))))
        await eventually(lambda number=number: len(sd_server.jobs) == number + 1)
    await eventually(lambda: seen[0][-1:] == [0] and seen[1][-1:] == [1] and seen[2][-1:] == [2])
    sd_server.allowed.set()
    await asyncio.gather(*tasks)


async def test_cancelling_takes_a_waiting_job_out_of_the_queue(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.allowed.clear()
    tasks = [asyncio.create_task(backend.generate(CAT)) for _ in range(2)]
    await eventually(lambda: sorted(job.status for job in sd_server.jobs.values()) == ["generating", "queued"])
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(found, asyncio.CancelledError) for found in await asyncio.gather(*tasks, return_exceptions=True)
    )
    assert sorted(job.status for job in sd_server.jobs.values()) == ["cancelled", "generating"]
    sd_server.allowed.set()
    assert len((await backend.generate(CAT)).pictures) == 1


async def test_cancelling_while_the_job_is_being_submitted(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    await backend.load()
    sd_server.allowed.clear()
    blocker = asyncio.create_task(backend.generate(CAT))
    await eventually(lambda: len(sd_server.jobs) == 1)
    sd_server.at["img_gen"].append(Fault("drip", delay=0.2))
    task = asyncio.create_task(backend.generate(CAT))
    await eventually(lambda: len(sd_server.jobs) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [job.status for job in sd_server.jobs.values()][1] == "cancelled"
    blocker.cancel()
    await asyncio.gather(blocker, return_exceptions=True)


async def test_an_edit_sends_plain_pictures_of_the_sources_size(sd_server: SdServer, opening: Opening) -> None:
    mask = file_of(Image.new("L", (96, 64), "white"))
    request = ImageRequest("a dog", sources=(RED,), mask=mask, strength=0.5)
    [picture] = (await opening(sd_server.url).generate(request)).pictures
    assert (picture.width, picture.height) == (96, 64)
    [job] = sd_server.jobs.values()
    sent = opened(base64.b64decode(job.body["init_image"]))
    assert (sent.format, sent.mode, sent.size) == ("PNG", "RGB", (96, 64))
    sent_mask = opened(base64.b64decode(job.body["mask_image"]))
    assert (sent_mask.mode, sent_mask.getextrema()) == ("L", (255, 255))
    assert job.body["strength"] == 0.5
    assert "ref_images" not in job.body


async def test_pictures_to_look_at_are_sent_as_references(sd_server: SdServer, opening: Opening) -> None:
    await opening(sd_server.url).generate(ImageRequest("a dog", sources=(RED, RED), width=64))
    [job] = sd_server.jobs.values()
    assert len(job.body["ref_images"]) == 2


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ImageRequest("a cat", sampler="nope"), "has no sampler 'nope'"),
        (ImageRequest("a cat", width=32, height=64), "width of 64 to 4096"),
        (ImageRequest("a cat", sources=(b"GIF89a",)), "could not be decoded"),
        (ImageRequest("a cat", sources=(RED,), mask=file_of(Image.new("L", (10, 10)))), "as large as the picture"),
    ],
)
async def test_what_it_can_not_do_is_said_before_any_work(
    sd_server: SdServer, opening: Opening, request_: ImageRequest, said: str
) -> None:
    with pytest.raises(BadRequestError, match=said):
        await opening(sd_server.url).generate(request_)
    assert not sd_server.jobs


async def test_a_server_of_moving_pictures(sd_server: SdServer, opening: Opening) -> None:
    sd_server.modes = ["vid_gen"]
    with pytest.raises(BadRequestError, match="makes no pictures"):
        await opening(sd_server.url).generate(CAT)


async def test_a_full_queue(sd_server: SdServer, opening: Opening) -> None:
    sd_server.max_pending_jobs = 0
    with pytest.raises(RateLimitedError, match="job queue is full"):
        await opening(sd_server.url).generate(CAT)


async def test_more_than_may_wait(sd_server: SdServer, opening: Opening) -> None:
    sd_server.allowed.clear()
    backend = opening(sd_server.url, **{"images.max_queue": 1})
    tasks = [asyncio.create_task(backend.generate(CAT)) for _ in range(2)]
    await eventually(lambda: len(sd_server.jobs) == 2)
    with pytest.raises(QueueFullError, match=r"images\.max_queue"):
        await backend.generate(CAT)
    sd_server.allowed.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("generate_image returned no results", TransientError), ("CUDA error: out of memory", TargetDownError)],
)
async def test_a_job_that_fails(sd_server: SdServer, opening: Opening, message: str, kind: type[Exception]) -> None:
    sd_server.fails = message
    with pytest.raises(kind, match=message):
        await opening(sd_server.url).generate(CAT)


async def test_a_job_that_somebody_else_cancels(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.allowed.clear()
    blocker, task = (asyncio.create_task(backend.generate(CAT)) for _ in range(2))
    await eventually(lambda: len(sd_server.jobs) == 2)
    sd_server._cancelled(list(sd_server.jobs.values())[1])
    with pytest.raises(TransientError, match="by somebody else"):
        await task
    sd_server.allowed.set()
    await blocker


@pytest.mark.parametrize("fault", [Fault("bad_json"), Fault("reset"), Fault("status", 503), Fault("cut_in_head")])
async def test_a_question_that_fails_costs_no_picture(sd_server: SdServer, opening: Opening, fault: Fault) -> None:
    sd_server.seconds = 0.1
    sd_server.at["jobs"].append(fault)
    assert len((await opening(sd_server.url).generate(CAT)).pictures) == 1
    assert len(sd_server.jobs) == 1


async def test_a_server_that_dies_in_mid_job(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.allowed.clear()
    task = asyncio.create_task(backend.generate(CAT))
    await eventually(lambda: sd_server.calls(JOBS + next(iter(sd_server.jobs), "")) > 0)
    await sd_server.stop()
    with pytest.raises(TargetDownError, match=r"can't be reached|closed the connection"):
        await task
    sd_server.forget()
    sd_server.allowed.set()
    await sd_server.start()
    assert len((await backend.generate(CAT)).pictures) == 1


async def test_a_server_that_forgot_the_job(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.allowed.clear()
    task = asyncio.create_task(backend.generate(CAT))
    await eventually(lambda: len(sd_server.jobs) == 1)
    sd_server.forget()
    with pytest.raises(TargetDownError, match="no longer knows the job"):
        await task


async def test_a_job_without_an_end(sd_server: SdServer, opening: Opening) -> None:
    sd_server.allowed.clear()
    with pytest.raises(TargetDownError, match=r"images\.timeout_seconds"):
        await opening(sd_server.url, **{"images.timeout_seconds": 0.2}).generate(CAT)
    assert len(sd_server.jobs) == 1


async def test_a_server_that_never_answers(sd_server: SdServer, opening: Opening) -> None:
    backend = opening(sd_server.url)
    sd_server.at["capabilities"].append(Fault("hang"))
    task = asyncio.create_task(backend.generate(CAT))
    await eventually(lambda: len(sd_server.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len((await backend.generate(CAT)).pictures) == 1


def _bomb(_: str) -> str:
    """Much more than was asked for, and more than is read."""
    return base64.b64encode(file_of(Image.new("RGB", (4000, 4000)))).decode()


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (lambda _: base64.b64encode(b"GIF89a").decode(), "no usable picture"),
        (lambda _: base64.b64encode(b"").decode(), "without a picture"),
        (lambda text: text[: len(text) // 2], "no usable picture|base64 is damaged"),
        (lambda text: text[:101], "base64 is damaged"),
        (lambda text: "!" + text[1:], "base64 is damaged"),
        (lambda text: base64.b64encode(b"<svg>" + base64.b64decode(text)).decode(), "no usable picture"),
        (_bomb, r"4000 x 4000 pixels.*images\.max_megapixels"),
    ],
)
async def test_what_is_no_picture(
    sd_server: SdServer, opening: Opening, drawn: Callable[[str], str], said: str
) -> None:
    sd_server.drawn = drawn
    with pytest.raises(InvalidOutputError, match=said):
        await opening(sd_server.url).generate(CAT)


async def test_an_answer_larger_than_any_picture_is_not_read_to_its_end(sd_server: SdServer, opening: Opening) -> None:
    sd_server.drawn = lambda _: "A" * 30_000_000
    with pytest.raises(InvalidOutputError, match=r"images\.max_megapixels"):
        await opening(sd_server.url, **{"images.max_megapixels": 0.5}).generate(CAT)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        "{}",
        '{"id": "../../v1/models", "status": "queued"}',
        '{"id": 5}',
        '{"id": "a", "status": "dancing"}',
        "[" * 100_000,
    ],
)
async def test_answers_that_are_none_of_its_api(sd_server: SdServer, opening: Opening, body: str) -> None:
    backend = opening(sd_server.url)
    sd_server.at["img_gen"].append(Fault("status", 202, body))
    with pytest.raises(TransientError, match="does not match its API"):
        await backend.generate(CAT)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"images": None},
        {"images": [None, 5, {"b64_json": 5}]},
        {"images": {"b64_json": "x"}},
    ],
)
async def test_results_without_pictures(sd_server: SdServer, opening: Opening, result: Any) -> None:
    sd_server.at["jobs"].append(Fault("status", 200, {"id": "a", "status": "completed", "result": result}))
    with pytest.raises(InvalidOutputError, match="without a picture"):
        await opening(sd_server.url).generate(CAT)


async def test_a_batch_that_is_not_whole_gives_what_there_is(sd_server: SdServer, opening: Opening) -> None:
    made: list[str] = []

    def first(text: str) -> str:
        made.append(text)
        return text if len(made) == 1 else ""

    sd_server.drawn = first
    reply = await opening(sd_server.url).generate(ImageRequest("a cat", width=64, count=2, seed=3))
    assert [picture.seed for picture in reply.pictures] == [3]


async def test_an_address_where_nothing_listens(opening: Opening) -> None:
    with pytest.raises(BackendError, match="can't be reached"):
        await opening("http://127.0.0.1:9").generate(CAT)


async def test_many_at_once_and_half_of_them_cancelled(sd_server: SdServer, opening: Opening) -> None:
    sd_server.seconds = 0.005
    backend = opening(sd_server.url, **{"images.max_queue": 40})
    tasks = [asyncio.create_task(backend.generate(CAT)) for _ in range(20)]
    await eventually(lambda: len(sd_server.jobs) == 20)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(found, ParlantLocalError) for found in results)
    assert sum(not isinstance(found, BaseException) for found in results) >= 10
    await eventually(lambda: all(job.status in ("completed", "cancelled") for job in sd_server.jobs.values()))
