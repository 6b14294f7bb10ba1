"""litellm against a server: every thing it is asked for, and what came back, as one JSON object.

Run by .venv-clients' python: ``litellm_client.py URL KEY MODEL``.
"""

import asyncio
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices

import litellm
from pydantic import BaseModel
from watching import Engine, several_tries

litellm.suppress_debug_info = True
URL, KEY, MODEL = sys.argv[1:]
PLACE = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY, "timeout": 60, "num_retries": 0}
PARIS = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a story."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}


class City(BaseModel):
    city: str
    is_capital: bool


def chat():
    reply = litellm.completion(**PLACE, messages=PARIS, temperature=0, max_tokens=32)
    return {
        "content": reply.choices[0].message.content,
        "finish": reply.choices[0].finish_reason,
        "model": reply.model,
        "total": reply.usage.total_tokens,
    }


def stream():
    asked = {"messages": PARIS, "temperature": 0, "max_tokens": 32, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(**PLACE, **asked, stream=True))
    whole = litellm.stream_chunk_builder(chunks, messages=PARIS)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    return {"pieces": pieces, "content": whole.choices[0].message.content, "total": whole.usage.total_tokens}


async def several():
    asked = [
        litellm.acompletion(**PLACE, messages=[{"role": "user", "content": f"Say {number}"}], max_tokens=8)
        for number in range(6)
    ]
    return [reply.choices[0].finish_reason for reply in await asyncio.gather(*asked)]


def tools():
    asked = {"messages": PARIS, "tools": [WEATHER], "tool_choice": "required", "temperature": 0}
    reply = litellm.completion(**PLACE, **asked)
    chunks = list(litellm.completion(**PLACE, **asked, stream=True))
    streamed = litellm.stream_chunk_builder(chunks, messages=PARIS)
    call = reply.choices[0].message.tool_calls[0]
    after = litellm.completion(
        **PLACE,
        messages=[
            *PARIS,
            reply.choices[0].message.model_dump(),
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
        tools=[WEATHER],
        max_tokens=16,
    )
    return {
        "finish": reply.choices[0].finish_reason,
        "whole": [call.function.name, json.loads(call.function.arguments)],
        "streamed": [
            [item.function.name, json.loads(item.function.arguments)] for item in streamed.choices[0].message.tool_calls
        ],
        "after": after.choices[0].finish_reason,
    }


def structured():
    reply = litellm.completion(**PLACE, messages=PARIS, response_format=City, temperature=0)
    anything = litellm.completion(
        **PLACE, messages=PARIS, response_format={"type": "json_object"}, temperature=0, max_tokens=128
    )
    return {
        "model": City.model_validate_json(reply.choices[0].message.content).model_dump(),
        "object": json.loads(anything.choices[0].message.content),
    }


def vectors():
    packed = litellm.embedding(**PLACE, input=["a dog", "a cat"])  # in whatever form it prefers
    plain = litellm.embedding(**PLACE, input=["a dog", "a cat"], encoding_format="float")
    return {
        "dimensions": [len(item["embedding"]) for item in packed.data],
        "apart": max(
            abs(one - other)
            for left, right in zip(packed.data, plain.data, strict=True)
            for one, other in zip(left["embedding"], right["embedding"], strict=True)
        ),
        "tokens": plain.usage.prompt_tokens,
    }


def text():
    place = {**PLACE, "model": f"text-completion-openai/{MODEL}"}
    whole = litellm.text_completion(**place, prompt="The capital of France", max_tokens=8, temperature=0)
    pieces = litellm.text_completion(**place, prompt="The capital of France", max_tokens=8, temperature=0, stream=True)
    return {"whole": whole.choices[0].text, "streamed": "".join(piece.choices[0].text or "" for piece in pieces)}


def ranked():
    place = {**PLACE, "model": f"hosted_vllm/{MODEL}", "api_base": URL}
    reply = litellm.rerank(**place, query="a dog", documents=["a cat", "a dog", "a house"], top_n=2)
    return [item["index"] for item in reply.results]


def errors():
    def failure(**change):
        try:
            litellm.completion(**{**PLACE, "messages": PARIS, "max_tokens": 4, **change})
        except Exception as error:
            return {"kind": type(error).__name__, "status": getattr(error, "status_code", None), "text": str(error)}
        return None

    long = [{"role": "user", "content": "word " * 4000}]
    return {
        "model": failure(model="openai/nobody"),
        "key": failure(api_key="wrong-key-wrong-key-wrong"),
        "long": failure(messages=long),
        "long stream": failure(messages=long, stream=True),
        "value": failure(temperature=9),
        "image": failure(
            messages=[
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
            ]
        ),
    }


def cancellation():
    engine = Engine(URL, KEY, MODEL)
    before = engine.cancelled()
    pieces = litellm.completion(
        **PLACE, messages=STORY, temperature=2, max_tokens=1800, stream=True,
        logit_bias={str(token): -100 for token in range(8)},
    )  # fmt: skip
    for number, _ in enumerate(pieces):
        if number == 3:
            break
    pieces.completion_stream.response.close()
    return {"idle": engine.becomes_idle(), "cancelled": engine.cancelled() - before}


async def cancellation_of_a_task():
    engine = Engine(URL, KEY, MODEL)
    before = engine.cancelled()
    task = asyncio.ensure_future(
        litellm.acompletion(
            **PLACE, messages=STORY, temperature=2, max_tokens=1800,
            logit_bias={str(token): -100 for token in range(8)},
        )
    )  # fmt: skip
    await asyncio.to_thread(engine.becomes_busy)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {"idle": await asyncio.to_thread(engine.becomes_idle), "cancelled": engine.cancelled() - before}


if __name__ == "__main__":
    found = {
        "version": __import__("importlib.metadata").metadata.version("litellm"),
        "chat": chat(),
        "stream": stream(),
        "several": asyncio.run(several()),
        "tools": tools(),
        "structured": structured(),
        "vectors": vectors(),
        "text": text(),
        "ranked": ranked(),
        "errors": errors(),
        "cancellation": several_tries(cancellation),
        "cancellation of a task": several_tries(lambda: asyncio.run(cancellation_of_a_task())),
    }
    print(json.dumps(found))
