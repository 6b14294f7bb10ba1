"""The table of families in docs/chat.md, row by row against what was found of the templates, and against the profiles."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from parlant_local import __version__
from parlant_local.engine.parsing.families import FAMILY_SYNTAX
from parlant_local.profiles import profile_of
from tests.support.places import REPOSITORY

_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")
_SOLID = re.compile(r"[^\s…]+")


@dataclass(frozen=True)
class Row:
    family: str
    calls: str
    thoughts: str
    shown: str
    bound: str
    since: str


@dataclass(frozen=True)
class Found:
    """A line of docs/evidence/templates.md, which the evidence run writes from the templates themselves."""

    form: str
    call: str
    thoughts: str


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line.strip())[1:-1]]


def section(page: str, heading: str) -> list[list[str]]:
    text = (REPOSITORY / "docs" / page).read_text("utf-8").partition(heading)[2]
    lines = text.partition("\n## ")[0].splitlines()
    return [cells(line) for line in lines if line.startswith("|") and not line.startswith("| ---")][1:]


ROWS = {row[0]: Row(*row) for row in section("chat.md", "\n## Families")}
FOUND = {row[0]: Found(*row[1:4]) for row in section("evidence/templates.md", "\n## Read back")}

# The templates of each row; what is in none of them, the collection has not.
TEMPLATES = {
    "Qwen 2.5 and 3, Hermes, Granite 4, MiMo, Bielik, Reka": (
        "Qwen-Qwen2.5-7B-Instruct Qwen-Qwen3-0.6B Qwen-QwQ-32B NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use "
        "NousResearch-Hermes-3-Llama-3.1-8B-tool_use ibm-granite-granite-4.0 ibm-granite-granite-4.1 MiMo-VL "
        "Bielik-11B-v3.0-Instruct Reka-Edge"
    ),
    "SmolLM3": "HuggingFaceTB-SmolLM3-3B",
    "Qwen3-Coder, Qwen3.5, Nemotron 3, StepFun 3.5": (
        "Qwen3-Coder Qwen3.5-4B NVIDIA-Nemotron-3-Nano-30B-A3B-BF16 StepFun3.5-Flash"
    ),
    "Seed-OSS": "ByteDance-Seed-OSS",
    "GLM 4.5-4.7, Ling 3, Laguna, Spark": (
        "GLM-4.6 GLM-4.7-Flash inclusionai-ling-3.0-flash poolside-Laguna-S-2.1 poolside-Laguna-XS-2.1 "
        "poolside-Laguna-XS.2 Spark2.5"
    ),
    "Hy3": "tencent-Hy3",
    "MiniMax M2": "MiniMax-M2",
    "MiniMax M3": "MiniMax-M3",
    "Apertus": "Apertus-8B-Instruct",
    "MiniMax M1, Apriel, Nemotron Nano 2, Mistral Nemo, Firefunction": (
        "MiniMax-M1 Apriel-1.6-15b-Thinker-fixed unsloth-Apriel-1.5 NVIDIA-Nemotron-Nano-v2 "
        "mistralai-Mistral-Nemo-Instruct-2407 fireworks-ai-llama-3-firefunction-v2"
    ),
    "DeepSeek V3.2, V4": "deepseek-ai-DeepSeek-V3.2 deepseek-ai-DeepSeek-V4 deepseek-ai-DeepSeek-V4-Flash-0731",
    "DeepSeek V3.1, R1 and its distillations": (
        "deepseek-ai-DeepSeek-V3.1 deepseek-ai-DeepSeek-R1-Distill-Llama-8B deepseek-ai-DeepSeek-R1-Distill-Qwen-32B "
        "llama-cpp-deepseek-r1"
    ),
    "Mistral Small 3.2, Ministral 3, Devstral": (
        "Mistral-Small-3.2-24B-Instruct-2506 mistralai-Ministral-3-14B-Reasoning-2512 unsloth-mistral-Devstral-Small-2507"
    ),
    "Kimi K2": "Kimi-K2-Instruct Kimi-K2-Thinking moonshotai-Kimi-K2",
    "Kimi K3": "Kimi-K3",
    "Command R7B, Command A, Cohere MoE": "CohereForAI-c4ai-command-r7b-12-2024-tool_use Cohere2MoE",
    "Command R+": "CohereForAI-c4ai-command-r-plus-tool_use",
    "Llama 3 and 4": (
        "meta-llama-Llama-3.1-8B-Instruct meta-llama-Llama-3.2-3B-Instruct meta-llama-Llama-3.3-70B-Instruct"
    ),
    "GigaChat 3": "GigaChat3-10B-A1.8B GigaChat3.1-10B-A1.8B",
    "Functionary 3.1, 3.2": "meetkai-functionary-medium-v3.1 meetkai-functionary-medium-v3.2",
    "Gemma 4": "google-gemma-4-31B-it google-gemma-4-31B-it-interleaved",
    "MiniCPM 5": "openbmb-MiniCPM5-1B",
    "LFM2, LFM2.5": "LFM2-8B-A1B LFM2.5-Instruct LFM2.5-8B-A1B",
    "Granite 3": "ibm-granite-granite-3.3-2B-Instruct",
    "gpt-oss": "openai-gpt-oss-120b",
    "Solar Open, Muse": "upstage-Solar-Open-100B muse-glimmer",
    "Gemma 2 and 3, Phi 3 and 4, ERNIE 4.5, EXAONE 3, RWKV": (
        "google-gemma-2-2b-it microsoft-Phi-3.5-mini-instruct llama-cpp-rwkv-world"
    ),
    "Phi-4-mini": "",
    "EXAONE 4": "",
    "Hunyuan": "",
}


def spans(cell: str) -> list[str]:
    """What stands in code, without the gaps that an ellipsis or a blank leaves open."""
    return [piece for span in _CODE.findall(cell) for piece in _SOLID.findall(span)]


def test_every_row_is_checked_and_every_template_is_in_one() -> None:
    assert set(ROWS) == set(TEMPLATES)
    named = [name for names in TEMPLATES.values() for name in names.split()]
    assert sorted(named) == sorted(FOUND)


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_row_says_what_the_templates_showed(family: str) -> None:
    row = ROWS[family]
    found = [FOUND[name] for name in TEMPLATES[family].split()]
    said = " ".join(item.call.replace("NAME", "name") for item in found)
    if found:
        assert [span for span in spans(row.calls) if span not in said] == []
        thoughts = " ".join(item.thoughts for item in found)
        assert [span for span in spans(row.thoughts) if span not in thoughts and span not in said] == []
        assert bool(thoughts.strip()) == (row.thoughts != "none")
        assert {item.form for item in found} == set(
            re.findall(r"\b(?:template|family|generic)\b", row.shown.partition(";")[0])
        )
    assert row.bound == ("the JSON" if row.shown.startswith("generic") else "all of it")
    assert row.since <= __version__


@pytest.mark.parametrize(
    ("family", "name", "calls"),
    [
        ("SmolLM3", "SmolLM3-3B", "hermes"),
        ("Granite 3", "granite-3.3-8b", "granite"),
        ("LFM2, LFM2.5", "LFM2-1.2B", "lfm"),
        ("gpt-oss", "gpt-oss-20b", "harmony"),
        ("Phi-4-mini", "Phi-4-mini-instruct", "phi"),
        ("EXAONE 4", "EXAONE-4.0-32B", "hermes"),
    ],
)
def test_what_a_family_is_known_for_is_in_its_profile(family: str, name: str, calls: str) -> None:
    """Rows in which the family tells, and not the template: its calls are those of the profile."""
    profile = profile_of(None, {"general.name": name})
    assert profile.tools == calls
    row, syntax = ROWS[family], FAMILY_SYNTAX[profile.tools]
    written = f"{syntax.first}{syntax.last}".replace("\0", "")
    assert all(span in written or span.startswith("functions.") for span in spans(row.calls)), written
    assert "family" in row.shown


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("Apertus", "Apertus-8B-Instruct"), ("Kimi K3", "Kimi-K3"), ("EXAONE 4", "EXAONE 4.0 32B"),
        ("Hunyuan", "Hunyuan-A13B-Instruct"), ("gpt-oss", "gpt-oss-20b"), ("Seed-OSS", "Seed-OSS-36B"),
        ("MiniMax M3", "MiniMax-M3"), ("Gemma 4", "Gemma 4 31B It"), ("DeepSeek V3.2, V4", "DeepSeek-V4-Flash"),
        ("Kimi K2", "Kimi K2 Thinking"), ("GLM 4.5-4.7, Ling 3, Laguna, Spark", "GLM 4.6"), ("Hy3", "Hy3"),
    ],
)  # fmt: skip
def test_thoughts_that_the_table_names_are_those_of_the_profile(family: str, name: str) -> None:
    profile = profile_of(None, {"general.name": name})
    assert profile.reasoning is not None
    tags = f"{profile.reasoning.start} {profile.reasoning.end}"
    assert all(span.replace(":opensource", "") in tags for span in spans(ROWS[family].thoughts)), tags
