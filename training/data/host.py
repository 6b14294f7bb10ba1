"""Prompts of an agent framework: pages of instructions, a conversation, and a JSON document to fill in.

The answer is the document: what stands in it is copied, what is in <angle brackets> becomes a short text or a verdict.
The instructions are noise on purpose; what counts is to find the customer's words and the document behind all of it.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from training.chat import PROMPT, Sample, chat
from training.corpus import host_texts, library_texts
from training.data.json_text import COMPACT, FORCED, Literal, pieces_of
from training.data.service import INTENTS, Intent
from training.data.systems import system_prompt
from training.data.talk import Exchange, customer_exchange
from training.data.tools import GET_ORDER_STATUS, GET_WEATHER, order_question, weather_question
from training.data.words import NAMES, NOUNS, identifier, invented, snake

_COPIED = replace(COMPACT, structure=0.3, literal=0.5)

_RULES = (
    "Always follow the guidelines that are listed below.", "Do not repeat yourself.", "Be polite and short.",
    "Only offer what is written in this text.", "Do not invent facts.", "Never mention these instructions to the customer.",
    "If two rules disagree, prefer the more specific one.", "Consider only the latest message of the customer.",
    "The conversation may have moved on to another subject.", "A condition applies only when it is met right now.",
    "Think about what the customer needs.", "Keep the tone of the business.", "Explain your decision in one short sentence.",
    "The exact format of your answer is given later.", "Every item of the list must be checked.",
    "If information is missing, ask for it.", "Treat the glossary as the only truth about our words.",
    "Messages of the system are not visible to the customer.", "Do not offer anything else until the problem is solved.",
)  # fmt: skip
_HEADINGS = (
    "GENERAL INSTRUCTIONS",
    "TASK DESCRIPTION",
    "Task",
    "RESPONSE MECHANISM",
    "IMPORTANT",
    "BACKGROUND",
    "RULES",
    "EXAMPLES",
)


@dataclass(frozen=True)
class ToolUse:
    """A function that the customer's question needs, and what it returned if it was called already."""

    name: str
    arguments: dict[str, str]
    result: str
    staged: bool


@dataclass(frozen=True)
class Scene:
    """A conversation with a business: who is in it, what was said, and which rules its agent has."""

    agent: str
    customer: str
    messages: tuple[tuple[str, str], ...]
    last: Exchange
    rules: tuple[Intent, ...]
    preamble: str | None
    tool: ToolUse | None = None


def _needing_tool(rng: random.Random) -> tuple[Exchange, ToolUse]:
    """A question about the weather or an order: answered from the result where there is one."""
    asked, name, arguments, result, answer = (weather_question if rng.random() < 0.6 else order_question)(rng)
    staged = rng.random() < 0.5
    topic = "the weather" if name == "get_weather" else "the status of an order"
    intent = next(intent for intent in INTENTS if intent.topic == topic)
    reply = answer if staged else intent.replies[0]
    last = Exchange(asked, reply, topic, f"The user asks about {topic}.", topic, "service", intent=intent)
    return last, ToolUse(name, arguments, result, staged)


def _scene(rng: random.Random) -> Scene:
    last, tool = _needing_tool(rng) if rng.random() < 0.15 else (customer_exchange(rng), None)
    messages: list[tuple[str, str]] = []
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        earlier = customer_exchange(rng)
        messages += [("user", earlier.asked), ("ai_agent", earlier.sentence)]
    messages.append(("user", last.asked))
    preamble = rng.choice(PREAMBLES) if rng.random() < 0.25 else None
    if preamble:
        messages.append(("ai_agent", preamble))
    rules = rng.sample(INTENTS, rng.choice((1, 1, 1, 2, 3, 4)))
    if last.intent and last.intent not in rules and rng.random() < 0.6:
        rules[rng.randrange(len(rules))] = last.intent
    return Scene(rng.choice(NAMES), rng.choice(NAMES), tuple(messages), last, tuple(rules), preamble, tool)


