"""What those who refuse a request say, word for word, and what is understood of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parlant_local.backends.failures import from_status
from parlant_local.backends.openai import OpenAIBackend
from parlant_local.errors import (
    AuthenticationError,
    BadRequestError,
    ContextOverflowError,
    ParlantLocalError,
    RateLimitedError,
    TargetDownError,
    TransientError,
)
from tests.fakes.http import Fault
from tests.fakes.openai import FakeOpenAI

# Where the words were seen: the sources of vLLM, TGI, SGLang, llama.cpp and Ollama, the issue trackers named beside them,
# and litellm's and pi's own tables of providers' refusals. Figures are (needed, available, prompt alone), 0: not told.
OVERFLOWS: list[tuple[str, int, str, tuple[int, int, int]]] = [
    # OpenAI and Azure, chat completions
    ("openai", 400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.", (9000, 8192, 9000)),
    ("openai, both", 400, "This model's maximum context length is 4096 tokens. However, you requested 4221 tokens (1829 in the messages, 2392 in the completion). Please reduce the length of the messages or completion.", (4221, 4096, 1829)),
    ("azure", 400, "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens. Please reduce the length of the messages.", (509178, 272000, 509178)),
    ("openai, responses", 400, "Your input exceeds the context window of this model. Please adjust your input and try again.", (0, 0, 0)),
    # OpenAI, tokens per minute: no waiting makes it fit
    ("openai, tpm", 429, "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully.", (45000, 30000, 0)),
    ("groq, tpm", 413, "Request too large for model `llama-3.1-8b-instant` in organization `org_x` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9012, please reduce your message size and try again.", (9012, 6000, 0)),
    ("groq", 400, "Please reduce the length of the messages or completion.", (0, 0, 0)),
    ("cerebras", 400, "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", (9000, 8192, 9000)),
    # vLLM: issues 12165, 10440, 33418, pull 33425; entrypoints/openai
    ("vllm", 400, "The decoder prompt (length 10127) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.", (10127, 8192, 10127)),
    ("vllm, engine", 400, "The prompt (total length 25938) is too long to fit into the model (context length 4096). Make sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.", (25938, 4096, 25938)),
    ("vllm, messages", 400, "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion). Please reduce the length of the messages or completion.", (122946, 16384, 112946)),
    ("vllm, input", 400, "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens plus 2045 'max_tokens'. Please reduce one or the other. (parameter=input_tokens, max_tokens, value=(8, 2045))", (2053, 2048, 8)),
    ("vllm, at least", 400, "This model's maximum context length is 8192 tokens. However, you requested 1024 output tokens and your prompt contains at least 7169 input tokens, for a total of at least 8193 tokens. Please reduce the length of the input prompt or the number of requested output tokens.", (8193, 8192, 7169)),
    ("vllm, max_tokens", 400, "'max_tokens' or 'max_completion_tokens' is too large: 10000. This model's maximum context length is 8192 tokens and your request has 500 input tokens (10000 > 8192 - 500).", (10500, 8192, 500)),
    ("vllm, model len", 400, "max_tokens=999999 cannot be greater than max_model_len=max_total_tokens=81920. Please request fewer output tokens.", (999999, 81920, 0)),
    # Text Generation Inference: router/src/validation.rs; Text Embeddings Inference: the same words at 413
    ("tgi", 422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 6000 `inputs` tokens and 4091 `max_new_tokens`", (10091, 4096, 6000)),
    ("tgi, inputs", 422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2048", (2048, 1024, 2048)),
    ("tei", 413, "Input validation error: `inputs` must have less than 512 tokens. Given: 600", (600, 512, 600)),
    # SGLang, its tokenizer manager
    ("sglang", 400, "The input (250000 tokens) is longer than the model's context length (200000 tokens).", (250000, 200000, 250000)),
    ("sglang, total", 400, "Requested token count exceeds the model's maximum context length of 64000 tokens. You requested a total of 71897 tokens: 7897 tokens from the input messages and 64000 tokens for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit.", (71897, 64000, 7897)),
    # parlant-local's own server
    ("ours", 400, "This model's maximum context length is 2048 tokens. The prompt has 6009 tokens; the context holds 2048, including the answer. Shorten it, raise engine.n_ctx if memory allows, or use a model with a longer context.", (6009, 2048, 6009)),
    ("ours, max_tokens", 400, "This model's maximum context length is 2048 tokens. The prompt has 15 tokens and max_tokens asks for 2048 more; the context holds 2048. Ask for 2033 tokens or fewer, shorten the prompt, or raise engine.n_ctx.", (2063, 2048, 15)),
    # Gemini and Vertex
    ("gemini", 400, "The input token count (1300000) exceeds the maximum number of tokens allowed (1048575).", (1300000, 1048575, 1300000)),
    ("gemini, one figure", 400, "The input token count exceeds the maximum number of tokens allowed 1048576.", (0, 1048576, 0)),
    ("vertex", 400, "Unable to submit request because the input token count is 35000 but model only supports up to 32768. Reduce the input token count and try again.", (35000, 32768, 35000)),
    # llama-server: tools/server; its JSON has the figures as fields
    ("llama-server", 400, '{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}', (9000, 8192, 9000)),
    ("llama-server, older", 400, '{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}', (9000, 8192, 9000)),
    ("llama-server, in the answer", 0, "Context size has been exceeded.", (0, 0, 0)),
    ("llama-server, batch", 500, "input is too large to process. increase the physical batch size (current batch size: 512)", (0, 512, 0)),
    ("llama-cpp-python", 400, "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens (2000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.", (3000, 2048, 2000)),
    ("llama-cpp-python, plain", 500, "Requested tokens (3021) exceed context window of 2048", (3021, 2048, 0)),
    # LM Studio: lmstudio-bug-tracker
    ("lm studio", 400, "Trying to keep the first 5246 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input", (5246, 4096, 5246)),
    ("lm studio, n_keep", 400, "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 7233>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input.", (7233, 4096, 7233)),
    # LiteLLM: exception_mapping_utils.py, issue 10793
    ("litellm", 400, "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", (9000, 8192, 9000)),
    ("litellm over vllm", 400, "litellm.BadRequestError: Hosted_vllmException - The decoder prompt (length 41000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.. Received Model Group=qwen", (41000, 32768, 41000)),
    # OpenRouter, before a provider is asked
    ("openrouter", 400, "This endpoint's maximum context length is 131072 tokens. However, you requested about 150211 tokens (148000 of text input, 2211 in the output). Please reduce the length of either one, or use the context-compression plugin to compress your prompt automatically.", (150211, 131072, 148000)),
    # Mistral, code 3051
    ("mistral", 400, "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length", (65673, 32768, 65673)),
    ("deepseek", 400, "This model's maximum context length is 131072 tokens. However, you requested 135168 tokens (127000 in the messages, 8168 in the completion). Please reduce the length of the messages or completion.", (135168, 131072, 127000)),
    ("together", 422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 512 `max_new_tokens`", (9512, 8193, 9000)),
    ("anthropic", 400, "prompt is too long: 213462 tokens > 200000 maximum", (213462, 200000, 213462)),
    ("anthropic, both", 400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again", (210000, 200000, 190000)),
    ("xai", 400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens.", (537812, 131072, 537812)),
    ("kimi", 400, "Invalid request: Your request exceeded model token limit: 8192 (requested: 9300)", (9300, 8192, 0)),
    ("minimax", 400, "invalid params, context window exceeds limit (2013)", (0, 0, 0)),
    ("dashscope", 400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", (0, 30720, 0)),
    ("bedrock", 400, "Input is too long for requested model.", (0, 0, 0)),
    ("copilot", 400, "prompt token count of 200000 exceeds the limit of 128000", (200000, 128000, 200000)),
    ("ollama", 400, "prompt too long; exceeded max context length by 4096 tokens", (0, 0, 0)),
    ("ollama, embed", 400, "the input length exceeds the context length", (0, 0, 0)),
    ("tensorrt-llm", 500, "The sum of prompt length (9000.0), query length (0) should not exceed max_num_tokens (8192)", (9000, 8192, 9000)),
    ("exllama", 400, "prompt (9000 tokens) exceeds max_seq_len 8192", (9000, 8192, 9000)),
    ("vllm, passed", 400, "You passed 9000 input tokens and requested 100 output tokens. However, the model's context length is only 8192 tokens, resulting in a maximum input length of 8092 tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=9000)", (9100, 8192, 9000)),
    ("vllm, embedding", 400, "You passed 2049 input tokens and requested 0 output tokens. However, the model's context length is only 2048 tokens, resulting in a maximum input length of 2048 tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=2049)", (2049, 2048, 2049)),
    ("vllm, scheduler", 400, "Input prompt (2664 tokens) is too long and exceeds limit of 2048/2560", (2664, 2048, 2664)),
    ("sglang, length", 400, "Input length (9000 tokens) exceeds the maximum allowed length (8186 tokens). Use a shorter input or enable --allow-auto-truncate.", (9000, 8186, 9000)),
    ("total", 400, "total tokens 9000 exceed limit 8192", (9000, 8192, 0)),
    ("total, in brackets", 400, "Total tokens (9000) exceeds the limit (8192)", (9000, 8192, 0)),
    ("total, as a number of", 400, "The total number of tokens 9000 exceeds the limit of 8192.", (9000, 8192, 0)),
    ("total, as a count", 400, "total token count 9000 exceeds model limit of 8192", (9000, 8192, 0)),
    ("prompt tokens", 400, "prompt tokens (9000) exceed the maximum of 8192", (9000, 8192, 9000)),
    ("token length", 400, "Input token length is 9000, exceeding the maximum of 8192", (9000, 8192, 9000)),
    ("compared", 400, "The request exceeds the maximum number of tokens: 9000 > 8192", (9000, 8192, 0)),
    ("fireworks", 400, "The prompt is too long: 9000, model maximum context length: 8191", (9000, 8191, 9000)),
    ("cohere", 400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try using a shorter prompt.", (4292, 4081, 4292)),
    ("bedrock, titan", 400, "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9000", (9000, 8192, 9000)),
    ("lm studio, mid-answer", 400, "Reached context length of 4096 tokens with model (arch: llama) that does not currently support mid-generation context overflow. Try reloading with a larger context length or shortening the prompt/chat.", (0, 4096, 0)),
    ("azure, older", 400, "This model's maximum context length is 4097 tokens, however you requested 4116 tokens (3860 in your prompt; 256 for the completion). Please reduce your prompt; or completion length.", (4116, 4097, 3860)),
    # Invented, so that no list of known wordings is enough
    ("accepts", 400, "Your prompt has 9000 tokens but this model only accepts up to 8192 tokens.", (9000, 8192, 9000)),
    ("long", 400, "The prompt is 9000 tokens long, which exceeds the model's 8192-token context window.", (9000, 8192, 9000)),
    ("a fraction", 400, "Token limit exceeded: 9000/8192", (9000, 8192, 9000)),
    ("larger than", 400, "Input exceeds the model's context window (9000 > 8192).", (9000, 8192, 9000)),
    ("named figures", 400, "Error: n_prompt_tokens (9000) >= n_ctx (8192)", (9000, 8192, 9000)),
    ("payload", 413, "Payload too large: prompt has 9000 tokens, max 8192", (9000, 8192, 9000)),
    ("a chat", 400, "Conversation is too long for the selected model. Start a new chat.", (0, 0, 0)),
    ("overflow", 400, "context overflow: prompt 9000 tokens, n_ctx 8192", (9000, 8192, 9000)),
    ("sequence", 400, "The sequence length 9000 is larger than the maximum 8192 supported", (9000, 8192, 9000)),
    ("text", 400, "Input text is too long: 9000 tokens, limit 8192.", (9000, 8192, 9000)),
    ("shorten", 400, "Please shorten your input. Maximum tokens: 8192, provided: 9000", (9000, 8192, 9000)),
    ("a sum", 400, "prompt tokens + max_tokens (9000 + 1000) exceeds 8192", (10000, 8192, 9000)),
    ("a window", 400, "This request would use 9000 tokens; the context window is 8192.", (9000, 8192, 9000)),
    ("openrouter, pooled", 400, "Input length (265330) exceeds model's maximum context length (262144).", (265330, 262144, 265330)),
]  # fmt: skip


@pytest.mark.parametrize(("who", "status", "words", "figures"), OVERFLOWS, ids=[row[0] for row in OVERFLOWS])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "json"])
def test_a_prompt_that_is_too_long(
    who: str, status: int, words: str, figures: tuple[int, int, int], wrapped: bool
) -> None:
    text = (
        json.dumps({"error": {"message": words, "type": "invalid_request_error", "code": None}}) if wrapped else words
    )
    error = from_status("x", status, text)
    assert isinstance(error, ContextOverflowError), error
    assert (error.needed, error.available, error.prompt) == tuple(figure or None for figure in figures)


def test_the_known_window_counts_where_the_words_have_none() -> None:
    error = from_status("x", 400, "prompt too long; exceeded max context length by 4096 tokens", n_ctx=8192)
    assert isinstance(error, ContextOverflowError)
    assert (error.needed, error.available) == (12288, 8192)


# Seconds to wait, None: not told
LIMITS: list[tuple[str, int, str, float | None]] = [
    ("openai", 429, "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29500, Requested 1000. Please try again in 1.2s. Visit https://platform.openai.com/account/rate-limits to learn more.", 1.2),
    ("openai, minutes", 429, "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.", 432.0),
    ("openai, short", 429, "Rate limit reached on tokens per min. Please try again in 530ms.", 0.53),
    ("groq", 429, "Rate limit reached for model `llama3-70b-8192` in organization `org_x` on tokens per minute (TPM): Limit 6000, Used 5500, Requested 1200. Please try again in 7.02s.", 7.02),
    ("azure", 429, "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 22 seconds.", 22.0),
    ("gemini", 429, '[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 34.07s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]', 34.07),
    ("gemini, detail", 429, '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Resource has been exhausted","details":[{"retryDelay":"34s"}]}}', 34.0),
    ("mistral", 429, '{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}', None),
    ("deepseek", 429, "Rate limit reached", None),
    ("openrouter", 429, '{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"x is temporarily rate-limited upstream. Please retry shortly","provider_name":"Chutes"}}}', None),
    ("litellm", 500, "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached", None),
    ("wait", 503, "Rate limit exceeded. Please wait 30 seconds.", 30.0),
    ("a field of seconds", 429, '{"detail":"Rate limit","retry_after_seconds": 9}', 9.0),
    ("a field of milliseconds", 429, '{"error":{"message":"slow down","retry_after_ms":1500}}', 1.5),
    ("as a bad request", 400, "Rate limit reached, please slow down", None),
    ("as forbidden", 403, "Quota exceeded for quota metric 'Requests' per minute", None),
    ("too many at once", 400, "Maximum concurrent requests reached", None),
    ("in an event", 0, '{"message":"Rate limit exceeded: free-models-per-min","type":"rate_limit_exceeded"}', None),
    ("bedrock", 429, "Too many tokens, please wait before trying again.", None),
    ("together", 429, "You have reached the rate limit specific to this model x. The maximum rate limit for this model is 6.0 queries per minute.", None),
    ("vertex", 503, '{"error":{"code":503,"message":"Too many requests, try again later"}}', None),
]  # fmt: skip


@pytest.mark.parametrize(("who", "status", "words", "wait"), LIMITS, ids=[row[0] for row in LIMITS])
def test_a_wish_to_slow_down(who: str, status: int, words: str, wait: float | None) -> None:
    error = from_status("x", status, words)
    assert type(error) is RateLimitedError, error
    assert error.retry_after == (None if wait is None else pytest.approx(wait))


def test_a_header_counts_before_words() -> None:
    error = from_status("x", 429, "Please try again in 20s", headers={"retry-after": "3"})
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 3.0


OTHERS: list[tuple[str, int, str, type[ParlantLocalError]]] = [
    ("quota", 429, "You exceeded your current quota, please check your plan and billing details.", TargetDownError),
    ("deepseek, unpaid", 402, "Insufficient Balance", TargetDownError),
    ("anthropic, unpaid", 400, "Your credit balance is too low to access the API.", BadRequestError),
    ("overloaded", 529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', TransientError),
    ("gemini, overloaded", 503, "The model is overloaded. Please try again later.", TransientError),
    ("key, in a body", 0, '{"message":"Incorrect API key provided","code":"invalid_api_key"}', AuthenticationError),
    ("model, in a body", 0, "The model `x` does not exist or you do not have access to it.", TargetDownError),
    ("invalid, in a body", 0, '{"message":"messages must alternate","type":"invalid_request_error"}', BadRequestError),
    ("server, in a body", 0, '{"message":"CUDA error","type":"server_error"}', TransientError),
    ("no overflow", 400, "max_tokens must be at least 1, got 0", BadRequestError),
    (
        "an answer's own limit",
        400,
        "max_tokens is too large: 6000. This model supports at most 4096 completion tokens, whereas you provided 6000.",
        BadRequestError,
    ),
    ("a quota of tokens", 400, "Your total tokens exceed the quota of your plan", BadRequestError),
    ("a user's id", 400, "Invalid 'user': string too long. Expected a string with maximum length 64.", BadRequestError),
]


@pytest.mark.parametrize(("who", "status", "words", "expected"), OTHERS, ids=[row[0] for row in OTHERS])
def test_what_is_neither(who: str, status: int, words: str, expected: type[ParlantLocalError]) -> None:
    assert type(from_status("x", status, words)) is expected


# The reason is told whole


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": {"message": "messages: roles must alternate between user and assistant, but found two in a row."}},
         "messages: roles must alternate between user and assistant, but found two in a row"),
        ({"error": "a plain string that is rather longer than forty-eight characters, as Ollama sends it"},
         "a plain string that is rather longer than forty-eight characters, as Ollama sends it"),
        ({"object": "error", "message": "vLLM's older shape, with the message at the top of the body and nothing nested"},
         "vLLM's older shape, with the message at the top of the body and nothing nested"),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required and some more words", "input": "Jane Doe"}]},
         "body.messages.0: Field required and some more words"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": '{"error":{"message":"the real reason"}}'}}},
         "Provider returned error (the real reason)"),
        ([{"error": {"code": 400, "message": "Gemini wraps its errors in a list, for reasons of its own, it seems"}}],
         "Gemini wraps its errors in a list, for reasons of its own, it seems"),
        ({"error": {"message": "The model's template wants roles to alternate, and the last but one of this request's didn't."}},
         "The model's template wants roles to alternate, and the last but one of this request's didn't"),
        ({"error": {"message": "litellm.BadRequestError: OpenAIException - {\"error\":{\"message\":\"the words of whoever stands behind the proxy, all of them\"}}"}},
         "the words of whoever stands behind the proxy, all of them"),
        ("litellm.BadRequestError: OpenAIException - Error code: 400 - {'error': {'message': \"a message within a message, "
         "with more than forty-eight characters in it\"}}", "a message within a message, with more than forty-eight"),
    ],
)  # fmt: skip
async def test_the_reason_is_shown_whole(
    body: Any, shown: str, openai_fake: FakeOpenAI, openai_backend: OpenAIBackend
) -> None:
    openai_fake.always = Fault("status", 400, body=body)
    with pytest.raises(BadRequestError) as caught:
        await openai_backend.chat("hello")
    assert shown in str(caught.value)
    assert "Jane" not in str(caught.value)


def test_a_long_reason_is_not_cut() -> None:
    reason = " ".join(f"word{number}" for number in range(90))
    assert reason in str(from_status("x", 400, json.dumps({"error": {"message": reason}})))


@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnop",
        "gsk_abcdefghijklmnopqrst",
        "AIzaSyAbcdefghijklmnop123",
        "hf_abcdefghij",
        "Bearer abcdefgh",
    ],
)
def test_keys_are_masked(key: str) -> None:
    assert key not in str(from_status("x", 400, f"The key {key} is not known."))


async def test_a_key_of_any_shape_is_masked_in_what_its_endpoint_says(openai_fake: FakeOpenAI) -> None:
    openai_fake.key = "another"
    openai_fake.always = Fault("status", 401, body={"error": {"message": "no such key: plain-1234-5678"}})
    async with OpenAIBackend("m", base_url=openai_fake.base_url, name="x", api_key="plain-1234-5678") as backend:
        with pytest.raises(AuthenticationError) as caught:
            await backend.chat("hello")
    assert "1234" not in str(caught.value)
