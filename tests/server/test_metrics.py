"""What Prometheus reads: each answer once, by model and outcome; the dashboard and the alerts ask for what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import yaml

from parlant_local.messages import Timings, Usage
from parlant_local.server.metrics import Metrics
from tests.support.in_process import InProcess

from .conftest import TINY

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"parlant_local_[a-z_]+")
ASKED: dict[str, Any] = {"model": TINY, "messages": [{"role": "user", "content": "What is the capital of France?"}]}


@pytest.fixture
def server(here: Callable[..., InProcess]) -> InProcess:
    return here(**{"limits.name_characters": 100})


def _figures(server: InProcess) -> dict[str, float]:
    text = httpx2.get(f"{server.url}/metrics", timeout=30).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_answers_are_counted_by_model_and_outcome(server: InProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        client.chat.completions.create(**ASKED, max_tokens=16)
        list(client.chat.completions.create(**ASKED, max_tokens=16, stream=True))
        client.completions.create(model=TINY, prompt="The capital", max_tokens=4)
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ASKED, max_tokens=1_000_000)
    found = _figures(server)

    def of(name: str, **labels: str) -> float:
        told = ",".join(f'{key}="{value}"' for key, value in {"model": TINY, **labels}.items())
        return found[f"parlant_local_{name}{{{told}}}"]

    assert of("answer_seconds_count", outcome="ok") == 3
    assert of("answer_seconds_count", outcome="error") == 1
    assert of("queue_seconds_count") == 3
    assert of("time_per_output_token_seconds_count") == 3
    assert of("model_memory_bytes") > 0
    assert found["parlant_local_model_loads_total"] == 1
    httpx2.post(f"{server.url}/models/unload", json={"model": TINY}, timeout=60).raise_for_status()
    assert _figures(server)['parlant_local_model_unloads_total{reason="asked"}'] == 1


def test_a_client_that_leaves_is_no_failure(server: InProcess) -> None:
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.create(
            **ASKED, max_tokens=1000, stream=True, extra_body={"ignore_eos": True}
        ) as stream,
    ):
        next(iter(stream))
    metrics = server.context.metrics
    metrics.answered("m", "cancelled", 1.0, Usage(), Timings())
    text = metrics.render().decode()
    assert 'parlant_local_answer_seconds_count{model="m",outcome="cancelled"} 1.0' in text
    assert 'parlant_local_queue_seconds_count{model="m"}' not in text


def _exported(server: InProcess) -> set[str]:
    families = re.findall(r"# TYPE (\S+) (\S+)", httpx2.get(f"{server.url}/metrics", timeout=30).text)
    names = {name for name, _ in families}
    return names | {
        f"{name}{end}" for name, kind in families if kind == "histogram" for end in ("_bucket", "_count", "_sum")
    }


def _dashboard() -> Iterator[str]:
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text("utf-8"))
    yield from (item.get("query", "") for item in board["templating"]["list"])
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def _alerts() -> Iterator[str]:
    for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_the_dashboard_and_the_alerts_ask_for_what_is_exported(server: InProcess) -> None:
    exported = _exported(server)
    asked = {name for expression in (*_dashboard(), *_alerts()) for name in NAME.findall(expression)}
    assert len(asked) > 20
    assert asked <= exported


def test_every_family_of_answers_is_on_the_dashboard() -> None:
    shown = " ".join(_dashboard())
    families = re.findall(r"# TYPE (parlant_local_\S+) histogram", Metrics(dict).render().decode())
    left_out = {"parlant_local_http_request_seconds", "parlant_local_image_job_seconds"}
    assert {name for name in families if name not in shown} == left_out
