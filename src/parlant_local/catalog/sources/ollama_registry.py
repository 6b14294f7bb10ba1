"""Ollama's registry without a daemon: OCI manifests and blobs over HTTP, every digest checked.

Files use the layout of Ollama's own store, so that a daemon with OLLAMA_MODELS set to that folder has
the same models.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode, urlsplit

from parlant_local.catalog.names import check_component, inside
from parlant_local.catalog.ollama_manifest import Layer, OllamaManifest, parse_manifest, read_extras
from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.reference_forms import OllamaReference, parse_ollama
from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.catalog.sources.source import Source
from parlant_local.catalog.transfer import FileTask
from parlant_local.catalog.transfer.http import HttpResponse, HttpSession, shown
from parlant_local.catalog.transfer.retrying import busy, retrying
from parlant_local.errors import (
    AccessError,
    HubError,
    InvalidModelError,
    ModelNotFoundError,
    ParlantLocalError,
    TransferError,
    VerificationError,
)
from parlant_local.loopback import is_loopback
from parlant_local.storage import parse_json, write_whole

__all__ = ["OllamaRegistry"]

_ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
_MAX_MANIFEST = 1 << 20
_TOKEN_SECONDS = 50.0
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class OllamaRegistry(Source):
    def parse(self, rest: str, text: str) -> OllamaReference:
        return parse_ollama(rest, text)

    def plan(self, reference: OllamaReference, context: SourceContext) -> Plan:
        return _plan(reference, context)


def _plan(reference: OllamaReference, context: SourceContext) -> Plan:
    """Read the manifest and plan its layers. Raises :class:`DownloadError` kinds and :class:`InvalidModelError`."""
    registry = _Registry(reference, context)
    data = registry.manifest()
    try:
        manifest = parse_manifest(data, f"The registry's document for {reference.short}")
        model = manifest.model
    except InvalidModelError as error:
        raise InvalidModelError(
            f"{reference.short} can't be used. {error.message}", hint="With `--via daemon` Ollama itself runs it."
        ) from None
    store = context.models_dir / "ollama"
    blobs = store / "blobs"
    names = (reference.host.replace(":", "+"), reference.namespace, reference.model, reference.tag)
    target = store / "manifests"
    for name in names:
        target /= check_component(name)
    projector = next(iter(manifest.of("projector")), None)
    layers = [
        model,
        *([projector] if projector else []),
        *manifest.texts,
        *([manifest.config] if manifest.config else []),
    ]
    context.models_dir.mkdir(parents=True, exist_ok=True)
    unique = {layer.digest: layer for layer in layers}
    tasks = tuple(
        FileTask(
            url=registry.blob_url(layer),
            destination=inside(context.models_dir, blobs / layer.file_name),
            name=reference.short if layer is model else f"{reference.short} ({layer.kind.rpartition('/')[2]})",
            size=layer.size,
            sha256=layer.sha256,
            headers=registry.headers,
            explain=registry.explain,
            is_gguf=layer is model,
        )
        for layer in unique.values()
    )

    def place() -> None:
        inside(context.models_dir, target)
        write_whole(target, data)

    return Plan(
        reference=str(reference),
        name=reference.model if reference.tag == "latest" else f"{reference.model}-{reference.tag}",
        source=ModelSource.OLLAMA,
        tasks=tasks,
        paths=(blobs / model.file_name,),
        projector=None if projector is None else blobs / projector.file_name,
        place=place,
        revision=f"sha256:{hashlib.sha256(data).hexdigest()}",
        family_hint=f"{reference.namespace}/{reference.model}",
        extras=partial(_extras, manifest, context),
    )


def _extras(manifest: OllamaManifest, context: SourceContext) -> Mapping[str, object]:
    return read_extras(manifest, context.models_dir / "ollama" / "blobs")


class _Registry:
    """One repository of a registry, with the anonymous token that some registries require."""

    def __init__(self, reference: OllamaReference, context: SourceContext) -> None:
        self._reference, self._context = reference, context
        host = urlsplit(f"//{reference.host}").hostname or ""
        self._base = f"{'http' if is_loopback(host) else 'https'}://{reference.host}"
        self._path = f"/v2/{reference.namespace}/{reference.model}"
        self._token: str | None = None
        self._token_at = 0.0
        self._challenge: Mapping[str, str] = {}

    def blob_url(self, layer: Layer) -> str:
        return f"{self._base}{self._path}/blobs/{layer.digest}"

    def manifest(self) -> bytes:
        reference = self._reference
        url = f"{self._base}{self._path}/manifests/{reference.digest or reference.tag}"
        data = self._get(url, {"Accept": _ACCEPT})
        if reference.digest and reference.digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise VerificationError(
                f"The registry sent a manifest with a digest other than {reference.short}.", hint="Pull again."
            )
        return data

    def headers(self) -> Mapping[str, str]:
        """For every new request; a token is renewed before it expires."""
        if self._challenge and time.monotonic() - self._token_at > _TOKEN_SECONDS:
            self._authenticate()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _get(self, url: str, headers: Mapping[str, str]) -> bytes:
        downloads = self._context.settings.downloads
        session = HttpSession(downloads.stall_seconds)

        def once() -> bytes:
            if self._context.stop.is_set():
                raise InterruptedError
            response = session.get(url, {**headers, **self.headers()})
            if response.status == 401 and not self._challenge and self._read_challenge(response):
                session.reset()
                self._authenticate()
                response = session.get(url, {**headers, **self.headers()})
            if response.status == 200:
                return response.read(_MAX_MANIFEST)
            session.reset()
            raise self._failure(response)

        try:
            return retrying(downloads.attempts, self._context.stop)(once)
        except InterruptedError:
            raise TransferError("The download was stopped.", hint="Pull again to resume.") from None
        finally:
            session.reset()

    def _read_challenge(self, response: HttpResponse) -> bool:
        value = response.headers.get("WWW-Authenticate") or ""
        fields = dict(_CHALLENGE.findall(value))
        realm = urlsplit(fields.get("realm", ""))
        # A realm over plain http would leak the scope.
        good = value.lower().startswith("bearer") and (realm.scheme == "https" or is_loopback(realm.hostname or ""))
        self._challenge = fields if good else {}
        return good

    def _authenticate(self) -> None:
        fields = dict(self._challenge)
        realm = fields.pop("realm")
        query = urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
        session = HttpSession(self._context.settings.downloads.stall_seconds)
        try:
            response = session.get(f"{realm}{'&' if '?' in realm else '?'}{query}")
            if response.status != 200:
                raise self._failure(response)
            document = parse_json(response.read(1 << 16))
            self._token = str(document.get("token") or document.get("access_token") or "") or None
            self._token_at = time.monotonic()
        except (ValueError, AttributeError):
            raise HubError(f"The registry's token endpoint {shown(realm)} sent an invalid response.") from None
        finally:
            session.reset()

    def _failure(self, response: HttpResponse) -> ParlantLocalError:
        who, hint = f"The registry {self._reference.host}", "It is busy; try again later."
        return busy(who, response.status, response.headers, hint) or self.explain(response)

    def explain(self, response: HttpResponse) -> ParlantLocalError:
        reference = self._reference
        if response.status == 404:
            from parlant_local.catalog.short_names import near_short_names

            near = near_short_names(reference.model)
            return ModelNotFoundError(
                f"The registry {reference.host} has no model {reference.short}.",
                near=near,
                hint="" if near else f"See https://ollama.com/search?q={reference.model}",
            )
        if response.status in (401, 403):
            return AccessError(
                f"The registry {reference.host} denied access to {reference.short} ({response.status}).",
                hint="Private models need Ollama itself: `ollama pull`, then `--via daemon`.",
            )
        return HubError(
            f"The registry {reference.host} responded with status {response.status} for {reference.short}.",
            status=response.status,
        )
