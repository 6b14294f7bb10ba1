"""References by name or address as pointers from the root, which is all that the rest reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urldefrag, urljoin

from parlant_local.engine.constraint.keywords import placed_subschemas

__all__ = ["localised"]

_NAMES = ("$anchor", "$dynamicAnchor")
_IDENTITIES = ("$id", "id")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def localised(root: Any, *, ref_alone: bool) -> tuple[Any, bool]:
    """A copy of ``root`` whose references within it are pointers, and whether one of them depends on the way to it.

    A dynamic reference leads to its name's only place; where a name has several, to the first. ``ref_alone``: as in drafts
    before 2019, nothing beside a reference counts.
    """
    if isinstance(root, Mapping) and ref_alone:
        root = _alone(root)
    if not isinstance(root, Mapping) or not any(_needed(part) for _, part, _ in _walk(root)):
        return root, False
    places: dict[str, str] = {}
    counts: dict[str, int] = {}
    for pointer, part, base in _walk(root):
        places.setdefault(base, pointer)
        for key in _IDENTITIES:
            if isinstance(name := part.get(key), str):
                places.setdefault(
                    base + name if name.startswith("#") else urljoin(base, name), pointer
                )  # drafts before 2019 named anchors so, too
        for key in _NAMES:
            if isinstance(name := part.get(key), str):
                places.setdefault(f"{base}#{name}", pointer)
                counts[name] = counts.get(name, 0) + (key == "$dynamicAnchor")
    dynamic = any(
        isinstance(target := part.get("$dynamicRef"), str) and counts.get(urldefrag(target).fragment, 0) > 1
        for _, part, _ in _walk(root)
    )
    recursive = any("$recursiveAnchor" in part for _, part, _ in _walk(root))
    return _copied(root, {pointer: base for pointer, _, base in _walk(root)}, places, ""), dynamic or recursive


def _alone(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    if "$ref" in part:
        part = {key: value for key, value in part.items() if key in ("$ref", "$defs", "definitions")}
    return _with_parts(part, [(path, _alone(inner)) for path, inner in placed_subschemas(part)])


def _needed(part: Mapping[str, Any]) -> bool:
    if any(key in part for key in ("$dynamicRef", "$recursiveRef")):
        return True
    target = part.get("$ref")
    return (isinstance(target, str) and not (target == "#" or target.startswith("#/"))) or (
        isinstance(part.get("$id"), str) and "$ref" not in part
    )


def _walk(root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Every subschema with its pointer and the address that references in it are relative to."""
    waiting: list[tuple[str, Any, str]] = [("", root, "")]
    while waiting:
        pointer, part, base = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        for key in _IDENTITIES:
            if isinstance(name := part.get(key), str) and not name.startswith("#"):
                base = urldefrag(urljoin(base, name)).url
        yield pointer, part, base
        for path, inner in placed_subschemas(part):
            waiting.append((pointer + "".join(f"/{_escaped(step)}" for step in path), inner, base))


def _copied(part: Any, bases: Mapping[str, str], places: Mapping[str, str], pointer: str) -> Any:
    if not isinstance(part, Mapping):
        return part
    copy = _with_parts(
        part,
        [
            (path, _copied(inner, bases, places, pointer + "".join(f"/{_escaped(step)}" for step in path)))
            for path, inner in placed_subschemas(part)
        ],
    )
    for key in _REFERENCES:
        if isinstance(target := copy.get(key), str):
            found = _found(target, bases[pointer], places)
            if found is not None and (key == "$ref" or "$ref" not in copy):
                copy.pop(key)
                copy["$ref"] = found
    return copy


def _with_parts(part: Mapping[str, Any], inner: list[tuple[tuple[str | int, ...], Any]]) -> dict[str, Any]:
    """A copy of ``part`` with other subschemas in their places."""
    copy: dict[str, Any] = dict(part)
    fresh: set[str] = set()
    for path, moved in inner:
        key = str(path[0])
        if len(path) == 1:
            copy[key] = moved
            continue
        if key not in fresh:
            fresh.add(key)
            copy[key] = dict(part[key]) if isinstance(part[key], Mapping) else list(part[key])
        copy[key][path[1]] = moved
    return copy


def _found(target: str, base: str, places: Mapping[str, str]) -> str | None:
    whole = base + target if target.startswith("#") else urljoin(base, target)  # addresses that are names join nothing
    url, fragment = urldefrag(whole)
    if fragment.startswith("/"):
        return f"#{places[url]}{fragment}" if url in places else None
    place = places.get(f"{url}#{fragment}" if fragment else url)
    return None if place is None else f"#{place}"


def _escaped(step: str | int) -> str:
    return quote(str(step).replace("~", "~0").replace("/", "~1"), safe="~!$&'()*+,;=:@")
