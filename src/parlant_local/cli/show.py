"""The verb show: what is known of one model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import count_of, state_of
from parlant_local.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

    from parlant_local.catalog import LocalModel, LocalModelManager
    from parlant_local.catalog.adapters import Adapter
    from parlant_local.gguf_info import GGUFHeader
    from parlant_local.settings import Settings

__all__ = ["show"]


@click.command()
@click.argument("model")
@click.option("--n-ctx", type=click.IntRange(16), metavar="TOKENS", help="Context to estimate memory for.")
@catalogue_options
def show(model: str, n_ctx: int | None, as_json: bool, **catalogue: Any) -> None:
    """Show details of MODEL: a catalogue id, a reference or the path of a GGUF file, with adapters or without."""
    from parlant_local.gguf_info import read_header

    manager = make_manager(**catalogue)
    asyncio.run(manager.initialize())
    found = manager.find_adapted(model)
    record = found.record
    data = record.told()
    if found.adapters:
        data["id"] = found.id
        data["with_adapters"] = [_of_adapter(adapter) for adapter in found.adapters]
    if record.for_pictures:
        data["memory"] = _picture_memory(record, manager) if record.makes_pictures else None
    elif record.state == "available" and record.path is not None:
        header = read_header(record.path)
        data["chat_template"] = header.chat_template
        if not record.is_embedding:
            data |= _speech(record.path, header, manager.settings)
        data["tokenizer"] = header.tokenizer
        data["vocabulary_size"] = header.vocabulary_size
        data["memory"] = _memory(header, manager.settings, n_ctx)
    if added := _added(record, manager.settings):
        data["adapters"] = added
    if as_json:
        emit_json(data)
        return
    for line in _shown(record, data):
        say(line)


def _memory(header: GGUFHeader, settings: Settings, n_ctx: int | None) -> dict[str, Any]:
    """What loading it takes, and what it may grow to."""
    from parlant_local.engine.sizing import outlook
    from parlant_local.gguf_info import available_memory

    engine = settings.engine if n_ctx is None else settings.engine.model_copy(update={"n_ctx": n_ctx})
    sizing = outlook(header, engine)
    estimate, most, free = sizing.estimate, sizing.most, available_memory()
    return {
        "n_ctx": sizing.layout.n_ctx,
        "cells": sizing.layout.cells,
        "weights": estimate.weights,
        "kv_cache": estimate.kv_cache,
        "compute": estimate.compute,
        "vocabulary": estimate.vocabulary,
        "total": estimate.total,
        "max_cells": sizing.layout.max_cells,
        "most": most.total,
        "available": free,
        "fits": most.total <= free,
    }


def _picture_memory(record: LocalModel, manager: LocalModelManager) -> dict[str, Any] | None:
    """What a picture of the usual size takes."""
    from parlant_local.gguf_info import available_memory
    from parlant_local.images.architectures import memory_for, usual
    from parlant_local.images.files import find_files
    from parlant_local.settings.images import ImageModelSettings

    if record.state != "available":
        return None
    model = manager.settings.images.models.get(record.id) or ImageModelSettings(path=str(record.path))
    files = find_files(record.id, model, manager)
    side = usual(files.architecture).side
    total = memory_for(files, side, side, flash_attention=model.flash_attention)
    free = available_memory()
    return {"side": side, "weights": files.weights, "total": total, "available": free, "fits": total <= free}


def _speech(path: Path, header: GGUFHeader, settings: Settings) -> dict[str, Any]:
    """What its template, or the default one, shows; None where it can't be rendered (`render` shows the error)."""
    from parlant_local.backends.llama_cpp.info import describe_speech
    from parlant_local.backends.llama_cpp.vocabulary import open_vocabulary
    from parlant_local.engine.templates import ChatTemplate
    from parlant_local.errors import EngineError

    metadata = {key: value for key, value in header.metadata.items() if isinstance(value, str)}
    try:
        if header.chat_template:
            return {
                "speech": describe_speech(ChatTemplate(header.chat_template, bos="<s>", eos="</s>", metadata=metadata))
            }
        model, encoder = open_vocabulary(str(path), settings)  # which detects its family
        try:
            return {"speech": describe_speech(encoder.template), "standing_in": encoder.template.standing_in}
        finally:
            model.release()
    except (CatalogError, EngineError):
        return {"speech": None}


