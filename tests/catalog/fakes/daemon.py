"""An Ollama daemon's model administration: tags, pull with progress, delete."""

from __future__ import annotations

import hashlib
import json
import time

from tests.catalog.fakes.loopback import Exchange, LoopbackServer

__all__ = ["FakeDaemon"]


class FakeDaemon(LoopbackServer):
    """``published`` can be pulled; ``models`` are there."""

    def __init__(self) -> None:
        super().__init__()
        self.host = f"127.0.0.1:{self.port}"
        self.published: dict[str, int] = {}
        self.models: dict[str, int] = {}
        self.pause = 0.0
        self.interrupted = False

    def handle(self, exchange: Exchange) -> None:
        if exchange.match("GET", "/api/tags"):
            models = [self._describe(name, size) for name, size in self.models.items()]
            exchange.answer(200, json.dumps({"models": models}).encode(), {"Content-Type": "application/json"})
        elif exchange.match("POST", "/api/pull"):
            self._pull(exchange, json.loads(exchange.body))
        elif exchange.match("DELETE", "/api/delete"):
            name = json.loads(exchange.body)["model"]
            known = self.models.pop(name, None) is not None
            exchange.answer(200 if known else 404, b"" if known else b'{"error":"model not found"}')
        else:
            exchange.answer(404, b'{"error":"not found"}')

    @staticmethod
    def _describe(name: str, size: int) -> dict[str, object]:
        details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
        digest = hashlib.sha256(name.encode()).hexdigest()
        return {"name": name, "model": name, "size": size, "digest": digest, "details": details}

    def _pull(self, exchange: Exchange, wanted: dict[str, object]) -> None:
        name = str(wanted["model"])
        handler = exchange.handler
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def say(**event: object) -> None:
            line = json.dumps(event).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            handler.wfile.flush()

        say(status="pulling manifest")
        size = self.published.get(name)
        if size is None:
            say(error="pull model manifest: file does not exist")
        else:
            digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
            try:
                for tenth in range(11):
                    say(status="pulling", digest=digest, total=size, completed=size * tenth // 10)
                    time.sleep(self.pause)
            except OSError:
                self.interrupted = True
                raise
            self.models[name] = size
            say(status="success")
        handler.wfile.write(b"0\r\n\r\n")
