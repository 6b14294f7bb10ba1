"""The same Parlant home again, with another embedding model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import parlant.sdk as p
import pytest

from parlant_local.nlp import LocalNLPService
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend
from tests.support.parlant_server import host_log, serving, three_turns

pytestmark = pytest.mark.filterwarnings("ignore")

HOME = Path(os.environ["PARLANT_HOME"])


async def create_agent(server: p.Server) -> None:
    agent = await server.create_agent(id="again", name="Ada", description="Helps in a book shop.")
    await agent.create_term(name="Page Club", description="The shop's reading circle.")
    await agent.create_term(name="Parcel day", description="Tuesday, when ordered books leave.")
    await agent.create_canned_response("Your order is on its way.")


def collections() -> set[str]:
    """Names under which the host keeps vectors on disk: the embedders' class names."""
    data = json.loads((HOME / "cache_embeddings.json").read_text())
    return {name for name, rows in data.items() if isinstance(rows, list) and rows and "mbedder" in name}


async def test_another_embedding_model_neither_crashes_the_start_nor_gets_the_olds_vectors() -> None:
    """Lexical vectors first, then a real model's (other dimensions), then lexical ones again."""
    made: list[LocalNLPService] = []

    def factory(container: Any, **settings: Any) -> LocalNLPService:
        from parlant_local.nlp.llama import gguf_backend

        loaded = Settings.load(None, **settings)
        embedding = gguf_backend(loaded.embedding.model, loaded) if loaded.embedding.model else None
        service = LocalNLPService(ScriptedBackend(), embedding_backend=embedding, settings=loaded, container=container)
        made.append(service)
        return service

    names = []
    for settings in (
        {},
        {"embedding.model": SHIPPED_MODEL_ID},
        {},
    ):
        with host_log() as log:
            async with serving(lambda c, s=settings: factory(c, **s), create_agent) as server:
                turns = await three_turns(server.address, "again", "When is parcel day?")
                names.append(type(await made[-1].get_embedder()).__name__)
        assert all(turn.replies for turn in turns), [turn.problem for turn in turns]
        assert [line for line in log if "error" in line] == []
    assert names[0] == names[2] != names[1]
    assert set(names) <= collections()
