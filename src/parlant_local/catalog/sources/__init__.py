"""Sources of models: each turns a reference into a plan of files, which the transfer engine downloads.

By name: this package's own, and those of the entry-point group ``parlant_local.sources``.
"""

from __future__ import annotations

from parlant_local.catalog.names import inside
from parlant_local.catalog.records import LocalModel, ModelSource
from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.catalog.sources.source import Reference, Source, SourceReference
from parlant_local.catalog.transfer.task import FileTask
from parlant_local.errors import BadReferenceError, ParlantLocalError
from parlant_local.registry import Registry

__all__ = [
    "SOURCES",
    "FileTask",
    "Plan",
    "Reference",
    "Source",
    "SourceContext",
    "SourceReference",
    "make_plan",
    "origin",
    "parse_with",
    "source_named",
    "source_names",
]


SOURCES: Registry[type[Source]] = Registry(
    "source",
    group="parlant_local.sources",
    fits=lambda thing: isinstance(thing, type) and issubclass(thing, Source),
    wanted="a subclass of parlant_local.catalog.sources.Source",
    reserved=frozenset({*ModelSource, "file", "hf", "http", "https"}),
)
SOURCES.register("huggingface", "parlant_local.catalog.sources.huggingface:HuggingFace")
SOURCES.register("ollama", "parlant_local.catalog.sources.ollama_registry:OllamaRegistry")
SOURCES.register("pypi", "parlant_local.catalog.sources.pypi:PackageIndex")
SOURCES.register("gguf", "parlant_local.catalog.sources.url:WebAddress")


def source_names() -> list[str]:
    """The names that ``source=`` accepts."""
    return list(dict.fromkeys(name for name in (*ModelSource, *SOURCES) if name != ModelSource.SHIPPED))


def source_named(name: str) -> ModelSource | str:
    """Raises :class:`BadReferenceError` for an unknown name."""
    if name not in source_names():
        raise BadReferenceError(f"Unknown source {str(name)!r}.", hint=f"Known: {', '.join(source_names())}.")
    return ModelSource(name) if name in list(ModelSource) else name


def parse_with(name: str, rest: str, text: str) -> Reference:
    return SOURCES.attributed(name, lambda: SOURCES.get(name)(name).parse(rest, text))


def make_plan(reference: Reference, context: SourceContext) -> Plan:
    name = str(reference.source)
    plan = SOURCES.attributed(name, lambda: SOURCES.get(name)(name).plan(reference, context))
    if name in SOURCES.plugins:  # a plug-in's file names are untrusted
        for task in plan.tasks:
            inside(context.models_dir, task.destination)
    return plan


def origin(record: LocalModel) -> str:
    """Where a model came from, for people."""
    name = str(record.source)
    try:
        note = SOURCES.attributed(name, lambda: SOURCES.get(name)(name).note(record)) if name in SOURCES else ""
    except ParlantLocalError as error:
        note = str(error)
    described = f"{name} ({', '.join(record.references)})" if record.references else name
    return f"{described}: {note}" if note else described
