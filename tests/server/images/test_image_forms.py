"""The form of an edit: read within limits, and from nobody whom another website could have sent."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.support.scripted_images import a_png

from .conftest import Studio

WHO = {"authorization": "Bearer local"}


def edit(studio: Studio, *, files: Any = None, data: Any = None, headers: Any = WHO) -> httpx2.Response:
    return studio.http.post(
        "/v1/images/edits",
        data={"prompt": "a hat"} if data is None else data,
        files=[("image", ("a.png", a_png(16, 16), "image/png"))] if files is None else files,
        headers=headers,
    )


def refused(answer: httpx2.Response, status: int, code: str, words: str = "") -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert words in answer.json()["error"]["message"]


def test_another_website_can_not_send_one(running: Studio) -> None:
    """A form is sent without a preflight, unless it has a header that none but the website itself may add."""
    refused(edit(running, headers={}), 403, "header_needed", "Authorization")
    refused(
        edit(running, headers={"sec-fetch-site": "cross-site", "referer": "https://evil.example"}), 403, "header_needed"
    )
    for origin in ("https://evil.example", "null"):
        refused(edit(running, headers={"origin": origin}), 403, "bad_origin")
        refused(edit(running, headers={"origin": origin, **WHO}), 403, "bad_origin")
    assert running.model().asked == []
    assert edit(running, headers={"origin": running.url}).status_code == 200, "the server's own page"
    assert edit(running).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json", ""])
def test_only_a_form_is_read(running: Studio, kind: str) -> None:
    answer = running.http.post("/v1/images/edits", content=b"prompt=x", headers={**WHO, "content-type": kind})
    refused(answer, 422, "invalid_value", "multipart/form-data")


@pytest.mark.parametrize("path", ["/v1/images/generations", "/api/images", "/api/generate-image"])
@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_and_json_nowhere_else_but_as_json(running: Studio, path: str, kind: str) -> None:
    answer = running.http.post(path, content=json.dumps({"prompt": "x"}), headers={"content-type": kind})
    assert answer.status_code == 422


def test_what_is_missing_or_wrong_in_it(running: Studio) -> None:
    refused(edit(running, data={}), 422, "invalid_value", "prompt")
    refused(edit(running, data={"prompt": "x", "n": "many"}), 422, "invalid_value", "n:")
    refused(edit(running, data={"prompt": "x", "n": "99"}), 400, "bad_request", "images.max_count")
    refused(edit(running, files=[("mask", ("m.png", a_png(8, 8)))]), 422, "invalid_value", "image")
    refused(edit(running, files=[("other", ("a.png", a_png(8, 8)))]), 400, "unsupported", "image[]")
    refused(edit(running, data={"prompt": "x", "image": "https://example.org/a.png"}), 400, "bad_form", "file")
    picture = ("image", ("a.png", a_png(8, 8)))
    refused(edit(running, files=[picture, ("mask", ("m", a_png(8, 8))), ("mask", ("m", a_png(8, 8)))]), 400, "bad_form")
    refused(edit(running, files=[picture, ("mask", ("m", a_png(8, 9)))]), 400, "bad_request", "as large as the picture")
    refused(edit(running, files=[picture] * 9), 400, "bad_form", "images.max_sources")
    broken = running.http.post(
        "/v1/images/edits",
        content=b"--x\r\nnonsense",
        headers={**WHO, "content-type": "multipart/form-data; boundary=x"},
    )
    assert broken.status_code in (400, 422)
    packed = {**WHO, "content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"}
    refused(running.http.post("/v1/images/edits", content=b"x", headers=packed), 415, "unsupported_encoding")
    assert running.model().asked == []


def bomb() -> bytes:
    """A small file of 40,000 x 40,000 pixels."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "could not be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "could not be decoded"),
        (b"%PDF-1.4", "could not be decoded"),
        (a_png(64, 64)[:60], "could not be decoded"),
        (bomb(), "images.max_source_megapixels"),
    ],
    ids=["empty", "svg", "pdf", "cut", "bomb"],
)
def test_what_is_no_picture_reaches_no_model(running: Studio, data: bytes, words: str) -> None:
    """By what it is, not by what it is called."""
    refused(edit(running, files=[("image", ("a.png", data, "image/png"))]), 400, "bad_request", words)
    assert running.model().asked == []


def test_a_picture_is_read_by_its_content_and_carries_nothing_on(running: Studio) -> None:
    file = io.BytesIO()
    image = Image.new("RGB", (16, 16))
    exif = image.getexif()
    exif[0x010E] = "where I live"
    image.save(file, "JPEG", exif=exif)
    assert b"where I live" in file.getvalue()
    assert edit(running, files=[("image", ("a.html", file.getvalue(), "text/html"))]).status_code == 200
    [source] = running.model().asked[0].sources
    assert source.startswith(b"\x89PNG")
    assert b"where I live" not in source


def test_unread_fields_are_named(running: Studio) -> None:
    answer = edit(running, data={"prompt": "a hat", "input_fidelity": "high", "quality": "high", "novel": "1"})
    assert set(answer.headers["x-parlant-local-ignored"].split(", ")) == {"input_fidelity", "quality", "novel"}


def test_a_body_beyond_the_limit_is_not_read(running: Studio) -> None:
    answer = edit(running, files=[("image", ("a.png", b"x" * 9_000_000))])
    refused(answer, 413, "request_too_large", "limits.body_mb")
