"""The eyes that were trained for the shipped model: what it says of pictures is what is on them, over HTTP and from the file on.

Pictures are drawn here, from seeds that training never drew."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from gguf import GGUFReader
from training.sight.pictures import COLOURS, SHAPES, Drawn, drawn
from training.sight.questions import UNSEEN, answer

from parlant_local.settings import EngineSettings, Settings
from tests.support.evidence import table, write_section
from tests.support.in_process import serving_here

ROOT = Path(__file__).parents[2]
EYES = ROOT / "tests" / "data" / "sight" / "mmproj-parlant-local-tiny.gguf"
PAGE = ROOT / "docs" / "evidence" / "sight.md"
ASKED = {
    "colour": "What colour is it?",
    "shape": "What shape is it?",
    "both": "What is it?",
}


class Seeing:
    """The server, asked about pictures."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        models = self._client.get("/v1/models").json()["data"]
        self._model = next(each["id"] for each in models if each["id"].endswith("/parlant-local-sees"))

    def say(self, picture: Drawn, question: str, kind: str = "PNG") -> str:
        file = io.BytesIO()
        picture.image.save(file, kind)
        uri = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": question}]
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": 24,
        }
        reply = self._client.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Seeing]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "parlant-local-sees"
    folder.mkdir(parents=True)
    shutil.copy(model_path, folder / "parlant-local-sees.gguf")
    shutil.copy(EYES, folder)
    with (
        serving_here(Settings(home=home, engine=EngineSettings(n_ctx=1024))) as server,
        httpx2.Client(base_url=server.url, timeout=120) as client,
    ):
        yield Seeing(client)


def unseen(seed: int, number: int) -> Drawn:
    """Each of ten pictures has another colour and another shape than the nine."""
    colour, shape = list(COLOURS)[number % 10], SHAPES[(number + number // 10 + seed) % 10]
    return drawn(np.random.default_rng([seed, number]), colour, shape)


def test_the_eyes_are_this_models(model_path: Path) -> None:
    stated = GGUFReader(EYES).fields["parlant_local.language_model.sha256"].contents()
    assert stated == hashlib.sha256(model_path.read_bytes()).hexdigest(), (
        "Train them for the new file: python -m training.sight.train --weights …"
    )
    assert EYES.stat().st_size < 1_000_000


def told(seeing: Seeing, kind: str, question: str, pictures: range, seed: int = 100) -> tuple[int, int]:
    """How many answers are the whole right sentence, and in how many nothing is said that isn't there."""
    exact = true = 0
    for number in pictures:
        picture = unseen(seed, number)
        said = seeing.say(picture, question)
        exact += said == answer(kind, picture.colour, picture.shape)
        words = set(said.rstrip(".").split())
        true += bool(words & {picture.colour, picture.shape}) and not words & (
            {*COLOURS, *SHAPES} - {picture.colour, picture.shape}
        )
    return exact, true


@pytest.mark.parametrize("kind", ASKED)
def test_it_says_what_it_sees(seeing: Seeing, kind: str) -> None:
    exact, true = told(seeing, kind, ASKED[kind], range(20))
    assert exact >= 16
    assert true >= 18


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_in_every_format(seeing: Seeing, kind: str) -> None:
    pictures = [unseen(100, number) for number in range(5)]
    right = [seeing.say(each, ASKED["colour"], kind) == answer("colour", each.colour, each.shape) for each in pictures]
    assert sum(right) >= 4


@pytest.mark.evidence
@pytest.mark.timeout(1800)
def test_how_well_it_sees(seeing: Seeing) -> None:
    asked = [(kind, question, kind) for kind, question in ASKED.items()]
    asked += [(kind, question, f"{kind}, in words not trained on") for kind, question in UNSEEN.items()]
    found = {name: told(seeing, kind, question, range(200), seed=7) for kind, question, name in asked}
    rows = [[name, question, *found[name]] for _, question, name in asked]
    text = f"""{table(["Asked for", "Question", "The right sentence", "Nothing wrong said"], rows)}

200 pictures that training did not draw, each colour and shape equally often, any size and proportion from 80 to 200 pixels, plain
grounds. An answer is right where it is the whole expected sentence; nothing wrong is said where it names what is on the picture
and no other colour or shape."""
    write_section(PAGE, "Two hundred pictures", text, command="pytest -m evidence tests/training/test_sight.py")
    assert all(found[kind][0] >= 150 and found[kind][1] >= 180 for kind in ASKED)
