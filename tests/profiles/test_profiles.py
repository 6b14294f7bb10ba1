"""A family is told from its template and metadata, not from a file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_the_template_takes_precedence_over_the_architecture() -> None:
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


def test_every_profile_is_whole_and_names_its_sources() -> None:
    for profile in PROFILES:
        assert profile.name
        assert not profile.named or profile.names
        known = (
            profile.sampling != SamplingAdvice()
            or profile.reasoning
            or profile.efforts
            or profile.call_ids == "numbered"
        )
        assert profile.source or not known, profile
        if profile.thinks_unasked or profile.thinking_on or profile.thinking_off:
            assert profile.reasoning is not None, profile


def test_every_architecture_is_one_that_the_engine_knows() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    known = next((Path(llama_cpp.__file__).parent / "lib").glob("libllama.*")).read_bytes()
    named = {name for profile in PROFILES for name in profile.architectures}
    assert {name for name in named if f"{name}\0".encode() not in known} == set()


FAMILIES = (
    "gpt-oss qwen glm kimi minimax lfm nemotron seed gemma mistral command granite apertus smollm phi llama deepseek hunyuan "
    "ernie exaone"
)


def test_there_is_a_profile_for_every_family_that_people_run() -> None:
    assert set(FAMILIES.split()) <= {profile.name for profile in PROFILES}


# What their makers say, as it was read in the sources that the profiles name.
@pytest.mark.parametrize(
    ("template", "name", "advice", "thinking"),
    [
        ("<|im_start|>You are Qwen<parameter=", "Qwen3-Coder-30B-A3B-Instruct", (0.7, 0.8, 20, None), None),
        ("<|im_start|>You are Qwen<parameter=", "Qwen3-Coder-Next", (1.0, 0.95, 40, None), None),
        ("<|im_start|><tools>enable_thinking is defined reasoning_content", "Qwen3 8B", (0.7, 0.8, 20, 0.0), (0.6, 0.95, 20, 0.0)),
        ("<|im_start|><tools>enable_thinking is defined<parameter=last_query_index", "Qwen3.5 4B", (0.7, 0.8, 20, 0.0), (1.0, 0.95, 20, 0.0)),
        ("[gMASK]<|observation|><think>", "GLM 4.5 Air", (0.6, 0.95, None, None), None),
        ("[gMASK]<|observation|><think>", "GLM 4.7", (1.0, 0.95, None, None), None),
        ("[INST][/INST]", "Mistral Nemo Instruct 2407", (0.3, None, None, None), None),
        ("[INST][/INST]", "Mistral 7B Instruct v0.3", (None, None, None, None), None),
        ("[INST][SYSTEM_PROMPT]", "Ministral 3 8B Instruct 2512", (0.15, None, None, None), None),
        ("[INST][THINK]", "Ministral 3 8B Reasoning 2512", (0.7, 0.95, None, None), None),
        ("<|im_start|>List of tools: ", "LFM2 1.2B", (0.3, None, None, 0.15), None),
        ("<|im_start|>List of tools: keep_past_thinking", "LFM2.5 1.2B Instruct", (0.1, None, 50, None), None),
        ("<｜Assistant｜>DSML function_calls", "DeepSeek V3.2", (1.0, 0.95, None, None), None),
        ("<｜Assistant｜>DSML tool_calls", "DeepSeek V4 Flash", (1.0, 1.0, None, None), None),
        ("<｜hy_Assistant:opensource｜>reasoning_effort", "Hy3", (0.9, 1.0, None, None), None),
        ("<｜hy_Assistant｜>reasoning_effort", "Hy3", (0.9, 1.0, None, None), None),
        ("<|start_of_role|>", "granite-4.0-h-small", (None, None, None, None), None),
        ("mm:think minimax", "MiniMax-M3", (1.0, 0.95, None, None), None),
        ("<|im_sep|><think>", "Phi-4-reasoning", (0.8, 0.95, 50, None), None),
    ],
)  # fmt: skip
def test_sampling_is_what_the_makers_say(
    template: str, name: str, advice: tuple[Any, ...], thinking: tuple[Any, ...] | None
) -> None:
    profile = profile_of(template, {"general.name": name})
    assert profile.advice(thinking=False) == _advice(*advice)
    assert profile.advice(thinking=True) == _advice(*(thinking or advice))


def _advice(*values: Any) -> dict[str, Any]:
    named = zip(("temperature", "top_p", "top_k", "min_p"), values, strict=True)
    return {name: value for name, value in named if value is not None}


def test_efforts_go_under_the_name_that_the_template_reads() -> None:
    kimi = profile_of("<|open|><|close|><|sep|>think")
    assert [kimi.effort(budget) for budget in (100, 5000, 100_000)] == [
        {"thinking_effort": "low"}, {"thinking_effort": "high"}, {"thinking_effort": "max"},
    ]  # fmt: skip
    assert profile_of("hy_Assistant reasoning_effort").effort(100) == {"reasoning_effort": "low"}


def test_the_llama_architecture_without_its_template_marks_is_not_the_llama_family() -> None:
    metadata = {"general.architecture": "llama"}
    assert profile_of("<|im_start|>{{ role }}", metadata).name == "generic"
    assert profile_of("<|start_header_id|><|eot_id|>", metadata).name == "llama"
    assert profile_of("<|im_start|>{{ role }}", {"general.architecture": "gemma3"}).name == "gemma"


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
def test_current_families_are_recognised_by_their_marks(template: str, family: str, calls: str) -> None:
    profile = profile_of(template)
    assert (profile.name, profile.tools) == (family, calls)
