"""What is asked in Anthropic's form is what a chat is asked, and what a chat answers is what is told: nothing lost, nothing invented."""

from __future__ import annotations

import json
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.messages import ChatChunk, ChatReply, Delta, Message, ToolCall, ToolCallDelta, Usage
from parlant_local.server.doors.messages import MessageAnswer, chat_of
from parlant_local.server.options import conversation_of, messages_of
from parlant_local.server.shapes.messages import MessagesRequest
from parlant_local.settings import LimitSettings

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Message]]:
    """A conversation in Anthropic's form, and the messages that it means."""
    given: list[dict[str, Any]] = []
    meant: list[Message] = []
    open_calls: list[str] = []
    for turn in range(draw(st.integers(1, 4))):
        results = [(call, draw(TEXTS), draw(st.booleans())) for call in open_calls]
        said = draw(st.lists(TEXTS, min_size=0 if results else 1, max_size=2))
        blocks: list[dict[str, Any]] = [
            {
                "type": "tool_result",
                "tool_use_id": call,
                "content": text if plain else [{"type": "text", "text": text}],
            }
            for call, text, plain in results
        ]
        blocks += [{"type": "text", "text": text} for text in said]
        alone = len(said) == 1 and not results and draw(st.booleans())
        given.append({"role": "user", "content": said[0] if alone else blocks})
        meant += [Message("tool", text, tool_call_id=call) for call, text, _ in results]
        if said:
            meant.append(Message("user", "".join(said)))
        thoughts = draw(st.none() | TEXTS)
        answer = draw(TEXTS)
        calls = [
            ToolCall(f"call_{turn}_{number}", draw(NAMES), json.dumps(draw(ARGUMENTS), ensure_ascii=False))
            for number in range(draw(st.integers(0, 2)))
        ]
        open_calls = [call.id for call in calls]
        turns: list[dict[str, Any]] = []
        if thoughts is not None:
            turns.append({"type": "thinking", "thinking": thoughts, "signature": ""})
        if draw(st.booleans()):
            turns.append({"type": "redacted_thinking", "data": "only its maker reads this"})
        turns.append({"type": "text", "text": answer})
        turns += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
            for call in calls
        ]
        given.append({"role": "assistant", "content": turns})
        meant.append(Message("assistant", answer, tool_calls=tuple(calls), reasoning=thoughts))
    return given, meant


def asked(messages: list[dict[str, Any]], **more: Any) -> list[Message]:
    chat = chat_of(MessagesRequest.model_validate({"messages": messages, **more}))
    return list(messages_of(conversation_of(chat), LimitSettings()))


@settings(max_examples=60, deadline=None)
@given(conversations(), st.none() | st.lists(TEXTS, min_size=1, max_size=3))
def test_every_word_of_a_conversation_is_asked(both: tuple[Any, list[Message]], system: list[str] | None) -> None:
    given, meant = both
    blocks = None if system is None else [{"type": "text", "text": text} for text in system]
    first = [] if system is None else [Message("system", "".join(system))]
    assert asked(given, system=blocks) == first + meant


REPLIES = st.builds(
    ChatReply,
    content=st.just("") | TEXTS,
    reasoning=st.just("") | TEXTS,
    tool_calls=st.lists(
        st.builds(
            ToolCall, st.uuids().map(str), NAMES, ARGUMENTS.map(lambda value: json.dumps(value, ensure_ascii=False))
        ),
        max_size=3,
    ).map(tuple),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    usage=st.builds(Usage, st.integers(5, 9), st.integers(3, 9), st.integers(0, 5), st.integers(0, 3)),
)


def facts_of(message: Any) -> Any:
    """A message without its id, calls and all."""
    return json.loads(json.dumps({name: value for name, value in message.items() if name != "id"}))


@settings(max_examples=60, deadline=None)
@given(REPLIES, st.data())
def test_an_answer_is_told_whole_and_in_events_and_means_itself(reply: ChatReply, data: st.DataObject) -> None:
    whole = MessageAnswer("m").whole(reply)
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events_of(MessageAnswer("m"), chunks_of(reply, data)):
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    streamed = snapshot.to_dict()
    for block in streamed["content"]:
        block.pop("parsed_output", None)
    assert facts_of({name: streamed[name] for name in whole}) == facts_of(whole)
    used = whole["usage"]
    assert used["input_tokens"] + used["cache_read_input_tokens"] == reply.usage.prompt_tokens
    if whole["content"]:
        [again] = asked([{"role": "assistant", "content": whole["content"]}])
        assert (again.content or "", again.reasoning or "") == (reply.content, reply.reasoning)
        assert again.tool_calls == reply.tool_calls


def chunks_of(reply: ChatReply, data: st.DataObject) -> list[ChatChunk]:
    """The reply in pieces of any size."""

    def cut(text: str) -> list[str]:
        places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
        return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]

    chunks = [ChatChunk(Delta(reasoning=piece)) for piece in cut(reply.reasoning)]
    chunks += [ChatChunk(Delta(piece)) for piece in cut(reply.content)]
    for index, call in enumerate(reply.tool_calls):
        first, *rest = cut(call.arguments)
        chunks.append(ChatChunk(Delta(tool_calls=(ToolCallDelta(index, call.id, call.name, first),))))
        chunks += [ChatChunk(Delta(tool_calls=(ToolCallDelta(index, None, None, piece),))) for piece in rest]
    return [*chunks, ChatChunk(finish_reason=reply.finish_reason, usage=reply.usage)]


def events_of(answer: MessageAnswer, chunks: list[ChatChunk]) -> list[Any]:
    written = answer.start("", Usage())
    for chunk in chunks:
        written += b"".join(answer.chunk(chunk))
    written += b"".join(answer.end(chunks[-1].usage or Usage()))
    found = []
    for event in written.decode().strip().split("\n\n"):
        head, body = event.split("\n", 1)
        value = json.loads(body.removeprefix("data: "))
        assert head == f"event: {value['type']}"
        found.append(value)
    return found
