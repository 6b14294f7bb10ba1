"""Every chat template of llama.cpp's own collection: rendered as `transformers` does, read back, and bound.

The collection comes with llama-cpp-python's source distribution, fetched through pip into a cache folder; it is not ours to keep.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parlant_local.backends.llama_cpp.parsing import parse_text
from parlant_local.engine import LlamaEngine
from parlant_local.engine.parsing import BoundSyntaxCalls, collect
from parlant_local.engine.requests import CallOf, GenerationRequest, Limits, Sampling
from parlant_local.engine.templates import ChatTemplate
from parlant_local.errors import SchemaError, TemplateError
from parlant_local.messages import Message, Tool, ToolCall, as_messages, as_tools
from parlant_local.settings import EngineSettings
from tests.support.call_shapes import SHAPES
from tests.support.chat_matrix import CONVERSATIONS, SYSTEM, WEATHER, cases, expected_prompts
from tests.support.dicing import Dice
from tests.support.evidence import table, write_section
from tests.support.places import REPOSITORY, TINY
from tests.support.round_trip import written

pytestmark = pytest.mark.evidence

PAGE = REPOSITORY / "docs" / "evidence" / "templates.md"
RELEASE = "llama-cpp-python==0.3.36"
INSIDE = "vendor/llama.cpp/models/templates/"
COMMAND = "pytest -m evidence tests/engine/templates/test_templates_evidence.py"

# What our rendering says in words, where `transformers` drops it without one.
TOLD = {
    "HuggingFaceTB-SmolLM3-3B": "its template drops tools and calls",
    "LFM2-8B-A1B": "its template drops calls",
    "LFM2.5-Instruct": "its template drops calls",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "its template drops tools",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "its template drops tools",
    "deepseek-ai-DeepSeek-V3.1": "its template drops tools",
    "google-gemma-2-2b-it": "its template drops tools and calls",
    "ibm-granite-granite-3.3-2B-Instruct": "its template drops calls",
    "llama-cpp-rwkv-world": "its template drops tools and calls",
    "microsoft-Phi-3.5-mini-instruct": "its template drops tools and calls",
    "moonshotai-Kimi-K2": "ids of calls are put as the model knows them",
}
# Text beside calls that a template moves where no model would write it.
MOVED = {
    "NVIDIA-Nemotron-Nano-v2": "text beside calls is a turn of its own",
    "google-gemma-4-31B-it": "text beside calls comes behind them, and the stop token behind the text",
    "openai-gpt-oss-120b": "text beside calls goes to the analysis channel",
}
NO_CALLS = {"google-gemma-2-2b-it", "llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"}
"""Templates that can't express calls: these get the generic form."""


def sources() -> dict[str, str]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "parlant-local-tests"
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob("llama_cpp_python-*.tar.gz")):
        fetch = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-q",
            "-d",
            str(cache),
            RELEASE,
        ]
        subprocess.run(fetch, check=True)
    found = {}
    with tarfile.open(next(cache.glob("llama_cpp_python-*.tar.gz"))) as archive:
        for member in archive:
            if INSIDE in member.name and member.name.endswith(".jinja"):
                file = archive.extractfile(member)
                assert file is not None
                found[Path(member.name).stem] = file.read().decode()
    return dict(sorted(found.items()))


@pytest.fixture(scope="module")
def templates() -> dict[str, str]:
    found = sources()
    assert len(found) == 70
    return found


def template_of(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="<BOS>", eos="<EOS>")


