"""Kept prefixes are shown, saved under a name, brought back and forgotten, by who administers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from parlant_local.settings import Settings
from tests.server.conftest import TINY
from tests.support import gguf_models
from tests.support.in_process import InProcess, serving_here

PROMPT = "The keeper of the lighthouse wrote down every ship that passed, with its flag and its hour. " * 8


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    folder = tmp_path_factory.mktemp("slots")
    path = gguf_models.llama(folder / "other.gguf")
    values: dict[str, Any] = {
        "model": TINY,
        "models": {"other": {"model": str(path)}},
        "engine.prefixes.saved_mb": 1,
        "engine.n_ctx": 2048,
        "engine.n_threads": 2,
    }
    with serving_here(Settings.load(None, home=folder / "home", **values)) as found:
        yield found


@pytest.fixture
def server(running: InProcess) -> InProcess:
    """With nothing kept or saved."""
    for file in files_of(running):
        file.unlink()
    with httpx2.Client(base_url=running.url, timeout=60) as http:
        for _ in http.get("/slots").json():
            act(http, "erase")
    return running


def files_of(server: InProcess) -> list[Path]:
    return list(server.context.settings.home.rglob("*.prefix"))


@pytest.fixture
def http(server: InProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def cached(http: httpx2.Client, prompt: str = PROMPT, **more: Any) -> int:
    answer = http.post("/v1/completions", json={"prompt": prompt, "max_tokens": 1, "temperature": 0, **more})
    found: int = answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    return found


def act(http: httpx2.Client, action: str, place: int = 0, **body: Any) -> httpx2.Response:
    return http.post(f"/slots/{place}", params={"action": action}, json=body)


def test_a_saved_prefix_comes_back(http: httpx2.Client, server: InProcess) -> None:
    assert http.get("/slots").json() == []
    assert cached(http) == 0
    [kept] = http.get("/slots").json()
    assert (kept["id"], kept["model"], kept["is_processing"]) == (0, TINY, False)
    assert "lighthouse" not in str(kept)
    saved = act(http, "save", filename="lighthouse.bin").json()
    assert saved["n_saved"] == kept["n_prompt_tokens"]
    [file] = files_of(server)
    assert file.parent == server.context.settings.home / "slots"
    assert file.stat().st_size == saved["n_written"]
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0
    assert act(http, "erase").json() == {"id_slot": 0, "n_erased": kept["n_prompt_tokens"]}
    assert http.get("/slots").json() == []
    assert cached(http) == 0  # and is kept once more
    assert act(http, "erase").status_code == 200
    restored = act(http, "restore", filename="lighthouse.bin").json()
    assert restored["n_restored"] == saved["n_saved"]
    assert cached(http) >= saved["n_saved"] - 2
    text = http.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 8, "temperature": 0}).json()
    act(http, "erase")
    again = http.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 8, "temperature": 0}).json()
    assert text["choices"] == again["choices"]


def test_the_last_used_is_first(http: httpx2.Client) -> None:
    cached(http)
    other = "A completely different story about a mountain, its goats and the long winter there. " * 9
    cached(http, other)
    first = [item["n_prompt_tokens"] for item in http.get("/slots").json()]
    assert len(first) == 2
    cached(http)
    assert [item["n_prompt_tokens"] for item in http.get("/slots").json()] == first[::-1]


def test_a_state_of_another_model_is_refused(http: httpx2.Client) -> None:
    cached(http)
    assert act(http, "save", filename="mine").status_code == 200
    refused = act(http, "restore", filename="mine", model="other")
    assert refused.status_code == 400
    assert "not usable for this model" in refused.json()["error"]["message"]


def test_a_damaged_file_is_refused(http: httpx2.Client, server: InProcess) -> None:
    cached(http)
    act(http, "save", filename="mine")
    file = server.context.settings.home / "slots" / "mine.prefix"
    whole = bytearray(file.read_bytes())
    whole[-5] ^= 1
    for data in (bytes(whole), bytes(whole[:-1]), b"", b"{}\n", b"\xff" * 100):
        file.write_bytes(data)
        assert act(http, "restore", filename="mine").status_code == 400


@pytest.mark.parametrize(
    ("action", "place", "body", "said"),
    [
        ("save", 0, {}, "filename"),
        ("restore", 0, {"filename": ""}, "filename"),
        ("restore", 0, {"filename": "none"}, "No prefix is saved"),
        *(("save", 0, {"filename": name}, "no name") for name in ("../x", "/etc/x", ".x", "a/b", "a\\b", "x\n", "x" * 101, "é", "a\x00")),
        ("save", 7, {"filename": "x"}, "There is no prefix 7"),
        ("save", -1, {"filename": "x"}, "There is no prefix -1"),
        ("erase", 1 << 40, {}, "There is no prefix"),
        ("burn", 0, {"filename": "x"}, "action"),
        ("save", 0, {"filename": 5}, "filename"),
        ("save", 0, {"filename": "x", "model": "none"}, "not available"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_in_words(
    http: httpx2.Client, server: InProcess, action: str, place: int, body: dict[str, Any], said: str
) -> None:
    cached(http)
    answer = act(http, action, place, **body)
    assert 400 <= answer.status_code < 500
    assert said in answer.json()["error"]["message"]
    assert not files_of(server)


def test_no_more_is_saved_than_may_be(http: httpx2.Client) -> None:
    cached(http)
    answers = [act(http, "save", filename=f"f{number}") for number in range(20)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert answers[0].status_code == 200
    assert refused
    assert "engine.prefixes.saved_mb" in refused[0].json()["error"]["message"]
    assert act(http, "save", filename="f0").status_code == 200  # in its own place
