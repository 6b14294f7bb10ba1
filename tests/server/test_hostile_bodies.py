"""What no honest client sends: a refusal in OpenAI's shape each time, and everybody else is served meanwhile."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from parlant_local.errors import RequestRefusedError
from parlant_local.server.bodies import read_json
from parlant_local.server.writing import json_answer, slices_of
from parlant_local.settings import LimitSettings
from tests.support.health_watch import Watch
from tests.support.hostile_requests import CHAT, HostileRequest, bodies, code_of, generated, header_values, kinds
from tests.support.in_process import InProcess

from .conftest import TINY, Server

LIMITS = LimitSettings()
GROWTH = 256 * 2**20
_THREAD_BYTES = (
    "2,000 lists of 150 ids",
    "with pieces",
    "8 answers with 20 log-probabilities",
    "2,048 texts",
)  # honest work
_MADE_UP = "the made-up model "


@pytest.fixture(scope="module")
def hostage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("hostage"), "--model", TINY)
    found.wait_loaded()
    yield found
    found.stop()
    assert '"level": "error"' not in found.raw, found.raw[-3000:]


@pytest.fixture(scope="module")
def watch(hostage: Server) -> Iterator[Watch]:
    with Watch(hostage.url, hostage.process.pid) as found:
        yield found


@pytest.fixture(scope="module")
def http(hostage: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=hostage.url, timeout=120) as client:
        yield client


def send(http: httpx2.Client, request: HostileRequest) -> httpx2.Response:
    headers = [(key.encode(), value.encode("latin-1")) for key, value in request.headers.items()]
    return http.request(request.method, request.path, headers=headers, content=request.body)


def check(answer: httpx2.Response, name: str) -> None:
    # A daemon that is not there is the one failure on another's side.
    told = answer.json() if answer.status_code >= 400 and answer.request.method != "HEAD" else None
    code = code_of(answer.request.url.path, told) if told is not None else None
    assert answer.status_code < 500 or code == "upstream_down", f"{name}: {answer.text[:500]}"
    if told is not None:
        error = told["error"]
        assert 0 < len(error["message"]) < 2000, name
        assert error["message"].isprintable(), name


def _sample() -> list[HostileRequest]:
    """Every kind that multiplies or is malformed, and a few of the many that differ in a value only."""
    chosen = [item for item in kinds() if item.name not in _THREAD_BYTES]
    made_up = [item for item in chosen if item.name.startswith(_MADE_UP)]
    return [item for item in chosen if item not in made_up[2:]][::4]


@pytest.mark.parametrize("request_", _sample(), ids=lambda item: item.name)
def test_each_kind_is_refused_or_served_while_others_are(
    request_: HostileRequest, http: httpx2.Client, watch: Watch, hostage: Server
) -> None:
    before = psutil.Process(hostage.process.pid).memory_info().rss
    watch.look()
    check(send(http, request_), request_.name)
    seen = watch.look()
    assert seen.failed == 0
    assert seen.peak - before < GROWTH + len(request_.body)


def test_siblings_by_the_hundred(http: httpx2.Client, watch: Watch, hostage: Server) -> None:
    before = psutil.Process(hostage.process.pid).memory_info().rss
    for request in generated(200, seed=5):
        check(send(http, request), request.name)
    seen = watch.look()
    assert seen.failed == 0
    assert seen.peak - before < GROWTH


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_other_doors_are_as_strong(path: str, http: httpx2.Client, watch: Watch, hostage: Server) -> None:
    """The same bodies, with a response's name for messages."""
    for request in _sample():
        if request.path != CHAT or len(body := request.body) > 2**20:
            continue
        if path == "/v1/responses":
            body = body.replace(b'"messages":', b'"input":')
        check(send(http, replace(request, path=path, make=lambda body=body: body)), request.name)
    seen = watch.look()
    assert seen.failed == 0


def test_a_seed_gives_the_same_siblings() -> None:
    once, again = list(generated(50, seed=3)), list(generated(50, seed=3))
    assert [(item.name, item.path, item.headers, item.body) for item in once] == [
        (item.name, item.path, item.headers, item.body) for item in again
    ]
    assert len({item.body for item in once}) > 40


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies(), header=header_values())
def test_any_body_and_any_header(body: bytes, header: str, http: httpx2.Client) -> None:
    request = HostileRequest("any", "POST", CHAT, {"content-type": "application/json", "x-odd": header}, lambda: body)
    check(send(http, request), repr(body))


