"""A family is told from its template and metadata, not from a file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlant_local.profiles import PROFILES, SamplingAdvice, profile_of

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "chat_templates"

EXPECTED = {
    "HuggingFaceTB-SmolLM3-3B": ("smollm", "hermes", True),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ("hermes", "hermes", False),
    "Qwen-QwQ-32B": ("qwen", "hermes", True),
    "Qwen-Qwen2.5-7B-Instruct": ("qwen", "hermes", False),
    "Qwen-Qwen3-0.6B": ("qwen", "hermes", True),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("deepseek", "deepseek", True),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("deepseek", "deepseek", True),
    "deepseek-ai-DeepSeek-V3.1": ("deepseek", "deepseek", True),
    "google-gemma-2-2b-it": ("gemma", "json", False),
    "ibm-granite-granite-3.3-2B-Instruct": ("granite", "granite", True),
    "meta-llama-Llama-3.1-8B-Instruct": ("llama", "llama", False),
    "meta-llama-Llama-3.2-3B-Instruct": ("llama", "llama", False),
    "microsoft-Phi-3.5-mini-instruct": ("phi", "json", False),
    "mistralai-Mistral-Nemo-Instruct-2407": ("mistral", "mistral", False),
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the shared data folder is absent")
@pytest.mark.parametrize("name", EXPECTED)
def test_real_templates_are_recognised(name: str) -> None:
    profile = profile_of((FOLDER / f"{name}.jinja").read_text("utf-8"))
    assert (profile.name, profile.tools, profile.reasoning is not None) == EXPECTED[name]


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"general.architecture": "qwen2", "general.name": "DeepSeek R1 Distill Qwen 7B"}, "deepseek"),
        ({"general.architecture": "qwen3"}, "qwen"),
        ({"general.architecture": "llama", "general.basename": "Hermes-3"}, "hermes"),
        ({"general.architecture": "llama"}, "llama"),
        ({"general.architecture": "gemma2"}, "gemma"),
        ({"general.architecture": "rwkv7"}, "generic"),
        ({}, "generic"),
    ],
)
def test_without_a_template_names_and_architecture_decide(metadata: dict[str, str], family: str) -> None:
    assert profile_of(None, metadata).name == family


def test_the_template_counts_more_than_the_body_it_sits_on() -> None:
    """A distillation has its teacher's template and its body's architecture."""
    profile = profile_of("<｜User｜><｜Assistant｜><think>", {"general.architecture": "qwen2", "general.name": "Qwen2"})
    assert profile.name == "deepseek"


def test_sampling_that_the_file_recommends_wins_over_the_familys() -> None:
    profile = profile_of(
        None, {"general.architecture": "qwen3", "general.sampling.temp": "0.1", "general.sampling.top_k": "5"}
    )
    assert profile.advice(thinking=True) == SamplingAdvice(temperature=0.1, top_k=5)


def test_a_family_that_thinks_recommends_other_sampling_while_it_does() -> None:
    profile = profile_of(None, {"general.architecture": "qwen3"})
    assert profile.advice(thinking=True) != profile.advice(thinking=False)


def test_every_profile_is_whole() -> None:
    for profile in PROFILES:
        assert profile.name
        if profile.thinks_unasked or profile.thinking_on or profile.thinking_off:
            assert profile.reasoning is not None, profile


@pytest.mark.parametrize(
    ("template", "family", "calls"),
    [
        ("<|start|><|message|><|channel|>analysis", "gpt-oss", "harmony"),
        ("[gMASK]<sop><|observation|><think>", "glm", "json"),
        ("<minimax:tool_call>]~b]ai", "minimax", "json"),
        ("<seed:bos><seed:think>", "seed", "json"),
        ("<SPECIAL_11><SPECIAL_12>", "nemotron", "json"),
        ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "command", "json"),
        ("<|assistant_start|><|tools_prefix|>", "apertus", "json"),
        ("<|turn><turn|>", "gemma", "json"),
        ("<｜hy_User｜>", "hunyuan", "json"),
        ("<|begin_of_sentence|><|end_of_sentence|>", "ernie", "json"),
        ("[|assistant|]<think>", "exaone", "hermes"),
        ("<|header_start|><|eot|>", "llama", "llama"),
        ("<｜Assistant｜>｜DSML｜", "deepseek", "deepseek"),
        ("<|tool|><|/tool|><|assistant|><|end|>", "phi", "phi"),
        ("<|im_start|>List of tools: ", "lfm", "lfm"),
        ("<|im_middle|><|im_assistant|>", "kimi", "json"),
    ],
)
def test_todays_families_are_told_by_their_marks(template: str, family: str, calls: str) -> None:
    profile = profile_of(template)
    assert (profile.name, profile.tools) == (family, calls)
