"""The single definition of every call option.

Validation, HTTP fields, command-line options, Parlant's hints, requests to other servers and the table in ``docs/chat.md``
are derived from it. A sampler takes a definition here, a line in the engine's sampler chain, and a test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from parlant_local.call_options.option import (
    NO_LIMIT,
    Built,
    Option,
    Refused,
    Sent,
    Unsent,
    options_of,
    sampler,
)
from parlant_local.messages import Tool, ToolChoice

__all__ = ["OPTIONS", "SAMPLING", "ChatOptions", "Priority", "ReasoningChoice", "SamplingOptions"]

ReasoningChoice = Literal["auto", "on", "off", "always"]
Priority = Literal["interactive", "normal", "background"]

_LOCAL_ONLY = Unsent("it only affects scheduling in this process")
_STANDARD: dict[str, Any] = {"openai": Sent(), "ollama": Sent()}
_WITH_EXTENSION: dict[str, Any] = {"openai": Sent(extension=True), "ollama": Sent()}


class SamplingOptions(TypedDict, total=False):
    """Sampling options, of a call or as a model's makers recommend them."""

    temperature: Annotated[
        float | None,
        sampler(
            "0 is greedy. Default: as the model's family recommends.", 0, 5,
            engine=(0, math.inf), flags=("-t",), gguf="temp", **_STANDARD,
        ),
    ]  # fmt: skip
    top_p: Annotated[
        float | None,
        sampler(
            "Nucleus sampling: the most likely tokens whose probabilities add up to this.",
            0,
            1,
            gguf="top_p",
            **_STANDARD,
        ),
    ]
    top_k: Annotated[
        int | None,
        sampler("The number of most likely tokens to sample from; -1 or 0: off.", 0, NO_LIMIT, minus_one="off", gguf="top_k", **_WITH_EXTENSION),
    ]  # fmt: skip
    min_p: Annotated[
        float | None,
        sampler(
            "Minimum probability of a token relative to the most likely one.", 0, 1, gguf="min_p", **_WITH_EXTENSION
        ),
    ]
    top_n_sigma: Annotated[
        float | None,
        sampler("Only tokens whose logits are within so many standard deviations of the highest; 0: off.", 0, 100, neutral=0),
    ]  # fmt: skip
    presence_penalty: Annotated[
        float | None,
        sampler(
            "Penalty on tokens that occurred already.", -2, 2, engine=(-math.inf, math.inf), neutral=0, **_STANDARD
        ),
    ]
    frequency_penalty: Annotated[
        float | None,
        sampler(
            "Penalty on tokens for each occurrence.",
            -2,
            2,
            engine=(-math.inf, math.inf),
            neutral=0,
            **_STANDARD,
        ),
    ]
    repeat_penalty: Annotated[
        float | None,
        sampler(
            "Divisor of the logits of tokens that occurred already; 1: off.", 0.01, 10,
            engine=(0.01, math.inf), neutral=1, **_WITH_EXTENSION,
            aliases={"repetition_penalty": "The same, as Hugging Face and vLLM call it."},
        ),
    ]  # fmt: skip
    logit_bias: Annotated[
        Mapping[int, float] | None,
        sampler(
            "Token id to a bias, -100 to 100.", -100, 100,
            engine=(-math.inf, math.inf), openai=Built(("logit_bias",)), http="own", cli=None,
        ),
    ]  # fmt: skip
    boolean_bias: Annotated[
        float | None,
        sampler(
            "Booleans of a schema are decided by the probabilities of true and false instead of drawn; this is added to the log-odds of true.",
            -50, 50, openai=Unsent("an endpoint draws them like other tokens"),
            ollama=Unsent("the daemon draws them like other tokens"),
        ),
    ]  # fmt: skip
    seed: Annotated[
        int | None,
        sampler(
            "The same seed gives the same answer. -1: a random one each time.", -(1 << 63), (1 << 64) - 1,
            engine=(0, (1 << 64) - 1), minus_one="random", **_STANDARD,
        ),
    ]  # fmt: skip


