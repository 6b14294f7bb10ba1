"""An OCI registry as Ollama's is: manifests, blobs that redirect, anonymous tokens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.hub import FakeCdn
from tests.fakes.transfers import Exchange, LoopbackServer, sha256

__all__ = ["FakeRegistry"]

_PREFIX = "application/vnd.ollama.image."


class FakeRegistry(LoopbackServer):
    def __init__(self, with_tokens: bool = False) -> None:
        super().__init__()
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.cdn = FakeCdn()
        self.with_tokens = with_tokens
        self.host = f"127.0.0.1:{self.port}"

    def close(self) -> None:
        super().close()
        self.cdn.close()

    def add(self, name: str, tag: str, layers: dict[str, bytes | Path]) -> dict[str, Any]:
        """Publish a model; ``layers`` by kind. Returns the manifest, which may be spoilt and set again."""
        described = [self._layer(kind, data) for kind, data in layers.items()]
        config = self._layer("config", json.dumps({"model_format": "gguf"}).encode())
        config["mediaType"] = "application/vnd.docker.container.image.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
        manifest |= {"config": config, "layers": described}
        self.set_manifest(name, tag, manifest)
        return manifest

    def set_manifest(self, name: str, tag: str, manifest: dict[str, Any]) -> str:
        data = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.manifests[(name, tag)] = self.manifests[(name, digest)] = data
        return digest

    def _layer(self, kind: str, data: bytes | Path) -> dict[str, Any]:
        digest = sha256(data)
        self.cdn.blobs[digest] = data
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        return {"mediaType": _PREFIX + kind, "digest": f"sha256:{digest}", "size": size}

    def handle(self, exchange: Exchange) -> None:
        if exchange.match("GET", "/token"):
            scope = parse_qs(exchange.query).get("scope", [""])[0]
            exchange.answer(200, json.dumps({"token": f"anonymous-{scope}"}).encode())
            return
        match = exchange.match("GET", r"/v2/(.+)/(manifests|blobs)/([^/]+)")
        if match is None:
            exchange.answer(404)
            return
        name, kind, what = match.groups()
        scope = f"repository:{name}:pull"
        if self.with_tokens and exchange.request.headers.get("authorization") != f"Bearer anonymous-{scope}":
            challenge = f'Bearer realm="{self.url}/token",service="{self.host}",scope="{scope}"'
            exchange.answer(401, b"{}", {"WWW-Authenticate": challenge})
        elif kind == "manifests":
            fault = self.take_fault(exchange.request)
            data = self.manifests.get((name, what))
            if fault.status or data is None:
                exchange.answer(fault.status or 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', fault.headers)
            else:
                exchange.answer(200, data, {"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"})
        else:
            location = f"{self.cdn.url}/blob/{what.removeprefix('sha256:')}?signature={self.cdn.signature}"
            exchange.answer(307, b"", {"Location": location})
