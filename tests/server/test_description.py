"""Whatever fits the API's description is answered as described, and nothing makes the server fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from parlant_local.server.app import create_app
from parlant_local.settings import Settings

from .conftest import Server

# Refusals that these are: the hub is out of reach from here, and the shipped model has no room and no judgement.
_REFUSALS = (502, 503, 504, 507)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A throwaway catalogue, and answers of few tokens."""
    limits = {"PARLANT_LOCAL_LIMITS__MAX_TOKENS": "4", "PARLANT_LOCAL_LIMITS__CHOICES": "2", "HF_HUB_OFFLINE": "1"}
    found = Server(tmp_path_factory.mktemp("described"), environment=limits)
    yield found
    found.stop()
    failures = [line for line in found.log if line["level"] == "error"]
    assert failures == []


def test_answers_are_as_described(described: Server) -> None:
    """Read here: the collection of tests would wait seconds for it in each process."""
    schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi()).exclude(
        path=["/models/sse", "/api/images/events"]
    )  # they never end
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        _asked_in_all_ways(operation, described.url)


def _asked_in_all_ways(operation: schemathesis.APIOperation, url: str) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=url, timeout=60)
        if answer.status_code in _REFUSALS:
            assert answer.json()["error"]["message"]
            return
        case.validate_response(
            answer,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    ask()
