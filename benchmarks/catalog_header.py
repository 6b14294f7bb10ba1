"""Reading the header of a large model, and listing many models.

    python benchmarks/catalog_header.py [--gb 10] [--models 1000]

The file is sparse, with the metadata of a real vocabulary (128,256 tokens and their merges) and a real model's count of
tensors. ``gguf.GGUFReader`` is the reference implementation's reader.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np

from parlant_local import LocalModelManager
from parlant_local.gguf_info import read_header
from parlant_local.observability import NullLogger

VOCABULARY = 128_256
TENSORS = 290


def write_large(path: Path, size: int) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(131072)
    writer.add_head_count(32)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{i}" for i in range(VOCABULARY)])
    writer.add_token_types([1] * VOCABULARY)
    writer.add_token_merges([f"tok{i} en{i}" for i in range(280_000)])
    each = size // TENSORS // 4096 * 4096
    for number in range(TENSORS):
        writer.add_tensor_info(f"blk.{number}.weight", (each // 4,), np.dtype(np.float32), each)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, path.stat().st_size + each * TENSORS + 4096)


def timed(work: object, rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=10)
    parser.add_argument("--models", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.gguf"
        write_large(path, int(options.gb * 1e9))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        header = read_header(path)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        seconds = timed(lambda: read_header(path), 5)
        print(
            f"header of {path.stat().st_size / 1e9:.1f} GB ({len(header.tensors)} tensors, {header.vocabulary_size:,} tokens): "
            f"{seconds * 1000:.1f} ms, {header.bytes_read / 1e6:.1f} MB read, {grown} KiB more memory at its peak"
        )
        theirs = timed(lambda: gguf.GGUFReader(path), 1)
        print(f"gguf.GGUFReader: {theirs * 1000:.0f} ms ({theirs / seconds:.0f} times as long)")

        small = Path(folder) / "small.gguf"
        writer = gguf.GGUFWriter(small, "llama")
        writer.add_tensor("t", np.zeros(64, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        manager = LocalModelManager(NullLogger(), Path(folder) / "models")
        model = asyncio.run(manager.register_model(small))
        for number in range(options.models - 1):
            manager._index.write(model.having(id=f"local/llama/copy-{number}"))
        first = timed(lambda: LocalModelManager(NullLogger(), manager.models_dir).list_models(), 5)
        again = timed(manager.list_models, 5)
        print(f"listing {options.models} models: {first * 1000:.0f} ms with a new manager, {again * 1000:.0f} ms again")


if __name__ == "__main__":
    main()
