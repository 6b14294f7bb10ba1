"""docs/server.md tells of every path, and has what a reader of it needs; its examples are run by tests/examples."""

from __future__ import annotations

import re
from pathlib import Path

from .test_doors import routes

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text("utf-8")


def test_the_page_has_what_a_reader_needs() -> None:
    for word in ("parlant-local serve", "curl", "/api/chat", "--api-key-file", "llm -m"):
        assert word in PAGE
    for client in ("openai", "litellm", "LangChain", "llm", "curl", "LibreChat"):
        assert client in PAGE


def test_every_path_is_told_and_exists() -> None:
    told = {
        (method, path)
        for method, path in re.findall(
            r"`(GET|POST|DELETE) (/[^`?]*)\??[^`]*`", PAGE.replace("/v1/models/{id}", "/v1/models/{model:path}")
        )
    }
    there = {(method, path.replace("local/llama/parlant-local-tiny", "{model:path}")) for method, path in routes()}
    assert told <= there, told - there
    silent = ("/page/", "/vendor/", "/favicon.ico", "/docs", "/redoc", "/openapi.json", "/rerank")
    untold = {(method, path) for method, path in there - told if path != "/" and not path.startswith(silent)}
    assert untold == set()
