"""A model with adapters, named wherever a model is: in the settings, for services and switchers, on the command line."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from parlant_local import LlamaCppBackend, LlamaService, LocalModelManager, ModelSwitcher, NLPServiceFactory
from parlant_local.backends import Backend
from parlant_local.catalog.scores import Score, keep_score
from parlant_local.cli.main import cli
from parlant_local.errors import BadReferenceError, ModelNotFoundError
from parlant_local.evaluation.examining import identity_of
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings, load_settings
from parlant_local.switching import TargetResolver
from tests.support import gguf_models
from tests.support.adapters import make_adapter, merged
from tests.support.at_home import Verb, home, verb, written

__all__ = ["home", "verb", "written"]

ASKED = "the quick brown fox jumps over the lazy dog"
BUILT_IN: dict[str, list[tuple[str, float]]] = {
    "base": [],
    "base:one": [("one", 1.0)],
    "base:two": [("two", 1.0)],
    "base:two@0.5+one": [("one", 1.0), ("two", 0.5)],
}


@dataclass
class Bench:
    """Models of a home: a base, adapters for it, and the same built into other models."""

    settings: Settings
    manager: LocalModelManager
    base: Path
    merged: dict[str, Path]

    def backend(self, name: str) -> LlamaCppBackend:
        return LlamaCppBackend(name, settings=self.settings, manager=self.manager)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """The base, beside it the folder ``adapters``, and the same adapters built into other models."""
    folder = tmp_path_factory.mktemp("made")
    base = gguf_models.llama(folder / "base.gguf", seed=1, tied=False)
    (folder / "adapters").mkdir()
    adds = {
        name: make_adapter(folder / "adapters" / f"{name}.gguf", base, seed)
        for name, seed in (("one", 31), ("two", 32))
    }
    return base, {
        name: merged(folder / f"merged{at}.gguf", base, *((adds[part], scale) for part, scale in parts))
        for at, (name, parts) in enumerate(BUILT_IN.items())
    }


@pytest.fixture
async def bench(home: Path, made: tuple[Path, dict[str, Path]]) -> Bench:
    settings = load_settings(None, {"engine.n_ctx": 256, "engine.n_seq_max": 2})
    manager = LocalModelManager(NullLogger(), settings=settings)
    base, built_in = made
    shutil.copytree(base.parent / "adapters", home / "adapters")
    await manager.register_model(base, name="base")
    return Bench(settings, manager, base, built_in)


async def said(backend: Backend) -> tuple[str, list[float]]:
    reply = await backend.complete(ASKED, temperature=0, max_tokens=8, logprobs=0)
    assert reply.logprobs is not None
    return reply.content or "", [each.logprob for each in reply.logprobs]


async def test_a_base_and_its_adapters_answer_at_once_over_the_same_weights_and_never_mix(bench: Bench) -> None:
    expected = {}
    for name, path in bench.merged.items():
        async with bench.backend(str(path)) as built_in:
            expected[name] = await said(built_in)
    async with AsyncExitStack() as stack:
        backends = {name: await stack.enter_async_context(bench.backend(name)) for name in BUILT_IN}
        for _ in range(2):
            found = dict(zip(backends, await asyncio.gather(*map(said, backends.values())), strict=True))
            for name, (text, logprobs) in found.items():
                assert text == expected[name][0], name
                assert logprobs == pytest.approx(expected[name][1], abs=0.02), name
        assert len({tuple(logprobs) for _, logprobs in found.values()}) == len(BUILT_IN)
        assert len({backend.engine.model.pointer for backend in backends.values()}) == 1
        infos = [backend.model_info() for backend in backends.values()]
        assert [info.id.rpartition("/")[2] for info in infos] == ["base", "base:one", "base:two", "base:one+two@0.5"]
        assert len({identity_of(info) for info in infos}) == len(BUILT_IN)  # no vectors, scores or results of another


async def test_a_path_takes_adapters_as_an_id_does(bench: Bench) -> None:
    async with bench.backend(f"{bench.base}:one") as backend, bench.backend(str(bench.merged["base:one"])) as right:
        assert (await said(backend))[1] == pytest.approx((await said(right))[1], abs=0.02)


@pytest.mark.parametrize("make", ["service", "factory", "switcher"])
async def test_services_take_them(bench: Bench, make: str) -> None:
    logged: Any = {"logger": NullLogger()}
    named = bench.settings.model_copy(update={"model": "base:one"})
    service: Any
    if make == "service":
        service = LlamaService(model_manager=bench.manager, model_id="base:one", settings=bench.settings, **logged)
    elif make == "factory":
        service = await NLPServiceFactory(
            model_manager=bench.manager, settings=named, **logged
        ).create_default_service()
        assert isinstance(service, LlamaService)
    else:
        service = ModelSwitcher(model_manager=bench.manager, settings=named, fallbacks=["base", "base:two"], **logged)
        assert [item.id.rpartition("/")[2] for item in service.list_available_models()[:3]] == [
            "base:one",
            "base",
            "base:two",
        ]
    try:
        found = await said(service.backend)
        if make == "switcher":
            service.set_model("base:two")
            other = await said(service.backend)
            async with bench.backend(str(bench.merged["base:two"])) as right:
                assert other[1] == pytest.approx((await said(right))[1], abs=0.02)
    finally:
        await service.close()
    async with bench.backend(str(bench.merged["base:one"])) as right:
        assert found[1] == pytest.approx((await said(right))[1], abs=0.02)


def test_a_score_is_of_the_model_that_was_examined(bench: Bench) -> None:
    resolver = TargetResolver(bench.settings, manager=bench.manager)
    record = bench.manager.find("base")
    assert record.sha256 is not None
    keep_score(bench.settings.home, record.sha256, Score("base", 0.75, "it does", 10, "2026-11-27"))
    assert resolver.target("base").score == 0.75
    assert resolver.target("base:one").score is None
    lora = bench.settings.engine.model_copy(update={"lora": {str(bench.settings.home / "adapters" / "one.gguf"): 1.0}})
    always = TargetResolver(bench.settings.model_copy(update={"engine": lora}), manager=bench.manager)
    assert always.target("base").score is None


def test_facts_of_a_target_are_found_by_its_whole_name(bench: Bench) -> None:
    settings = load_settings(None, {"switcher.targets": {"local/llama/base:one": {"quality": 7}}})
    resolver = TargetResolver(settings, manager=bench.manager)
    assert resolver.target("base:one").facts.quality == 7
    assert resolver.target("base").facts.quality is None


@pytest.mark.parametrize(
    ("name", "error", "what"),
    [
        ("local/llama/base:nothing", ModelNotFoundError, "Those that fit it: one, two"),
        ("base:one+one", BadReferenceError, "twice"),
        ("base:one@much", BadReferenceError, "no scale"),
        ("base:foreign", BadReferenceError, "made for qwen2"),
        ("base:broken", BadReferenceError, "can't be used"),
        ("nothing:one", ModelNotFoundError, "No model 'nothing'"),
    ],
)
def test_what_can_not_be_used_is_said(bench: Bench, name: str, error: type[Exception], what: str) -> None:
    shelf = bench.settings.home / "adapters"
    make_adapter(shelf / "foreign.gguf", bench.base, 36, architecture="qwen2")
    (shelf / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(error, match=what):
        bench.manager.find_adapted(name)
    with pytest.raises(error, match=what):
        TargetResolver(bench.settings, manager=bench.manager).target(name)


async def test_who_wants_a_file_refuses_adapters_in_words(bench: Bench) -> None:
    for refused in (bench.manager.find, bench.manager.resolve):
        with pytest.raises(BadReferenceError, match="with adapters, and a model's file is wanted"):
            refused("base:one")


def test_a_model_of_that_name_comes_first(bench: Bench, tmp_path: Path) -> None:
    """An adapter that is called like a tag or a quantization hides no model."""
    shelf = bench.settings.home / "adapters"
    make_adapter(shelf / "Q4_0.gguf", bench.base, 41)
    asyncio.run(bench.manager.register_model(bench.base, name="base"))
    other = bench.manager.find("base").having(id="local/llama/other", references=("hf.co/some/base:Q4_0",))
    bench.manager._index.write(other)
    assert bench.manager.find_adapted("some/base:Q4_0").id == "local/llama/other"
    assert bench.manager.find_adapted("base:Q4_0").id == "local/llama/base:Q4_0"


# -- on the command line ------------------------------------------------------------------------------------------------


def test_verbs_take_them(bench: Bench, verb: Verb, written: Callable[[str, Any], str]) -> None:
    sizes = ("--n-ctx", "256")

    def answer(model: str) -> Any:
        code, out, err = verb(
            "generate", model, ASKED, "--raw", "--json", "--temperature", "0", "--max-tokens", "8", *sizes
        )
        assert code == 0, err
        return json.loads(out)["content"]

    for name, path in bench.merged.items():
        assert answer(name) == answer(str(path)), name
    text = written("text.txt", ASKED * 8)
    code, out, _ = verb(
        "perplexity", "base:one", text, "--n-ctx", "32", "--kl-base", str(bench.merged["base:one"]), "--json"
    )
    assert code == 0
    assert json.loads(out)["mean"] < 1e-4
    code, out, _ = verb("compare", "base", "base:one", "--text", text, "--n-ctx", "32", "--json")
    assert code == 0
    assert json.loads(out)["mean"] > 1e-3
    code, out, _ = verb(
        "bench", "base:one", "--prompts", "16", "--batches", "1", "--tokens", "4", "--runs", "1", *sizes
    )
    assert code == 0
    code, out, _ = verb("tokenize", "base:one", ASKED)
    assert out == verb("tokenize", "base", ASKED)[1]


def test_chat_takes_them(bench: Bench) -> None:
    shown = CliRunner().invoke(
        cli,
        ["chat", "base:one", "--n-ctx", "256", "--max-tokens", "4", "--plain"],
        input="hello\n/model base:two\n/model\n/model base:no\n",
    )
    assert shown.exit_code == 0, shown.output
    assert "local/llama/base:one, context of 256" in shown.stderr
    assert "Switched to local/llama/base:two" in shown.output
    assert "local/llama/base:two: llama" in shown.output
    assert "base:no" in shown.stderr


def test_they_are_told(bench: Bench, verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.settings.home / "adapters" / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    shown = json.loads(verb("show", "base:one@0.5", "--json")[1])
    assert shown["id"] == "local/llama/base:one@0.5"
    assert [(each["name"], each["scale"]) for each in shown["with_adapters"]] == [("one", 0.5)]
    assert "one.gguf, 0.5 of it" in verb("show", "base:one@0.5")[1]
    listed = {each["id"]: each for each in json.loads(verb("list", "--json")[1])}
    assert listed["local/llama/base"]["adapters"] == ["one", "two"]
    lines = verb("list")[1]
    assert "adapter one: for models of llama, as MODEL:one" in lines
    assert "adapter broken: can't be used" in lines
    monkeypatch.setenv("PARLANT_LOCAL_MODEL", "local/llama/base:gone")
    told = json.loads(verb("doctor", "--json", "--offline")[1])
    assert set(told["adapters"]) == {"one", "two", "broken"}
    assert any("model (from" in line and "base:gone" in line for line in told["advice"])


@pytest.mark.parametrize("line", ["rm base:one", "verify base:one", "edit base:one --set a=b", "quantize base:one Q8_0", "split base:one --tensors 4", "imatrix base:one text"])  # fmt: skip
def test_verbs_of_files_refuse_them(
    bench: Bench, verb: Verb, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text(ASKED * 20, "utf-8")
    code, _, err = verb(*line.split())
    assert code != 0
    assert "with adapters, and a model's file is wanted" in err
    assert bench.base.exists()
