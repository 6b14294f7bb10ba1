"""Reads files of cases; what is wrong with one is said by file, case and line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from parlant_local.errors import CaseFileError, StateFileError
from parlant_local.evaluation.coherence import problems
from parlant_local.evaluation.format import AgentUnderTest, Case, CaseFile
from parlant_local.storage import read_text

__all__ = ["Exercise", "exercises", "read_cases", "schema", "shipped_cases"]

_MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Exercise:
    """A case with its agent."""

    file: str
    agent: AgentUnderTest
    case: Case

    @property
    def id(self) -> str:
        return f"{self.file}/{self.case.id}"

    @cached_property
    def digest(self) -> str:
        """Changes with everything that could change the outcome."""
        told = {"agent": self.agent.model_dump(mode="json"), "case": self.case.model_dump(mode="json")}
        told["case"].pop("quick")
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def shipped_cases() -> list[Path]:
    """The files of our own cases."""
    folder = files("parlant_local.evaluation") / "cases"
    return sorted(path for item in folder.iterdir() if (path := Path(str(item))).suffix == ".yml")


def exercises(paths: Iterable[Path], *, quick: bool = False, agent: Mapping[str, Any] | None = None) -> list[Exercise]:
    """All cases of these files, or those of the short examination; about ``agent``, where it is given.

    Raises :class:`CaseFileError`.
    """
    found = []
    for path in paths:
        file = read_cases(path, agent)
        found += [Exercise(path.stem, file.agent, case) for case in file.cases if case.quick or not quick]
    if not found:
        raise CaseFileError("There are no cases to run.", hint="Mark some with `quick: true`, or leave out --quick.")
    names = [each.id for each in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CaseFileError(f"Two files have a case {twice!r}.", hint="Rename one of the files.")
    return found


def read_cases(path: Path, agent: Mapping[str, Any] | None = None) -> CaseFile:
    """The file's agent and cases. Raises :class:`CaseFileError` with every problem in it.

    ``agent`` is defined elsewhere: what the file says of one is laid over that.
    """
    try:
        text = read_text(path, _MAX_BYTES)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _check(root)
        data = yaml.safe_load(text)
    except (FileNotFoundError, StateFileError) as error:
        raise CaseFileError(f"{path} can't be read: {error}.") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # Values that only look like a date or a number fail in whatever way Python's own constructors do.
        raise CaseFileError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}.") from None
    if agent is not None and isinstance(data, dict):
        data["agent"] = _laid_over(agent, data.get("agent"))
    try:
        file = CaseFile.model_validate(data)
    except ValidationError as error:
        found = list(_distinct(error))
    else:
        found = list(problems(file))
    if found:
        raise CaseFileError("\n".join(_told(path, root, data, place, text) for place, text in found[:20]))
    return file


def _laid_over(below: Any, above: Any) -> Any:
    if above is None:
        return below
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


def schema() -> dict[str, Any]:
    """The format as a JSON schema, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **CaseFile.model_json_schema(by_alias=True),
        "title": "Cases for parlant-local evaluate",
    }


def _check(root: yaml.Node | None) -> None:
    """Refuses what YAML would resolve in silence: aliases, which may expand without end, and keys given twice."""
    seen: set[int] = set()
    level = [] if root is None else [root]
    while level:
        node = level.pop()
        line = node.start_mark.line + 1
        if id(node) in seen:
            raise ValueError(f"aliases are not allowed (line {line})")
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := next((key for key in keys if keys.count(key) > 1), None):
                raise ValueError(f"the key {twice!r} is given twice (in the mapping of line {line})")
            level += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            level += node.value


def _distinct(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """One problem per place: a value that is none of several alternatives is one problem, not one of each."""
    seen = set()
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        place = tuple(part for part in problem["loc"] if not (isinstance(part, str) and _is_branch(part)))
        if place not in seen:
            seen.add(place)
            yield place, problem["msg"]


def _is_branch(part: str) -> bool:
    """Whether pydantic put it into a location to name an alternative of a union."""
    return part in {"str", "int", "float", "bool", "Alternatives", "Pattern"} or part.startswith("list[")


def _told(path: Path, root: yaml.Node | None, data: Any, place: tuple[str | int, ...], text: str) -> str:
    case = ""
    if len(place) > 1 and place[0] == "cases" and isinstance(place[1], int):
        entry = data["cases"][place[1]]
        name = entry.get("id") if isinstance(entry, dict) else None
        case = f"case {name or place[1] + 1}: "
    inner = ".".join(str(part) for part in (place[2:] if case else place))
    return f"{path}:{_line(root, place)}: {case}{inner + ': ' if inner else ''}{text}"


def _line(node: yaml.Node | None, place: tuple[str | int, ...]) -> int:
    """The line of the value at ``place``, or of the nearest one that exists."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
