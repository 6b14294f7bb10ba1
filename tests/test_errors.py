"""The tree of errors: drawn as it is, and nothing outside of it is raised where a user could meet it."""

from __future__ import annotations

import ast
import builtins
import inspect
import pickle
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import parlant_local
from parlant_local import errors
from parlant_local.errors import ParlantLocalError

SOURCES = Path(parlant_local.__file__).parent

SIGNALS = {
    "ClientGone": "server/guarding.py",
    "Impossible": "engine/constraint/closing.py",
    "MoreNeeded": "engine/parsing/streaming.py",
    "NotUnderstood": "nlp/tightening/__init__.py",
    "SkippedError": "switching/calls.py",
    "Unterminated": "engine/parsing/reading.py",
    "UnreadableBody": "server/app.py",
    "_Violation": "engine/constraint/validation.py",
    "ChangedError": "catalog/transfer/fetch.py",
    "_NotExpressibleError": "backends/structured.py",
    "_Over": "evaluation/room.py",
    "Quit": "cli/chat_loop.py",
    "_LimitError": "engine/templates/sandbox.py",
    "_TooLongError": "engine/templates/worker.py",
    "HeldError": "gguf_info/in_use.py",
    "Stopped": "engine/media/reading.py",
    "_Broken": "engine/media/decoders.py",
    "_Gone": "engine/media/decoders.py",
    "_LostReplica": "ray/backend.py",
}
"""Exceptions that steer, and the file at whose door each of them ends."""

