"""The examples of docs/images.md, run as they are printed against a server that draws."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.examples.documents import blocks, commands
from tests.support.scripted_images import a_png

from .conftest import Studio

PAGE = Path(__file__).parents[3] / "docs" / "images.md"
MINE = f"tests/server/images/{Path(__file__).name}"


def test_its_examples_run(running: Studio, tmp_path: Path) -> None:
    script, session = [block for block in blocks(PAGE) if block.way.kind == "elsewhere" and MINE in block.way.what]
    (tmp_path / "lighthouse.png").write_bytes(a_png(64, 64))
    here = script.text.replace("http://127.0.0.1:8080", running.url)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", here],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    address, length = done.stdout.split()
    assert httpx2.get(address).status_code == 200
    assert int(length) > 50
    for command, _ in commands(session):
        words = shlex.split(command.replace("\\\n", " ").replace("localhost:8080", running.url))
        answer = json.loads(subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
        assert answer.get("error") is None, answer
        assert {"image_url", "state", "data"} & answer.keys()


def test_every_path_and_field_of_its_tables_is_there(running: Studio) -> None:
    text = PAGE.read_text("utf-8").partition("## Over HTTP")[2].partition("## On the page")[0]
    described = running.http.get("/openapi.json").json()
    told = set(re.findall(r"`(GET|POST|DELETE) (/[^`]*)`", text)) - {("GET", "/v1/models")}
    assert told == {
        (method.upper(), path) for path, ways in described["paths"].items() for method in ways
        if "image" in path
    }  # fmt: skip
    fields = described["components"]["schemas"]["ImageFields"]["properties"]
    rows = re.findall(r"^\| (`[a-z_0-9`, ]+`) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row)} - {"mask"}
    assert named <= fields.keys()
    assert fields.keys() - named == {"partial_images", "num_inference_steps", "guidance_scale", "complexity"}
