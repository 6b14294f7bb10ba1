"""From a GGUF file to a record."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from parlant_local.catalog.families import model_type
from parlant_local.catalog.names import local_id, model_stem
from parlant_local.catalog.projectors import projector_beside
from parlant_local.catalog.records import LocalModel, ModelFile, ModelSource, ModelType
from parlant_local.catalog.weights import is_safetensors, read_safe_tensors
from parlant_local.gguf_info import GGUFHeader, check_is_model, read_header, sha256_file
from parlant_local.profiles.pretrained import is_base

__all__ = ["describe", "file_record", "matches_disk"]


def describe(
    path: Path,
    *,
    source: ModelSource | str,
    name: str | None = None,
    family: ModelType | None = None,
    hash_files: bool = False,
    digests: tuple[str, ...] = (),
    stop: Event | None = None,
) -> LocalModel:
    """Record of the model at ``path`` (any shard of a split one), after its header and tensor bounds are checked.

    Files get the given ``digests``, or are hashed. Raises :class:`InvalidModelError`.
    """
    if is_safetensors(path.name):
        return _of_safetensors(
            path, source=source, name=name, family=family, hash_files=hash_files, digests=digests, stop=stop
        )
    header = read_header(path)
    if header.kind != "diffusion":
        check_is_model(header)
    files = tuple(
        file_record(item, digests[at] if digests else sha256_file(item, stop=stop) if hash_files else None)
        for at, item in enumerate(header.paths)
    )
    model = from_header(header, source=source, name=name or model_stem(header.path.name), family=family, files=files)
    if (projector := projector_beside(header)) is None:
        return model
    return model.having(
        projector=file_record(projector, sha256_file(projector, stop=stop) if hash_files or digests else None)
    )


def _of_safetensors(
    path: Path,
    *,
    source: ModelSource | str,
    name: str | None,
    family: ModelType | None,
    hash_files: bool,
    digests: tuple[str, ...],
    stop: Event | None,
) -> LocalModel:
    found = read_safe_tensors(path)
    digest = digests[0] if digests else sha256_file(path, stop=stop) if hash_files else None
    chosen, called = family or ModelType.OTHER, name or model_stem(path.name)
    return LocalModel(
        id=local_id(chosen, called),
        name=called,
        type=chosen,
        source=source,
        files=(file_record(path, digest),),
        quantization=found.type,
        architecture=found.architecture,
        parameters=found.parameters,
        active_parameters=found.parameters,
        base=False,
    )


def from_header(
    header: GGUFHeader, *, source: ModelSource | str, name: str, family: ModelType | None, files: tuple[ModelFile, ...]
) -> LocalModel:
    chosen = family or model_type(header, name)
    return LocalModel(
        id=local_id(chosen, name),
        name=name,
        type=chosen,
        source=source,
        files=files,
        quantization=header.quantization,
        architecture=header.architecture or header.picture_architecture,
        parameters=header.parameter_count or None,
        active_parameters=header.active_parameter_count or None,
        context_length=header.context_length,
        embedding_length=header.embedding_length,
        pooling=header.pooling,
        has_chat_template=header.chat_template is not None,
        base=chosen is not ModelType.EMBEDDING and _is_base(header, name),
        license=header.line("general.license"),
    )


def _is_base(header: GGUFHeader, name: str) -> bool:
    names = [name, header.name, header.text("general.finetune")]
    return is_base(names, has_template=header.chat_template is not None)


def file_record(path: Path, sha256: str | None) -> ModelFile:
    status = path.stat()
    return ModelFile(path, status.st_size, sha256, status.st_mtime_ns)


def matches_disk(item: ModelFile) -> str:
    """Empty if the file is unchanged since it was verified, else what changed."""
    try:
        status = item.path.stat()
    except FileNotFoundError:
        return f"{item.path} was moved or deleted"
    except OSError as error:
        return f"{item.path} can't be read: {error.strerror}"
    if status.st_size != item.size:
        return f"{item.path} has {status.st_size:,} bytes instead of {item.size:,}"
    if item.mtime_ns is not None and status.st_mtime_ns != item.mtime_ns:
        return f"{item.path} has changed since it was verified"
    return ""
