"""A model that knows what is right: it gives Parlant's engine the answers that the tiny model is to learn.

It thinks as the tiny model is to think: before each verdict it repeats the customer's words and names what the condition has in
common with them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.scripted import Call, ScriptedBackend

from parlant_local.evaluation.format import CaseFile
from parlant_local.evaluation.reading import Exercise
from parlant_local.evaluation.tools import result_of
from training.data.agents import ASKING, Agent, an_agent
from training.data.conversations import MISSING, Key, a_conversation
from training.data.lookups import reply_missing, reply_with
from training.data.reasons import reason

_CONVERSATIONS = 4
_CONTINUOUS = ("do not", "never", "always", "speak", "be ")


def exercises(rng: random.Random, name: str) -> tuple[list[Exercise], dict[str, tuple[Agent, Key]]]:
    """An agent, and what is asked of it."""
    agent = an_agent(rng)
    conversations = [a_conversation(rng, agent) for _ in range(_CONVERSATIONS)]
    cases = [
        {
            "id": f"case-{number}",
            "before": {"applied": each.applied},
            "conversation": each.lines,
            "expect": {"calls": [], "says": ["anything"]},
        }
        for number, each in enumerate(conversations)
    ]
    file = CaseFile.model_validate({"agent": agent.file(), "cases": cases})
    sat = [Exercise(name, file.agent, case) for case in file.cases]
    return sat, {one.id: (agent, each.key) for one, each in zip(sat, conversations, strict=True)}


def wrote(said: str) -> str:
    """The thought before a verdict."""
    return f"They said: {said}"


def preamble(said: str) -> str:
    """One of those that Parlant gives as examples, by how the customer's words begin and end."""
    first = said.split()[0].strip(",.!").lower()
    if first in ("hello", "hi", "hey", "good"):
        return "Hello"
    if first.startswith("thank"):
        return "Glad I could help!"
    return "Let me see" if "?" in said else "Got it"


def _at_start(name: str, schema: Mapping[str, Any], prompt: str) -> dict[str, Any]:
    """What Parlant asks about each guideline before the first conversation."""
    told = prompt.rpartition("\ncondition: ")[2]
    action = told.partition("\naction: ")[2].partition("\n")[0]
    if name == "GuidelineContinuousPropositionSchema":
        return {"rationale": f"The action is: {action}", "is_continuous": action.lower().startswith(_CONTINUOUS)}
    if name == "CustomerDependentActionSchema":
        asks = action.lower().startswith(ASKING)
        answer = {"action": schema["properties"]["action"]["const"], "is_customer_dependent": asks}
        return answer | ({"customer_action": "The customer answered"} if asks else {})
    if name == "AgentIntentionProposerSchema":
        return {"condition": schema["properties"]["condition"]["const"], "is_agent_intention": False}
    raise AssertionError(f"nobody taught an answer to {name}")


class StandIn(ScriptedBackend):
    """Answers from keys. ``calls`` holds what was asked, ``given`` what it said to each."""

    def __init__(self, keys: Mapping[str, tuple[Agent, Key]]) -> None:
        super().__init__()
        self.keys = keys
        self._known: dict[int, Any] = {}
        self.given: list[tuple[str, str, Mapping[str, Any], Any]] = []
        self.finder: Callable[[str | None], Exercise | None] = lambda _session: None

    def take_finder(self, finder: Callable[[str | None], Exercise | None]) -> None:
        self.finder = finder

    def _call(self, messages: Any, options: Mapping[str, Any]) -> Call:
        call = super()._call(messages, options)
        schema = call.params.response_format.schema
        exercise = self.finder(call.params.session)
        if schema is None:
            raise AssertionError(f"{call.name} has no schema")
        if exercise is None:
            answer = _at_start(call.name, schema, call.prompt)
        else:
            answer = self._answer(call, schema, exercise, *self.keys[exercise.id])
        self.given.append((call.name, call.prompt, schema, answer))
        self._known[id(call)] = answer
        self.answers[call.name] = lambda asked: self._known.pop(id(asked))
        return call

    def _answer(self, call: Call, schema: Mapping[str, Any], exercise: Exercise, agent: Agent, key: Key) -> Any:
        if call.name == "NonConsequentialToolBatchSchema":
            return self._calls(call.prompt, schema, key)
        if call.name == "CannedResponseDraftSchema":
            return self._draft(schema, exercise, agent, key)
        if call.name == "CannedResponsePreambleSchema":
            return {"preamble": preamble(key.said)}
        if call.name == "GenericResponseAnalysisSchema":
            by_action = call.prompt.rpartition("Guidelines:\n###")[2]
            texts = {rule.do for rule in agent.guidelines.values()}
            listed = [line.partition("Action: ")[2] for line in by_action.splitlines() if "Action: " in line]
            actions = [next((text for text in texts if each.startswith(text)), each) for each in listed]
            return {
                "checks": [
                    {
                        "guideline_id": item["properties"]["guideline_id"]["const"],
                        "action": action,
                        "guideline_applied": True,
                    }
                    for item, action in zip(schema["properties"]["checks"]["prefixItems"], actions, strict=True)
                ]
            }
        if "checks" in schema["properties"]:
            return {"checks": [self._check(item, agent, key) for item in schema["properties"]["checks"]["prefixItems"]]}
        raise AssertionError(f"nobody taught an answer to {call.name}")

    def _check(self, item: Mapping[str, Any], agent: Agent, key: Key) -> dict[str, Any]:
        condition = item["properties"]["condition"]["const"]
        name = next(name for name, rule in agent.guidelines.items() if rule.when == condition)
        filled: dict[str, Any] = {}
        for field, one in item["properties"].items():
            if "const" in one:
                filled[field] = one["const"]
            elif field in ("rationale", "tldr"):
                filled[field] = reason(condition, key.said, applies=name in key.applies)
            elif field in item["required"]:
                filled[field] = name in key.applies
        return filled

    def _calls(self, prompt: str, schema: Mapping[str, Any], key: Key) -> dict[str, Any]:
        reason = schema["properties"]["reasoning_tldr"].get("const", wrote(key.said))
        tool = prompt.rpartition("TOOL TO EVALUATE:")[2].partition("Name: ")[2].partition("\n")[0].partition(":")[2]
        arguments = key.calls.get(tool)
        calls = [] if arguments is None else [{"args": arguments}]
        return {"reasoning_tldr": reason, "should_run": arguments is not None, "calls": calls}

    def _draft(self, schema: Mapping[str, Any], exercise: Exercise, agent: Agent, key: Key) -> dict[str, Any]:
        known = schema["properties"]
        listed = [each["const"] for each in known["guidelines"].get("prefixItems", ())]
        replies = []
        for text in listed:
            name, rule = next(
                (name, rule) for name, rule in agent.guidelines.items() if rule.when in text and rule.do in text
            )
            if rule.tool is None:
                replies.append(rule.reply)
            elif name in key.applies:
                arguments = key.calls[rule.tool.name]
                if MISSING in arguments.values():
                    replies.append(reply_missing(next(iter(arguments))))
                else:
                    replies.append(
                        reply_with(arguments, result_of(exercise.agent.tools[rule.tool.name], arguments).data)
                    )
        answer = {
            name: one["const"] for name, one in known.items() if "const" in one and name == "last_message_of_user"
        }
        answer["guidelines"] = listed
        answer |= {name: one["const"] for name, one in known.items() if "const" in one}
        answer["response_body"] = " ".join(replies) or key.fallback
        return answer
