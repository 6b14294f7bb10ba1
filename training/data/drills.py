"""The parts of an agent's work, each alone: to repeat, to judge, to fill in arguments, to reply.

In a recorded question few tokens are the model's own, and hundreds lead to them. Here nothing stands between what has to be
compared or copied and the answer, so that the same hour teaches ten times as much; the recorded questions then only have to
teach where to look.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

from training.chat import Piece, Sample
from training.data.actions import any_words
from training.data.agents import Agent, Guideline, an_agent
from training.data.calls import THOUGHT, VERDICT, weighed
from training.data.conversations import MISSING, Conversation, Key, a_conversation
from training.data.json_text import Literal, Style, pieces_of
from training.data.lookups import reply_missing, reply_with
from training.data.quoting import as_quoted
from training.data.reasons import parted, reason
from training.data.values import a_date, a_person, a_title, an_id
from training.data.words import snake

_ALONE = Style(structure=0.1, literal=0.0)
_GAPS = ("", "", " word" * 40, " word" * 400, " word" * 1600, " word" * 2600, " word" * 4000)
_CONVERSATIONS = 6


def _sample(rng: random.Random, before: list[Piece], answer: Any) -> Sample:
    opening = Piece("<|im_start|>assistant\n", 0.0, rng.choice(_GAPS))
    pieces = as_quoted(weighed(pieces_of(answer, _ALONE)), "".join(piece.text for piece in before))
    return Sample((*before, opening, *pieces, Piece("<|im_end|>", 0.1)), split=rng.random() < 0.5)


def _verdicts(rng: random.Random, agent: Agent, talk: Conversation) -> Sample:
    """Which of the agent's guidelines the customer's words meet."""
    names = rng.sample(list(agent.guidelines), len(agent.guidelines))
    if rng.random() < 0.5:
        names.sort(key=lambda name: name not in talk.key.applies)
        names = names[: rng.randint(1, 3)]
        rng.shuffle(names)
    checks = [
        {
            "guideline_id": Literal(str(number)),
            "condition": Literal(agent.guidelines[name].when),
            "rationale": Literal(reason(agent.guidelines[name].when, talk.key.said, applies=name in talk.key.applies)),
            "applies": name in talk.key.applies,
        }
        for number, name in enumerate(names, 1)
    ]
    return _sample(rng, [], {"checks": checks})


def _arguments(rng: random.Random, talk: Conversation) -> Sample | None:
    """What the customer's words say about a function's parameters."""
    if not talk.key.calls:
        return None
    arguments = rng.choice(list(talk.key.calls.values()))
    reason = Literal(f"They said: {talk.key.said}")
    return _sample(rng, [], {"reasoning_tldr": reason, "should_run": True, "calls": [{"args": arguments}]})


def _scattered(rng: random.Random) -> Sample:
    """A value anywhere in a message that means nothing: where it begins and ends is all there is to see."""
    arguments: dict[str, str] = {}
    words: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        value = rng.choice((an_id, an_id, an_id, an_id, a_date, a_title, a_person))(rng)
        words += _plain_words(rng, 0, 7)
        if rng.random() < 0.5:
            words += rng.choice(_BEFORE).split()
        words.append(value)
        arguments[snake(rng)] = value
    words += _plain_words(rng, 0, 4)
    said = " ".join(words)
    said = (said[0].upper() + said[1:] if rng.random() < 0.7 else said) + rng.choice((".", "?", "", "!"))
    reason = Literal(f"They said: {said}")
    return _sample(rng, [], {"reasoning_tldr": reason, "should_run": True, "calls": [{"args": arguments}]})


_BEFORE = ("number", "is", "on", "my", "for", "it's", "the", "it is", "my number is", "code", "called")


def _plain_words(rng: random.Random, least: int, most: int) -> list[str]:
    return [rng.choice(any_words() or _BEFORE) for _ in range(rng.randint(least, most))]


def _result(agent: Agent, rule: Guideline, arguments: dict[str, str]) -> Any:
    assert rule.tool
    return next(each["data"] for each in reversed(agent.results[rule.tool.name]) if each["when"] == arguments)


def _event(tool: str, arguments: dict[str, str], result: Any) -> str:
    call = {"tool_id": tool, "arguments": arguments, "result": result}
    return json.dumps({"event_kind": "tool", "event_source": "system-provided", "data": {"tool_calls": [call]}})


def _reply(rng: random.Random, agent: Agent, key: Key) -> Sample:
    """What guidelines tell to do, and functions have found, as it is said."""
    rules = [(name, rule) for name, rule in agent.guidelines.items() if name in key.applies]
    events, replies = [], []
    for _, rule in rules:
        if rule.tool is None:
            replies.append(rule.reply)
            continue
        arguments = key.calls[rule.tool.name]
        if MISSING in arguments.values():
            replies.append(reply_missing(next(iter(arguments))))
            continue
        result = _result(agent, rule, arguments)
        events.append(_event(f"agent-{rng.randint(0, 99)}:{rule.tool.name}", arguments, result))
        replies.append(reply_with(arguments, result))
    before = [Piece(f"{events!r}\n###\n", 0.0)] if events else []
    answer = {
        "last_message_of_user": Literal(key.said),
        "guidelines": [Literal(f"When {rule.when}, then {rule.do}") for _, rule in rules],
        "response_preamble_that_was_already_sent": Literal(""),
        "response_body": " ".join(replies) or key.fallback,
    }
    return _sample(rng, before, answer)


def match_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """Conditions and words that meet them or don't, and nothing else: as many verdicts as fit into a line."""
    for _ in range(count):
        pieces: list[Piece] = []
        for _ in range(2):
            agent = an_agent(rng)
            talks = [a_conversation(rng, agent) for _ in range(rng.choice((1, 2, 3)))]
            for talk in talks:
                yes = rng.random() < 0.5
                names = [name for name in agent.guidelines if (name in talk.key.applies) == yes]
                if not names:
                    continue
                when = agent.guidelines[rng.choice(names)].when
                between = rng.choice(_BETWEEN)
                told, same = parted(reason(when, talk.key.said, applies=yes))
                pieces += [Piece(when + between[0] + told, 0.0), Piece(same + between[1][0], THOUGHT)]
                pieces += [Piece(between[1][1:], 0.0)] if between[1][1:] else []
                pieces += [Piece("true" if yes else "false", VERDICT), Piece(between[2], 0.0)]
        if pieces:
            yield Sample(tuple(pieces), split=True)


_BETWEEN = (
    ("\n", "\n", "\n"),
    ('","rationale":"', '","applies":', '},{"condition":"'),
    (
        '","rationale":"',
        '","applies":',
        '}]}<|im_end|>\n<|im_start|>assistant\n{"checks":[{"guideline_id":"1","condition":"',
    ),
)


def drill_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """Of agents that nothing else speaks of."""
    made = 0
    while made < count:
        agent = an_agent(rng)
        for _ in range(_CONVERSATIONS):
            for sample in _drills(rng, agent, a_conversation(rng, agent)):
                made += 1
                yield sample


def _drills(rng: random.Random, agent: Agent, talk: Conversation) -> Iterator[Sample]:
    yield _verdicts(rng, agent, talk)
    if rng.random() < 0.8 and (arguments := _arguments(rng, talk)) is not None:
        yield arguments
    if rng.random() < 0.3:
        yield _scattered(rng)
    if rng.random() < 0.7:
        yield _reply(rng, agent, talk.key)
