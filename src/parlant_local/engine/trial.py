"""The process that loads an untrusted file first: what crashes it would have crashed ours.

It does on a small scale what the engine will do with the file: tokenises every kind of text, generates, embeds. It reports one
line of JSON; a crash is a verdict, too. It imports as little as possible, since every new file pays for its start.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import math
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_CELLS = 256
_BATCH = 64
_CHUNK = 2048
_MEAN = 1
_RANK = 4
_SPECIAL_TEXTS = (
    "",
    " ",
    "\n",
    "\0",
    "  a\tb\r\n\n",
    "<|im_start|>user\nHello<|im_end|>",
    "</s><s>",
    "\u00a0\u3000",
    "1234567890 " * 40,
)


def main(spec: dict[str, Any]) -> dict[str, str]:
    _limit_resources(int(spec["memory"]), math.ceil(spec["seconds"]))
    if spec.get("self_test"):
        return _self_test()
    from parlant_local.engine.model import LoadedModel
    from parlant_local.errors import ParlantLocalError

    settings: Any = types.SimpleNamespace(
        verbose=True,
        library="auto",
        n_gpu_layers=spec["n_gpu_layers"],
        use_mmap=True,
        use_mlock=False,
        lora=spec["lora"],
        control_vectors={},  # numbers that were checked: they can't crash it
    )
    try:
        model = LoadedModel(Path(spec["path"]), settings, vocabulary_only=spec["vocabulary_only"], vetting=None)
        _exercise_vocabulary(model)
        if not spec["vocabulary_only"]:
            _exercise_contexts(model, spec)
            if spec.get("projector"):
                _exercise_projector(model, spec)
        model.release()
    except ParlantLocalError as error:
        return {"refused": error.message, "hint": error.hint, "kind": type(error).__name__}
    return {}


def _self_test() -> dict[str, str]:
    """Of the library: no file is tried."""
    from parlant_local.engine.native.llama import library
    from parlant_local.engine.native.selftest import self_test
    from parlant_local.errors import ParlantLocalError

    try:
        difference = self_test(library())
    except ParlantLocalError as error:
        return {"refused": error.message, "hint": error.hint, "kind": type(error).__name__}
    return {"refused": difference, "hint": "", "kind": "ConfigurationError"} if difference else {}


def _limit_resources(memory: int, seconds: int) -> None:
    """No core dumps, a memory limit, and a time limit that holds even when the parent has died."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds + 5)  # the parent's timeout comes first
    else:
        faulthandler.dump_traceback_later(seconds + 5, exit=True)
    with contextlib.suppress(ImportError):  # not on Windows
        resource = import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _exercise_projector(model: Any, spec: dict[str, Any]) -> None:
    """Loads it and has it read a picture and a sound. One that is refused crashes nothing: text goes on without it."""
    import numpy as np

    from parlant_local.engine.media.inputs import Image, Sound
    from parlant_local.engine.media.projector import Projector
    from parlant_local.errors import ParlantLocalError

    with contextlib.suppress(ParlantLocalError):
        projector = Projector(Path(spec["projector"]), model, threads=spec["threads"], gpu=False)
        if projector.sees:
            projector.read(Image(np.zeros((96, 64, 3), np.uint8)), lambda: False)
        if projector.hears:
            projector.read(Sound(np.zeros(projector.sample_rate, np.float32), projector.sample_rate), lambda: False)
        projector.close()


# -- the vocabulary -------------------------------------------------------------------------------------------------------


def _exercise_vocabulary(model: Any) -> None:
    """Every kind of text to tokens, and every token to text: a vocabulary that lacks pieces crashes the process here."""
    from parlant_local.engine.native import library

    for text in _SPECIAL_TEXTS:
        for special in (False, True):
            model.tokenize(text, add_special=special, parse_special=special)
    for text in _character_texts():
        model.tokenize(text, add_special=True, parse_special=True)
    to_piece, vocab, buffer = library().llama_token_to_piece, model.vocab, ctypes.create_string_buffer(64)
    for token in range(model.n_vocab):  # llama.cpp did the same with special tokens shown while loading
        to_piece(vocab, token, buffer, 64, 0, False)
    model.is_control(model.n_vocab - 1)
    _ = (model.metadata, model.chat_template)


def _character_texts() -> Iterator[str]:
    """The basic multilingual plane, and enough of the others to cover every UTF-8 byte."""
    points = [point for point in range(1, 0x10000) if not 0xD800 <= point < 0xE000]
    points += range(0x10000, 0x110000, 0x3F1)
    for begin in range(0, len(points), _CHUNK):
        yield "".join(map(chr, points[begin : begin + _CHUNK]))


# -- the network ----------------------------------------------------------------------------------------------------------


