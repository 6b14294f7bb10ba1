"""A whole conversation with a model that a plug-in package brings: Parlant's server knows nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import parlant.sdk as p
import pytest
import pytest_asyncio

from parlant_local import nlp_service
from parlant_local.agent.serving import RunningServer
from parlant_local.settings import Settings
from tests.plugins.conftest import install
from tests.support.parlant_server import QUESTIONS, host_log, serving, three_turns

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore")]

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["uv_build>=0.8,<1"]
build-backend = "uv_build"
[project]
name = "house-models"
version = "1.0"
[project.entry-points."parlant_local.backends"]
house = "house_models:House"
""",
    "src/house_models/__init__.py": """
from parlant_local.backends import WrapperBackend
from parlant_local.backends.llama_cpp import LlamaCppBackend

CALLS = []

class House(WrapperBackend):
    @classmethod
    def from_reference(cls, name, context):
        return cls(LlamaCppBackend("local/llama/" + name, settings=context.settings, logger=context.logger))

    async def chat(self, messages, **options):
        CALLS.append("chat")
        return await super().chat(messages, **options)
""",
}


async def create_agent(server: p.Server) -> None:
    agent = await server.create_agent(id="house", name="Flo", description="Helps in a book shop.")
    await agent.create_guideline(condition="the customer asks about an order", action="tell its status")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    folder = install(FILES, tmp_path_factory.mktemp("house"))
    settings = Settings.load(None, **{"model": "house/parlant-local-tiny", "engine.seed": 7})

    def create(container: Any) -> Any:
        return nlp_service(container, settings=settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        async with serving(create, create_agent) as running:
            yield running


async def test_it_answers_every_turn(server: RunningServer) -> None:
    import house_models  # type: ignore[import-not-found]  # installed by the fixture

    before = len(house_models.CALLS)
    with host_log() as log:
        turns = await three_turns(server.address, "house", *QUESTIONS)
    assert [turn.problem for turn in turns] == ["", "", ""]
    assert all(turn.replies for turn in turns)
    assert [line for line in log if "NLP" in line or "error" in line] == []
    assert len(house_models.CALLS) - before >= 3 * 3, "each turn takes several calls"


def test_the_package_is_where_nothing_else_is(server: RunningServer) -> None:
    import house_models

    assert Path(house_models.__file__).parent.name == "house_models"
