"""The page's files: small, whole in both languages, and the libraries' as `make page` writes them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import parlant_local
from parlant_local.server.assets import asset, asset_names
from tests.server.conftest import Server

ROOT = Path(__file__).parents[3]
SERVER = Path(parlant_local.__file__).parent / "server"
PAGE = SERVER / "page"
SCRIPTS = {path.relative_to(PAGE).as_posix(): path.read_text("utf-8") for path in PAGE.rglob("*.js")}


def test_all_of_it_is_below_400_kB() -> None:
    sizes = {name: len(found.packed) for name in asset_names() if (found := asset(name)) is not None}
    assert sum(sizes.values()) < 400_000, sizes


def test_the_libraries_are_what_the_target_wrote() -> None:
    lines = (SERVER / "vendor" / "SHA256SUMS").read_text("ascii").splitlines()
    assert len(lines) > 8
    for line in lines:
        digest, _, path = line.partition("  ")
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == digest, path


@pytest.mark.evidence
def test_the_target_writes_the_same_again() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "page.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _chosen(script: str) -> Iterator[str]:
    """Texts that `t` is given by a name: the values of the tables that it is called with, and both sides of a choice."""
    text = r'"((?:[^"\\]|\\.)*)"'
    for table in set(re.findall(r"\bt\(([A-Z]+)\[", script)):
        found = re.search(rf"const {table} = \{{(.*?)\}};", script, re.DOTALL)
        assert found is not None, table
        yield from re.findall(rf":\s*{text}", found[1])
    for choice in re.findall(rf"\bt\([^()\"]*\? {text} : {text}", script):
        yield from choice
    for found in re.finditer(r"^const EXAMPLES = \[(.*)\];$|^  ([A-Z]\w+): \{ temperature", script, re.MULTILINE):
        yield from re.findall(text, found[1]) if found[1] else [found[2]]
    if "ONE" in script and "one thing" in script:
        yield from re.findall(rf"{text},$", script, re.MULTILINE)


def test_every_sentence_is_told_in_portuguese() -> None:
    told = set()
    for name, text in SCRIPTS.items():
        if name != "core/portuguese.js":
            told |= set(re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', text)) | set(_chosen(text))
    html = (PAGE / "index.html").read_text("utf-8")
    told |= {text.strip() for text in re.findall(r"data-t>([^<]+)<", html)}
    told |= set(re.findall(r'(?:aria-label|placeholder|title)="([^"]+)"', html))
    known = set(re.findall(r'"((?:[^"\\]|\\.)*)":\s', SCRIPTS["core/portuguese.js"]))
    unspoken = {text for text in told if re.search(r"[a-z]{3}", text)} - known - {"parlant-local"}
    assert unspoken == set()


def test_every_module_is_a_file_and_begins_with_what_it_is_for() -> None:
    for name, text in SCRIPTS.items():
        assert len(text.splitlines()) <= 250, name
        for found in re.findall(r'(?:from|import\()\s*"(\.[^"]+)"', text):
            target = (PAGE / name).parent / found
            assert asset(target.resolve().relative_to(PAGE.resolve()).as_posix()) is not None, f"{name}: {found}"
        assert re.search(r"innerHTML\s*=[^=]|insertAdjacentHTML|document\.write|\beval\(|style=\"", text) is None, name


def test_files_are_compressed_kept_and_nothing_else_is_served(page_server: Server) -> None:
    with httpx2.Client(base_url=page_server.url, timeout=30) as http:
        first = http.get("/page/vendor/markdown-it.js", headers={"accept-encoding": "gzip"})
        assert first.headers["content-encoding"] == "gzip"
        assert first.content == (SERVER / "vendor" / "markdown-it" / "markdown-it.esm.min.mjs").read_bytes()
        plain = http.get("/page/vendor/markdown-it.js", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == first.content
        assert (
            http.get("/page/app.js", headers={"if-none-match": http.get("/page/app.js").headers["etag"]}).status_code
            == 304
        )
        assert "default-src 'self'" in first.headers["content-security-policy"]
        for path in (
            "/page/../app.py",
            "/page/%2e%2e/app.py",
            "/page/core",
            "/page/",
            "/page/core/../../app.py",
            "/page/x%00.js",
        ):
            assert http.get(path).status_code == 404, path
