"""Jobs: one at a time for each model, each step told, cancelled, refused, kept with their errors, ended with the server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from parlant_local.errors import CloudNotAllowedError, InsufficientMemoryError
from tests.support.eventually import wait_until
from tests.support.scripted_images import EDITS, PLAIN, a_png

from .conftest import Studio


@contextmanager
def told(studio: Studio) -> Iterator[list[dict[str, Any]]]:
    """The events of the stream from here on."""
    found: list[dict[str, Any]] = []
    with studio.http.stream("GET", "/api/images/events") as answer:
        lines = answer.iter_lines()

        def listen() -> None:
            try:
                for line in lines:
                    if line.startswith("data: "):
                        found.append(json.loads(line[6:]))
            except httpx2.TransportError:
                pass  # closed below

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        wait_until(lambda: found, "No greeting came.")
        yield found
    thread.join(30)


def state(studio: Studio, identity: str) -> str:
    return str(studio.job(identity)["state"])


def test_each_step_is_told(running: Studio) -> None:
    one = running.reset(held=True)
    with told(one) as events:
        job = one.begin("a cat", steps=3, n=2, size="32x32", seed=4)
        assert (job["state"], job["model"], job["parameters"]["prompt"]) == ("queued", EDITS, "a cat")
        one.step(6)
        wait_until(lambda: state(one, job["id"]) == "done")
        wait_until(lambda: events[-1].get("job", {}).get("state") == "done")
    jobs = [event["job"] for event in events if event["event"] == "job"]
    assert events[0]["event"] == "hello"
    assert all("owner" not in event for event in events)
    steps = [(job["picture"], job["step"], job["steps"]) for job in jobs if job["state"] == "running" and job["step"]]
    assert steps == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3), (2, 2, 3), (2, 3, 3)]
    done = one.job(job["id"])
    assert [kept["parameters"]["seed"] for kept in done["pictures"]] == [4, 5]
    assert all(one.http.get(kept["url"]).status_code == 200 for kept in done["pictures"])
    assert done["pictures"][0]["parameters"] == {
        "prompt": "a cat", "negative_prompt": "", "width": 32, "height": 32, "steps": 3, "guidance": 7.0, "seed": 4,
        "sampler": "euler", "strength": None, "edited": False,
    }  # fmt: skip


def test_one_at_a_time_for_each_model(running: Studio) -> None:
    one = running.reset(held=True)
    first, second, other = one.begin(), one.begin(), one.begin(model=PLAIN)
    wait_until(lambda: one.model(EDITS).running and one.model(PLAIN).running, "Models wait for each other.")
    assert (state(one, first["id"]), state(one, second["id"]), state(one, other["id"])) == (
        "running",
        "queued",
        "running",
    )
    assert one.job(second["id"])["ahead"] == 1
    one.step(8)
    one.step(4, PLAIN)
    wait_until(lambda: all(state(one, each["id"]) == "done" for each in (first, second, other)))
    assert one.model().most_running == 1


def test_the_queue_is_bounded(studio: Callable[..., Studio]) -> None:
    one = studio(held=True, **{"images.max_queue": 2})
    for _ in range(3):
        one.begin()
    for path, body in (
        ("/api/images", {"prompt": "x"}),
        ("/v1/images/generations", {"prompt": "x"}),
        ("/v1/images/generations", {"prompt": "x", "stream": True}),
        ("/api/generate-image", {"prompt": "x"}),
    ):
        answer = one.http.post(path, json=body)
        assert answer.status_code == 429, path
        assert answer.json()["error"]["code"] == "queue_full"
        assert "images.max_queue" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1
    assert one.begin(model=PLAIN)["state"] in ("queued", "running"), "another model has a queue of its own"


@pytest.mark.parametrize("waiting", [False, True], ids=["running", "waiting"])
def test_a_job_is_cancelled(running: Studio, waiting: bool) -> None:
    one = running.reset(held=True)
    first = one.begin()
    job = one.begin() if waiting else first
    wait_until(lambda: one.model().running)
    answer = one.http.delete(f"/api/images/{job['id']}").json()
    assert answer == {"removed": 0, "cancelled": True}
    assert state(one, job["id"]) == "cancelled"
    assert one.model().cancelled == (0 if waiting else 1)
    one.begin()
    one.step(8)
    wait_until(lambda: not one.model().running)
    assert one.http.delete(f"/api/images/{job['id']}").status_code == 200, "it is forgotten"
    assert one.http.get(f"/api/images/{job['id']}").status_code == 404


@pytest.mark.parametrize(
    ("path", "streamed"),
    [("/v1/images/generations", False), ("/v1/images/generations", True), ("/api/generate-image", False)],
)
def test_a_client_that_leaves_ends_its_job(running: Studio, path: str, streamed: bool) -> None:
    one = running.reset(held=True)
    if streamed:
        with httpx2.stream("POST", one.url + path, json={"prompt": "a cat", "stream": True}) as answer:
            assert answer.status_code == 200
    else:
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(one.url + path, json={"prompt": "a cat"}, timeout=1.0)
    wait_until(lambda: one.model().cancelled == 1 and not one.model().running, "It goes on.")
    [job] = one.http.get("/api/images").json()["jobs"]
    assert job["state"] == "cancelled"


def test_a_failure_is_kept_with_its_kind(running: Studio) -> None:
    one = running
    one.model().failure = InsufficientMemoryError("The model does not fit.", needed=9, available=1)
    job = one.begin()
    wait_until(lambda: state(one, job["id"]) == "failed")
    error = one.job(job["id"])["error"]
    assert (error["code"], error["message"]) == ("insufficient_memory", "The model does not fit.")
    one.model().failure = RuntimeError("secret")
    job = one.begin()
    wait_until(lambda: state(one, job["id"]) == "failed")
    assert one.job(job["id"])["error"]["code"] == "internal_error"
    assert "secret" not in one.job(job["id"])["error"]["message"]
    assert "RuntimeError: secret" in one.server.raw
    one.model().failure = InsufficientMemoryError("The model does not fit.", needed=9, available=1)
    answer = one.http.post("/v1/images/generations", json={"prompt": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "insufficient_memory")


def test_files_are_not_remembered_with_their_jobs(running: Studio) -> None:
    running.begin()
    running.begin(sources=["data:image/png;base64," + base64.b64encode(a_png(8, 8)).decode()])
    running.http.post("/v1/images/generations", json={"prompt": "a cat"}).raise_for_status()
    running.http.post("/v1/images/generations", json={"prompt": "a cat", "stream": True}).raise_for_status()
    jobs = running.server.context.images.jobs.of("")
    wait_until(lambda: len(jobs) == 4 and all(job.ended for job in jobs))
    assert [(job.state, len(job.pictures), job.order.request.sources) for job in jobs] == [("done", 1, ())] * 4
    assert [picture.data for job in jobs for picture in job.pictures] == [b""] * 4


def test_names_of_models_are_bounded(running: Studio) -> None:
    for path in ("/v1/images/generations", "/api/images", "/api/generate-image"):
        answer = running.http.post(path, json={"prompt": "x", "model": "m" * 1_000_000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_name")
        assert "limits.name_characters" in answer.json()["error"]["message"]


def test_what_is_no_picture_is_not_passed_on(running: Studio) -> None:
    one = running
    one.model().data = b"<html><script>alert(1)</script>"
    answer = one.http.post("/v1/images/generations", json={"prompt": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_output")
    assert one.http.get("/api/images").json()["pictures"] == []


def test_what_may_not_leave_the_machine_is_told(running: Studio) -> None:
    one = running
    one.directory.refusal = CloudNotAllowedError("It is not on this machine.", hint="Allow it.")
    for path in ("/api/images", "/v1/images/generations", "/api/generate-image"):
        answer = one.http.post(path, json={"prompt": "a cat"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cloud_not_allowed"), path


def test_the_documents_form(running: Studio) -> None:
    one = running
    body = {
        "prompt": "Um gato siamês em um jardim japonês",
        "negative_prompt": "borrão, baixa qualidade",
        "width": 256,
        "height": 128,
        "num_inference_steps": 2,
        "guidance_scale": 7.5,
    }
    answer = one.http.post("/api/generate-image", json=body).json()
    assert set(answer) == {"image_url", "metadata"}
    assert answer["metadata"]["prompt"] == body["prompt"]
    shown = {name: answer["metadata"]["parameters"][name] for name in body if name != "prompt"}
    assert shown == {name: value for name, value in body.items() if name != "prompt"}
    assert one.http.get(answer["image_url"]).headers["content-type"] == "image/png"
    one.http.post("/api/generate-image", json={"prompt": "test image"}).raise_for_status()
    asked = one.model().asked[-1]
    assert (asked.width, asked.height, asked.steps, asked.guidance, asked.negative_prompt) == (512, 512, 20, 7.5, "")


def test_a_kept_picture_is_a_start(running: Studio) -> None:
    one = running
    job = one.begin("a cat")
    wait_until(lambda: state(one, job["id"]) == "done")
    [kept] = one.job(job["id"])["pictures"]
    again = one.begin("a hat", sources=[kept["id"]], strength=0.5)
    wait_until(lambda: state(one, again["id"]) == "done")
    assert one.job(again["id"])["parameters"]["edited"]
    assert one.job(again["id"])["pictures"][0]["parameters"]["edited"]
    assert len(one.model().asked[-1].sources) == 1
    uri = "data:image/png;base64," + base64.b64encode(a_png(8, 8)).decode()
    assert one.begin("a hat", sources=[uri], mask=uri)["state"] == "queued"
    for sources in (["0" * 32], ["../../etc/passwd"], ["http://127.0.0.1:1/a.png"], ["data:image/png,x"]):
        refused = one.http.post("/api/images", json={"prompt": "a hat", "sources": sources})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_picture")


def test_the_server_ends_its_jobs_and_says_so(studio: Callable[..., Studio]) -> None:
    one = studio(held=True)
    running, waiting = one.begin(), one.begin()
    wait_until(lambda: one.model().running)
    context = one.server.context
    with told(one) as events:
        assert not one.server.run(context.drain.finish(0)), "a job keeps the server for as long as it may"
        wait_until(lambda: not one.model().running)
    jobs = [context.images.jobs.find(job["id"]) for job in (running, waiting)]
    assert [(job.state, job.error.code) for job in jobs] == [("failed", "shutting_down")] * 2  # type: ignore[union-attr]
    assert events[0]["event"] == "hello"


def test_a_running_job_may_finish_at_the_end_and_a_waiting_one_does_not_begin(studio: Callable[..., Studio]) -> None:
    one = studio(held=True)
    running, waiting = one.begin(), one.begin()
    wait_until(lambda: one.model().running)
    context = one.server.context
    ending: list[bool] = []
    thread = threading.Thread(target=lambda: ending.append(one.server.run(context.drain.finish(60))))
    thread.start()
    wait_until(lambda: context.drain.begun)
    one.step(4)
    thread.join(60)
    assert ending == [True]
    states = [context.images.jobs.find(job["id"]).state for job in (running, waiting)]  # type: ignore[union-attr]
    assert states == ["done", "failed"]


def test_jobs_are_counted_by_outcome_and_words_are_nowhere(studio: Callable[..., Studio]) -> None:
    one = studio(held=True)
    one.step(100)
    one.http.post("/v1/images/generations", json={"prompt": "unspeakable", "n": 2}).raise_for_status()
    one.http.post("/v1/images/generations", json={"prompt": "unspeakable", "size": "x"})
    one.model().failure = RuntimeError("x")
    one.http.post("/v1/images/generations", json={"prompt": "unspeakable"})
    metrics = one.http.get("/metrics").text
    assert f'parlant_local_image_jobs_total{{model="{EDITS}",outcome="done"}} 1.0' in metrics
    assert f'parlant_local_image_jobs_total{{model="{EDITS}",outcome="failed"}} 1.0' in metrics
    assert f'parlant_local_images_total{{model="{EDITS}"}} 2.0' in metrics
    assert f'parlant_local_image_job_seconds_count{{model="{EDITS}",outcome="done"}} 1.0' in metrics
    assert "unspeakable" not in one.server.raw
    requests = one.http.get("/api/requests").json()["requests"]
    assert "unspeakable" not in json.dumps(requests)
    assert {request["model"] for request in requests} == {EDITS, None}


def test_words_are_logged_where_those_of_chats_are(studio: Callable[..., Studio]) -> None:
    one = studio(**{"logging.content": True})
    one.http.post("/v1/images/generations", json={"prompt": "told on purpose"}).raise_for_status()
    assert "told on purpose" in one.server.raw
