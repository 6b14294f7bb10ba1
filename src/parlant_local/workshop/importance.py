"""Makes an importance matrix: which columns of each weight matter for texts like these."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlant_local.backends.llama_cpp.vocabulary import open_vocabulary
from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.disk import check_space
from parlant_local.cores import usable_cores
from parlant_local.errors import BadRequestError, CatalogError, JobCancelledError
from parlant_local.gguf_info import read_file_header, read_header
from parlant_local.messages import as_messages, as_tools
from parlant_local.paths import user_path
from parlant_local.storage import publish, scratch_folder, sweep
from parlant_local.workshop.child import run_child
from parlant_local.workshop.control import Control
from parlant_local.workshop.imatrix_partial import partial_file
from parlant_local.workshop.products import check_free, material

__all__ = ["MadeImatrix", "conversations_in", "imatrix"]

_SMALLEST_CHUNK = 16
_SAVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MadeImatrix:
    path: Path
    entries: int
    """Weights that it has sums for."""
    chunks: int
    resumed: int = 0
    """Chunks that an interrupted run had read before."""


def imatrix(
    model: str | Path,
    *,
    text: str | None = None,
    conversations: Sequence[Any] | None = None,
    dataset: str = "",
    chunk_size: int = 512,
    max_chunks: int | None = None,
    process_output: bool = False,
    threads: int | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> MadeImatrix:
    """Has ``model`` read ``text``, or ``conversations`` in its own chat template, and writes what :func:`quantize` takes.

    ``conversations``: each a list of messages, or an object with ``messages`` and ``tools``. The text is cut into chunks of
    ``chunk_size`` tokens; a rest is left out. ``dataset``: what the file says that it was made of. ``process_output``: the output
    matrix as well. ``output``: the file, ``MODEL.imatrix.gguf`` in the current folder otherwise. What was read of a long text is
    kept beside it meanwhile: the same call goes on from there after an interruption.

    Raises :class:`BadRequestError` for a text shorter than one chunk, :class:`InvalidModelError` for a model that crashes on it.
    """
    if (text is None) == (conversations is None):
        raise BadRequestError("An importance matrix is made of a text, or of conversations.")
    if chunk_size < _SMALLEST_CHUNK:
        raise BadRequestError(f"A chunk has at least {_SMALLEST_CHUNK} tokens.")
    manager, control = manager or LocalModelManager(), control or Control()
    with material(manager, model, control) as source:
        target = user_path(output or f"{source.title}.imatrix.gguf").absolute()
        check_free(target, options="--output")
        partial = partial_file(target)
        header = read_header(source.paths[0])
        if header.is_embedding or header.is_encoder:
            raise BadRequestError(f"{source.title} makes no text; its importance matrix can't be collected here.")
        tokens = _tokens(manager, source.paths[0], text, conversations)
        chunks = len(tokens) // chunk_size
        if not chunks:
            raise BadRequestError(
                f"The text has {len(tokens):,} tokens, fewer than one chunk of {chunk_size:,}.",
                hint="Use a longer one, or smaller chunks.",
            )
        tokens = tokens[: chunk_size * min(chunks, max_chunks or chunks)]
        check_space(target.parent, 4 * sum(2 * each.shape[0] for each in header.tensors if each.shape), "The matrix")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent)
            with scratch_folder(target) as folder:
                spec = {
                    "source": str(source.paths[0]),
                    "target": str(folder / target.name),
                    "tokens": tokens,
                    "chunk_size": chunk_size,
                    "dataset": dataset or "a text",
                    "threads": threads or usable_cores(),
                    "gpu_layers": manager.settings.engine.n_gpu_layers,
                    "output": process_output,
                    "partial": str(partial),
                    "key": repr((*source.digests, chunk_size, process_output)),
                    "save_seconds": _SAVE_SECONDS,
                }
                told = run_child(
                    "imatrix", spec, library=manager.settings.engine.library, file=source.title, control=control
                )
                read_file_header(folder / target.name)
                publish(folder / target.name, target)
                partial.unlink(missing_ok=True)
        except JobCancelledError:
            if partial.exists():
                raise JobCancelledError(
                    f"The job was cancelled; what it has read is kept in {partial.name}.",
                    hint="The same call goes on from there.",
                ) from None
            raise
        except OSError as error:
            raise CatalogError(f"{target} can't be written: {error.strerror or error}.") from None
    return MadeImatrix(target, int(told["entries"]), int(told["chunks"]), int(told["resumed"]))


def conversations_in(lines: str) -> list[Any]:
    """Of JSON Lines: on each a list of messages, or an object with ``messages``. Raises :class:`BadRequestError`."""
    found = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise BadRequestError(f"Line {number} is not JSON: {error}.") from None
    return found


def _tokens(manager: LocalModelManager, path: Path, text: str | None, conversations: Sequence[Any] | None) -> list[int]:
    vocabulary, encoder = open_vocabulary(str(path), manager.settings)
    try:
        if text is not None:
            return vocabulary.tokenize(text, add_special=True)

        async def rendered() -> list[int]:
            found: list[int] = []
            for conversation in conversations or ():
                messages, tools = _parts(conversation)
                prompt = await encoder.chat(as_messages(messages), as_tools(tools), add_generation_prompt=False)
                found += (await encoder.encode(prompt)).tokens
            return found

        return asyncio.run(rendered())
    finally:
        vocabulary.release()


def _parts(conversation: Any) -> tuple[Any, Any]:
    if isinstance(conversation, dict) and "messages" in conversation:
        return conversation["messages"], conversation.get("tools")
    if not isinstance(conversation, list):
        raise BadRequestError("A conversation is a list of messages, or an object with one under `messages`.")
    return conversation, None
