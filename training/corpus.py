"""General text that is on every machine with Python: documentation, and the prompts of an installed Parlant.

It shapes the vocabulary, and it is the filler of long prompts; nothing of it is committed here.
"""

import ast
import importlib.util
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SHORTEST = 200


def _strings(source: Path) -> Iterator[str]:
    """The long strings of a Python file: docstrings, and texts with the fields of f-strings left out."""
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    inside_joined = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside_joined:
            text = node.value
        else:
            continue
        if len(text) >= _SHORTEST and " " in text:
            yield text


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


@cache
def library_texts() -> tuple[str, ...]:
    """Documentation of the standard library: plain English about programming, and the language reference."""
    root = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted(
        path for path in root.rglob("*.py") if "test" not in path.parts and "site-packages" not in path.parts
    )
    return tuple(text for source in sources for text in _strings(source) if text.isascii())


@cache
def library_words() -> tuple[tuple[str, ...], ...]:
    """The same, by words."""
    return tuple(tuple(text.split()) for text in library_texts())


@cache
def host_texts() -> tuple[str, ...]:
    """The prompts of the installed host, where there is one."""
    root = _package("parlant")
    if root is None:
        return ()
    sources = sorted((root / "core").rglob("*.py"))
    return tuple(text for source in sources for text in _strings(source))
