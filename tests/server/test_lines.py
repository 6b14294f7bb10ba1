"""What clients, files and hubs call things never reaches a terminal or a log as anything but letters."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.observability import ConsoleLogger, printable, printable_json
from parlant_local.server.logs import ServerLogger
from parlant_local.settings import LoggingSettings
from tests.support.eventually import wait_until

from .conftest import Server

HOSTILE = "a\nb\rc\x1b[31md\x07e\x7ff\x9b31mg\x85h\u2028i\u202ej\u2066k\u200fl\ud800m\U000e0041n\x00o\tp"
FORGED = "x\n12:00:00 error   Everything is lost."


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@given(st.text() | st.text(alphabet=HOSTILE))
def test_a_line_is_one_line(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert printable_json(text).isprintable()
    assert json.loads(printable_json({text: [text]})) == {text: [text]}


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("Grüße, 你好, привет!", 'C:\\models\\a.gguf "x"', "🙂 é ﬁ"):
        assert printable(text) == text
        assert printable_json(text) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("to_file", [True, False])
def test_every_way_into_the_log_is_escaped(tmp_path: Path, form: str, to_file: bool) -> None:
    stream = io.StringIO()
    path = tmp_path / "server.log"
    settings = LoggingSettings.model_validate({"format": form, "file": path if to_file else None})
    logger = ServerLogger(settings, "debug", stream)
    logger.adopt("uvicorn.error")
    for text in (HOSTILE, FORGED):
        logger.info(text)
        logger.event("error", text, error=text, path=Path(text.replace("\x00", "").replace("\ud800", "")), **{text: 1})
        logging.getLogger("uvicorn.error").warning("Odd: %s", text)
        try:
            raise ValueError(text)
        except ValueError as error:
            logging.getLogger("uvicorn.error").error("It failed.", exc_info=error)
    logger.close()
    logging.getLogger("uvicorn.error").handlers.clear()
    written = path.read_text("utf-8") if to_file else stream.getvalue()
    assert harmless(written)
    lines = written.splitlines()
    assert not any(line.startswith("12:00:00") for line in lines)
    if form == "json":
        assert len(lines) == 8
        assert json.loads(lines[0])["message"] == HOSTILE
    else:
        assert len([line for line in lines if not line.startswith("    ")]) == 8


def test_the_librarys_own_logger_is_no_exception() -> None:
    stream = io.StringIO()
    ConsoleLogger(stream=stream).error(HOSTILE + FORGED)
    assert harmless(stream.getvalue())
    assert stream.getvalue().count("\n") == 1


def test_nothing_of_a_request_is_acted_on(server: Server) -> None:
    escaped = "a%0ab%0dc%1b%5b31md%c2%9be%e2%80%aef%ff%00g%f3%a0%81%81"
    before = len(server.log)
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        for path in (
            f"/{escaped}",
            f"/v1/models/{escaped}",
            f"/page/{escaped}",
            f"/health?{escaped}",
            f"/models?model={escaped}",
        ):
            for method in ("GET", "POST", "DELETE"):
                http.request(method, path, headers={"user-agent": "x\x1b[31m", "x-request-id": "y\x1b[31m"})
        for name in (HOSTILE.replace("\ud800", ""), FORGED):
            for path in (
                "/v1/completions",
                "/models/load",
                "/models/unload",
                "/models",
                "/models/cancel",
                "/v1/embeddings",
            ):
                answer = http.post(path, json={"model": name, "prompt": "x", "input": "x"})
                assert 400 <= answer.status_code < 500, (path, answer.text)
    wait_until(lambda: len(server.log) >= before + 27)
    assert harmless(server.raw)
    assert all(line.startswith("{") for line in server.raw.splitlines())