def test_names_that_clients_make_up_are_forgotten(here: Callable[..., InProcess]) -> None:
    server = here(model=TINY)
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
        for number in range(40):
            answer = http.post(CHAT, json={**body, "model": f"ollama/made-up-{number}"})
            assert answer.json()["error"]["code"] == "upstream_down"
        assert http.get("/api/status").json()["switcher"]["routes"] == {}
        assert http.post(CHAT, json=body).status_code == 200
        told = http.get("/metrics").text
    assert "made-up" not in told
    assert f'model="{TINY}"' in told


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ('{"a": [' + "0," * 400_000 + "0]}", "limits.body_values"),
        ('{"a": [' + "{}," * 100_000 + "0]}", "limits.body_values"),
        ('{"a":' * 129 + "0" + "}" * 129, "limits.body_depth"),
        (json.dumps({"messages": [{}] * 1025}), "limits.messages"),
        (json.dumps({"messages": [{"content": [{}] * 100}] * 41}), "limits.parts"),
        (json.dumps({"messages": [{"tool_calls": [{}] * 100}] * 41}), "limits.tool_calls"),
        (json.dumps({"tools": [{}] * 257}), "limits.tools"),
        (json.dumps({"input": [{}] * 4097}), "limits.parts"),
        (json.dumps({"stop": ["x"] * 17}), "limits.stops"),
        (json.dumps({"stop": "x" * 1025}), "limits.stop_characters"),
        (json.dumps({"stop": ["y", "x" * 1025]}), "limits.stop_characters"),
        (json.dumps({"logit_bias": {str(i): 1 for i in range(4097)}}), "limits.logit_biases"),
        (json.dumps({"tokens": [0] * 300_001}), "limits.token_ids"),
        (json.dumps({"documents": ["x"] * 2049}), "limits.texts"),
    ],
)
def test_a_limit_is_named_with_its_setting(body: str, limit: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        read_json(body.encode(), LIMITS)
    assert f"({limit})" in caught.value.message
    assert caught.value.status == 400


def test_what_is_just_within_the_limits_is_read() -> None:
    for text in (
        '{"a": [' + "0," * 399_990 + "0]}",
        '{"a":' * 128 + "0" + "}" * 128,
        '{"a": "' + '[{,\\"' * 300_000 + '"}',
    ):
        assert read_json(text.encode(), LIMITS) == json.loads(text)


def test_counting_takes_little_memory() -> None:
    body = b'{"a": [' + b"{}," * 2_000_000 + b"0]}"
    tracemalloc.start()
    with pytest.raises(RequestRefusedError):
        read_json(body, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * len(body)


@pytest.mark.parametrize("arguments", ["[" + "[]," * 110_000 + "1]", '{"a": [' + "1," * 410_000 + "1]}"])
@pytest.mark.parametrize("legacy", [False, True])
def test_values_within_the_text_of_arguments_count(arguments: str, legacy: bool) -> None:
    function = {"name": "f", "arguments": arguments}
    call = {"function_call": function} if legacy else {"tool_calls": [{"id": "1", "function": function}]}
    body = {"messages": [{"role": "assistant", **call}]}
    with pytest.raises(RequestRefusedError, match=r"limits\.body_values"):
        read_json(json.dumps(body).encode(), LIMITS)


def test_arguments_that_are_no_json_pass() -> None:
    body = {
        "messages": [
            {"role": "assistant", "tool_calls": [{"function": {"arguments": "[" * 1000}}, 5, {"function": 7}]},
            3,
        ]
    }
    assert read_json(json.dumps(body).encode(), LIMITS) == body


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud800"', "\ufffd"),
        (r'"a\ud800b\udc00c"', "a\ufffdb\ufffdc"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\\ud800"', r"\ud800"),
        (r'{"\udfff": ["\uD800"]}', {"\ufffd": ["\ufffd"]}),
        ("\ufeff1", 1),
    ],
)
def test_surrogates_without_a_partner_are_replaced(text: str, value: Any) -> None:
    assert read_json(text.encode(), LIMITS) == value


@pytest.mark.parametrize(
    "text", ["NaN", "[-Infinity]", "1e999", "-1e999", "9" * 5000, "", " ", "{", "[1,]", "\x00", "'a'"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        read_json(text.encode(), LIMITS)
    assert caught.value.code == "invalid_json"


async def test_large_answers_are_the_same_as_small_ones() -> None:
    def value() -> dict[str, Any]:
        flat = [{"id": index, "piece": "é"} for index in range(2500)]
        rows = (tuple(float(column) for column in range(1500)) for _ in range(3))
        return {
            "a": [],
            "b": {},
            "flat": flat,
            "rows": rows,
            "made": map(str, range(3)),
            "deep": [[[]], {"x": [None, {}]}],
        }

    small, large = await json_answer(value, 0), await json_answer(value, 10**6)
    assert small.body == large.body == b"".join(slices_of(value()))
    read = json.loads(bytes(small.body))
    assert read["flat"][2499] == {"id": 2499, "piece": "é"}
    assert read["rows"] == [[float(column) for column in range(1500)]] * 3
    assert (read["made"], read["deep"], read["a"], read["b"]) == (["0", "1", "2"], [[[]], {"x": [None, {}]}], [], {})


def test_kinds_have_names_of_their_own() -> None:
    names = [item.name for item in kinds()]
    assert len(names) == len(set(names)) > 300
