"""Who may come in: keys, addresses, websites, sizes, and how much at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from parlant_local.cli.main import main
from parlant_local.errors import RequestRefusedError, SettingsError
from parlant_local.server.app import create_app
from parlant_local.server.auth import Keyring, Owner, check_binding
from parlant_local.server.clients import Clients
from parlant_local.server.guarding import is_administration, is_public
from parlant_local.server.limits import Limiter
from parlant_local.settings import AuthSettings, LimitSettings, ServerSettings, Settings
from tests.support.eventually import wait_until
from tests.support.in_process import InProcess

from .conftest import TINY, Server

KEY = "correct-horse-battery-staple"
OTHER = "another-key-of-a-colleague"
ADMIN = "the-key-of-who-runs-the-place"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("locked")
    keys = folder / "keys"
    keys.write_text(f"# who may come in\n\nanna:{KEY}\n{OTHER}\n")
    admins = folder / "admins"
    admins.write_text(f"boss:{ADMIN}\n")
    admins.chmod(0o600)
    found = Server(folder / "server", "--api-key-file", str(keys), "--admin-key-file", str(admins))
    yield found
    found.stop()
    assert not any(key in found.raw for key in (KEY, OTHER, ADMIN))


_ENDLESS = ("/models/sse", "/api/images/events")


def routes() -> list[tuple[str, str]]:
    """Every route of the app with every method, as the app itself knows them."""
    found = []
    for route in _flat(create_app(Settings()).routes):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            found.append((method, route.path.replace("{model:path}", TINY).replace("{name}", "swagger-ui.css")))
    return found


def _flat(items: Any) -> Iterator[Any]:
    for item in items:
        if getattr(item, "methods", None):
            yield item
        for inner in getattr(getattr(item, "original_router", None), "routes", ()):
            yield from _flat([inner])


def test_the_list_of_routes_is_whole() -> None:
    paths = {path for _, path in routes()}
    assert {
        "/v1/chat/completions",
        "/v1/models",
        "/models/sse",
        "/openapi.json",
        "/docs",
        "/metrics",
        "/",
        "/api/chat",
    } <= paths


def test_every_route_needs_a_right_key_but_the_page_and_health(locked: Server) -> None:
    with httpx2.Client(base_url=locked.url, timeout=30) as http:
        for method, path in routes():
            if path in ("/page/swagger-ui.css",):
                continue
            public = is_public(path)
            for headers in (
                {},
                {"authorization": "Bearer wrong-key-wrong-key"},
                {"authorization": "Bearer"},
                {"authorization": f"Basic {KEY}"},
            ):
                status = http.request(method, path, headers=headers).status_code
                assert (status != 401) == public, f"{method} {path} with {headers} gave {status}"
            if path in _ENDLESS:
                with http.stream(method, path, headers={"authorization": f"Bearer {ADMIN}"}) as answer:
                    assert answer.status_code == 200
                continue
            status = http.request(method, path, headers={"authorization": f"Bearer {ADMIN}"}).status_code
            assert status not in (401, 403), f"{method} {path} with a right key gave {status}"


def test_a_key_for_asking_administers_nothing(locked: Server) -> None:
    administration = {path for _, path in routes() if is_administration(path)}
    assert administration == {
        "/lora-adapters", "/slots", "/slots/{id_slot}", "/models", "/models/cancel", "/models/load", "/models/unload", "/models/sse", "/api/status", "/metrics",
        "/api/requests", "/api/agents", "/api/search", "/api/recommend",
    }  # fmt: skip
    with httpx2.Client(base_url=locked.url, timeout=30, headers={"authorization": f"Bearer {KEY}"}) as http:
        for method, path in routes():
            with http.stream(method, path) as answer:
                refused = answer.status_code == 403
                if path not in _ENDLESS or refused:
                    answer.read()
            assert refused == (path in administration), f"{method} {path} gave {answer.status_code}"
            if refused:
                assert answer.json()["error"]["code"] == "admin_key_needed"
                assert "auth.admin_key_file" in answer.json()["error"]["message"]
        assert http.get("/metrics", auth=httpx2.BasicAuth("me", KEY)).status_code == 403
        assert http.get("/metrics", auth=httpx2.BasicAuth("me", ADMIN)).status_code == 200


def test_a_key_file_that_others_can_read_is_told_once(locked: Server) -> None:
    told = [line["message"] for line in locked.log if "is readable by other users" in line["message"]]
    assert len(told) == 1
    assert "/keys" in told[0]
    assert "chmod 600" in told[0]


def test_what_does_not_exist_tells_nothing_without_a_key(locked: Server) -> None:
    assert httpx2.get(f"{locked.url}/secret").status_code == 401
    assert httpx2.get(f"{locked.url}/secret", headers={"authorization": f"Bearer {OTHER}"}).status_code == 404


def test_the_openai_client_understands_the_refusal(locked: Server) -> None:
    with openai.OpenAI(base_url=f"{locked.url}/v1", api_key="wrong-key-wrong-key", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
    with openai.OpenAI(base_url=f"{locked.url}/v1", api_key=KEY, max_retries=0) as client:
        assert client.models.list().data


def test_a_browser_may_log_in_to_read_the_documentation_only(locked: Server) -> None:
    answer = httpx2.get(f"{locked.url}/docs")
    assert answer.headers["www-authenticate"].startswith("Basic")
    with httpx2.Client(base_url=locked.url, auth=httpx2.BasicAuth("me", KEY)) as http:
        assert http.get("/docs").status_code == 200
        assert http.get("/openapi.json").status_code == 200
        # A browser sends its login by itself, even when another website asks.
        assert http.get("/v1/models").status_code == 401
        assert http.post("/v1/chat/completions", json={}).status_code == 401


def test_every_key_is_compared_whoever_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import hmac

    compared: list[int] = []
    real = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return real(one, other)

    (tmp_path / "keys").write_text(f"a:{KEY}\nb:{OTHER}\n")
    keys = Keyring.load(AuthSettings(key_file=tmp_path / "keys"))
    monkeypatch.setattr("parlant_local.server.auth.hmac.compare_digest", counted)
    owners = [keys.owner_of(key) for key in (KEY, OTHER, "x", KEY * 1000)]
    assert owners == [Owner("a", admin=False), Owner("b", admin=False), None, None]
    assert compared == [32] * 8  # digests, of one length, all of them each time
    assert KEY not in repr(keys)


@pytest.mark.parametrize(
    "content",
    ["", "# nothing\n", "short\n", "name:\n", b"\xff\xfe", f"{KEY}ä\n", f"{KEY} {OTHER}\n", f"{KEY}\x1b[0m\n"],
)
def test_a_useless_key_file_is_refused(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "keys").write_bytes(content if isinstance(content, bytes) else content.encode())
    for setting in ("key_file", "admin_key_file"):
        with pytest.raises(SettingsError, match="key"):
            Keyring.load(AuthSettings.model_validate({setting: tmp_path / "keys"}))


@pytest.mark.parametrize("name", ["API_KEY", "ADMIN_API_KEY"])
def test_an_empty_key_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"PARLANT_LOCAL_AUTH__{name}", "")
    with pytest.raises(SettingsError, match="empty"):
        create_app(Settings())


def test_a_key_of_both_tiers_is_an_admins(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"anna:{KEY}\nben:{OTHER}\n")
    (tmp_path / "admins").write_text(f"chief:{KEY}\n")
    keys = Keyring.load(AuthSettings(key_file=tmp_path / "keys", admin_key_file=tmp_path / "admins"))
    assert keys.owner_of(KEY) == Owner("chief", admin=True)
    assert keys.owner_of(OTHER) == Owner("ben", admin=False)
    alone = Keyring.load(AuthSettings(api_key=SecretStr(KEY)))
    assert alone.owner_of(KEY) == Owner("environment", admin=False)
    assert not alone.administered


def test_strangers_are_not_served_without_keys() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "myhost"):
        with pytest.raises(SettingsError, match="API keys"):
            check_binding(ServerSettings(host=host), Keyring())
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"):
        check_binding(ServerSettings(host=host), Keyring())


def test_the_command_refuses_it_with_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(tmp_path))
    for more in (
        ["--host", "0.0.0.0"],
        ["--api-key-file", str(tmp_path / "none")],
        ["--config", str(tmp_path / "none.yml")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["serve", *more])
        assert ended.value.code == 2
        assert "error:" in capsys.readouterr().err


def test_foreign_names_and_websites_are_turned_away(server: Server) -> None:
    with httpx2.Client(base_url=server.url) as http:
        assert http.get("/v1/models", headers={"host": "evil.example:80"}).json()["error"]["code"] == "bad_host"
        refused = http.post("/v1/completions", headers={"origin": "https://evil.example"}, json={"prompt": "x"})
        assert refused.json()["error"]["code"] == "bad_origin"
        assert "access-control-allow-origin" not in refused.headers
        own = http.post("/v1/completions", headers={"origin": server.url}, json={"prompt": "x", "max_tokens": 1})
        assert own.status_code == 200
        # What a website can send without asking first is no JSON.
        plain = http.post("/v1/completions", headers={"content-type": "text/plain"}, content=b'{"prompt": "x"}')
        assert plain.status_code == 422
        assert "content-type: application/json" in plain.json()["error"]["message"]
        assert "JSON object" in http.post("/v1/completions", json=["prompt"]).json()["error"]["message"]


def test_named_websites_may_come_in(here: Callable[..., InProcess]) -> None:
    server = here(**{"cors.origins": ["https://chat.example"]})
    origin = {"origin": "https://chat.example"}
    asked = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = httpx2.request("OPTIONS", f"{server.url}/v1/completions", headers=asked)
    assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
    assert httpx2.get(f"{server.url}/v1/models", headers=origin).headers["access-control-allow-origin"]
    other = httpx2.get(f"{server.url}/v1/models", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_clients_word_opens_no_file_and_no_address(server: Server) -> None:
    import parlant_local

    tiny = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
    with httpx2.Client(base_url=server.url) as http:
        for name in (str(tiny), f"file://{tiny}", "../../etc/passwd", "/etc/passwd", "https://127.0.0.1:9/x.gguf"):
            for path in ("/v1/chat/completions", "/models/load", "/models/unload"):
                answer = http.post(path, json={"model": name, "messages": [{"role": "user", "content": "x"}]})
                assert answer.status_code == 404, f"{path} {name}: {answer.text}"
        for name in (
            str(tiny),
            "https://127.0.0.1:9/x.gguf",
            "127.0.0.1:9/ns/name:tag",
            "registry.example.com/ns/name:tag",
        ):
            answer = http.post("/models", json={"model": name})
            assert answer.status_code == 400, f"{name}: {answer.text}"
            assert "Hugging Face hub" in answer.json()["error"]["message"]


def test_sizes_are_limited(here: Callable[..., InProcess]) -> None:
    limits = {"body_mb": 0.01, "messages": 2, "message_characters": 100, "max_tokens": 20, "choices": 2, "texts": 2}
    server = here(**{f"limits.{name}": value for name, value in limits.items()})

    def chat(**change: Any) -> httpx2.Response:
        body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2} | change
        return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)

    def code(answer: httpx2.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["code"]

    assert chat().status_code == 200
    assert code(chat(messages=[{"role": "user", "content": "x" * 20_000}])) == (413, "request_too_large")
    assert code(chat(messages=[{"role": "user", "content": "x" * 101}])) == (400, "text_too_long")
    assert code(chat(messages=[{"role": "user", "content": "x"}] * 3)) == (400, "too_many_messages")
    assert code(chat(max_tokens=21)) == (400, "max_tokens_too_large")
    assert code(chat(n=3)) == (400, "too_many_choices")
    assert chat(max_tokens=None).json()["usage"]["completion_tokens"] <= 20

    def drip() -> Iterator[bytes]:  # no length is announced
        yield b'{"prompt": "'
        for _ in range(20):
            yield b"x" * 1000
        yield b'"}'

    streamed = httpx2.post(f"{server.url}/v1/completions", content=drip(), headers={"content-type": "application/json"})
    assert code(streamed) == (413, "request_too_large")
    many = httpx2.post(f"{server.url}/v1/embeddings", json={"input": ["a", "b", "c"]})
    assert code(many) == (400, "too_many_inputs")


def test_rates_are_limited_per_key() -> None:
    now = 0.0
    limiter = Limiter(LimitSettings(requests_per_minute=2, concurrent_requests=1), clock=lambda: now)

    def one(client: str) -> None:
        with limiter.request(client):
            pass

    one("anna")
    one("anna")
    with pytest.raises(RequestRefusedError) as caught:
        one("anna")
    assert caught.value.status == 429
    assert caught.value.retry_after == 30
    one("ben")
    now += 30
    one("anna")
    with limiter.request("ben"), pytest.raises(RequestRefusedError, match="at once"):
        one("ben")
    now += 60
    one("ben")


def test_the_limiter_remembers_no_more_than_it_may() -> None:
    limiter = Limiter(LimitSettings(requests_per_minute=2, concurrent_requests=1))
    with ExitStack() as busy:
        for number in range(3):
            busy.enter_context(limiter.request(f"busy{number}"))
        for number in range(10_000):
            with limiter.request(f"client{number}"):
                pass
        assert len(limiter._clients) <= 4096
        with pytest.raises(RequestRefusedError):  # the busy ones are not forgotten
            busy.enter_context(limiter.request("busy0"))


def test_who_asks_is_told_by_the_connection() -> None:
    def name(peer: str, *forwarded: str, trusted: tuple[str, ...] = ()) -> str:
        headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
        return Clients(trusted).name({"type": "http", "client": (peer, 1)}, headers)

    assert name("127.0.0.1", "9.9.9.9") == "127.0.0.1"
    assert name("10.0.0.1", "9.9.9.9", trusted=("127.0.0.1",)) == "10.0.0.1"
    proxies = ("127.0.0.0/8", "10.0.0.0/8", "::1")
    assert name("127.0.0.1", "9.9.9.9", trusted=proxies) == "9.9.9.9"
    # What a client wrote itself stands further left than what the nearest proxy saw.
    assert name("127.0.0.1", "1.1.1.1, 9.9.9.9", trusted=proxies) == "9.9.9.9"
    assert name("127.0.0.1", "1.1.1.1, 9.9.9.9, 10.1.1.1", trusted=proxies) == "9.9.9.9"
    assert name("127.0.0.1", "1.1.1.1", "9.9.9.9,10.1.1.1", trusted=proxies) == "9.9.9.9"
    assert name("::1", "9.9.9.9:4711", trusted=proxies) == "9.9.9.9"
    assert name("127.0.0.1", "9.9.9.9, evil", trusted=proxies) == "127.0.0.1"
    assert name("127.0.0.1", "10.1.1.1", trusted=proxies) == "10.1.1.1"
    assert name("127.0.0.1", trusted=proxies) == "127.0.0.1"
    # One household, one name; one address, one name.
    assert name("2001:db8::1") == name("2001:db8::ffff:1:2:3") == "2001:db8::/64"
    assert name("2001:db8:0:1::1") != name("2001:db8::1")
    assert (
        name("::ffff:9.9.9.9") == name("9.9.9.9") == name("127.0.0.1", "::ffff:9.9.9.9", trusted=proxies) == "9.9.9.9"
    )
    assert name("127.0.0.1", "[2001:db8::7]:443", trusted=proxies) == "2001:db8::/64"


def test_a_header_does_not_buy_more_requests(here: Callable[..., InProcess]) -> None:
    server = here(**{"limits.requests_per_minute": 2})
    statuses = [
        httpx2.post(
            f"{server.url}/detokenize",
            json={"tokens": []},
            headers={
                "x-forwarded-for": f"9.9.9.{number}",
                "forwarded": f"for=9.9.9.{number}",
                "x-real-ip": f"9.9.9.{number}",
            },
        ).status_code
        for number in range(4)
    ]
    assert statuses[2:] == [429, 429], statuses
    assert {line["client"] for line in server.log if "client" in line} == {"127.0.0.1"}


@pytest.mark.parametrize("value", ["name", "10.0.0.0/33", "10.0.0.1/8/8"])
def test_a_proxy_that_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        ServerSettings(trusted_proxies=(value,))


@pytest.mark.parametrize("name", ["", "[", "[::1", "evil@localhost", "localhost@evil", "127.evil.example", "localhost evil",
                                  "127.1", "0x7f.1", "localhost/../evil", "\x1b[31mlocalhost", "a" * 8000])  # fmt: skip
def test_names_that_only_look_like_this_machine(server: Server, name: str) -> None:
    answer = httpx2.get(f"{server.url}/v1/models", headers={"host": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "bad_host")


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://", "//", "http://127.0.0.1:1@evil", "x" * 8000])
def test_origins_that_are_none(server: Server, origin: str) -> None:
    answer = httpx2.post(f"{server.url}/tokenize", json={"content": "x"}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "bad_origin")


async def test_clients_are_told_when_to_come_back(here: Callable[..., InProcess]) -> None:
    server = here(**{"limits.concurrent_requests": 1})
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        body = {"prompt": "Once upon a time", "max_tokens": 200, "temperature": 5}
        answers = await asyncio.gather(*(http.post("/v1/completions", json=body) for _ in range(4)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert refused[0].json()["error"]["type"] == "rate_limit_error"


def test_each_request_has_an_id_and_no_content_is_logged(locked: Server) -> None:
    secret = "the-customer-said-this"
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "mine-42"}
    body = {"messages": [{"role": "user", "content": secret}], "max_tokens": 2}
    answer = httpx2.post(f"{locked.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.headers["x-request-id"] == "mine-42"
    bad = httpx2.post(f"{locked.url}/v1/chat/completions", json=body | {"temperature": secret}, headers=headers)
    assert bad.status_code == 422
    assert secret not in bad.text
    odd = httpx2.post(f"{locked.url}/v1/chat/completions", json={"messages": [{"role": secret}]}, headers=headers)
    assert odd.status_code == 400  # the role is named to who sent it, and to nobody else
    made_up = httpx2.get(f"{locked.url}/health", headers={"x-request-id": "bad id!"})
    assert made_up.headers["x-request-id"].startswith("req-")
    lines: list[dict[str, Any]] = []

    def statuses() -> set[int]:
        lines[:] = [line for line in locked.log if line.get("request_id") == "mine-42"]
        return {line["status"] for line in lines if "status" in line}

    wait_until(lambda: statuses() == {200, 400, 422}, statuses)  # logged after its answer, and read by another thread
    assert {line["client"] for line in lines if "client" in line} == {"anna"}
    assert secret not in locked.raw


def test_content_is_logged_only_where_the_owner_asks(here: Callable[..., InProcess]) -> None:
    server = here(**{"logging.content": True})
    body = {"messages": [{"role": "user", "content": "log-me-please"}], "max_tokens": 2}
    httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    wait_until(lambda: "log-me-please" in server.raw, lambda: server.log[-3:])
