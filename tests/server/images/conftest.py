"""A server of this process whose models draw at the test's command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from parlant_local.settings import Settings
from tests.support.in_process import InProcess, serving_here
from tests.support.scripted_images import ScriptedDirectory, ScriptedImages


class Studio:
    """The server, its scripted models, and a client without a key."""

    def __init__(self, server: InProcess, directory: ScriptedDirectory) -> None:
        self.server, self.directory = server, directory
        self.url = server.url
        self.http = httpx2.Client(base_url=server.url, timeout=60)

    def model(self, name: str = "studio/painter") -> ScriptedImages:
        return self.directory.backends[name]

    def step(self, count: int = 1, name: str = "studio/painter") -> None:
        async def step() -> None:
            self.model(name).step(count)

        self.server.run(step())

    def reset(self, *, held: bool = False) -> Studio:
        """As if nothing had been asked yet."""

        async def reset() -> None:
            jobs = self.server.context.images.jobs
            for job in jobs.of(""):
                await jobs.cancel(job)
            for model in self.directory.backends.values():
                model.reset(held=held)
            self.directory.refusal = None

        self.server.run(reset())
        self.http.delete("/api/images")
        return self

    def job(self, identity: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/images/{identity}").json()
        return found

    def begin(self, prompt: str = "a cat", **more: Any) -> dict[str, Any]:
        answer = self.http.post("/api/images", json={"prompt": prompt, **more})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def open_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One that draws at once, for tests that change nothing about it."""
    directory = ScriptedDirectory()
    settings = Settings.load(home=tmp_path_factory.mktemp("home"), **{"server.keep_alive_seconds": 0.2})
    with serving_here(settings, directory) as server:
        found = Studio(server, directory)
        yield found
        found.http.close()


@pytest.fixture
def running(open_studio: Studio) -> Studio:
    """The same, as if nothing had been asked yet."""
    return open_studio.reset()


@pytest.fixture
def studio(here: Callable[..., InProcess]) -> Any:
    """Starts one: settings by their dotted names."""
    opened: list[Studio] = []

    def begin(*, held: bool = False, **values: Any) -> Studio:
        directory = ScriptedDirectory(held=held)
        opened.append(Studio(here(images=directory, **values), directory))
        return opened[-1]

    yield begin
    for one in opened:
        one.http.close()
