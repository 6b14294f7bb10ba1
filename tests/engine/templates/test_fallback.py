"""Models without a chat template, and models that were never taught to chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.backends.base import ChatParams
from parlant_local.backends.choice import choose_local
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.backends.llama_cpp.planning import plan_chat
from parlant_local.backends.llama_cpp.prompts import PromptEncoder
from parlant_local.catalog import LocalModelManager, ModelSource
from parlant_local.catalog.describe import describe
from parlant_local.engine.requests import GenerationRequest
from parlant_local.engine.templates import ChatTemplate, named_templates
from parlant_local.engine.templates.fallback import family_template
from parlant_local.messages import Message
from parlant_local.observability import ConsoleLogger
from parlant_local.profiles.pretrained import is_base
from parlant_local.settings import GenerationSettings, Settings
from tests.support import gguf_models
from tests.support.at_home import Verb


@pytest.mark.parametrize(
    ("tokens", "metadata", "family"),
    [
        (["<|im_start|>", "<|im_end|>"], {}, "chatml"),
        (["<|im_start|>", "<|im_sep|>", "<|im_end|>"], {}, "phi4"),
        (["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], {}, "llama3"),
        (["<start_of_turn>", "<end_of_turn>"], {}, "gemma"),
        (["<｜User｜>", "<｜Assistant｜>"], {"general.architecture": "llama"}, "deepseek"),
        ([], {"general.architecture": "phi3"}, "phi3"),
        ([], {"general.architecture": "llama", "general.name": "Mistral-7B-v0.1"}, "mistral"),
        ([], {"general.architecture": "llama", "general.name": "LLaMA v2 / Llama-2-7b-chat"}, "llama2"),
        ([], {"general.architecture": "llama", "general.name": "vicuna-7b"}, "vicuna"),
        ([], {"general.architecture": "rwkv7"}, "chatml"),
        ([], {}, "chatml"),
    ],
)
def test_vocabulary_name_or_architecture_tells_the_family(
    tokens: list[str], metadata: dict[str, str], family: str
) -> None:
    assert family_template(metadata, tokens.__contains__).name == family
    template = ChatTemplate.of_model(metadata, knows=tokens.__contains__)
    assert template.source == named_templates()[family].source
    assert family in template.warnings[0]


@pytest.mark.parametrize("name", named_templates())
def test_every_named_template_has_marks_that_end_an_answer(name: str) -> None:
    """One of them stands behind the answer, or begins the next message."""
    template = ChatTemplate.of_model({}, bos="<s>", eos="</s>", chat_format=name)
    text = template.render([Message.user("one"), Message.assistant("two"), Message.user("three")])
    behind = text[text.index("two") + 3 :]
    following = behind.strip().removeprefix("</s>").strip()
    assert any(following.startswith(mark) for mark in ("<s>", *named_templates()[name].ends)), behind
    assert template.ends == named_templates()[name].ends


class Vocabulary:
    """One token per letter, but for the ends that are given."""

    n_vocab, bos, add_bos, bos_text = 0, -1, False, ""

    def __init__(self, *ends: str) -> None:
        self._ends = {end: 1_000_000 + number for number, end in enumerate(ends)}
        self.end_tokens = frozenset(self._ends.values())

    def is_control(self, token: int) -> bool:
        return token in self.end_tokens

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return chr(token).encode()

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        if parse_special and text in self._ends:
            return [self._ends[text]]
        return [ord(letter) for letter in text]


def test_marks_that_are_no_ends_to_the_model_stop_the_answer() -> None:
    template = ChatTemplate.of_model({})
    assert PromptEncoder(template, Vocabulary()).stops(template.speech()) == ("<|im_end|>", "<|im_start|>")
    assert PromptEncoder(template, Vocabulary("<|im_end|>")).stops(template.speech()) == ("<|im_start|>",)


async def test_such_marks_are_part_of_what_the_engine_is_asked() -> None:
    encoder = PromptEncoder(ChatTemplate.of_model({}), Vocabulary())

    async def asked(**options: Any) -> GenerationRequest:
        params = ChatParams.of({"stop": ["STOP"], **options})
        plan = await plan_chat([Message.user("Hi")], params, encoder=encoder, settings=GenerationSettings(), n_ctx=4096)
        return plan.requests[0]

    free = await asked()
    assert free.stop == ("STOP", "<|im_end|>", "<|im_start|>")
    assert free.control_text  # a token of that name that ends nothing must be seen, too
    assert (await asked(response_format={"type": "json_object"})).stop == ("STOP",)  # a schema ends by itself


# -- base models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "template", "base"),
    [
        (["SmolLM2-135M"], False, True),
        (["SmolLM2-135M-Instruct"], False, False),
        (["Qwen3-8B-Base"], True, True),
        (["Qwen3-8B"], True, False),
        (["gemma-3-4b-pt"], True, True),
        (["gemma-3-4b-it"], True, False),
        (["ERNIE-4.5-21B-A3B-PT"], True, False),  # PyTorch's weights of a tuned model
        (["Llama-2-7b-chat"], False, False),
        (["Llama-3.2-1B", "Meta Llama 3.2 1B"], False, True),
        (["model", "Mistral 7B", "Instruct"], False, False),
        (["vicuna-7b-v1.5"], False, False),
        (["NVIDIA-Nemotron-Nano-12B-v2-Base"], True, True),
        (["NVIDIA-Nemotron-Nano-12B-v2"], False, False),
        (["database-7b-instruct"], True, False),
        (["database-7b"], True, False),
        (["knowledge-base-7b"], True, False),
        (["knowledge-base-qa-7b"], False, False),
        (["codebase-helper"], True, False),
        (["basement-7b"], True, False),
        (["Qwen2.5-VL-7B-Base"], True, True),
        (["Qwen2.5-Coder-7B-base-lora"], True, False),
        (["granite-4.0-tiny-base-preview"], True, True),
        (["Ministral-3-8B-Base-2512"], True, True),
        (["ERNIE-4.5-21B-A3B-Base-PT"], True, True),
        (["chatglm3-6b-base"], True, True),
        (["chatglm3-6b"], False, False),
        (["flan-t5-base"], False, False),
        (["llama3-8b-text-q4_0"], True, True),
        (["text-generator-7b-chat"], True, False),
        (["Qwen2.5-7B-Q4_K_M", "Qwen2.5 7B"], True, True),  # base models of this line bring a template
        (["Qwen2.5-7B-Instruct-Q4_K_M", "Qwen2.5 7B Instruct"], True, False),
        (["my-agent", "Qwen2.5 7B"], True, False),
        (["granite-4.0-h-tiny"], True, False),
    ],
)
def test_a_base_model_is_told_by_its_name_and_template(names: list[str], template: bool, base: bool) -> None:
    assert is_base(names, has_template=template) == base


@pytest.mark.parametrize(
    ("name", "layout", "base"),
    [
        ("llama3.2-1b", "{{ range .Messages }}{{ .Role }}{{ end }}", False),
        ("phi3-mini", "{{ if .System }}<|system|>{{ end }}{{ .Prompt }}", False),
        ("llama3-8b-text", "{{ .Prompt }}", True),
        ("gemma-2b", "{{ .Prompt }}", True),
        ("qwen2.5-coder-1.5b-base", "{{ if .Messages }}{{ .Prompt }}{{ end }}", True),
    ],
)
def test_a_template_of_ollamas_tells_too(tmp_path: Path, name: str, layout: str, base: bool) -> None:
    """Its files leave the template out, and its names the word that tuned models have elsewhere."""
    path = gguf_models.llama(tmp_path / "blob.gguf", template=None)
    record = describe(path, source=ModelSource.OLLAMA, name=name)
    assert record.having(template=layout).is_base == base


def test_base_models_are_marked_and_what_stands_in_for_a_template_is_shown(
    tmp_path: Path, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_MODELS_DIR", str(tmp_path))
    gguf_models.llama(tmp_path / "Large-7B-Base.gguf", width=128)
    gguf_models.llama(tmp_path / "Plain-1B.gguf", template=None)
    gguf_models.llama(tmp_path / "Small-Instruct.gguf", template=None, layers=1)
    _, out, _ = verb("list", "--json")
    records = {record["name"]: record for record in json.loads(out)}
    assert {name: record["base"] for name, record in records.items()} == {
        "Large-7B-Base": True, "Plain-1B": True, "Small-Instruct": False, "parlant-local-tiny": False,
    }  # fmt: skip
    chosen = choose_local(Settings(), LocalModelManager())  # the base models are larger
    assert chosen.model == records["Small-Instruct"]["id"]
    _, shown, _ = verb("show", records["Plain-1B"]["id"])
    assert "base model: not trained to chat" in shown
    assert "none; chatml is used instead" in shown
    assert "plain JSON" in shown


def test_a_text_ends_where_the_answer_would_have_been_stopped(
    tmp_path: Path, verb: Verb, written: Callable[[str, Any], str]
) -> None:
    path = gguf_models.llama(tmp_path / "Small-Instruct.gguf", template=None)
    file = written("answer.txt", "Hello.<|im_end|>\n<|im_start|>user\nAnd more?")
    for options in ((), ("--stream", "1")):
        assert verb("parse", str(path), "--file", file, *options)[1] == "Hello.\n"


async def test_a_named_base_model_completes_with_a_single_notice(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gguf_models.llama(tmp_path / "Plain-1B.gguf", template=None)
    async with LlamaCppBackend(path, settings=settings, logger=ConsoleLogger("warning")) as backend:
        for _ in range(2):
            await backend.chat("Hello", max_tokens=2)
        await backend.complete("Hello", max_tokens=2)
        assert backend.record is not None
        assert backend.record.is_base
    told = capsys.readouterr().err
    assert (told.count("is a base model"), told.count("no chat template")) == (1, 1)
