"""Models with adapters, named by each call: the base and two of them at once, added and taken away while the server runs."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import gguf_models
from tests.support.adapters import make_adapter, merged
from tests.support.in_process import InProcess

ASKED = {"prompt": "the quick brown fox jumps over the lazy dog", "temperature": 0, "max_tokens": 12, "logprobs": 1}


class Adapted:
    """A server with a base model, folders of its own, and the same adapters built into other models."""

    def __init__(self, here: Callable[..., InProcess], folder: Path, **settings: Any) -> None:
        self.base = gguf_models.llama(folder / "base.gguf", seed=1, tied=False)
        self.shelf = folder / "home" / "adapters"
        self.shelf.mkdir(parents=True)
        self.adds = {
            name: make_adapter(self.shelf / f"{name}.gguf", self.base, seed)
            for name, seed in (("one", 31), ("two", 32))
        }
        models = {"base": {"model": str(self.base)}, **settings.pop("models", {})}
        for name, added in {
            "with-one": [("one", 1.0)], "with-two": [("two", 1.0)], "with-half": [("one", 0.5)],
            "with-both": [("one", 1.0), ("two", 0.5)],
        }.items():  # fmt: skip
            path = merged(folder / f"{name}.gguf", self.base, *((self.adds[part], scale) for part, scale in added))
            models[name] = {"model": str(path)}
        self.server = here(models=models, **settings)

    def say(self, model: str) -> Any:
        answer = httpx2.post(f"{self.server.url}/v1/completions", json={**ASKED, "model": model}, timeout=60)
        assert answer.status_code == 200, answer.text
        choice = answer.json()["choices"][0]
        return choice["text"], choice["logprobs"]["token_logprobs"]

    def same(self, model: str, other: str) -> bool:
        (text, logprobs), (other_text, others) = self.say(model), self.say(other)
        return bool(text == other_text and logprobs == pytest.approx(others, abs=0.02))


@pytest.fixture
def adapted(here: Callable[..., InProcess], tmp_path: Path) -> Adapted:
    return Adapted(here, tmp_path)


def test_each_call_names_what_it_wants_and_all_are_answered_at_once(adapted: Adapted) -> None:
    pairs = {
        "base:one": "with-one",
        "base:two": "with-two",
        "base:one@0.5": "with-half",
        "base:two@0.5+one": "with-both",
    }
    expected = {name: adapted.say(built_in) for name, built_in in pairs.items()} | {"base": adapted.say("base")}
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(5) as clients:
            found = dict(zip(expected, clients.map(adapted.say, expected), strict=True))
        for name, (text, logprobs) in found.items():
            assert text == expected[name][0], name
            assert logprobs == pytest.approx(expected[name][1], abs=0.02), name
    assert len({text for text, _ in expected.values()}) > 1


def test_they_are_listed_and_counted_by_their_names(adapted: Adapted) -> None:
    adapted.say("base:one")
    adapted.say("base:one@0.25")
    url = adapted.server.url
    listed = {card["id"]: card for card in httpx2.get(f"{url}/v1/models", timeout=30).json()["data"]}
    assert {"base", "base:one", "base:two"} <= set(listed)
    assert listed["base:one"]["status"]["value"] == "loaded"
    assert listed["base:two"]["status"]["value"] == "unloaded"
    metrics = httpx2.get(f"{url}/metrics", timeout=30).text
    assert "0.25" not in "".join(line for line in metrics.splitlines() if "generation_tokens" in line)
    assert str(adapted.shelf) not in metrics


def test_a_file_that_is_put_there_or_taken_away_is_noticed(adapted: Adapted) -> None:
    make_adapter(adapted.shelf / "three.gguf", adapted.base, 33)
    first = adapted.say("base:three")
    make_adapter(adapted.shelf / "three.gguf", adapted.base, 34)
    assert adapted.say("base:three") != first
    (adapted.shelf / "three.gguf").unlink()
    gone = httpx2.post(f"{adapted.server.url}/v1/completions", json={**ASKED, "model": "base:three"}, timeout=60)
    assert gone.status_code == 404


def test_scales_are_set_as_with_llama_server(adapted: Adapted) -> None:
    url = f"{adapted.server.url}/lora-adapters"
    listed = httpx2.get(url, timeout=30).json()
    assert [(card["id"], card["name"], card["path"], card["scale"]) for card in listed] == [
        (0, "one", "one.gguf", 1.0),
        (1, "two", "two.gguf", 1.0),
    ]
    assert {card["architecture"] for card in listed} == {"llama"}
    changed = httpx2.post(url, json=[{"id": 0, "scale": 0.5}], timeout=30)
    assert [card["scale"] for card in changed.json()] == [0.5, 1.0]
    assert adapted.same("base:one", "with-half")
    assert httpx2.post(url, json=[{"id": "one", "scale": 1}], timeout=30).json()[0]["scale"] == 1
    assert adapted.same("base:one", "with-one")
    for body, status in (
        ([{"id": "nine", "scale": 1}], 404),
        ([{"id": 7, "scale": 1}], 404),
        ([{"id": "one", "scale": 0.5}, {"id": "nine", "scale": 1}], 404),
        ([{"id": 0, "scale": "much"}], 422),
        ([{"id": 0, "scale": 1e9}], 422),
        ({"id": 0, "scale": 1}, 422),
    ):
        assert httpx2.post(url, json=body, timeout=30).status_code == status, body
    assert httpx2.get(url, timeout=30).json()[0]["scale"] == 1


def test_a_served_name_has_its_adapters_from_the_settings(here: Callable[..., InProcess], tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    base = gguf_models.llama(other / "base.gguf", seed=1, tied=False)
    add = make_adapter(other / "tone.gguf", base, 35)
    built_in = merged(other / "merged.gguf", base, (add, 0.75))
    adapted = Adapted(
        here,
        tmp_path,
        models={
            "polite": {"model": str(base), "adapters": "tone"},
            "right": {"model": str(built_in)},
            "wrong": {"model": str(base), "adapters": "nothing"},
        },
        adapters={"tone": {"path": str(other / "tone.gguf"), "scale": 0.75}},
    )
    assert adapted.same("polite", "right")
    wrong = httpx2.post(f"{adapted.server.url}/v1/completions", json={**ASKED, "model": "wrong"}, timeout=60)
    assert wrong.status_code == 404
    assert "models.wrong.adapters" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("base:foreign", "made for qwen2"),
        ("base:broken", "can't be used"),
        ("base:one@much", "no scale"),
        ("base:one@nan", "no scale"),
        ("base:one+one", "twice"),
    ],
)
def test_what_can_not_be_used_is_said(adapted: Adapted, name: str, reason: str) -> None:
    make_adapter(adapted.shelf / "foreign.gguf", adapted.base, 36, architecture="qwen2")
    (adapted.shelf / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    answer = httpx2.post(f"{adapted.server.url}/v1/completions", json={**ASKED, "model": name}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]["message"]
    assert str(adapted.shelf) not in answer.text


def test_a_model_with_an_adapter_is_deleted_by_its_own_name_only(
    here: Callable[..., InProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_MODELS_DIR", str(tmp_path / "models"))
    place = tmp_path / "models" / "files" / "owned" / "owned.gguf"
    place.parent.mkdir(parents=True)
    gguf_models.llama(place, seed=1, tied=False)
    adapted = Adapted(
        here, tmp_path, models_dir=tmp_path / "models", models={"polite": {"model": str(place), "adapters": "one"}}
    )
    url = f"{adapted.server.url}/models"
    adapted.say("local/llama/owned:one")
    unknown = httpx2.post(
        f"{adapted.server.url}/v1/completions", json={**ASKED, "model": "local/llama/owned:on"}, timeout=60
    )
    assert unknown.status_code == 404
    assert "with an adapter that is not known. Those that fit it: one, two." in unknown.json()["error"]["message"]
    for name in ("local/llama/owned:one", "polite"):
        refused = httpx2.delete(url, params={"model": name}, timeout=30)
        assert refused.status_code == 400, refused.text
        assert "with adapters, which share its file" in refused.json()["error"]["message"]
    assert place.exists()
    assert httpx2.delete(url, params={"model": "local/llama/owned"}, timeout=30).status_code == 200
    assert not place.exists()


def test_the_default_model_may_have_adapters(here: Callable[..., InProcess], tmp_path: Path) -> None:
    base = tmp_path / "first" / "base.gguf"
    base.parent.mkdir()
    gguf_models.llama(base, seed=1, tied=False)
    adapted = Adapted(here, tmp_path, model=f"{base}:one", models={"named": {"model": f"{base}:two"}})
    answer = httpx2.post(f"{adapted.server.url}/v1/completions", json=ASKED, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"].endswith(":one")
    assert answer.json()["choices"][0]["text"] == adapted.say("with-one")[0]
    assert adapted.same("named", "with-two")
