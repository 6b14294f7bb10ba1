"""Pictures made on this machine, over HTTP: the language model gives way, and comes back."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image

from tests.server.conftest import TINY
from tests.support.diffusion_models import write_diffusion_model
from tests.support.eventually import wait_until
from tests.support.in_process import InProcess

pytestmark = pytest.mark.skipif(find_spec("stable_diffusion_cpp") is None, reason="pip install 'parlant-local[images]'")


@pytest.fixture
def server(here: Callable[..., InProcess], tmp_path: Path) -> InProcess:
    """With room for one: pictures are said to take 400 MiB, and the shipped model takes 15."""
    files = write_diffusion_model(tmp_path / "files")
    model: dict[str, Any] = {"path": str(files.diffusion), "llm": str(files.llm), "taesd": str(files.taesd)}
    model |= {"steps": 2, "width": 64, "guidance": 1, "memory_mb": 400}
    return here(model=TINY, **{"engine.memory_mb": 405, "images.models": {"tiny": model}})


def states(server: InProcess) -> dict[str, str]:
    listed = httpx2.get(f"{server.url}/v1/models").json()["data"]
    return {model["id"]: model["status"]["value"] for model in listed}


def test_a_language_model_gives_way_to_a_picture_and_comes_back(server: InProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0) as client:

        def chat() -> str | None:
            asked: Any = [{"role": "user", "content": "Hello"}]
            return client.chat.completions.create(model=TINY, messages=asked, max_tokens=4).choices[0].message.content

        assert chat()
        assert states(server) == {TINY: "loaded", "tiny": "unloaded"}

        answer = client.images.generate(model="tiny", prompt="a cat", size="64x64", response_format="b64_json")
        [picture] = answer.data or []
        assert picture.b64_json is not None
        assert Image.open(io.BytesIO(base64.b64decode(picture.b64_json))).size == (64, 64)
        assert states(server) == {TINY: "unloaded", "tiny": "loaded"}

        assert chat()
        assert states(server) == {TINY: "loaded", "tiny": "unloaded"}
        with pytest.raises(openai.BadRequestError, match="makes pictures"):
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hello"}])


def test_steps_are_told_and_cancelling_frees_the_memory(server: InProcess) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        asked = {"prompt": "a cat", "width": 256, "height": 256, "num_inference_steps": 100}
        job = http.post("/api/images", json=asked).json()

        def now() -> dict[str, Any]:
            found: dict[str, Any] = http.get(f"/api/images/{job['id']}").json()
            return found

        wait_until(lambda: now()["step"] >= 1, now)
        assert states(server)["tiny"] == "loaded"
        http.delete(f"/api/images/{job['id']}")
        wait_until(lambda: states(server)["tiny"] == "unloaded", now)
