"""The Hugging Face hub's protocol: model metadata, trees, resolve addresses that redirect to a CDN on another origin."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from tests.fakes.transfers import Exchange, Fault, LoopbackServer, sha256

__all__ = ["FakeCdn", "FakeHub", "Repo"]


@dataclass
class Repo:
    files: dict[str, bytes | Path]
    gated: bool = False
    private: bool = False
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    not_lfs: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)
    """Tokens that may read it."""
    base_model: str | None = None

    def digest(self, name: str) -> str:
        if name not in self.digests:
            self.digests[name] = sha256(self.files[name])
        return self.digests[name]

    def size(self, name: str) -> int:
        data = self.files[name]
        return data.stat().st_size if isinstance(data, Path) else len(data)


class FakeCdn(LoopbackServer):
    """Serves blobs at signed addresses that can expire."""

    def __init__(self) -> None:
        super().__init__("localhost")
        self.blobs: dict[str, bytes | Path] = {}
        self.signature = "s1"

    def handle(self, exchange: Exchange) -> None:
        match = exchange.match("GET", r"/blob/([0-9a-f]+)")
        if match is None or match[1] not in self.blobs:
            exchange.answer(404)
        elif parse_qs(exchange.query).get("signature") != [self.signature]:
            exchange.answer(403, b"expired")
        else:
            exchange.send_file(self.blobs[match[1]], self.take_fault(exchange.request), match[1])


class FakeHub(LoopbackServer):
    """``with_cdn`` decides whether large files are redirected."""

    def __init__(self, with_cdn: bool = True) -> None:
        super().__init__()
        self.repos: dict[str, Repo] = {}
        self.tokens: set[str] = set()
        self.api_faults: list[Fault] = []
        self.tells_sizes = True
        """Whether a repository's metadata has its files' sizes and digests when asked to."""
        self.has_trees = True
        self.cdn = FakeCdn() if with_cdn else None

    def close(self) -> None:
        super().close()
        if self.cdn:
            self.cdn.close()

    def add(self, name: str, files: dict[str, bytes | Path], **options: Any) -> Repo:
        repo = self.repos[name] = Repo(files, **options)
        if self.cdn:
            for file in files:
                self.cdn.blobs[repo.digest(file)] = files[file]
        return repo

    @property
    def file_faults(self) -> list[Fault]:
        return self.cdn.faults if self.cdn else self.faults

    @property
    def file_bytes(self) -> int:
        return self.cdn.bytes_sent if self.cdn else self.bytes_sent

    def handle(self, exchange: Exchange) -> None:
        for fault in self.api_faults:
            if fault.times > 0 and fault.when(exchange.request):
                fault.times -= 1
                exchange.answer(fault.status or 500, b"{}", fault.headers)
                return
        if match := exchange.match("GET", r"/api/models/([^/]+/[^/]+)(/revision/([^/]+))?"):
            self._info(exchange, unquote(match[1]), match[3])
        elif match := exchange.match("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(/.*)?"):
            self._tree(exchange, match[1])
        elif match := exchange.match("GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)"):
            self._resolve(exchange, match[1], match[2], unquote(match[3]))
        elif exchange.match("GET", r"/api/models"):
            self._search(exchange)
        else:
            exchange.answer(404, b"{}")

    def _token(self, exchange: Exchange) -> str | None:
        value = exchange.request.headers.get("authorization", "")
        return value.removeprefix("Bearer ") or None

    def _repo(self, exchange: Exchange, name: str, files: bool = False) -> Repo | None:
        """The repository if the caller may see it (its files: read it); otherwise the answer is given."""
        token, repo = self._token(exchange), self.repos.get(name)
        if token is not None and token not in self.tokens:
            exchange.answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repo is None or (repo.private and token not in repo.readers):
            status = 404 if token else 401
            message = "Repository not found" if token else "Invalid username or password."
            exchange.answer(status, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": message})
        elif files and repo.gated and token not in repo.readers:
            message = "Access to this model is restricted. You must be authenticated and have been granted access."
            exchange.answer(403 if token else 401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": message})
        else:
            return repo
        return None

    def _info(self, exchange: Exchange, name: str, revision: str | None) -> None:
        if (repo := self._repo(exchange, name)) is None:
            return
        if revision not in (None, "main", repo.commit):
            exchange.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
            return
        siblings: list[dict[str, Any]] = [{"rfilename": file} for file in repo.files]
        if self.tells_sizes and parse_qs(exchange.query).get("blobs"):
            siblings = [
                {"rfilename": item.pop("path"), "blobId": item.pop("oid"), **item} for item in self._entries(repo)
            ]
        document = {"id": name, "modelId": name, "sha": repo.commit, "private": repo.private, "tags": ["gguf"]}
        document |= {"gated": "manual" if repo.gated else False, "siblings": siblings, "downloads": 1, "likes": 0}
        exchange.answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _tree(self, exchange: Exchange, name: str) -> None:
        if (repo := self._repo(exchange, name)) is None:
            return
        if not self.has_trees:
            exchange.answer(404, b"{}")
            return
        entries = [{"type": "file", **entry} for entry in self._entries(repo)]
        for entry in entries:
            if "lfs" in entry:
                entry["lfs"]["oid"] = entry["lfs"].pop("sha256")
        exchange.answer(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _entries(self, repo: Repo) -> list[dict[str, Any]]:
        entries = []
        for file in repo.files:
            entry: dict[str, Any] = {"path": file, "size": repo.size(file), "oid": self._git_id(repo, file)}
            if file not in repo.not_lfs:
                entry["lfs"] = {"sha256": repo.digest(file), "size": repo.size(file), "pointerSize": 134}
            entries.append(entry)
        return entries

    @staticmethod
    def _git_id(repo: Repo, file: str) -> str:
        data = repo.files[file]
        if file not in repo.not_lfs:
            return hashlib.sha1(file.encode()).hexdigest()
        content = data.read_bytes() if isinstance(data, Path) else data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def _resolve(self, exchange: Exchange, name: str, revision: str, file: str) -> None:
        if (repo := self._repo(exchange, name, files=True)) is None:
            return
        if file not in repo.files:
            exchange.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        lfs = file not in repo.not_lfs
        etag = repo.digest(file) if lfs else self._git_id(repo, file)
        headers = {"X-Repo-Commit": repo.commit}
        if lfs:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(repo.size(file))}
        if self.cdn and lfs:
            location = f"{self.cdn.url}/blob/{etag}?signature={self.cdn.signature}&name={quote(file, safe='')}"
            exchange.answer(302, b"Found. Redirecting", {**headers, "Location": location})
            return
        exchange.send_file(repo.files[file], self.take_fault(exchange.request), etag, headers)

    def _search(self, exchange: Exchange) -> None:
        wanted = [item for value in parse_qs(exchange.query).get("filter", []) for item in value.split(",")]
        words = " ".join(parse_qs(exchange.query).get("search", [])).lower().split()
        bases = [item.removeprefix("base_model:quantized:") for item in wanted if item.startswith("base_model")]
        found = [
            {
                "id": name,
                "modelId": name,
                "downloads": 5,
                "likes": 0,
                "tags": ["gguf", "license:apache-2.0"],
                "private": False,
                "gated": "manual" if repo.gated else False,
                "gguf": {"total": 1_700_000_000, "context_length": 32768},
            }
            for name, repo in self.repos.items()
            if (repo.base_model in bases if bases else all(word in name.lower() for word in words))
        ]
        exchange.answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
