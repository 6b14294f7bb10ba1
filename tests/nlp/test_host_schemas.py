"""Every schema that the installed Parlant asks for, answered by the shipped model at temperature 1."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import parlant.bin.server as host_server
import pytest
import pytest_asyncio
from pydantic import BaseModel

from parlant_local.nlp import LlamaService
from parlant_local.nlp.schemas import answer_type
from parlant_local.nlp.service import SHIPPED_MODEL_ID
from parlant_local.observability import NullLogger

pytestmark = pytest.mark.asyncio(loop_scope="module")


def host_schemas() -> list[type[BaseModel]]:
    """The classes that the host's start-up code names in its list, read from its source: no list of ours to go stale."""
    source = inspect.getsource(host_server.initialize_container)
    names = source[source.index("for schema in (") :].split("(", 1)[1].split("):", 1)[0]
    return [getattr(host_server, name.strip()) for name in names.split(",") if name.strip()]


SCHEMAS = host_schemas()
PROMPT = "You help the customers of a book shop. A customer says: where is my order 4711? Fill in the form."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[LlamaService]:
    made = LlamaService(model_id=SHIPPED_MODEL_ID, logger=NullLogger())
    yield made
    await made.close()


async def test_the_host_asks_for_27_schemas() -> None:
    assert len(SCHEMAS) == 27


async def answers(service: LlamaService, schema: type[BaseModel], count: int) -> list[Any]:
    generator = await service.get_schematic_generator(schema)  # type: ignore[type-var]  # the host's models
    results = await asyncio.gather(
        *(generator.generate(PROMPT, {"temperature": 1.0, "seed": seed}) for seed in range(count))
    )
    return [result.content for result in results]


def check(schema: type[BaseModel], content: Any) -> None:
    assert isinstance(content, schema)
    # An independent judge, since the type has already accepted its own answer.
    jsonschema.Draft202012Validator(dict(answer_type(schema).schema)).validate(content.model_dump(mode="json"))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
async def test_two_answers_of_each_validate_and_end_by_themselves(service: LlamaService, schema: type) -> None:
    for content in await answers(service, schema, 2):
        check(schema, content)
    counter = service.stats()[schema.__name__]
    assert (counter["failed"], counter["retried"]) == (0, 0)


@pytest.mark.evidence
@pytest.mark.timeout(3600)
async def test_twenty_answers_of_each_validate(service: LlamaService) -> None:
    rows, failed = {}, 0
    for schema in SCHEMAS:
        started = time.monotonic()
        before = service.stats().get(schema.__name__, {}).get("completion_tokens", 0)
        contents = await answers(service, schema, 20)
        for content in contents:
            check(schema, content)
        counter = service.stats()[schema.__name__]
        failed += counter["failed"]
        rows[schema.__name__] = {
            "answers": len(contents),
            "failed": counter["failed"],
            "asked for more room": counter["retried"],
            "tokens": counter["completion_tokens"] - before,
            "seconds": round(time.monotonic() - started, 1),
        }
    target = Path(__file__).parents[2] / "docs" / "evidence" / "host-schemas.json"
    target.write_text(json.dumps({"date": time.strftime("%Y-%m-%d"), "schemas": rows}, indent=2) + "\n")
    assert failed == 0
