"""Rewrites references by anchor or URI as JSON pointers from the root, the only form that the other modules read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urldefrag, urljoin

from parlant_local.engine.constraint.keywords import placed_subschemas

__all__ = ["with_local_references"]

_ANCHOR_KEYWORDS = ("$anchor", "$dynamicAnchor")
_ID_KEYWORDS = ("$id", "id")
_REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")


def with_local_references(root: Any, *, ignores_ref_siblings: bool) -> tuple[Any, bool]:
    """A copy of ``root`` whose internal references are pointers, and whether one of them depends on the dynamic scope.

    A dynamic reference resolves to its anchor; where there are several of that name, to the first. ``ignores_ref_siblings``:
    keywords beside a reference don't count, as in drafts before 2019.
    """
    if isinstance(root, Mapping) and ignores_ref_siblings:
        root = _without_ref_siblings(root)
    if not isinstance(root, Mapping) or not any(
        _has_named_references(part) for _, part, _ in _located_subschemas(root)
    ):
        return root, False
    pointers: dict[str, str] = {}
    counts: dict[str, int] = {}
    for pointer, part, base in _located_subschemas(root):
        pointers.setdefault(base, pointer)
        for key in _ID_KEYWORDS:
            if isinstance(name := part.get(key), str):
                pointers.setdefault(
                    base + name if name.startswith("#") else urljoin(base, name), pointer
                )  # drafts before 2019 wrote anchors like this, too
        for key in _ANCHOR_KEYWORDS:
            if isinstance(name := part.get(key), str):
                pointers.setdefault(f"{base}#{name}", pointer)
                counts[name] = counts.get(name, 0) + (key == "$dynamicAnchor")
    dynamic = any(
        isinstance(target := part.get("$dynamicRef"), str) and counts.get(urldefrag(target).fragment, 0) > 1
        for _, part, _ in _located_subschemas(root)
    )
    recursive = any("$recursiveAnchor" in part for _, part, _ in _located_subschemas(root))
    return _rewritten(
        root, {pointer: base for pointer, _, base in _located_subschemas(root)}, pointers, ""
    ), dynamic or recursive


def _without_ref_siblings(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    if "$ref" in part:
        part = {key: value for key, value in part.items() if key in ("$ref", "$defs", "definitions")}
    return _with_parts(part, [(path, _without_ref_siblings(inner)) for path, inner in placed_subschemas(part)])


def _has_named_references(part: Mapping[str, Any]) -> bool:
    if any(key in part for key in ("$dynamicRef", "$recursiveRef")):
        return True
    target = part.get("$ref")
    return (isinstance(target, str) and not (target == "#" or target.startswith("#/"))) or (
        isinstance(part.get("$id"), str) and "$ref" not in part
    )


def _located_subschemas(root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Every subschema with its pointer and its base URI."""
    stack: list[tuple[str, Any, str]] = [("", root, "")]
    while stack:
        pointer, part, base = stack.pop()
        if not isinstance(part, Mapping):
            continue
        for key in _ID_KEYWORDS:
            if isinstance(name := part.get(key), str) and not name.startswith("#"):
                base = urldefrag(urljoin(base, name)).url
        yield pointer, part, base
        for path, inner in placed_subschemas(part):
            stack.append((pointer + "".join(f"/{_escaped(step)}" for step in path), inner, base))


def _rewritten(part: Any, bases: Mapping[str, str], pointers: Mapping[str, str], pointer: str) -> Any:
    if not isinstance(part, Mapping):
        return part
    copy = _with_parts(
        part,
        [
            (path, _rewritten(inner, bases, pointers, pointer + "".join(f"/{_escaped(step)}" for step in path)))
            for path, inner in placed_subschemas(part)
        ],
    )
    for key in _REFERENCE_KEYWORDS:
        if isinstance(target := copy.get(key), str):
            found = _pointer_to(target, bases[pointer], pointers)
            if found is not None and (key == "$ref" or "$ref" not in copy):
                copy.pop(key)
                copy["$ref"] = found
    return copy


def _with_parts(part: Mapping[str, Any], inner: list[tuple[tuple[str | int, ...], Any]]) -> dict[str, Any]:
    """A copy of ``part`` with its subschemas replaced."""
    copy: dict[str, Any] = dict(part)
    fresh: set[str] = set()
    for path, replacement in inner:
        key = str(path[0])
        if len(path) == 1:
            copy[key] = replacement
            continue
        if key not in fresh:
            fresh.add(key)
            copy[key] = dict(part[key]) if isinstance(part[key], Mapping) else list(part[key])
        copy[key][path[1]] = replacement
    return copy


def _pointer_to(target: str, base: str, pointers: Mapping[str, str]) -> str | None:
    whole = base + target if target.startswith("#") else urljoin(base, target)  # urljoin can't join a fragment to a URN
    url, fragment = urldefrag(whole)
    if fragment.startswith("/"):
        return f"#{pointers[url]}{fragment}" if url in pointers else None
    pointer = pointers.get(f"{url}#{fragment}" if fragment else url)
    return None if pointer is None else f"#{pointer}"


def _escaped(step: str | int) -> str:
    return quote(str(step).replace("~", "~0").replace("/", "~1"), safe="~!$&'()*+,;=:@")
