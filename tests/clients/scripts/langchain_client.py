"""LangChain's ChatOpenAI and OpenAIEmbeddings against a server: what came back, as one JSON object.

Run by .venv-clients' python: ``langchain_client.py URL KEY MODEL``.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field
from watching import Engine, several_tries

URL, KEY, MODEL = sys.argv[1:]
PLACE = {"base_url": f"{URL}/v1", "api_key": KEY, "model": MODEL, "max_retries": 0, "timeout": 60}
PARIS = "What is the capital of France?"
STORY = {"temperature": 2, "max_tokens": 1800, "logit_bias": dict.fromkeys(range(8), -100)}


class City(BaseModel):
    """A city."""

    city: str = Field(max_length=20)
    is_capital: bool


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def chat():
    model = ChatOpenAI(**PLACE, temperature=0, max_tokens=32)
    reply = model.invoke([SystemMessage("Answer briefly."), HumanMessage(PARIS)])
    chain = ChatPromptTemplate.from_messages([("user", "What is the capital of {country}?")]) | model
    return {
        "content": model.invoke(PARIS).content,
        "system": reply.content,
        "chain": chain.invoke({"country": "France"}).content,
        "usage": reply.usage_metadata["total_tokens"],
        "model": reply.response_metadata["model_name"],
        "finish": reply.response_metadata["finish_reason"],
        "batch": [item.content for item in model.batch([PARIS] * 4)],
    }


def stream():
    chunks = list(ChatOpenAI(**PLACE, temperature=0, max_tokens=32, stream_usage=True).stream(PARIS))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {
        "pieces": [chunk.content for chunk in chunks if chunk.content],
        "content": whole.content,
        "usage": whole.usage_metadata["total_tokens"],
        "finish": whole.response_metadata["finish_reason"],
    }


async def stream_async():
    return "".join([chunk.content async for chunk in ChatOpenAI(**PLACE, temperature=0, max_tokens=32).astream(PARIS)])


def tools():
    model = ChatOpenAI(**PLACE, temperature=0).bind_tools([get_weather], tool_choice="any")
    reply = model.invoke(PARIS)
    whole = None
    for chunk in model.stream(PARIS):
        whole = chunk if whole is None else whole + chunk
    call = reply.tool_calls[0]
    told = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    after = ChatOpenAI(**PLACE, max_tokens=16).bind_tools([get_weather]).invoke([HumanMessage(PARIS), reply, told])
    return {
        "whole": [[item["name"], item["args"]] for item in reply.tool_calls],
        "streamed": [[item["name"], item["args"]] for item in whole.tool_calls],
        "named": [
            item["name"]
            for item in ChatOpenAI(**PLACE)
            .bind_tools([get_weather], tool_choice="get_weather")
            .invoke(PARIS)
            .tool_calls
        ],
        "after": after.response_metadata["finish_reason"],
    }


def structured():
    model = ChatOpenAI(**PLACE, temperature=0)
    return {
        method: model.with_structured_output(City, method=method).invoke(PARIS).model_dump()
        for method in ("json_schema", "function_calling")
    } | {
        "json_mode": model.bind(max_tokens=128)
        .with_structured_output({"title": "any", "type": "object"}, method="json_mode")
        .invoke(PARIS + " Answer in JSON.")
    }


def vectors():
    model = OpenAIEmbeddings(
        base_url=f"{URL}/v1", api_key=KEY, model=MODEL, check_embedding_ctx_length=False, max_retries=0
    )
    documents = model.embed_documents(["a dog", "a cat"])
    query = model.embed_query("a dog")
    short = OpenAIEmbeddings(
        base_url=f"{URL}/v1", api_key=KEY, model=MODEL, check_embedding_ctx_length=False, dimensions=16
    )
    return {
        "dimensions": [len(vector) for vector in documents],
        "apart": max(abs(one - other) for one, other in zip(documents[0], query, strict=True)),
        "short": len(short.embed_query("a dog")),
    }


def text():
    model = OpenAI(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, max_tokens=8, temperature=0, max_retries=0)
    return {"whole": model.invoke("The capital of France"), "streamed": "".join(model.stream("The capital of France"))}


def errors():
    def failure(prompt=PARIS, **change):
        try:
            ChatOpenAI(**{**PLACE, "max_tokens": 4, **change}).invoke(prompt)
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            return {"kinds": kinds, "status": getattr(error, "status_code", None), "text": str(error)}
        return None

    return {
        "model": failure(model="nobody"),
        "key": failure(api_key="wrong-key-wrong-key-wrong"),
        "long": failure("word " * 4000),
        "long stream": failure("word " * 4000, streaming=True),
        "value": failure(temperature=9),
    }


def cancellation():
    engine = Engine(URL, KEY, MODEL)
    before = engine.cancelled()
    chunks = ChatOpenAI(**PLACE, **STORY).stream("Tell me a story.")
    for _ in range(4):
        next(chunks)
    chunks.close()
    return {"idle": engine.becomes_idle(), "cancelled": engine.cancelled() - before}


async def cancellation_of_a_task():
    engine = Engine(URL, KEY, MODEL)
    before = engine.cancelled()
    task = asyncio.ensure_future(ChatOpenAI(**PLACE, **STORY).ainvoke("Tell me a story."))
    await asyncio.to_thread(engine.becomes_busy)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {"idle": await asyncio.to_thread(engine.becomes_idle), "cancelled": engine.cancelled() - before}


if __name__ == "__main__":
    found = {
        "version": version("langchain-openai"),
        "openai": version("openai"),
        "chat": chat(),
        "stream": stream(),
        "tools": tools(),
        "structured": structured(),
        "vectors": vectors(),
        "text": text(),
        "errors": errors(),
        "cancellation": several_tries(cancellation),
        "stream async": asyncio.run(stream_async()),
        "cancellation of a task": several_tries(lambda: asyncio.run(cancellation_of_a_task())),
    }
    print(json.dumps(found))