PYTHONS = {
    ("__init__.py", "AttributeError"): "a module has no such name",
    ("engine/__init__.py", "AttributeError"): "a module has no such name",
    ("engine/constraint/__init__.py", "AttributeError"): "a module has no such name",
    ("nlp/__init__.py", "AttributeError"): "a module has no such name",
    ("ray/__init__.py", "AttributeError"): "a module has no such name",
    ("server/__init__.py", "AttributeError"): "a module has no such name",
    ("engine/native/llama.py", "AttributeError"): "an object has no such attribute",
    ("engine/native/media.py", "AttributeError"): "an object has no such attribute",
    ("engine/media/decoders.py", "InterruptedError"): "nobody: its task was cancelled",
    ("engine/native/graph.py", "AttributeError"): "an object has no such attribute",
    ("engine/native/quantizing.py", "AttributeError"): "an object has no such attribute",
    ("engine/media/reading.py", "CancelledError"): "asyncio",
    ("nlp/host.py", "AttributeError"): "an object has no such attribute",
    ("nlp/__init__.py", "ImportError"): "names the missing extra",
    ("ray/__init__.py", "ImportError"): "names the missing extra",
    ("ray/affinity.py", "ValueError"): "who writes a router",
    ("ray/local.py", "KeyboardInterrupt"): "click",
    ("server/__init__.py", "ImportError"): "names the missing extra",
    ("catalog/records.py", "ValueError"): "pydantic",
    ("call_options/reference.py", "ValueError"): "who writes the documents",
    ("settings/section.py", "ValueError"): "pydantic",
    ("settings/calls.py", "ValueError"): "pydantic",
    ("settings/images.py", "ValueError"): "pydantic",
    ("settings/ray.py", "ValueError"): "pydantic",
    ("profiles/base.py", "ValueError"): "registry.py, where a plug-in is loaded",
    ("server/shapes/inputs.py", "PydanticCustomError"): "pydantic",
    ("server/routes/images.py", "RequestValidationError"): "app.py, as of bodies that FastAPI reads",
    ("cli/agent.py", "Abort"): "click",
    ("cli/evaluate.py", "Abort"): "click",
    ("cli/evaluate.py", "Exit"): "click",
    ("cli/models.py", "Exit"): "click",
    ("gguf_info/file_locks.py", "WinError"): "gguf_info/in_use.py, as an OSError",
    ("cli/models.py", "UsageError"): "click",
    ("cli/setup.py", "Exit"): "click",
    ("engine/engine.py", "CancelledError"): "asyncio",
    ("evaluation/format.py", "ValueError"): "pydantic",
    ("evaluation/reading.py", "ValueError"): "evaluation/reading.py",
    ("evaluation/sitting.py", "CancelledError"): "asyncio",
    ("evaluation/tools.py", "ItemNotFoundError"): "Parlant's engine, for which it is the tool service",
    ("engine/templates/worker.py", "SecurityError"): "jinja2",
    ("server/guarding.py", "HTTPException"): "starlette",
    ("engine/constraint/values.py", "AssertionError"): "a keyword that the caller's table does not have",
    ("backends/sync.py", "SystemExit"): "ends a thread of the process that exits",
    ("cli/chat_input.py", "KeyboardInterrupt"): "cli/main.py",
    ("stop_signals.py", "KeyboardInterrupt"): "cli/main.py",
    ("evaluation/definitions.py", "ApiError"): "connected, in the same file, as an AgentError",
    ("cli/ps.py", "Exit"): "click",
    ("cli/ps.py", "UsageError"): "click",
    ("cli/verb_group.py", "UsageError"): "click",
    ("server/announcing.py", "ValueError"): "pydantic",
    ("engine/templates/sandbox.py", "EOFError"): "engine/templates/sandbox.py",
    ("backends/openai_reading.py", "ValueError"): "backends/openai_connection.py",
    ("backends/structured.py", "ValueError"): "backends/structured.py",
    ("gguf_info/safetensors_header.py", "ValueError"): "gguf_info/safetensors_header.py",
    ("images/child.py", "EOFError"): "images/child.py",
    ("images/worker.py", "RuntimeError"): "images/worker.py",
    ("catalog/ollama_manifest.py", "TypeError"): "catalog/ollama_manifest.py",
    ("catalog/ollama_manifest.py", "ValueError"): "catalog/ollama_manifest.py",
    ("catalog/sources/ollama_registry.py", "InterruptedError"): "catalog/sources/ollama_registry.py",
    ("catalog/sources/pypi_contents.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("catalog/sources/pypi_pip.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("catalog/transfer/fetch.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("catalog/transfer/reception.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("catalog/transfer/hashing.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("conversion/safetensors.py", "ValueError"): "conversion/safetensors.py",
    ("engine/parsing/braces.py", "ValueError"): "engine/parsing/reading.py",
    ("engine/parsing/elements.py", "ValueError"): "engine/parsing/reading.py",
    ("engine/parsing/json_text.py", "ValueError"): "engine/parsing/reading.py",
    ("engine/parsing/reading.py", "ValueError"): "engine/parsing/reading.py",
    ("engine/parsing/values.py", "ValueError"): "engine/parsing/values.py",
    ("engine/prefix_file.py", "ValueError"): "storage/reading.py",
    ("gguf_info/digest.py", "InterruptedError"): "catalog/transfer/fetch.py",
    ("settings/files.py", "RecursionError"): "settings/files.py",
    ("messages/text.py", "JSONDecodeError"): "a ValueError, as json's own",
    ("storage/locking.py", "TimeoutError"): "catalog/index.py",
    ("storage/reading.py", "ValueError"): "storage/reading.py",
    ("switching/ledger.py", "ValueError"): "switching/ledger.py",
    ("workshop/values.py", "ValueError"): "workshop/values.py",
}
"""Exceptions of others that are raised here: who takes them, a file of ours where it is one."""


@cache
def parsed() -> dict[str, ast.Module]:
    return {path.relative_to(SOURCES).as_posix(): ast.parse(path.read_text()) for path in SOURCES.rglob("*.py")}


def leaf(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return leaf(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@cache
def defined_outside() -> dict[str, str]:
    """Exception classes that other modules than errors.py define: name and file."""
    known = {*errors.__all__, "HTTPException", *(name for name in dir(builtins) if _is_exception(name))}
    classes = [
        (node.name, {leaf(base) for base in node.bases}, file)
        for file, tree in parsed().items()
        for node in ast.walk(tree)
        if file != "errors.py" and isinstance(node, ast.ClassDef)
    ]
    found: dict[str, str] = {}
    while more := {name: file for name, bases, file in classes if name not in found and bases & (known | set(found))}:
        found |= more
    return found


def raised() -> Iterator[tuple[str, int, str]]:
    """What is raised by the name of its class: file, line and name."""
    for file, tree in parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                name = leaf(node.exc)
                if name.lstrip("_")[:1].isupper():
                    yield file, node.lineno, name


@cache
def caught_in(file: str) -> set[str]:
    handlers = [node for node in ast.walk(parsed()[file]) if isinstance(node, ast.ExceptHandler)]
    kinds = [handler.type for handler in handlers if handler.type is not None]
    parts = [part for kind in kinds for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind])]
    return {leaf(part) for part in parts}


@cache
def handled_in(file: str) -> set[str]:
    calls = [node for node in ast.walk(parsed()[file]) if isinstance(node, ast.Call)]
    return {leaf(call.args[0]) for call in calls if leaf(call.func) == "add_exception_handler"}


def _is_exception(name: str) -> bool:
    value = getattr(builtins, name)
    return isinstance(value, type) and issubclass(value, BaseException)


def real_tree(kind: type[ParlantLocalError], indent: str = "") -> Iterator[str]:
    below = [item for item in kind.__subclasses__() if item.__module__ == errors.__name__]
    for child in below:
        last = child is below[-1]
        yield f"{indent}{'└── ' if last else '├── '}{child.__name__}"
        yield from real_tree(child, indent + ("    " if last else "│   "))


def drawn_tree() -> list[str]:
    lines = [line.removeprefix("    ") for line in (errors.__doc__ or "").splitlines() if re.search(r"[├└]──", line)]
    return [re.match(r"[│├└─ ]*\w+", line)[0] for line in lines]  # type: ignore[index]  # each has a name


def parents(tree: list[str]) -> dict[str, str]:
    """Name to name of the parent, whatever the order of siblings."""
    path: list[str] = []
    found = {}
    for line in tree:
        depth, name = re.search(r"\w", line).start() // 4, line.split()[-1]  # type: ignore[union-attr]  # each has a name
        found[name] = path[depth - 2] if depth > 1 else "ParlantLocalError"
        path[depth - 1 :] = [name]
    return found


def test_the_drawn_tree_is_the_real_one() -> None:
    assert parents(drawn_tree()) == parents(list(real_tree(ParlantLocalError)))
    assert {*parents(drawn_tree()), "ParlantLocalError"} == set(errors.__all__)


def test_every_error_outside_the_tree_only_steers() -> None:
    assert set(defined_outside()) == set(SIGNALS)


@pytest.mark.parametrize(("name", "file"), SIGNALS.items())
def test_what_only_steers_is_caught(name: str, file: str) -> None:
    kinds = [node for node in ast.walk(parsed()[defined_outside()[name]]) if isinstance(node, ast.ClassDef)]
    bases = {leaf(base) for kind in kinds if kind.name == name for base in kind.bases} - {"Exception"}
    assert {name, *bases} & (caught_in(file) | handled_in(file))


def test_what_is_raised_is_of_the_tree() -> None:
    strange = {(file, name) for file, _, name in raised() if name not in errors.__all__ and name not in SIGNALS}
    assert strange == set(PYTHONS)


@pytest.mark.parametrize(("file", "name"), [key for key, taker in PYTHONS.items() if taker.endswith(".py")])
def test_exceptions_of_python_are_caught_where_it_is_said(file: str, name: str) -> None:
    kinds = {
        kind.__name__ for kind in getattr(builtins, name).__mro__ if kind not in (Exception, BaseException, object)
    }
    assert kinds & caught_in(PYTHONS[file, name])


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_the_same_in_another_process(name: str) -> None:
    kind = getattr(errors, name)
    given = {
        parameter.name: value
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and (value := SAMPLES.get(parameter.name)) is not None
    }
    places = {"StateFileError": ("/a/file", "it is empty"), "RequestRefusedError": (429, "Too many.")}
    error = kind(*places.get(name, ("It failed.",)), **given)
    error.retry_after = 2.5
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again).keys() == vars(error).keys()
    assert {key: value for key, value in vars(again).items() if key != "causes"} == {
        key: value for key, value in vars(error).items() if key != "causes"
    }


SAMPLES: dict[str, object] = {
    "hint": "Try again.",
    "needed": 5,
    "available": 4,
    "limit": 3,
    "used": 2,
    "status": 503,
    "retry_after": 1.5,
    "near": ("a", "b"),
    "plugin": "p",
    "package": "p 1",
    "repo": "r",
    "revision": "v",
    "causes": ExceptionGroup("all", [errors.TargetDownError("It is down.", status=503)]),
}


def test_a_root_is_never_raised_itself() -> None:
    """Whoever catches it could not tell what to do."""
    roots = {"ParlantLocalError", "RequestError", "DownloadError", "BackendError", "SwitchingError", "OutputError"}
    assert [(file, line, name) for file, line, name in raised() if name in roots] == []