class ChatOptions(SamplingOptions, total=False):
    """Keyword arguments of ``chat``, ``chat_stream`` and ``complete``; ``None`` means absent everywhere."""

    stop: Annotated[
        str | Sequence[str] | None,
        Option(
            "A text that ends the answer, or up to 16.",
            openai=Sent(), ollama=Sent(), http="own", cli="derived", metavar="TEXT", hint=True,
        ),
    ]  # fmt: skip
    max_tokens: Annotated[
        int | None,
        Option(
            "Maximum tokens of the answer. -1: only the context limits it.", 1, NO_LIMIT,
            minus_one="no limit", openai=Sent(needed=True), ollama=Sent("num_predict"), http="derived",
            aliases={"n_predict": "The same, as llama-server calls it."}, cli="derived", metavar="N", hint=True,
        ),
    ]  # fmt: skip
    logprobs: Annotated[
        int | None,
        Option(
            "Alternatives reported for each token; 0: the chosen token only.", 0, 50,
            openai=Built(("logprobs", "top_logprobs")), ollama=Built(("logprobs", "top_logprobs")), http="own",
        ),
    ]  # fmt: skip
    n: Annotated[
        int | None,
        Option(
            "Number of answers to the prompt.", 1, 32,
            neutral=1, openai=Built(("n",), needed=True), ollama=Built(()), http="derived", cli="own",
        ),
    ]  # fmt: skip
    response_format: Annotated[
        Any,
        Option(
            "The answer's format: a `ResponseFormat`, OpenAI's dictionary, or a Pydantic model class.",
            openai=Built(("response_format",), needed=True), ollama=Built(("format", "think")), http="own", cli="own",
        ),
    ]  # fmt: skip
    grammar: Annotated[
        str | None,
        Option(
            "A GBNF or Lark grammar for the answer; not together with `response_format`.",
            openai=Refused("Use response_format, or a model loaded here."),
            ollama=Refused("Use response_format, or a model loaded here."), http="own", cli="own",
        ),
    ]  # fmt: skip
    tools: Annotated[
        Iterable[Tool | Mapping[str, Any]] | None,
        Option(
            "The tools that the model may call.",
            openai=Built(("tools", "tool_choice"), needed=True), ollama=Built(("tools",)), http="own", cli="own",
        ),
    ]  # fmt: skip
    tool_choice: Annotated[
        ToolChoice | Mapping[str, Any] | None,
        Option(
            "auto, none, required, or a tool's name.",
            openai=Built(("tool_choice",), needed=True), ollama=Built(("tools",)), http="own", cli="own",
        ),
    ]  # fmt: skip
    parallel_tool_calls: Annotated[
        bool | None,
        Option(
            "Whether one answer may contain several calls.",
            openai=Built(("parallel_tool_calls",)), ollama=Unsent("the daemon has no such switch"), http="own",
        ),
    ]  # fmt: skip
    reasoning: Annotated[
        ReasoningChoice | None,
        Option(
            "Whether the model thinks first; always: also one that was not trained to, before an answer bound to a schema.",
            openai=Built(("chat_template_kwargs",), extension=True), ollama=Built(("think",)),
            http="own", cli="derived", hint=True,
        ),
    ]  # fmt: skip
    reasoning_tokens: Annotated[
        int | None,
        Option(
            "Maximum tokens of its thoughts; -1: no limit.", 0, NO_LIMIT,
            minus_one="no limit", openai=Unsent("endpoints have no common field for a reasoning budget"),
            ollama=Unsent("the daemon has no reasoning budget"), http="own", cli="derived", metavar="N", hint=True,
        ),
    ]  # fmt: skip
    continue_final: Annotated[
        bool | None,
        Option(
            "Whether a final assistant message is continued instead of answered; "
            "absent: wherever possible.",
            openai=Refused("Use a model loaded here."), ollama=Refused("Use a model loaded here."), http="own",
        ),
    ]  # fmt: skip
    prefix_group: Annotated[
        str | None,
        Option(
            "Calls of one group share long prefixes (a schema's name): one is retained per group and session.",
            openai=_LOCAL_ONLY, ollama=_LOCAL_ONLY,
        ),
    ]  # fmt: skip
    session: Annotated[
        str | None,
        Option(
            "The conversation a call belongs to; a prefix that two share is not one customer's text.",
            openai=_LOCAL_ONLY, ollama=_LOCAL_ONLY, http="own",
        ),
    ]  # fmt: skip
    priority: Annotated[
        Priority | None, Option("Scheduling priority.", openai=_LOCAL_ONLY, ollama=_LOCAL_ONLY, http="derived")
    ]
    deadline: Annotated[
        float | None,
        Option(
            "Seconds from submission after which the answer is useless; queueing counts.", 0,
            openai=_LOCAL_ONLY, ollama=_LOCAL_ONLY, hint=True,
        ),
    ]  # fmt: skip


OPTIONS = options_of(ChatOptions)
SAMPLING = {name: OPTIONS[name] for name in options_of(SamplingOptions)}