def _exercise_contexts(model: Any, spec: dict[str, Any]) -> None:
    from parlant_local.engine.native import library
    from parlant_local.errors import InvalidModelError

    lib = library()
    last = model.n_vocab - 1
    tokens = [last * step // 16 for step in range(17)]  # includes the first and the last token
    if model.generates and not _generate(lib, model, spec, tokens):
        raise InvalidModelError(f"{model.path.name}: all its logits are NaN or infinite.")
    _embed(lib, model, spec, tokens)


def _generate(lib: Any, model: Any, spec: dict[str, Any], tokens: Sequence[int]) -> bool:
    """Decodes two sequences in one batch, then a token more of each; saves and restores a state. Whether any logit was finite."""
    params = _params(lib, spec)
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = _CELLS, _BATCH, _BATCH, 4
    params.type_k = params.type_v = spec["kv_type"]
    params.kv_unified = spec["unified"]
    params.swa_full = True
    context = _context(lib, model, params)
    batch = lib.llama_batch_init(_BATCH, 0, 1)
    memory = lib.llama_get_memory(context)
    finite = False
    for start, lists in ((0, [tokens, tokens[::-1]]), (len(tokens), [tokens[-1:], tokens[:1]])):
        _fill(batch, start, lists, all_outputs=False)
        _check_status(lib.llama_decode(context, batch), "llama_decode", model)
        row = lib.llama_get_logits_ith(context, -1)
        finite = finite or (bool(row) and any(math.isfinite(row[at]) for at in range(model.n_vocab)))
    if memory:
        size = lib.llama_state_seq_get_size(context, 0)
        state = (ctypes.c_uint8 * size)()
        lib.llama_state_seq_get_data(context, state, size, 0)
        lib.llama_state_seq_set_data(context, state, size, 2)
        lib.llama_memory_seq_cp(memory, 1, 3, -1, -1)
        lib.llama_memory_seq_rm(memory, 1, -1, -1)
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    return finite


def _embed(lib: Any, model: Any, spec: dict[str, Any], tokens: Sequence[int]) -> None:
    params = _params(lib, spec)
    params.n_ctx = params.n_batch = params.n_ubatch = _BATCH
    params.n_seq_max = 4
    params.kv_unified = True
    params.flash_attn_type = spec["flash_embedding"]
    params.embeddings = True
    context = _context(lib, model, params, optional=model.generates)
    if context and model.generates and lib.llama_pooling_type(context) <= 0:
        lib.llama_free(context)
        params.pooling_type = _MEAN
        context = _context(lib, model, params, optional=True)
    if not context:
        return  # a chat model that can't embed reports it on use
    dimensions = model.n_cls_out if lib.llama_pooling_type(context) == _RANK else model.n_embd_out
    run = lib.llama_decode if lib.llama_get_memory(context) else lib.llama_encode
    batch = lib.llama_batch_init(_BATCH, 0, 1)
    _fill(batch, 0, [tokens, tokens[:3]], all_outputs=True)
    _check_status(run(context, batch), "embedding", model)
    for sequence in range(2):
        row = lib.llama_get_embeddings_seq(context, sequence)
        if row:
            sum(row[:dimensions])
    lib.llama_batch_free(batch)
    lib.llama_free(context)


def _params(lib: Any, spec: dict[str, Any]) -> Any:
    params = lib.llama_context_default_params()
    params.n_threads = params.n_threads_batch = spec["threads"]
    params.flash_attn_type = spec["flash"]
    params.rope_freq_base = spec["rope_freq_base"]
    params.rope_freq_scale = spec["rope_freq_scale"]
    params.no_perf = True
    return params


def _context(lib: Any, model: Any, params: Any, *, optional: bool = False) -> Any:
    from parlant_local.engine.native import recent_log
    from parlant_local.errors import ModelLoadError

    context = lib.llama_init_from_model(model.pointer, params)
    if not context and not optional:
        raise ModelLoadError(f"{model.path.name}: llama.cpp refused the context ({recent_log() or 'no reason given'}).")
    if context:
        model.adapt(context)
    return context


def _fill(batch: Any, start: int, lists: Sequence[Sequence[int]], *, all_outputs: bool) -> None:
    at = 0
    for sequence, tokens in enumerate(lists):
        for offset, token in enumerate(tokens):
            batch.token[at], batch.pos[at] = token, start + offset
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            batch.logits[at] = all_outputs or offset == len(tokens) - 1
            at += 1
    batch.n_tokens = at


def _check_status(status: int, what: str, model: Any) -> None:
    from parlant_local.engine.native import recent_log
    from parlant_local.errors import InvalidModelError

    if status != 0:
        raise InvalidModelError(
            f"{model.path.name}: {what} failed with {status} ({recent_log() or 'no reason given'})."
        )


if __name__ == "__main__":
    os.write(1, json.dumps(main(json.loads(sys.argv[1]))).encode() + b"\n")
    os._exit(0)  # skips the library's teardown
