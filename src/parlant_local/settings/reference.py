"""The settings described for people and editors: an example file, a JSON Schema and a table, all made from the classes.

``python -m parlant_local.settings.reference`` writes them anew; a test says when they are stale.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from parlant_local.settings.tree import Settings

__all__ = ["example", "reference", "schema", "write"]

_SCHEMA_NAME = "config.schema.json"
_EXAMPLES: dict[str, str] = {
    "endpoints": "{}  # company: {base_url: https://models.example.org/v1, api_key_env: COMPANY_KEY}",
    "models": "{}  # assistant: {model: llama3.2:3b, n_ctx: 8192, preload: true}",
    "plugins": "{}  # shelf: {url: https://models.example.org}",
    "switcher.targets": "{}  # openai/gpt-4o: {cost_per_million_tokens: 5, quality: 90}",
    "engine.lora": "{}  # /path/adapter.gguf: 1.0",
}
_TEXT = """# Every setting of parlant-local with its default. Copy what you change to a file of your own, and name it with
# `--config FILE`, PARLANT_LOCAL_CONFIG or CONFIG_PATH. A file holds only what differs: one for development, one for
# production. The environment wins over the file (PARLANT_LOCAL_SERVER__PORT=9000), the command line over both; unknown
# keys are errors. `parlant-local doctor` shows where each value comes from.
#
# Made by `python -m parlant_local.settings.reference`.
"""
_TABLE = """# Configuration

Every setting, made from the code by `python -m parlant_local.settings.reference`. A dotted key is a path in the YAML file;
its environment variable is `PARLANT_LOCAL_` and the key in capitals, with `__` for each dot.

| Key | Type | Default | Meaning |
|---|---|---|---|
"""


def example() -> str:
    """A YAML file with every key at its default, which loads."""
    return f"# yaml-language-server: $schema={_SCHEMA_NAME}\n{_TEXT}\n{''.join(_section(Settings, '', 0))}"


def schema() -> str:
    """A JSON Schema for editors."""
    made = Settings.model_json_schema()
    _drop_machine(made)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "parlant-local settings"
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """A Markdown table of every key."""
    rows = []
    for key, field in _leaves(Settings, ""):
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        kind = _kind(field.annotation).replace("|", "\\|")
        rows.append(f"| `{key}` | {kind} | `{_default(key, field)}` | {meaning} |\n")
    return _TABLE + "".join(rows)


def write(root: Path) -> None:
    """Puts all three in their places below the repository's root."""
    for name, text in {
        "config/config.example.yml": example(),
        f"config/{_SCHEMA_NAME}": schema(),
        "docs/configuration.md": reference(),
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _section(model: type[BaseModel], prefix: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = field.annotation
        if _is_secret(inner):
            variable = f"PARLANT_LOCAL_{key.upper().replace('.', '__')}"
            yield f"{indent}# {name}: only from the environment ({variable})\n"
            continue
        for line in (field.description or "").splitlines():
            yield f"{indent}# {line.strip()}\n"
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield f"{indent}{name}:\n"
            yield from _section(inner, f"{key}.", depth + 1)
        elif key == "home":
            # A default that differs by machine is no default to copy.
            yield f"{indent}# {name}: {_default(key, field)}\n"
        else:
            yield f"{indent}{name}: {_EXAMPLES.get(key) or _default(key, field)}\n"
        if not depth:
            yield "\n"


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, f"{prefix}{name}.")
        elif (
            get_origin(inner) is dict
            and isinstance(get_args(inner)[1], type)
            and issubclass(get_args(inner)[1], BaseModel)
        ):
            yield f"{prefix}{name}", field
            yield from _leaves(get_args(inner)[1], f"{prefix}{name}.NAME.")
        else:
            yield f"{prefix}{name}", field


def _default(key: str, field: FieldInfo) -> str:
    if key == "home":
        return "~/.local/share/parlant-local"
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(item) for item in get_args(annotation))
    if origin is tuple:
        return f"list of {_kind(get_args(annotation)[0])}"
    if origin is dict:
        return "mapping"
    if annotation is type(None):
        return "null"
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _is_secret(annotation: Any) -> bool:
    return SecretStr in (annotation, *get_args(annotation))


def _drop_machine(node: Any) -> None:
    """Leaves out what differs from machine to machine, and what may not stand in a file."""
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            properties.pop("api_key", None)
        for value in node.values():
            _drop_machine(value)
    elif isinstance(node, list):
        for value in node:
            _drop_machine(value)


if __name__ == "__main__":
    write(Path.cwd())
