"""A package index, by the simple repository API in HTML (PEP 503) or JSON (PEP 691), with wheels made on the spot."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.transfers import Exchange, LoopbackServer

__all__ = ["FakePackageIndex", "Release", "make_wheel"]

_JSON = "application/vnd.pypi.simple.v1+json"


def make_wheel(package: str, version: str, files: dict[str, bytes]) -> bytes:
    """A wheel as pip accepts it; ``files`` by their paths in it."""
    stem = f"{package.replace('-', '_')}-{version}"
    inside = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **files,
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for name, data in inside.items()
    ]
    inside[f"{stem}.dist-info/RECORD"] = "\n".join([*rows, f"{stem}.dist-info/RECORD,,", ""]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in inside.items():
            archive.writestr(name, data)
    return packed.getvalue()


@dataclass
class Release:
    name: str
    data: bytes
    sha256: str
    yanked: str | None = None


class FakePackageIndex(LoopbackServer):
    def __init__(self, *, speaks_json: bool = True) -> None:
        super().__init__()
        self.speaks_json = speaks_json
        self.packages: dict[str, list[Release]] = {}
        self.login: tuple[str, str] | None = None
        """User and password, where it asks for them."""
        self.status: int | None = None
        """What it answers every request with."""

    @property
    def simple(self) -> str:
        return f"{self.url}/simple/"

    def add(
        self,
        package: str,
        version: str,
        files: dict[str, bytes | Path],
        *,
        yanked: str | None = None,
        sha256: str | None = None,
    ) -> Release:
        """Publish a wheel; ``sha256`` instead of its own."""
        data = make_wheel(
            package,
            version,
            {name: item.read_bytes() if isinstance(item, Path) else item for name, item in files.items()},
        )
        return self.add_file(package, f"{package.replace('-', '_')}-{version}-py3-none-any.whl", data, yanked, sha256)

    def add_file(
        self, package: str, name: str, data: bytes, yanked: str | None = None, sha256: str | None = None
    ) -> Release:
        release = Release(name, data, sha256 or hashlib.sha256(data).hexdigest(), yanked)
        self.packages.setdefault(package, []).append(release)
        return release

    def handle(self, exchange: Exchange) -> None:
        if self.status is not None:
            exchange.answer(self.status, b"no")
        elif self.login is not None and not self._knows(exchange):
            exchange.answer(401, b"who?", {"WWW-Authenticate": 'Basic realm="index"'})
        elif match := exchange.match("GET", r"/simple/([^/]+)/"):
            self._project(exchange, match[1])
        elif match := exchange.match("GET", r"/files/([^/]+)"):
            found = [item for items in self.packages.values() for item in items if item.name == match[1]]
            exchange.send_file(found[0].data, self.take_fault(exchange.request), found[0].sha256)
        else:
            exchange.answer(404, b"not here")

    def _knows(self, exchange: Exchange) -> bool:
        assert self.login is not None
        given = exchange.request.headers.get("authorization", "").removeprefix("Basic ")
        return base64.b64decode(given).decode() == ":".join(self.login)

    def _project(self, exchange: Exchange, package: str) -> None:
        releases = self.packages.get(package)
        if releases is None:
            exchange.answer(404, b"not here")
        elif self.speaks_json and re.search(r"vnd\.pypi\.simple\.v1\+json", exchange.request.headers.get("accept", "")):
            files = [
                {
                    "filename": item.name,
                    "url": f"{self.url}/files/{item.name}",
                    "hashes": {"sha256": item.sha256},
                    "yanked": item.yanked or False,
                }
                for item in releases
            ]
            document = {"meta": {"api-version": "1.0"}, "name": package, "files": files}
            exchange.answer(200, json.dumps(document).encode(), {"Content-Type": _JSON})
        else:
            links = "".join(
                f'<a href="/files/{item.name}#sha256={item.sha256}"'
                + (f' data-yanked="{html.escape(item.yanked)}"' if item.yanked else "")
                + f">{item.name}</a><br>"
                for item in releases
            )
            page = f"<!DOCTYPE html><html><body>{links}</body></html>"
            exchange.answer(200, page.encode(), {"Content-Type": "text/html"})
