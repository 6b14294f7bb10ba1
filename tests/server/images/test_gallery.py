"""The gallery: what is kept, for how long, for whom, and what it looks like on the disk and over HTTP."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from parlant_local.errors import RequestRefusedError
from parlant_local.observability import NullLogger
from parlant_local.server.images.gallery import Entry, Gallery, new_id
from parlant_local.settings import ImageSettings, Settings
from tests.support.eventually import wait_until
from tests.support.in_process import serving_here
from tests.support.scripted_images import EDITS, ScriptedDirectory

from .conftest import Studio

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def gallery(folder: Path, clock: Clock, **settings: float) -> Gallery:
    found = Gallery(folder, ImageSettings(**{"keep_hours": 2.0, "keep_mb": 1.0, **settings}), NullLogger(), clock)
    found.open()
    return found


def entry(clock: Clock, size: int = 10, **more: Any) -> Entry:
    made = Entry(
        id=new_id(),
        job=new_id(),
        owner="",
        created=clock(),
        form="png",
        size=size,
        width=8,
        height=8,
        model="m",
        prompt="p",
    )
    return replace(made, **more)


def keep(place: Gallery, made: Entry) -> Entry:
    place.add(made, b"x" * made.size)
    return made


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_picture_expires(tmp_path: Path) -> None:
    clock = Clock()
    place = gallery(tmp_path / "pictures", clock)
    old = keep(place, entry(clock))
    clock.now += HOUR
    young = keep(place, entry(clock))
    assert [one.id for one in place.entries("")] == [young.id, old.id]
    assert place.next_expiry() == HOUR
    clock.now += HOUR
    assert place.find(old.id) is None, "at once, whether it was removed or not"
    assert [one.id for one in place.entries("")] == [young.id]
    assert place.sweep() == 1
    assert files(tmp_path / "pictures") == {f"{young.id}.png", f"{young.id}.json"}


def test_the_oldest_make_room(tmp_path: Path) -> None:
    clock = Clock()
    place = gallery(tmp_path / "pictures", clock)
    made = []
    for _ in range(4):
        clock.now += 1
        made.append(keep(place, entry(clock, 300_000)))
    assert [one.id for one in place.entries("")] == [one.id for one in reversed(made[1:])]
    with pytest.raises(RequestRefusedError, match=r"images\.keep_mb") as caught:
        place.add(entry(clock, 1_000_000), b"")
    assert (caught.value.status, caught.value.code) == (507, "picture_too_large")
    assert len(place.entries("")) == 3


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "pictures"
    place = gallery(folder, clock)
    old = keep(place, entry(clock, prompt="ein Bär 🐻"))
    clock.now += HOUR
    young = keep(place, entry(clock))
    clock.now += HOUR
    again = gallery(folder, clock)
    assert again.entries("") == [young]
    assert files(folder) == {young.name, f"{young.id}.json"}, old.id
    assert again.read(young) == b"x" * young.size


def test_another_server_of_the_same_home_sees_it(tmp_path: Path) -> None:
    clock = Clock()
    one, other = gallery(tmp_path / "pictures", clock), gallery(tmp_path / "pictures", clock)
    made = keep(one, entry(clock))
    assert other.find(made.id) == made
    assert other.entries("") == [made]
    other.remove([made])
    assert one.entries("") == []


def test_damaged_records_and_leftovers_go_and_other_files_stay(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "pictures"
    keep(gallery(folder, clock), entry(clock))
    lost, fresh, bad = new_id(), new_id(), new_id()
    (folder / f"{lost}.png").write_bytes(b"x")
    os.utime(folder / f"{lost}.png", (1, 1))
    (folder / f"{fresh}.png").write_bytes(b"x")
    (folder / f"{bad}.json").write_text('{"id": "../../etc/passwd"}')
    moved = new_id()
    (folder / f"{moved}.json").write_text("[]")
    (folder / "mine.png").write_bytes(b"x")
    place = gallery(folder, clock)
    assert len(place.entries("")) == 1
    assert {f"{fresh}.png", "mine.png"} <= files(folder), "another server may be writing it; it is nobody's"
    assert not {f"{lost}.png", f"{bad}.json", f"{moved}.json"} & files(folder)


def test_a_record_under_another_name_opens_no_file(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "pictures"
    made = keep(gallery(folder, clock), entry(clock))
    (folder / f"{new_id()}.json").write_bytes(
        (folder / f"{made.id}.json").read_bytes().replace(made.id.encode(), b"../secret")
    )
    place = gallery(folder, clock)
    assert place.entries("") == [made]
    assert place.find("../secret") is None


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_nobody_else_on_the_machine_reads_it(tmp_path: Path) -> None:
    clock = Clock()
    keep(gallery(tmp_path / "pictures", clock), entry(clock))
    assert stat.S_IMODE((tmp_path / "pictures").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pictures").iterdir()} == {0o600}


def made(studio: Studio, prompt: str = "a cat", **more: Any) -> dict[str, Any]:
    job = studio.begin(prompt, **more)
    wait_until(lambda: studio.job(job["id"])["state"] == "done")
    found: dict[str, Any] = studio.job(job["id"])["pictures"][0]
    return found


def test_a_picture_over_http(running: Studio) -> None:
    kept = made(running)
    answer = running.http.get(kept["url"])
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert running.http.get(kept["url"], headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    for name in (
        kept["id"], f"{kept['id']}.json", f"{kept['id']}.jpeg", f"{kept['id']}.png.json", f"{'0' * 32}.png", "..%2fconfig.yml",
        "%2e%2e/config.yml", f"..%2fpictures%2f{kept['id']}.png", f"{kept['id']}%00.png", "%ff.png",
    ):  # fmt: skip
        assert running.http.get(f"/images/{name}").status_code == 404, name


def test_the_list_the_removal_of_one_and_of_all(running: Studio) -> None:
    pictures = [made(running, f"cat {at}") for at in range(3)]
    listed = running.http.get("/api/images").json()
    assert [one["id"] for one in listed["pictures"]] == [one["id"] for one in reversed(pictures)]
    assert (listed["jobs"], listed["more"]) == ([], False)
    page = running.http.get("/api/images", params={"limit": 1}).json()
    assert page["more"]
    rest = running.http.get("/api/images", params={"limit": 5, "before": page["pictures"][0]["id"]}).json()
    assert [one["id"] for one in rest["pictures"]] == [pictures[1]["id"], pictures[0]["id"]]
    assert running.http.delete(f"/api/images/{pictures[0]['id']}").json()["removed"] == 1
    assert running.http.get(pictures[0]["url"]).status_code == 404
    assert running.http.delete(f"/api/images/{pictures[1]['job']}").json()["removed"] == 1, "by its job"
    assert running.http.delete(f"/api/images/{pictures[1]['job']}").status_code == 404
    assert running.http.delete("/api/images").json()["removed"] == 1
    assert running.http.get("/api/images").json()["pictures"] == []
    assert running.http.delete(f"/api/images/{'0' * 32}").status_code == 404


def test_it_survives_a_restart_and_so_does_what_is_told_of_its_job(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with serving_here(settings, ScriptedDirectory()) as server:
        one = Studio(server, ScriptedDirectory())
        kept = made(one, "a cat", n=2)
        one.http.close()
    with serving_here(settings, ScriptedDirectory()) as server:
        answer = httpx2.get(f"{server.url}/api/images/{kept['job']}").json()
        assert (answer["state"], answer["model"], len(answer["pictures"])) == ("done", EDITS, 2)
        assert answer["parameters"]["prompt"] == "a cat"
        assert httpx2.get(server.url + kept["url"]).status_code == 200


def test_expired_pictures_leave_the_disk_by_themselves(studio: Callable[..., Studio]) -> None:
    one = studio(**{"images.keep_hours": 0.5 / 3600})
    one.http.post("/v1/images/generations", json={"prompt": "a cat"}).raise_for_status()
    folder = one.server.context.settings.home / "pictures"
    wait_until(lambda: not files(folder), "It is still there.")


@pytest.mark.parametrize("setting", ["images.keep_hours", "images.keep_mb"])
def test_a_server_that_keeps_none_says_so(studio: Callable[..., Studio], setting: str) -> None:
    one = studio(**{setting: 0})
    for path, body in (
        ("/api/images", {"prompt": "a cat"}),
        ("/api/generate-image", {"prompt": "a cat"}),
        ("/v1/images/generations", {"prompt": "a cat", "response_format": "url"}),
    ):
        answer = one.http.post(path, json=body)
        assert answer.status_code == 400, path
        assert "images.keep_hours" in answer.json()["error"]["message"]
    item = one.http.post("/v1/images/generations", json={"prompt": "a cat"}).json()["data"][0]
    assert "url" not in item
    assert item["b64_json"]
    assert not (one.server.context.settings.home / "pictures").exists()


KEYS = {"one": "first-key-first-key", "two": "second-key-second-key"}


def test_each_key_has_its_own(studio: Callable[..., Studio], tmp_path: Path) -> None:
    """Names of keys may repeat: both are unnamed here, and one is the other file's first line."""
    (tmp_path / "keys").write_text(KEYS["one"] + "\n")
    (tmp_path / "admins").write_text(KEYS["two"] + "\n")
    one = studio(**{"auth.key_file": tmp_path / "keys", "auth.admin_key_file": tmp_path / "admins"})
    mine, theirs = ({"authorization": f"Bearer {KEYS[name]}"} for name in ("one", "two"))
    answer = one.http.post("/v1/images/generations", json={"prompt": "a cat"}, headers=mine).json()["data"][0]
    [kept] = one.http.get("/api/images", headers=mine).json()["pictures"]
    assert one.http.get("/api/images", headers=theirs).json()["pictures"] == []
    for path in (f"/api/images/{kept['id']}", f"/api/images/{kept['job']}"):
        assert one.http.delete(path, headers=theirs).status_code == 404
    assert one.http.get(f"/api/images/{kept['job']}", headers=theirs).status_code == 404
    stolen = {"prompt": "a hat", "sources": [kept["id"]]}
    assert one.http.post("/api/images", json=stolen, headers=theirs).status_code == 400
    assert one.http.delete("/api/images", headers=theirs).json()["removed"] == 0
    assert one.http.get("/api/images").status_code == 401
    assert one.http.get(answer["url"]).status_code == 200, "its address is its key"
    assert not any(
        key in path.read_text("latin-1")
        for key in KEYS.values()
        for path in (one.server.context.settings.home / "pictures").iterdir()
    )
    with one.http.stream("GET", "/api/images/events", headers=theirs) as events:
        lines = events.iter_lines()
        next(lines)
        one.http.post("/v1/images/generations", json={"prompt": "mine alone"}, headers=mine).raise_for_status()
        one.http.post("/v1/images/generations", json={"prompt": "theirs"}, headers=theirs).raise_for_status()
        first = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
        assert first["job"]["parameters"]["prompt"] == "theirs"


def test_behind_a_proxy_that_speaks_tls(studio: Callable[..., Studio]) -> None:
    one = studio(**{"server.trusted_proxies": ("127.0.0.1",)})
    headers = {"x-forwarded-proto": "https"}
    answer = one.http.post("/v1/images/generations", json={"prompt": "a cat"}, headers=headers).json()
    assert answer["data"][0]["url"].startswith("https://127.0.0.1:")
    other = studio()
    answer = other.http.post("/v1/images/generations", json={"prompt": "a cat"}, headers=headers).json()
    assert answer["data"][0]["url"].startswith("http://127.0.0.1:"), "anybody can send it"
