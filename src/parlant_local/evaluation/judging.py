"""Questions about a reply that facts and patterns can't decide, put to another model: only where a case asks and a judge is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlant_local.backends.base import Backend
from parlant_local.evaluation.reading import Exercise
from parlant_local.messages import Message, ResponseFormat, json_value

__all__ = ["judged"]

_TASK = """\
You judge the last reply of a customer service agent. Judge only what the question asks, by what the reply says.

The agent: {agent}

The conversation:
{conversation}

The reply to judge:
{reply}

The question: {question}
"""
_ANSWER = ResponseFormat.json_schema(
    {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": 300}, "answer": {"enum": ["yes", "no"]}},
        "required": ["reason", "answer"],
        "additionalProperties": False,
    },
    "Judgement",
)


async def judged(judge: Backend, exercise: Exercise, reply: str) -> Mapping[str, bool]:
    """Question to whether it was answered with yes. Raises what the judge raises: a judgement is not guessed."""
    found = {}
    for question in exercise.case.expect.judged:
        asked = _TASK.format(
            agent=exercise.agent.description, conversation=_told(exercise), reply=reply, question=question
        )
        answer = await judge.chat(
            (Message.user(asked),), response_format=_ANSWER, temperature=0.0, seed=0, max_tokens=400
        )
        told: Any = json_value(answer.content)
        found[question] = told["answer"] == "yes"
    return found


def _told(exercise: Exercise) -> str:
    lines = exercise.case.conversation
    return "\n".join(
        f"{'Customer' if line.customer is not None else 'Agent'}: {line.customer or line.agent}"
        for line in lines
        if line.called is None
    )
