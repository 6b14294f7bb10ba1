"""Asking an HTTP server on this machine, whole answers and streams: the standard library, so that it is in every environment."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["post", "stream"]

_PATIENCE = 1800


def post(host: str, port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        response = _send(connection, path, body)
        answer: dict[str, Any] = json.loads(response.read())
        return answer
    finally:
        connection.close()


def stream(host: str, port: int, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a streamed answer, each as it arrives."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        response = _send(connection, path, {**body, "stream": True})
        while line := response.readline():
            text = line.decode().strip()
            if text.startswith("data: ") and text != "data: [DONE]":
                yield json.loads(text.removeprefix("data: "))
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}: {response.read()[:500].decode('utf-8', 'replace')}")
    return response
