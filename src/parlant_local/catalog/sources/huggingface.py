"""Models on the Hugging Face hub and its mirrors: huggingface_hub lists and authenticates, transfers use our own client."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from parlant_local._version import __version__
from parlant_local.catalog.hub_cache import HubRepository
from parlant_local.catalog.names import check_component, check_relative
from parlant_local.catalog.projectors import projector_among
from parlant_local.catalog.quantizations import Candidate, choose
from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.reference_forms import HubReference, parse_hub
from parlant_local.catalog.sources.hub_errors import explain_hub_status
from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.catalog.sources.source import Source
from parlant_local.catalog.transfer import FileTask
from parlant_local.catalog.transfer.http import HttpResponse
from parlant_local.catalog.transfer.retrying import busy, retrying
from parlant_local.catalog.weights import is_safetensors, is_weights
from parlant_local.errors import (
    AccessError,
    CatalogError,
    ConfigurationError,
    HubError,
    ModelNotFoundError,
    NoGGUFError,
    ParlantLocalError,
    TransferError,
)
from parlant_local.gguf_info import available_memory
from parlant_local.loopback import is_loopback

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

__all__ = ["Hub", "HuggingFace", "hub_endpoint", "hub_token"]

_DEFAULT_ENDPOINT = "https://huggingface.co"
_SHA256 = re.compile(r"^[0-9a-f]{64}\Z")
_SHA1 = re.compile(r"^[0-9a-f]{40}\Z")
_LIST_SECONDS = 20.0
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
T = TypeVar("T")


def hub_endpoint() -> str:
    """MODEL_ENDPOINT (as in llama.cpp), else HF_ENDPOINT, else the hub. Plain http only on this machine."""
    endpoint = (os.environ.get("MODEL_ENDPOINT") or os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"The hub endpoint {endpoint!r} is not a web address.", hint="See HF_ENDPOINT.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            f"The hub endpoint {endpoint!r} is plain http.", hint="Use https, or a loopback address."
        )
    return endpoint


def hub_token() -> str | None:
    """The user's token. Not sent to MODEL_ENDPOINT: a mirror must not see it."""
    from huggingface_hub import get_token

    mirror = os.environ.get("MODEL_ENDPOINT")
    return None if mirror and mirror.rstrip("/") != (os.environ.get("HF_ENDPOINT") or "").rstrip("/") else get_token()


class HuggingFace(Source):
    def parse(self, rest: str, text: str) -> HubReference:
        return parse_hub(rest, text)

    def plan(self, reference: HubReference, context: SourceContext) -> Plan:
        return _plan(reference, context)


def _plan(reference: HubReference, context: SourceContext) -> Plan:
    """Looks up the repository and chooses its files. Raises :class:`DownloadError` and :class:`ModelNotFoundError`."""
    hub = Hub(context)
    info = hub.model_info(reference)
    entries = hub.files(reference, info)
    sizes = {path: entry.size or 0 for path, entry in entries.items()}
    chosen = _chosen(hub, reference, info, sizes)
    if info.gated and hub.token is None:
        context.logger.warning(f"{reference.repo} is gated ({info.gated}); without a token the hub will deny access.")
    commit = check_component(str(info.sha or reference.revision or "main"), "commit")
    repository = HubRepository(context.hub_cache, reference.repo)
    for file in chosen.files:
        repository.adopt(commit, file, entries[file].etag)
    projector = None if is_safetensors(chosen.files[0]) else projector_among(sizes, chosen.files[0])
    if projector is not None:
        repository.adopt(commit, projector, entries[projector].etag)
    wanted = (*chosen.files, *([projector] if projector is not None else []))
    tasks = tuple(
        hub.task(reference, repository, commit, entries[file], is_gguf=file in chosen.files) for file in wanted
    )

    def place() -> None:
        for file in wanted:
            repository.link(commit, file, entries[file].etag)
        repository.set_ref(reference.revision or "main", commit)
        repository.mark()

    exact = HubReference(reference.repo, None, chosen.files[0], reference.revision)
    aliases = (
        [str(HubReference(reference.repo, chosen.quantization, None, reference.revision))]
        if chosen.quantization
        else []
    )
    return Plan(
        reference=str(exact),
        name=chosen.stem,
        source=ModelSource.HUGGINGFACE,
        tasks=tasks,
        paths=tuple(repository.snapshot(commit, file) for file in chosen.files),
        projector=None if projector is None else repository.snapshot(commit, projector),
        place=place,
        revision=commit,
        aliases=(*aliases, str(reference)),
        family_hint=reference.repo,
    )