def _added(record: LocalModel, settings: Settings) -> list[str]:
    """The adapters and control vectors that are added to it, always or where its name says so."""
    from parlant_local.catalog.adapters import Adapters

    always = [f"{path}@{scale:g} (engine.lora)" for path, scale in settings.engine.lora.items()]
    always += [f"{path}@{scale:g} (engine.control_vectors)" for path, scale in settings.engine.control_vectors.items()]
    return always + [f"{record.id}:{item.name}@{item.scale:g}" for item in Adapters(settings).fitting(record)]


def _of_adapter(adapter: Adapter) -> dict[str, Any]:
    from parlant_local.gguf_info import sha256_file

    return {
        "name": adapter.name,
        "path": str(adapter.path),
        "scale": adapter.scale,
        "sha256": sha256_file(adapter.path),
    }


_FORMS = {
    "template": "as in its chat template",
    "family": "as in its model family; its template has none",
    "generic": "plain JSON: its template does not support them",
}


def _senses(path: Path) -> list[str]:
    from parlant_local.gguf_info import read_header, senses_of

    words = {"vision": "pictures", "audio": "sounds"}
    try:
        return [words[sense] for sense in senses_of(read_header(path))]
    except CatalogError:
        return []


def _shown(record: LocalModel, data: dict[str, Any]) -> list[str]:
    from parlant_local.catalog.disk import human_bytes
    from parlant_local.catalog.sources import origin

    lines = [str(data["id"])]

    def say(label: str, value: object) -> None:
        if value not in (None, "", 0):
            lines.append(f"  {label:<14} {value}")

    say("state", state_of(record))
    say("source", origin(record))
    if made := record.made:
        say("made by", " ".join([made.verb, *made.sources, *(f"{key}={value}" for key, value in made.options.items())]))
        for digest in made.digests:
            say("of sha256", digest)
    say("revision", record.revision)
    for item in record.files:
        say("file", f"{item.path} ({human_bytes(item.size)})")
        say("sha256", item.sha256)
    if record.projector is not None:
        say("projector", f"{record.projector.path} ({human_bytes(record.projector.size)})")
        say("reads", " and ".join(["text", *_senses(record.projector.path)]))
    if record.makes_pictures:
        say("kind", f'makes pictures: parlant-local image "a red fox" --model {record.id}')
    elif record.for_pictures:
        say("kind", "a part of a model that makes pictures: name it in the settings, images.models")
    elif record.is_base:
        say("kind", "base model: not trained to chat; never chosen by default")
    say("architecture", record.architecture)
    say("parameters", count_of(record.parameters))
    if record.active_parameters != record.parameters:
        say("active", f"{count_of(record.active_parameters)} per token")
    say("quantization", record.quantization)
    say("context", f"{record.context_length:,} tokens" if record.context_length else None)
    say("embedding", record.embedding_length)
    say("pooling", record.pooling)
    say("tokenizer", f"{data['tokenizer']}, {data['vocabulary_size'] or 0:,} tokens" if data.get("tokenizer") else None)
    for added in data.get("with_adapters", ()):
        say("with adapter", f"{added['path']}, {added['scale']:g} of it")
        say("sha256", added["sha256"])
    for added in data.get("adapters", ()):
        say("adapter", added)
    say("license", record.license)
    if template := data.get("chat_template"):
        say("chat template", f"{len(template):,} characters (print it: parlant-local show {record.id} --json)")
    elif record.path is not None and not record.for_pictures:
        say("chat template", f"none; {data['standing_in']} is used instead" if data.get("standing_in") else "none")
    if speech := data.get("speech"):
        calls = speech["tool_calls"]
        say("tool calls", f"{_FORMS[calls['form']]}: {' '.join(calls['example'].split())}")
        say("reasoning", f"between {' and '.join(speech['thoughts'])}" if speech["thoughts"] else None)
    if (memory := data.get("memory")) and record.makes_pictures:
        fits = "fits" if memory["fits"] else "does not fit"
        say(
            "memory",
            f"{human_bytes(memory['total'])} for a picture of {memory['side']} x {memory['side']} pixels (weights "
            f"{human_bytes(memory['weights'])}); {human_bytes(memory['available'])} available: {fits}",
        )
    elif memory:
        fits = "fits" if memory["fits"] else "does not fit"
        say(
            "memory",
            f"{human_bytes(memory['total'])} with {memory['cells']:,} tokens in its cache (weights "
            f"{human_bytes(memory['weights'])}, KV cache {human_bytes(memory['kv_cache'])}, compute "
            f"{human_bytes(memory['compute'])}, vocabulary {human_bytes(memory['vocabulary'])}); at most "
            f"{human_bytes(memory['most'])} with {memory['max_cells']:,}; {human_bytes(memory['available'])} available: {fits}",
        )
    if record.state == "available":
        say("note", record.reason)
    return lines
