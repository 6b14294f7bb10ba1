"""A stand-in for endpoints that make pictures by OpenAI's API; each refuses what its kind refuses."""

from __future__ import annotations

import base64
import email
import email.policy
from typing import Any

from tests.fakes.http import FaultServer, Reply, Request
from tests.support.sd_server import picture

PNG = picture({"prompt": "a cat", "width": 64, "height": 64}, 1)


class FakeImages(FaultServer):
    """``refuses``: parameters that it doesn't know; ``most``: pictures of one request; ``ignores_n``: makes one, whatever was asked."""

    def __init__(
        self, *, refuses: tuple[str, ...] = (), most: int = 10, ignores_n: bool = False, edits: bool = True
    ) -> None:
        super().__init__()
        self.refuses, self.most, self.ignores_n, self.edits = refuses, most, ignores_n, edits
        self.key: str | None = None
        self.items: list[dict[str, Any]] | None = None
        """What is answered instead of a picture."""
        self.files: dict[str, bytes] = {}
        self.forms: list[list[tuple[str, bytes]]] = []

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def error_body(self, status: int) -> Any:
        return {"error": {"message": f"status {status}", "type": "server_error", "param": None, "code": None}}

    async def route(self, request: Request) -> Reply:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(
                401, f"Incorrect API key provided: {request.headers.get('authorization')}.", code="invalid_api_key"
            )
        if request.path == "/v1/images/generations":
            return self._made(request.body)
        if request.path == "/v1/images/edits" and self.edits:
            form = _form(request)
            self.forms.append(form)
            return self._made(
                {name: value.decode() for name, value in form if name not in ("image", "image[]", "mask")}
            )
        if request.path in self.files:
            return Reply(raw=self.files[request.path])
        return _error(404, f"Unknown request URL: {request.method} {request.path}.")

    def _made(self, body: dict[str, Any]) -> Reply:
        for name in self.refuses:
            if name in body:
                return _error(400, f"Unknown parameter: '{name}'.", param=name)
        count = int(body.get("n", 1))
        if count > self.most:
            return _error(400, f"You must provide n={self.most} for this model.", param="n")
        made = [{"b64_json": base64.b64encode(PNG).decode()}] * (1 if self.ignores_n else count)
        return Reply({"created": 1, "data": self.items if self.items is not None else made})


def _form(request: Request) -> list[tuple[str, bytes]]:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    parts = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]
    return [(str(name), bytes(content)) for name, content in parts]


def _error(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply({"error": error}, status=status)
