"""How much clients may have fetched."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from parlant_local.errors import RequestRefusedError
from parlant_local.server.quota import Quota
from parlant_local.settings import LimitSettings, Settings
from tests.fakes.slow_hub import SlowHub
from tests.support.eventually import wait_until
from tests.support.in_process import serving_here

from .conftest import TINY

GB = 10**9


def quota(clock: Callable[[], float] = time.monotonic, *, here: int = 0, **limits: Any) -> Quota:
    models = [SimpleNamespace(size=here, done=None, owned=True), SimpleNamespace(size=99 * GB, done=None, owned=False)]
    manager: Any = SimpleNamespace(list_models=lambda states: models)
    return Quota(manager, LimitSettings(**limits), clock)


def test_a_model_may_be_so_large() -> None:
    found = quota(download_gb=2)
    found.accept(found.ticket(), 2 * GB, 2 * GB)
    with pytest.raises(RequestRefusedError, match=r"limits\.download_gb"):
        found.accept(found.ticket(), 2 * GB + 1, 1)


def test_a_day_may_bring_so_much_whatever_runs_at_once() -> None:
    now = 0.0
    found = quota(lambda: now, downloads_gb_a_day=10)
    first, second = found.ticket(), found.ticket()
    found.accept(first, 6 * GB, 6 * GB)
    with pytest.raises(
        RequestRefusedError, match=r"limits\.downloads_gb_a_day"
    ):  # the first has not brought a byte yet
        found.accept(second, 6 * GB, 6 * GB)
    found.settle(second)
    found.progress(first, GB, GB)
    found.settle(first)  # stopped after one: the other five are free again
    third = found.ticket()
    found.accept(third, 9 * GB, 9 * GB)
    found.progress(third, 9 * GB, 9 * GB)
    found.settle(third)
    with pytest.raises(RequestRefusedError):
        found.accept(found.ticket(), 1, 1)
    now += 24 * 3600 + 1
    found.accept(found.ticket(), 10 * GB, 10 * GB)


def test_what_exceeds_its_announcement_is_noticed_on_the_way() -> None:
    found = quota(download_gb=2, downloads_gb_a_day=3)
    ticket = found.ticket()
    found.accept(ticket, 0, 0)  # it did not say
    found.progress(ticket, 2 * GB, 2 * GB)
    with pytest.raises(RequestRefusedError, match=r"limits\.download_gb"):
        found.progress(ticket, 2 * GB + 1, 2 * GB + 1)
    other = found.ticket()
    found.accept(other, GB // 2, GB // 2)
    with pytest.raises(RequestRefusedError, match=r"limits\.downloads_gb_a_day"):
        found.progress(other, 2 * GB, 2 * GB)


def test_the_folder_may_hold_so_much() -> None:
    found = quota(here=3 * GB, models_gb=5)
    found.accept(found.ticket(), 2 * GB, 2 * GB)
    with pytest.raises(RequestRefusedError, match=r"limits\.models_gb"):
        found.accept(found.ticket(), 3 * GB, 3 * GB)


@pytest.mark.parametrize("limit", ["download_gb", "downloads_gb_a_day", "models_gb"])
def test_a_server_refuses_before_the_first_byte(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with SlowHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        settings = Settings.load(None, home=home, **{f"limits.{limit}": 0.001, "downloads.max_rate_mb": 0.2})
        with serving_here(settings) as server, httpx2.Client(base_url=server.url, timeout=30) as http:
            assert http.post("/models", json={"model": "someone/slow-GGUF:Q8_0"}).status_code == 202
            wait_until(lambda: http.get("/models").json()["downloads"][0]["state"] != "downloading")
            found = http.get("/models").json()
        (download,) = found["downloads"]
        assert download["state"] == "failed"
        assert f"limits.{limit}" in download["error"]
        assert [item["id"] for item in found["data"]] == [TINY], "nothing was begun"
        assert not [path for path in tmp_path.rglob("*.part") if path.stat().st_size]
