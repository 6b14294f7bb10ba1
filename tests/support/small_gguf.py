"""Small, valid GGUF files, written with the `gguf` package."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def write_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    name: str = "Tiny Test",
    payload: int = 4096,
    file_type: int | None = None,
    shard: tuple[int, int] | None = None,
    pooling: int | None = None,
    seed: int = 0,
    extra: dict[str, int | str] | None = None,
    template: str | None = TEMPLATE,
) -> Path:
    """A model that reads well but says nothing: one tensor of ``payload`` random bytes. ``shard`` counts from 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    if shard is None or shard[0] == 0:
        writer.add_name(name)
        writer.add_context_length(2048)
        writer.add_embedding_length(64)
        writer.add_block_count(2 if shard is None else shard[1])
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_feed_forward_length(128)
        if file_type is not None:
            writer.add_file_type(file_type)
        if pooling is not None:
            writer.add_uint32(f"{architecture}.pooling_type", pooling)
        for key, value in (extra or {}).items():
            (writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
        if template:
            writer.add_chat_template(template)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"t{i}" for i in range(300)])
    tensor = "payload.weight"
    if shard is not None:
        writer.add_uint16("split.no", shard[0])
        writer.add_uint16("split.count", shard[1])
        writer.add_int32("split.tensors.count", shard[1])
        tensor = f"blk.{shard[0]}.weight"
    data = np.random.default_rng(seed).integers(0, 256, size=payload // 2 * 2, dtype=np.uint8)
    writer.add_tensor(tensor, data.view(np.float16), raw_dtype=gguf.GGMLQuantizationType.F16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_split(folder: Path, stem: str, count: int = 3, payload: int = 4096, **options: object) -> list[Path]:
    return [
        write_gguf(
            folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf",
            shard=(number, count),
            payload=payload,
            seed=number + 1,
            **options,  # type: ignore[arg-type]
        )
        for number in range(count)
    ]
