"""Calls of Parlant agents: from the files that agents of this machine keep, and from this server's own requests."""

from __future__ import annotations

from pathlib import Path

from parlant_local.agent_calls import AgentCallRecord, running_agents
from parlant_local.server.history import History, RequestRecord
from parlant_local.server.shapes.answers import AgentCall, AgentProcess

__all__ = ["agent_processes"]


def agent_processes(home: Path, history: History) -> list[AgentProcess]:
    """``server`` stands for requests with a schema: a structured answer is what an agent's engine asks for."""
    found: list[AgentProcess] = [
        {"name": str(pid), "running": alive, "calls": [_of_file(record) for record in records]}
        for pid, alive, records in running_agents(home)
    ]
    asked = [_of_request(record) for record in history if record.schema is not None and record.seconds is not None]
    if asked:
        found.append({"name": "server", "running": True, "calls": asked[::-1]})
    return found


def _of_file(record: AgentCallRecord) -> AgentCall:
    return {
        "time": record.time,
        "session": record.session,
        "schema": record.schema,
        "model": record.model,
        "outcome": record.outcome,
        "seconds": record.seconds,
        "retries": record.retries,
        "prompt_tokens": record.prompt_tokens,
        "cached_tokens": record.cached_tokens,
        "completion_tokens": record.completion_tokens,
        "forced_tokens": record.forced_tokens,
        "sampled_tokens": record.sampled_tokens,
        "error": record.error,
    }


def _of_request(record: RequestRecord) -> AgentCall:
    told = record.report()
    outcome = "failed" if record.error else "cancelled" if record.finish is None else "answered"
    return {
        "time": round(told["time"] + told["seconds"], 3),
        "session": told["session"],
        "schema": told["schema"] or "",
        "model": told["model"] or "",
        "outcome": outcome,
        "seconds": told["seconds"],
        "retries": 0,
        "prompt_tokens": told["prompt_tokens"],
        "cached_tokens": told["cached_tokens"],
        "completion_tokens": told["completion_tokens"],
        "forced_tokens": told["forced_tokens"],
        "sampled_tokens": told["sampled_tokens"],
        "error": told["error"],
    }