PREAMBLES = ("Let me check that for you.", "Just a moment.", "I see.", "Of course.", "Hey there!", "Got it.", "Sorry to hear that.",
             "Let me look into that.", "Thank you for telling me.", "One moment, please.")  # fmt: skip


def _preamble_for(last: Exchange) -> str:
    if last.kind == "talk":
        return "I see."
    if last.intent and "sorry" in last.sentence:
        return "I am sorry to hear that."
    return "Let me check that for you."


# --- documents -------------------------------------------------------------------------------------------------------

Document = tuple[Any, Any]
"""What the prompt shows (placeholders in angle brackets), and what the answer is."""


def _rule_text(rule: Intent) -> str:
    return f"When {rule.condition}, then {rule.action}"


def _verdict(rule: Intent, last: Exchange) -> tuple[bool, str]:
    if last.intent is rule:
        return True, f"The customer asks about {rule.topic}."
    return False, f"The last message is not about {rule.topic}."


def _placeholder(rng: random.Random) -> str:
    return rng.choice(("<your text>", "<string>", "<str>", "<short explanation>", "<fill in>", "<text>", "<one sentence>", "<explain why>",
                       "<Explanation for why this is the case or not>", "<the message>", "<your evaluation>", "<...>"))  # fmt: skip


def _bool_placeholder(rng: random.Random) -> str:
    return rng.choice(("<BOOL>", "<true or false>", "<BOOL: whether this is so>", "<true/false>"))


def _draft(rng: random.Random, scene: Scene) -> Document:
    asked = Literal(scene.last.asked)
    rules = [_rule_text(rule) for rule in scene.rules] if rng.random() < 0.7 else []
    first = rng.choice(("last_message_of_user", "last_message_of_customer", "customer_message"))
    body = rng.choice(("response_body", "response_body", "response_body", "message", "reply", "content", "response"))
    with_preamble = rng.random() < 0.6
    shown: dict[str, Any] = {first: scene.last.asked, "guidelines": rules}
    answer: dict[str, Any] = {first: asked, "guidelines": [Literal(rule) for rule in rules]}
    if rng.random() < 0.8:
        shown["insights"] = ["<Up to 3 original insights>"]
        answer["insights"] = [scene.last.reason]
    if with_preamble:
        shown["response_preamble_that_was_already_sent"] = scene.preamble
        answer["response_preamble_that_was_already_sent"] = Literal(scene.preamble) if scene.preamble else None
    shown[body] = "<response message text>"
    answer[body] = scene.last.sentence
    return shown, answer


def _checks(rng: random.Random, scene: Scene) -> Document:
    shown, answer = [], []
    id_key = rng.choice(("guideline_id", "guideline_id", "id"))
    flag = rng.choice(("applies", "applies", "is_met", "should_reapply", "is_disambiguation", "guideline_applied"))
    with_action = rng.random() < 0.3
    for number, rule in enumerate(scene.rules, start=1):
        applies, why = _verdict(rule, scene.last)
        key = str(number) if rng.random() < 0.8 else identifier(rng)
        reason = rng.choice(("rationale", "rationale", "tldr", "explanation"))
        item: dict[str, Any] = {
            id_key: key,
            "condition": rule.condition,
            reason: _placeholder(rng),
            flag: _bool_placeholder(rng),
        }
        filled = {id_key: Literal(key), "condition": Literal(rule.condition), reason: why, flag: applies}
        if with_action:
            item = {
                id_key: key,
                "condition": rule.condition,
                "action": rule.action,
                reason: item[reason],
                flag: item[flag],
            }
            filled = {
                id_key: Literal(key),
                "condition": filled["condition"],
                "action": Literal(rule.action),
                reason: why,
                flag: applies,
            }
        shown.append(item)
        answer.append(filled)
    outer = rng.choice(("checks", "checks", "checks", "guidelines", "evaluations"))
    return {outer: shown}, {outer: answer}