def test_rendering_is_that_of_transformers(templates: dict[str, str]) -> None:
    rows = []
    for name, source in templates.items():
        template, counted = template_of(source), Counter[str]()
        for what, system, tools, prompt, arguments in cases():
            messages = [SYSTEM, *CONVERSATIONS[what]] if system else CONVERSATIONS[what]
            listed = [WEATHER] if tools else None
            options: dict[str, Any] = {"add_generation_prompt": prompt, **arguments}
            expected = expected_prompts(source, messages, tools=listed, **options)
            try:
                got = template.render(
                    as_messages(messages), as_tools(listed), add_generation_prompt=prompt, arguments=arguments
                )
            except TemplateError:
                got = ""
            counted["refused" if not expected else "same" if got in expected else "told"] += 1
        assert name in TOLD or not counted["told"], (name, counted)
        rows.append((name, counted["same"], counted["told"], counted["refused"], TOLD.get(name, "")))
    text = (
        "Six conversations, with and without a system message, tools, the opened turn, and thoughts on, off or unset.\n\n"
        + table(["template", "same", "said in words", "refused by transformers", "why"], rows)
    )
    write_section(PAGE, "Rendered as by transformers", text, command=COMMAND)


# -- read back --------------------------------------------------------------------------------------------------------

READ = (
    Tool(
        "get_weather",
        "d",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "d"},
                "zip": {"type": "string", "description": "d"},
                "days": {"type": "integer", "description": "d"},
                "ratio": {"type": "number", "description": "d"},
                "ok": {"type": "boolean", "description": "d"},
                "list": {"type": "array", "items": {"type": "string"}, "description": "d"},
                "place": {
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "n": {"type": "integer"}},
                    "description": "d",
                    "additionalProperties": False,
                },
            },
            "required": ["city"],
        },
    ),
    Tool("ping", "d"),
)
VALUES: dict[str, dict[str, Any]] = {
    "one": {"city": "Paris"},
    "none": {},
    "two": {"city": "Paris", "days": 3},
    "types": {"city": "Paris", "zip": "01234", "days": 3, "ratio": 1.5, "ok": True},
    "nested": {"city": "Paris", "list": ["a", "b c"], "place": {"street": "Rue", "n": 3}},
    "quotes": {"city": 'He said "it\'s" fine'},
    "braces": {"city": "{a: [1, 2]} } ]"},
    "marks": {"city": "<b>bold</b> </parameter> &amp;"},
    "lines": {"city": "one\ntwo\n\n  four"},
    "letters": {"city": "Zürich 東京 \U0001f600"},
}


def said() -> Iterator[tuple[list[tuple[str, Any]], str, str | None]]:
    for arguments in VALUES.values():
        for calls in ([("get_weather", arguments)], [("get_weather", arguments), ("ping", {})]):
            for content in ("", "Let me look."):
                for thought in (None, "I must think."):
                    yield calls, content, thought


def test_what_they_write_is_read_back(templates: dict[str, str]) -> None:
    rows = []
    total = right = 0
    for name, source in templates.items():
        template = template_of(source)
        speech = template.speech(READ)
        counted = Counter[str]()
        for calls, content, thought in said():
            if len(calls) > 1 and (speech.syntax is None or speech.syntax.again is None):
                continue
            made = tuple(ToolCall(f"call0000{at}", call, json.dumps(given)) for at, (call, given) in enumerate(calls))
            messages = [Message.user("What now?"), Message("assistant", content, tool_calls=made, reasoning=thought)]
            text = written(template, messages, READ)
            # What the template leaves out can't be read; thoughts and text beside calls are left out by some.
            wanted = (content if content in text else "", thought if thought and thought in text else "", calls)
            results = []
            for step in (None, 1):
                parsed = parse_text(template, text, READ, step=step)
                found = [(call.name, call.parsed()) for call in parsed.tool_calls]
                results.append((parsed.content.strip(), parsed.reasoning, found) == wanted)
            counted["right" if all(results) else "beside text" if content else "wrong"] += 1
        assert not counted["wrong"], (name, counted)
        assert not counted["beside text"] or name in MOVED or name in NO_CALLS, (name, counted)
        assert (speech.calls_are == "generic") == (name in NO_CALLS)
        total, right = total + sum(counted.values()), right + counted["right"]
        tags = speech.profile.reasoning
        example = speech.calls.write([("NAME", '{"KEY": "VALUE"}')])
        rows.append(
            (
                name,
                speech.calls_are,
                f"`{' '.join(example.split())}`".replace("|", "\\|"),
                f"`{tags.start}` … `{tags.end}`".replace("|", "\\|") if tags else "",
                f"{counted['right']} of {sum(counted.values())}",
                MOVED.get(name, "can't express calls" if name in NO_CALLS else ""),
            )
        )
    text = (
        f"Calls, text and thoughts rendered and read again, whole and character by character: {right} of {total}.\n\n"
        + table(["template", "form of calls", "a call", "thoughts", "read back", "why not all"], rows)
    )
    write_section(PAGE, "Read back", text, command=COMMAND)