def _chosen(hub: Hub, reference: HubReference, info: ModelInfo, sizes: Mapping[str, int]) -> Candidate:
    """Safetensors are taken where one is named: of the other models of a repository only those in GGUF run here."""
    if reference.file is not None and is_safetensors(reference.file) and reference.file in sizes:
        return Candidate((reference.file,), (sizes[reference.file],), None)
    if not any(path.lower().endswith(".gguf") for path in sizes):
        raise hub.no_gguf(reference, info, sizes)
    return choose(
        reference.repo, sizes, quantization=reference.quantization, file=reference.file, memory=available_memory()
    )


@dataclass(frozen=True, slots=True)
class HubFile:
    path: str
    size: int | None
    sha256: str | None
    """For files in LFS: all large ones."""
    git_id: str | None

    @property
    def etag(self) -> str:
        """Name of the file's blob in the cache."""
        if (etag := self.sha256 or self.git_id) is None:
            raise HubError(f"The hub has no digest of {self.path}.", hint="Without one the file can't be verified.")
        return etag


class Hub:
    """One endpoint with one token; every response becomes a result or a typed error."""

    def __init__(self, context: SourceContext) -> None:
        from huggingface_hub import HfApi

        self._context = context
        self.endpoint = hub_endpoint()
        self.token = hub_token()
        self.api: HfApi = HfApi(
            endpoint=self.endpoint, token=self.token or False, library_name="parlant-local", library_version=__version__
        )

    def model_info(self, reference: HubReference) -> ModelInfo:
        return self.ask(
            reference, lambda: self.api.model_info(reference.repo, revision=reference.revision, files_metadata=True)
        )

    def files(self, reference: HubReference, info: ModelInfo) -> dict[str, HubFile]:
        """Files by path; names that would leave the folder are rejected."""
        files = {item.path: item for item in self._listed(reference, info)}
        for path in files:
            if is_weights(path):
                check_relative(path, f"file name in {reference.repo}")
        return files

    def _listed(self, reference: HubReference, info: ModelInfo) -> list[HubFile]:
        """From the repository's metadata; from its tree, or file by file, at mirrors that omit sizes there."""
        from huggingface_hub.hf_api import RepoFile

        listed = [
            HubFile(item.rfilename, item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
            for item in info.siblings or ()
        ]
        if all(item.size is not None and (item.sha256 or item.git_id) for item in listed):
            return listed
        try:
            entries = self.ask(
                reference, lambda: list(self.api.list_repo_tree(reference.repo, recursive=True, revision=info.sha))
            )
        except ModelNotFoundError:
            return [self._file_from_headers(reference, info, item) for item in listed]
        return [
            HubFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in entries
            if isinstance(entry, RepoFile)
        ]

    def _file_from_headers(self, reference: HubReference, info: ModelInfo, item: HubFile) -> HubFile:
        """One file's size and digest, from a HEAD request."""
        from huggingface_hub import get_hf_file_metadata

        if not is_weights(item.path):
            return item
        url = self._url(reference, str(info.sha or reference.revision or "main"), item.path)
        metadata = self.ask(reference, lambda: get_hf_file_metadata(url, token=self.token or False))
        etag = (metadata.etag or "").lower()
        sha256 = etag if _SHA256.match(etag) else None
        return HubFile(item.path, metadata.size, sha256, etag if _SHA1.match(etag) else None)

    def _url(self, reference: HubReference, commit: str, path: str) -> str:
        return f"{self.endpoint}/{reference.repo}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def task(
        self, reference: HubReference, repository: HubRepository, commit: str, entry: HubFile, *, is_gguf: bool = True
    ) -> FileTask:
        return FileTask(
            url=self._url(reference, commit, entry.path),
            destination=repository.blob(entry.etag),
            name=entry.path.rpartition("/")[2],
            size=entry.size,
            sha256=entry.sha256,
            git_sha1=None if entry.sha256 else entry.git_id,
            headers=self._headers,
            explain=partial(self._explain, reference, entry.path),
            lock=repository.lock(entry.etag),
            is_gguf=is_gguf,
        )

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _explain(self, reference: HubReference, what: str, response: HttpResponse) -> ParlantLocalError:
        return self._refusal(reference, what, response.status, response.headers)

    def _refusal(
        self, reference: HubReference, what: str, status: int, headers: Mapping[str, str] | Message
    ) -> ParlantLocalError:
        return explain_hub_status(
            status, headers, repo=reference.repo, endpoint=self.endpoint, has_token=self.token is not None, what=what
        )

    def no_gguf(self, reference: HubReference, info: ModelInfo, files: Mapping[str, int]) -> ParlantLocalError:
        """The error for a repository without GGUF files, with the conversions that the hub lists."""
        near: list[str] = []
        try:
            found = self.ask(reference, lambda: self.listed({"filter": f"base_model:quantized:{reference.repo}"}, 5))
            near = [model.id for model in found]
        except (HubError, AccessError, ModelNotFoundError, TransferError) as error:
            self._context.logger.warning(f"Searching the hub for conversions of {reference.repo} failed: {error}")
        if not any(path.lower().endswith(_WEIGHTS) for path in files):
            return ModelNotFoundError(f"{reference.repo} has no model files.", near=near)
        hint = (
            f"GGUF conversions of it: {', '.join(near)}. For example: `parlant-local pull {near[0]}`."
            if near
            else "The hub lists no GGUF conversion of it."
        )
        if any(path.lower().endswith(".safetensors") for path in files):
            hint += f" `parlant-local convert {reference.repo}` makes one of its safetensors."
        return NoGGUFError(
            f"{reference.repo} has only safetensors or PyTorch weights, which the engine does not run.",
            repo=reference.repo,
            revision=info.sha,
            near=near,
            hint=hint,
        )

    def listed(self, wanted: Mapping[str, str], limit: int, expand: Sequence[str] = ()) -> list[ModelInfo]:
        """Repositories with GGUF files, the most downloaded first. In one request, which ``HfApi.list_models`` repeats by itself for
        half a minute where the hub can't be reached, and says so on standard error."""
        from huggingface_hub import ModelInfo, get_session, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, but in no __all__

        headers = build_hf_headers(token=self.token or False, library_name="parlant-local", library_version=__version__)
        query = [("filter", "gguf"), *wanted.items(), ("sort", "downloads"), ("limit", str(limit))]
        query += [("expand", field) for field in expand]
        response = get_session().get(
            f"{self.endpoint}/api/models?{urlencode(query)}", headers=headers, timeout=_LIST_SECONDS
        )
        hf_raise_for_status(response)
        make: Callable[..., ModelInfo] = ModelInfo
        return [make(**{"siblings": None, **item}) for item in response.json()[:limit]]

    def ask(self, reference: HubReference, call: Callable[[], T], *, attempts: int | None = None) -> T:
        """What ``call`` gets from the hub, tried ``attempts`` times (None: ``downloads.attempts``); failures are :class:`DownloadError`."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        def once() -> T:
            if self._context.stop.is_set():
                raise CatalogError("The download was stopped.")
            try:
                return call()
            except HfHubHTTPError as error:
                raise self._translate(reference, error) from None
            except HFValidationError as error:
                raise ModelNotFoundError(f"{reference.repo!r} is not a valid repository name: {error}") from None
            except httpx2.TransportError as error:
                raise TransferError(
                    f"The hub at {self.endpoint} can't be reached: {type(error).__name__} {error}".rstrip() + ".",
                    hint="Check the connection, a proxy (HTTPS_PROXY) or a mirror (HF_ENDPOINT).",
                ) from None
            except (ValueError, KeyError, TypeError) as error:
                raise HubError(f"The hub at {self.endpoint} sent an invalid response: {error!r}.") from None

        return retrying(attempts or self._context.settings.downloads.attempts, self._context.stop)(once)

    def _translate(self, reference: HubReference, error: Exception) -> ParlantLocalError:
        response = getattr(error, "response", None)
        if response is None:
            return HubError(f"The request to the hub for {reference.repo} failed: {error}")
        who, status = f"The hub at {self.endpoint}", response.status_code
        hint = "It is busy; try again later. A token (HF_TOKEN) raises rate limits."
        what = reference.revision or reference.file or ""
        return busy(who, status, response.headers, hint) or self._refusal(reference, what, status, response.headers)
