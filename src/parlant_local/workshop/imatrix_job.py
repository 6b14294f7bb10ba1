"""Collecting an importance matrix, in the process that does native work: a text is read, and each product with a weight watched.

As llama.cpp's tools/imatrix does it: whole chunks only, each with BOS in its first place where the vocabulary wants one.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parlant_local.engine.context import Batch
from parlant_local.engine.model import LoadedModel
from parlant_local.engine.native import library, recent_log
from parlant_local.engine.native.graph import EvalCallback, GraphReader, Node
from parlant_local.errors import EngineError, InvalidModelError
from parlant_local.settings import EngineSettings
from parlant_local.workshop.imatrix_files import Imatrix, Sums, write_imatrix
from parlant_local.workshop.imatrix_partial import Partial, digest_of_tokens, load_partial, save_partial

__all__ = ["work"]

_F32 = 0
_FEWEST_ROWS = 16
"""Fewer are the last token's alone, and not of the whole text: llama.cpp's own limit."""
_MICRO_BATCH = 512


class _Collector:
    """Sums of squares for each weight, in double precision."""

    def __init__(self, output: bool) -> None:
        self._reader = GraphReader()
        self._output = output
        self.squares: dict[str, npt.NDArray[np.float64]] = {}
        self.counts: dict[str, npt.NDArray[np.float64]] = {}
        self.problem: Exception | None = None
        self.callback = EvalCallback(self._on_node)  # the library keeps its address

    def go_on(self, partial: Partial | None) -> int:
        """Begins with what was collected before, if anything; the chunks that it is of."""
        if partial is None:
            return 0
        self.squares |= partial.squares
        self.counts |= partial.counts
        return partial.chunks

    def _on_node(self, pointer: int, ask: bool, _: int) -> bool:
        try:
            node = self._reader.node(pointer)
            if ask:
                return self._wanted(node)
            self._collect(node)
        except Exception as error:  # a callback can't raise through native code: work() does it
            self.problem = self.problem or error
            return False
        return True

    def _wanted(self, node: Node) -> bool:
        if node.op == self._reader.multiplies_some:
            return True
        if node.op != self._reader.multiplies:
            return False
        inputs, name = node.src[1].contents, _name(node)
        if inputs.ne[1] < _FEWEST_ROWS or inputs.type != _F32:
            return False
        return name.startswith("blk.") or (self._output and name == "output.weight")

    def _collect(self, node: Node) -> None:
        name, weight = _name(node), node.src[0].contents
        inputs = self._reader.values(node.src[1].contents)
        if not np.isfinite(inputs).all():
            raise InvalidModelError(f"What is multiplied with {name} is not finite: the model is damaged.")
        width = inputs.shape[-1]
        if node.op == self._reader.multiplies_some:
            experts = weight.ne[2]
            self._grow(name, experts, width)
            chosen = self._reader.values(node.src[2].contents)[0, 0]
            for (token, place), expert in np.ndenumerate(chosen):
                row = inputs[0, token, place % inputs.shape[2]].astype(np.float64)
                self.squares[name][expert] += row * row
                self.counts[name][expert] += 1
            return
        matrices = weight.ne[2] * weight.ne[3]
        self._grow(name, matrices, width)
        rows = inputs.shape[2]
        for outer, inner in np.ndindex(inputs.shape[:2]):
            matrix = (outer % weight.ne[3]) * weight.ne[2] + inner % weight.ne[2]
            self.squares[name][matrix] += np.square(inputs[outer, inner], dtype=np.float64).sum(axis=0)
            self.counts[name][matrix] += rows

    def _grow(self, name: str, matrices: int, width: int) -> None:
        if name not in self.squares:
            self.squares[name], self.counts[name] = np.zeros((matrices, width)), np.zeros(matrices)


def _name(node: Node) -> str:
    """Of the weight. A copy on a device has prefix and suffix: ``CUDA0#blk.0.attn_k.weight#0``."""
    name: str = node.src[0].contents.name.decode("utf-8", "replace")
    return name.split("#")[1] if "#" in name else name


def work(
    report: Callable[[int, int, str], None],
    *,
    source: str,
    target: str,
    tokens: Sequence[int],
    chunk_size: int,
    dataset: str,
    threads: int,
    gpu_layers: int,
    output: bool,
    partial: str,
    key: str,
    save_seconds: float,
) -> dict[str, Any]:
    """``partial``: where sums are kept meanwhile, under ``key``, at most each ``save_seconds``; another run goes on from there."""
    settings = EngineSettings(n_gpu_layers=gpu_layers)  # of the model alone: no adapters
    model = LoadedModel(Path(source), settings, vetting=None)
    collector = _Collector(output)
    context = _context(model, chunk_size, threads, collector)
    batch = Batch(chunk_size)
    lib: Any = library()
    chunks = len(tokens) // chunk_size
    first = collector.go_on(load_partial(Path(partial), key, tokens, chunk_size))
    saved = time.monotonic()
    for chunk in range(first, chunks):
        part = list(tokens[chunk * chunk_size : (chunk + 1) * chunk_size])
        if model.add_bos and model.bos >= 0:
            part[0] = model.bos
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        batch.clear()
        batch.add(0, part, 0, output_last=True)
        batch.outputs[:] = 1  # the last layer computes only what is asked for
        batch.struct.n_tokens = batch.size
        status = lib.llama_decode(context, batch.struct)
        if collector.problem is not None:
            raise collector.problem
        if status != 0:
            raise EngineError(f"llama_decode failed with {status}: {recent_log() or 'no reason given'}.")
        if time.monotonic() - saved >= save_seconds and chunk + 1 < chunks:
            read = digest_of_tokens(tokens[: (chunk + 1) * chunk_size])
            save_partial(Path(partial), key, read, Partial(chunk + 1, collector.squares, collector.counts))
            saved = time.monotonic()
        report(chunk + 1, chunks, "Reading with")
    sums = {
        name: Sums(squares.astype(np.float32), collector.counts[name].astype(np.float32))
        for name, squares in collector.squares.items()
    }
    if not sums:
        raise EngineError(f"{Path(source).name} has no weights that an importance matrix is for.")
    write_imatrix(Path(target), Imatrix(sums, [dataset], chunks, chunk_size))
    return {"entries": len(sums), "chunks": chunks, "resumed": first}


def _context(model: LoadedModel, size: int, threads: int, collector: _Collector) -> Any:
    lib: Any = library()
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = size
    params.n_ubatch = min(size, _MICRO_BATCH)
    params.n_threads = params.n_threads_batch = threads
    params.n_seq_max = 1
    params.no_perf = True
    params.cb_eval = ctypes.cast(collector.callback, ctypes.c_void_p)
    context = lib.llama_init_from_model(model.pointer, params)
    if not context:
        raise EngineError(f"{model.path.name}: llama.cpp refused the context ({recent_log() or 'no reason given'}).")
    return context