# -- bound ------------------------------------------------------------------------------------------------------------

LIMITS = Limits(max_string=60, max_items=4, max_properties=4, max_depth=2)
UNWRITABLE = ("MiniMax-M3", "free")
"""Its marks repeat the key at the end, which no grammar says of keys that nobody knows: refused by name."""


@pytest.mark.timeout(5400)
async def test_bound_calls_are_valid(templates: dict[str, str]) -> None:
    engine = LlamaEngine(TINY, settings=EngineSettings(n_ctx=4096, n_seq_max=4))
    await engine.load()
    dice = Dice(TINY)
    rows: list[tuple[object, ...]] = []
    seen: set[str] = set()
    total = ended = 0
    try:
        for name, source in templates.items():
            syntax = template_of(source).speech(READ).syntax
            if syntax is None or repr(syntax) in seen:
                continue
            seen.add(repr(syntax))
            counted = Counter[str]()
            for shape, schema in SHAPES.items():
                constraint = CallOf(syntax, ((shape.replace(" ", "_"), schema),), LIMITS)
                if (name, shape) == UNWRITABLE:
                    with pytest.raises(SchemaError, match="keys of the model's choice"):
                        dice.watched(constraint)
                    continue
                watched = dice.watched(constraint)
                drawn = [drawn_call(engine, constraint, room, seed) for seed, room in enumerate((1200, watched) * 2)]
                for found, closed_early in await asyncio.gather(*drawn):
                    counted[found] += 1
                    counted["closed_early"] += closed_early
            assert not counted["wrong"], (name, counted)
            rows.append(
                (name, type(syntax.body).__name__, f"{counted['valid']} of {counted['valid']}", counted["closed_early"])
            )
            total, ended = total + counted["valid"], ended + counted["closed_early"]
    finally:
        dice.close()
        await engine.close()
    text = (
        f"The shipped model at temperature 1 with no other cut, bound to each syntax that differs ({len(rows)} of them), for "
        f"{len(SHAPES)} shapes of tools (`tests/support/call_shapes.py`), each drawn four times, half of them with so little "
        f"room that a call may have to be closed early: {total} of {total} calls parse and validate, {ended} of them closed early. Keys of "
        "the model's choice are what one syntax (MiniMax-M3) can't write: a tool that requires them is refused by name.\n\n"
        + table(["first template", "body", "valid", "closed early"], rows)
    )
    write_section(PAGE, "Bound at temperature 1", text, command=COMMAND)


async def drawn_call(engine: LlamaEngine, constraint: CallOf, room: int, seed: int) -> tuple[str, bool]:
    """``valid`` or ``wrong``, and whether it was closed early."""
    generation = await engine.generate(
        GenerationRequest(
            prompt="A table for two, please.\n",
            max_tokens=room,
            sampling=Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed),
            constraint=constraint,
            control_text=True,
        )
    )
    reader = BoundSyntaxCalls(constraint.syntax, dict(constraint.tools))
    (call,) = collect([*reader.feed(generation.text), *reader.finish()]).tool_calls
    ((name, schema),) = constraint.tools
    fits = jsonschema.Draft202012Validator(schema).is_valid(call.parsed())
    assert (call.name, generation.finish_reason, reader.warnings) == (name, "stop", []), generation.text
    assert fits or generation.unbound, (call.arguments, schema)
    return "valid" if fits else "wrong", generation.closed_early
