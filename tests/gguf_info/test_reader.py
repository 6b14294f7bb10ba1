"""Reading headers: what is there, and what is refused."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import Elided, read_header, shard_names, shard_number
from parlant_local.gguf_info.types import TENSOR_TYPES

_parts = sys.modules.get("gguf_parts")
if _parts is None:
    _spec = importlib.util.spec_from_file_location("gguf_parts", Path(__file__).parent / "conftest.py")
    assert _spec is not None
    assert _spec.loader is not None
    _parts = importlib.util.module_from_spec(_spec)
    sys.modules["gguf_parts"] = _parts
    _spec.loader.exec_module(_parts)
gguf_bytes, key, tensor, text = _parts.gguf_bytes, _parts.key, _parts.tensor, _parts.text

Write = Callable[[bytes], Path]


@pytest.mark.parametrize(
    ("file", "architecture", "tokens", "context"),
    [
        ("ggml-vocab-llama-bpe.gguf", "llama", 128256, 8192),
        ("ggml-vocab-qwen2.gguf", "qwen2", 151936, 32768),
        ("ggml-vocab-phi-3.gguf", "phi3", 32064, 4096),
        ("ggml-vocab-bert-bge.gguf", "bert", 30522, 512),
    ],
)
def test_headers_of_real_files_say_what_the_gguf_package_says(
    vocabularies: Path, file: str, architecture: str, tokens: int, context: int
) -> None:
    header = read_header(vocabularies / file)
    assert (header.architecture, header.vocabulary_size, header.context_length) == (architecture, tokens, context)
    assert header.kind == "vocab"
    if tokens < 40_000:  # the package takes half a minute for the others
        theirs = gguf.GGUFReader(vocabularies / file)
        assert set(header.metadata) == {name for name in theirs.fields if not name.startswith("GGUF.")}


def test_a_written_model_reads_back_with_tensors_sizes_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("Qwen Test")
    writer.add_context_length(4096)
    writer.add_head_count_kv([2, 0, 2])
    writer.add_head_count(8)
    writer.add_file_type(15)
    writer.add_chat_template("{{ messages }}")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(5000)])
    writer.add_tensor("a.weight", np.ones((4, 64), dtype=np.float32))
    writer.add_tensor("b.weight", np.zeros((2, 144), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(path)
    assert header.name == "Qwen Test"
    assert header.quantization == "Q4_K_M"
    assert header.head_count_kv == (2, 0, 2)
    assert header.vocabulary_size == 5000
    assert header.metadata["tokenizer.ggml.tokens"] == Elided("array", 5000)
    assert header.parameter_count == 4 * 64 + 2 * 256
    assert header.weights_bytes == 4 * 64 * 4 + 2 * 144
    assert header.chat_template == "{{ messages }}"
    assert header.kind == "model"


def test_the_table_of_tensor_types_is_the_librarys() -> None:
    """A wrong block size would let a hostile tensor past the end of a file."""
    import ctypes

    import llama_cpp

    folder = Path(llama_cpp.__file__).parent / "lib"
    found = [*folder.glob("libggml-base.so"), *folder.glob("libggml-base.dylib")]
    if not found:
        pytest.skip("llama.cpp's library is elsewhere in this build")
    library = ctypes.CDLL(str(found[0]))
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_name.restype = ctypes.c_char_p
    for number, (name, block, size) in TENSOR_TYPES.items():
        assert library.ggml_type_name(number).decode().upper() == name.upper()
        assert (library.ggml_blck_size(number), library.ggml_type_size(number)) == (block, size)


HOSTILE = {
    "another magic": gguf_bytes(magic=b"GGML"),
    "version one": gguf_bytes(version=1),
    "big-endian": gguf_bytes(version=0x03000000),
    "empty": b"",
    "only a magic": b"GGUF",
    "2^60 keys": gguf_bytes(n_keys=1 << 60),
    "2^63 tensors": gguf_bytes(n_tensors=1 << 63),
    "more keys than there are": gguf_bytes(n_keys=3),
    "a string of 2^60 bytes": gguf_bytes([key("general.name", 8, struct.pack("<Q", 1 << 60) + b"x")]),
    "a key of 2^40 bytes": gguf_bytes([struct.pack("<Q", 1 << 40) + b"k"]),
    "an array of 2^60 strings": gguf_bytes([key("a", 9, struct.pack("<IQ", 8, 1 << 60))]),
    "an array of 2^60 numbers": gguf_bytes([key("a", 9, struct.pack("<IQ", 4, 1 << 60))]),
    "an array of arrays": gguf_bytes([key("a", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 9, 1))]),
    "strings longer than the file in an array": gguf_bytes(
        [key("a", 9, struct.pack("<IQ", 8, 300) + (struct.pack("<Q", 1 << 50) + b"x" * 8) * 300)]
    ),
    "a value of an unknown type": gguf_bytes([key("a", 77, b"1234")]),
    "a key twice": gguf_bytes([key("a", 4, b"1234"), key("a", 4, b"1234")]),
    "an alignment that is no power of two": gguf_bytes([key("general.alignment", 4, struct.pack("<I", 24))]),
    "an alignment of zero": gguf_bytes([key("general.alignment", 4, struct.pack("<I", 0))]),
    "a tensor past the end": gguf_bytes(tensors=[tensor("t", (1024,))], data=b"\0" * 4000),
    "a tensor with an offset past the end": gguf_bytes(tensors=[tensor("t", (8,), offset=1 << 40)], data=b"\0" * 64),
    "a tensor whose size overflows": gguf_bytes(tensors=[tensor("t", (1 << 40, 1 << 40))], data=b"\0" * 64),
    "a tensor with 2^30 dimensions": gguf_bytes(tensors=[text("t") + struct.pack("<I", 1 << 30)], data=b"\0" * 64),
    "a tensor of an unknown type": gguf_bytes(tensors=[tensor("t", (8,), 99)], data=b"\0" * 64),
    "a tensor of a removed type": gguf_bytes(tensors=[tensor("t", (32,), 4)], data=b"\0" * 64),
    "a tensor that is not aligned": gguf_bytes(tensors=[tensor("t", (8,), offset=7)], data=b"\0" * 64),
    "rows that are no whole blocks": gguf_bytes(tensors=[tensor("t", (100,), 12)], data=b"\0" * 640),
    "a tensor twice": gguf_bytes(tensors=[tensor("t", (8,)), tensor("t", (8,))], data=b"\0" * 64),
    "a tensor name of 200 bytes": gguf_bytes(tensors=[tensor("t" * 200, (8,))], data=b"\0" * 64),
    "a web page": b"<!DOCTYPE html><html><body>Not found</body></html>" * 10,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_at_once_with_flat_memory(write: Write, what: str) -> None:
    path = write(HOSTILE[what])
    tracemalloc.start()
    with pytest.raises(InvalidModelError) as caught:
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(path) in caught.value.message
    assert peak < 4 << 20


@pytest.mark.timeout(30)
def test_absurd_counts_in_a_huge_sparse_file_are_refused_at_once(tmp_path: Path) -> None:
    """A file large enough to hold what it announces must not make the reader walk it."""
    path = tmp_path / "sparse.gguf"
    content = gguf_bytes([key("a", 9, struct.pack("<IQ", 8, 1 << 28))], n_tensors=1 << 26)
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(10 << 30)
    with pytest.raises(InvalidModelError):
        read_header(path)


def test_reading_a_10_gb_file_touches_its_header_only(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    path.write_bytes(gguf_bytes(tensors=[tensor("t", (1 << 30,), 0)]))
    with path.open("r+b") as file:
        file.truncate(10 << 30)
    header = read_header(path)
    assert header.weights_bytes == 4 << 30
    assert header.bytes_read < 1 << 20


_VALID = gguf_bytes(
    [
        key("general.name", 8, text("x")),
        key("llama.context_length", 4, struct.pack("<I", 64)),
        key("a", 9, struct.pack("<IQ", 8, 300) + text("token") * 300),
        key("b", 9, struct.pack("<IQ", 5, 3) + struct.pack("<3i", 1, 2, 3)),
    ],
    [tensor("t", (64, 2)), tensor("u", (256,), 12, 512)],
    b"\0" * 1024,
)


@settings(max_examples=250, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutations_of_a_valid_file_are_read_or_refused_never_anything_else(write: Write, data: st.DataObject) -> None:
    content = bytearray(_VALID)
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["byte", "word", "cut", "insert"]))
        if not content:
            break
        at = data.draw(st.integers(0, max(len(content) - 9, 0)))
        if kind == "byte":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "word":
            content[at : at + 8] = struct.pack("<Q", data.draw(st.integers(0, (1 << 64) - 1)))
        elif kind == "cut":
            del content[at:]
        else:
            content[at:at] = data.draw(st.binary(max_size=20))
    path = write(bytes(content))
    try:
        header = read_header(path)
    except InvalidModelError:
        return
    end = header.header_bytes + max((item.offset + item.nbytes for item in header.tensors), default=0)
    assert not header.tensors or end <= len(content)
    # Whatever the values became, asking for them is safe.
    for name in ("parameter_count", "quantization", "context_length", "head_count_kv", "pooling", "split", "kind"):
        getattr(header, name)


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_noise_after_the_magic_is_read_or_refused(write: Write, noise: bytes) -> None:
    with contextlib.suppress(InvalidModelError):
        read_header(write(b"GGUF\3\0\0\0" + noise))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(InvalidModelError, match="It is not a regular file"):
            read_header(path)


def test_shards_are_recognised_by_exact_names_only() -> None:
    assert shard_number("m-00002-of-00003.gguf") == (2, 3)
    for name in ("best-of-breed.gguf", "m-2-of-3.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf"):
        assert shard_number(name) is None
        assert shard_names(name) == (name,)
    assert shard_names("m-00003-of-00003.gguf")[0] == "m-00001-of-00003.gguf"


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(_VALID)
    with pytest.raises(InvalidModelError, match=r"m-00002-of-00002\.gguf"):
        read_header(tmp_path / "m-00001-of-00002.gguf")


def test_a_file_with_a_shards_name_that_is_not_one_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"m-{number:05d}-of-00002.gguf").write_bytes(_VALID)
    with pytest.raises(InvalidModelError, match="not shard 1 of 2"):
        read_header(tmp_path / "m-00001-of-00002.gguf")
