"""The process that renders chat templates. Run as a script; knows nothing of parlant-local.

A template is an untrusted program. Jinja's immutable sandbox denies it access to anything; operating-system limits bound
its time and memory, whatever it does; where a system has none, the parent looks and kills. Requests and answers are JSON, each
preceded by its length in four bytes. A template that exceeds its processor time is ended with the process.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from typing import Any, BinaryIO


def _environment() -> Any:
    """An environment with what Hugging Face gives to chat templates."""
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(jinja2.ext.Extension):
        """``{% generation %}`` marks the assistant's text for training; here it renders its body."""

        tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    class PlainDict:
        """``dict(…)`` without the type's attributes."""

        def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
            return dict(*args, **kwargs)

    class SafeNamespace(Namespace):
        def __init__(*args: Any, **kwargs: Any) -> None:
            self, rest = args[0], args[1:]
            values = dict(*rest, **kwargs)
            for name in values:
                SafeNamespace._check(name)
            Namespace.__init__(self, values)

        def __setitem__(self, name: str, value: Any) -> None:
            SafeNamespace._check(name)
            Namespace.__setitem__(self, name, value)

        @staticmethod
        def _check(name: object) -> None:
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(f"namespace attribute {name!r} starts with an underscore")

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        if isinstance(value, Iterator):  # the result of a filter
            value = list(value)
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(pattern: str) -> str:
        return datetime.now().astimezone().strftime(pattern)

    class Environment(ImmutableSandboxedEnvironment):
        """Immutable, except for lists that the template created itself: some count calls in them."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            if type(obj) is list and attr in ("append", "extend", "insert", "pop"):
                return True
            return super().is_safe_attribute(obj, attr, value)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals.update(
        raise_exception=raise_exception, strftime_now=strftime_now, dict=PlainDict(), namespace=SafeNamespace
    )
    return environment


class _ImmutableList(list[Any]):
    """A list of the input."""


def _immutable_input(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _immutable_input(item) for key, item in value.items()}
    return _ImmutableList(_immutable_input(item) for item in value) if isinstance(value, list) else value


class _Renderer:
    def __init__(self) -> None:
        self._environment = _environment()
        self._compiled: dict[str, Any] = {}

    def render(self, source: str, variables: dict[str, Any], budget: int) -> str:
        template = self._compiled.get(source)
        if template is None:
            if len(self._compiled) >= 32:
                self._compiled.clear()
            template = self._compiled[source] = self._environment.from_string(source)
        pieces: list[str] = []
        size = 0
        for piece in template.generate(**_immutable_input(variables)):
            size += len(piece)
            if size > budget:
                raise _TooLongError
            pieces.append(piece)
        return "".join(pieces)


class _TooLongError(Exception):
    pass


def _answers(renderer: _Renderer, request: dict[str, Any]) -> list[dict[str, str]]:
    """One answer for each set of variables; a broken limit ends the rest."""
    answers: list[dict[str, str]] = []
    budget = request["max_output"]
    for variables in request["variables"]:
        answer = _answer(renderer, request["template"], variables, budget)
        if answer.get("error") == "too long":
            answer = {"error": "limit", "message": f"its output exceeds {request['max_output']:,} characters"}
        answers.append(answer)
        if answer.get("error") == "limit":
            break
        budget -= len(answer.get("text", ""))
    return answers


def _answer(renderer: _Renderer, source: str, variables: dict[str, Any], budget: int) -> dict[str, str]:
    try:
        return {"text": renderer.render(source, variables, budget)}
    except _TooLongError:
        return {"error": "too long", "message": ""}
    except MemoryError:
        return {"error": "limit", "message": "it asks for too much memory"}
    except RecursionError:
        return {"error": "limit", "message": "it is nested too deeply"}
    except Exception as error:  # any exception of a template is its own failure, reported to the parent
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        return {"error": type(error).__name__, "message": f"{error}{where}"}


def _limit_memory(limit: int) -> None:
    try:
        resource = import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # not every system has them; the parent looks at it


def _start_clock(seconds: float) -> None:
    """Ends this process through the default action of SIGPROF, which needs no cooperation of running code."""
    if sys.platform != "win32" and hasattr(signal, "setitimer"):  # else the parent looks at it
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _read(stream: BinaryIO) -> Any:
    header = stream.read(4)
    if len(header) < 4:
        return None
    return json.loads(stream.read(struct.unpack(">I", header)[0]))


def _write(stream: BinaryIO, value: Any) -> None:
    data = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()


def main() -> None:
    """Answers requests until standard input ends."""
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _limit_memory(int(sys.argv[1]))
    renderer = _Renderer()
    while (request := _read(incoming)) is not None:
        _start_clock(request["max_seconds"])
        answers = _answers(renderer, request)
        try:
            _write(outgoing, answers)
        except MemoryError:
            _write(outgoing, [{"error": "limit", "message": "it asks for too much memory"}])
        _start_clock(0)


if __name__ == "__main__":
    main()