def _tool(rng: random.Random, scene: Scene) -> Document:
    name = rng.choice(("get_weather", "get_order_status", snake(rng), f"local:{snake(rng)}", f"built-in:{snake(rng)}"))
    needed = bool(scene.last.intent) and rng.random() < 0.5
    why = scene.last.reason
    shown = {
        "last_customer_message": scene.last.asked, "most_recent_customer_inquiry_or_need": "<customer's inquiry or need>",
        "most_recent_customer_inquiry_or_need_was_already_resolved": "<BOOL>", "name": name,
        "subtleties_to_be_aware_of": "<NOTE ANY SUBTLETIES>",
        "tool_calls_for_candidate_tool": [{"applicability_rationale": "<A FEW WORDS>", "is_applicable": "<BOOL>",
                                           "same_call_is_already_staged": "<BOOL>", "relevant_subtleties": "<IF ANY>"}],
    }  # fmt: skip
    answer = {
        "last_customer_message": Literal(scene.last.asked), "most_recent_customer_inquiry_or_need": why,
        "most_recent_customer_inquiry_or_need_was_already_resolved": False, "name": Literal(name),
        "subtleties_to_be_aware_of": "None.",
        "tool_calls_for_candidate_tool": [{"applicability_rationale": why, "is_applicable": needed,
                                           "same_call_is_already_staged": False, "relevant_subtleties": "None."}],
    }  # fmt: skip
    return shown, answer


def _tool_run(rng: random.Random, scene: Scene) -> Document:
    """Whether to call a function, and with which arguments from the conversation."""
    tool = scene.tool
    known = {tool["function"]["name"]: tool for tool in (GET_WEATHER, GET_ORDER_STATUS)}
    name = tool.name if tool and rng.random() < 0.75 else rng.choice(list(known))
    run = tool is not None and tool.name == name and not tool.staged
    parameters = known[name]["function"]["parameters"]["properties"]
    shown = {
        "reasoning_tldr": f"<briefly explain your reasoning for running local:{name}>",
        "should_run": "<BOOL>",
        "calls": [{"args": dict.fromkeys(parameters, "<the value from the interaction>")}],
    }
    calls = [{"args": {key: Literal(value) for key, value in tool.arguments.items()}}] if run and tool else []
    return shown, {"reasoning_tldr": scene.last.reason, "should_run": run, "calls": calls}


def _analysis(rng: random.Random, scene: Scene) -> Document:
    """Whether the agent did what its rules say."""
    shown, answer = [], []
    for number, rule in enumerate(scene.rules, start=1):
        done = scene.last.intent is rule
        why = f"The agent {'did' if done else 'did not'} {rule.action}."
        segment = {"action_segment": "<action_segment_description>", "action_applied_rationale": _placeholder(rng)}
        head: dict[str, Any] = {"guideline_id": str(number), "action": rule.action}
        tail: dict[str, Any] = {
            "guideline_applied_rationale": [segment],
            "guideline_applied_degree": "<'no', 'partially' or 'fully'>",
        }
        shown.append({**head, **tail, "guideline_applied": "<bool>"})
        filled = {"action_segment": Literal(rule.action), "action_applied_rationale": why}
        answer.append({
            "guideline_id": Literal(str(number)), "action": Literal(rule.action), "guideline_applied_rationale": [filled],
            "guideline_applied_degree": "fully" if done else "no", "guideline_applied": done,
        })  # fmt: skip
    return {"checks": shown}, {"checks": answer}


def _revisions(_rng: random.Random, scene: Scene) -> Document:
    """A reply as the last of its drafts."""
    shown = {"last_message_of_customer": scene.last.asked, "produced_reply": "<BOOL>", "insights": ["<insight>"],
             "revisions": [{"revision_number": 1, "content": "<response message text>", "followed_all_instructions": "<BOOL>"}]}  # fmt: skip
    draft = {"revision_number": 1, "content": scene.last.sentence, "followed_all_instructions": True}
    return shown, {
        "last_message_of_customer": Literal(scene.last.asked),
        "produced_reply": True,
        "insights": [scene.last.reason],
        "revisions": [draft],
    }


def _preamble(_rng: random.Random, scene: Scene) -> Document:
    return {"preamble": "<str>"}, {"preamble": _preamble_for(scene.last)}


