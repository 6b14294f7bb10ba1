"""A GGUF file at a URL; a shard includes its siblings."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from parlant_local.catalog.names import check_component, inside, model_stem, slug
from parlant_local.catalog.records import ModelSource
from parlant_local.catalog.reference_forms import UrlReference
from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.catalog.sources.source import Source
from parlant_local.catalog.transfer import FileTask
from parlant_local.errors import BadReferenceError
from parlant_local.gguf_info import shard_names
from parlant_local.loopback import is_loopback

__all__ = ["WebAddress"]


class WebAddress(Source):
    def parse(self, rest: str, text: str) -> UrlReference:
        raise BadReferenceError(
            f"{text!r} has the scheme 'gguf'.", hint=f"Give the URL of the file itself: https://{rest}"
        )

    def plan(self, reference: UrlReference, context: SourceContext) -> Plan:
        return _plan(reference, context)


def _plan(reference: UrlReference, context: SourceContext) -> Plan:
    parts = urlsplit(reference.url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        context.logger.warning(f"{reference} is plain http: the download is not protected against tampering.")
    if not parts.hostname:
        raise BadReferenceError(f"{reference} has no host.")
    names = [check_component(name) for name in shard_names(reference.name)]
    # The host is part of the folder: two sites may have different files of one name.
    folder = context.models_dir / "files" / slug(f"{parts.hostname}-{model_stem(reference.name)}")
    base = parts.path.rpartition("/")[0]
    paths = tuple(inside(context.models_dir, folder / name) for name in names)
    tasks = tuple(
        FileTask(
            url=urlunsplit((parts.scheme, parts.netloc, f"{base}/{quote(name)}", parts.query, "")),
            destination=path,
            name=name,
        )
        for name, path in zip(names, paths, strict=True)
    )
    if not context.models_dir.exists():
        context.models_dir.mkdir(parents=True)
    return Plan(
        reference=str(UrlReference(tasks[0].url)),
        name=model_stem(reference.name),
        source=ModelSource.GGUF,
        tasks=tasks,
        paths=paths,
        aliases=(str(reference),),
        family_hint=reference.name,
    )