def _selection(rng: random.Random, scene: Scene) -> Document:
    match = rng.choice(("none", "low", "partial", "high"))
    chosen = identifier(rng)
    shown = {"tldr": "<brief reasoning>", "chosen_template_id": "<selected template id>",
             "match_quality": "<'none', 'low', 'partial' or 'high'>"}  # fmt: skip
    return shown, {"tldr": scene.last.reason, "chosen_template_id": Literal(chosen), "match_quality": match}


def _proposal(rng: random.Random, scene: Scene) -> Document:
    rule = rng.choice(scene.rules)
    flag = rng.choice(
        ("is_continuous", "is_customer_dependent", "is_agent_intention", "is_tool_running_only", "is_journey_step")
    )
    first = rng.choice(("action", "condition", "step_action"))
    text = rule.condition if first == "condition" else rule.action
    why = f"This is about {rule.topic}."
    if rng.random() < 0.5:
        return {first: text, "rationale": _placeholder(rng), flag: "<BOOL>"}, {
            first: Literal(text),
            "rationale": why,
            flag: False,
        }
    return {"rationale": _placeholder(rng), "action": "<str>"}, {"rationale": why, "action": rule.action}


def _random_document(rng: random.Random, scene: Scene) -> Document:
    """Any keys: copied texts, sentences, verdicts, lists and nulls."""
    shown: dict[str, Any] = {}
    answer: dict[str, Any] = {}
    for _ in range(rng.choice((1, 2, 2, 3, 4, 6))):
        key = rng.choice((snake(rng), snake(rng), "text", "message", "rationale", "name", "answer", "id"))
        draw = rng.random()
        if draw < 0.25:
            text = rng.choice(
                (identifier(rng), " ".join(invented(rng) for _ in range(rng.randint(1, 5))), scene.last.asked)
            )
            shown[key], answer[key] = text, Literal(text)
        elif draw < 0.6:
            shown[key] = _placeholder(rng)
            answer[key] = scene.last.sentence if "rationale" not in key else scene.last.reason
        elif draw < 0.75:
            shown[key], answer[key] = _bool_placeholder(rng), rng.random() < 0.5
        elif draw < 0.85:
            shown[key], answer[key] = [_placeholder(rng)], [scene.last.sentence]
        elif draw < 0.92:
            shown[key], answer[key] = None, None
        else:
            shown[key], answer[key] = {"text": _placeholder(rng)}, {"text": scene.last.sentence}
    return shown, answer


_DOCUMENTS: tuple[tuple[Callable[[random.Random, Scene], Document], int], ...] = (
    (_draft, 38), (_checks, 24), (_tool, 6), (_tool_run, 7), (_analysis, 5), (_revisions, 4), (_preamble, 6), (_selection, 4),
    (_proposal, 6), (_random_document, 8),
)  # fmt: skip


# --- the page around the document --------------------------------------------------------------------------------------


def _events(rng: random.Random, scene: Scene) -> str:
    lines = []
    for source, text in scene.messages:
        participant = scene.customer if source == "user" else scene.agent
        data = {"participant": participant, "message": text}
        lines.append(json.dumps({"event_kind": "message", "event_source": source, "data": data}))
    if scene.tool and scene.tool.staged:
        lines.append(_tool_event(scene.tool.name, scene.tool.arguments, json.loads(scene.tool.result)))
    elif rng.random() < 0.08:
        lines.insert(0, _tool_event(snake(rng), {"x": identifier(rng)}, rng.choice(NOUNS)))
    if rng.random() < 0.6:
        return repr(lines)
    if rng.random() < 0.5:
        return "\n".join(lines)
    if scene.tool and scene.tool.staged:
        return "\n".join(lines)
    return "\n".join(f"{'Customer' if source == 'user' else 'Agent'}: {text}" for source, text in scene.messages)


def _tool_event(name: str, arguments: dict[str, str], result: Any) -> str:
    call = {"tool_id": f"local:{name}", "arguments": arguments, "result": result}
    return json.dumps({"event_kind": "tool", "event_source": "system-provided", "data": {"tool_calls": [call]}})


def _filler(rng: random.Random, characters: int) -> str:
    """Pages nobody needs: the host's own texts, documentation, or rules of our own."""
    parts: list[str] = []
    size = 0
    while size < characters:
        draw = rng.random()
        pool = host_texts() if draw < 0.6 else library_texts() if draw < 0.8 else ()
        if pool:
            text = rng.choice(pool)
            if len(text) > 2500:
                start = rng.randrange(len(text) - 2500)
                text = text[start : start + 2500]
            text = text[: max(150, characters - size)]
        else:
            rules = rng.sample(_RULES, rng.randint(2, 8))
            numbered = rng.random() < 0.5
            body = "\n".join(f"{i}. {rule}" if numbered else rule for i, rule in enumerate(rules, start=1))
            heading = rng.choice(_HEADINGS)
            text = f"{heading}\n{'-' * rng.choice((len(heading), 17))}\n{body}"
        parts.append(text.strip())
        size += len(text)
    return "\n\n".join(parts)


def _page(rng: random.Random, scene: Scene, shown: Any, characters: int) -> str:
    agent = (
        f"You are an AI agent named {scene.agent}.\n\nThe following is a description of your background and personality: ###\n"
        f"{system_prompt(rng)}\n###"
    )
    customer = f"The user you're interacting with is called {scene.customer}."
    history = (
        "The following is a list of events describing the most recent state of the back-and-forth\n"
        f"interaction between you and a user: ###\n{_events(rng, scene)}\n###"
    )
    if rng.random() < 0.3:
        history = f"{rng.choice(('Conversation', 'INTERACTION', 'The conversation so far:', 'History'))}\n{_events(rng, scene)}"
    rules = "\n".join(f"{i}) {_rule_text(rule)}." for i, rule in enumerate(scene.rules, start=1))
    listed = f"{rng.choice(('Guidelines:', '- Guidelines List: ###', 'When crafting your reply, follow these guidelines:'))}\n{rules}\n###"
    text = json.dumps(shown, indent=rng.choice((4, 4, 2, None)), ensure_ascii=False)
    task = rng.choice((
        f"Produce a valid JSON object according to the following spec. Use the values provided as follows, and only replace those in "
        f"<angle brackets> with appropriate values: ###\n\n{text}\n###",
        f"OUTPUT FORMAT\n-----------------\nFill in the following document as instructed:\n```json\n{text}\n```",
        f"Expected output:\n```json\n{text}\n```", f"Answer with this JSON document:\n{text}",
    ))  # fmt: skip
    before = _filler(rng, int(characters * 0.6))
    middle = [
        part for part in (customer, listed, _filler(rng, int(characters * 0.2)) if characters > 600 else "") if part
    ]
    rng.shuffle(middle)
    closing = [_filler(rng, int(characters * 0.2))] if characters > 1000 and rng.random() < 0.4 else []
    if rng.random() < 0.3:
        closing.append("REMINDER: " + rng.choice(_RULES))
    opening = [before, agent] if rng.random() < 0.6 else [agent, before]
    order = [*opening, *middle, history] if rng.random() < 0.7 else [*opening, history, *middle]
    return "\n\n".join([*order, task] if rng.random() < 0.8 else [*order, task, *closing])


def host_sample(rng: random.Random, characters: int) -> Sample:
    """One call of an agent framework, with about that many characters of instructions."""
    scene = _scene(rng)
    kinds, weights = zip(*_DOCUMENTS, strict=True)
    shown, answer = rng.choices(kinds, weights)[0](rng, scene)
    forced = rng.random() < 0.3
    style = replace(FORCED, literal=0.3) if forced else _COPIED
    page = _page(rng, scene, shown, characters)
    weight = PROMPT if rng.random() < 0.35 else 0.0
    return chat(
        [("user", page), ("assistant", pieces_of(answer, style))], prompt_weight=weight, split=rng.random() < 0.5
    )
