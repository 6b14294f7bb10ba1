"""Text generators of the main families, as :mod:`decoder_families` knows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from parlant_local.conversion.decoder_config import Config
from parlant_local.conversion.decoder_families import FAMILIES, Family
from parlant_local.conversion.gguf_writing import Tensor, Value, write_gguf
from parlant_local.conversion.positions import factor_tensors, position_metadata
from parlant_local.conversion.quantizing import WRITERS
from parlant_local.conversion.safetensors import SafeTensor, open_safetensors
from parlant_local.conversion.vocabularies import Vocabulary, read_vocabulary
from parlant_local.errors import ConfigurationError, InvalidModelError, StateFileError
from parlant_local.storage import read_as, read_json

__all__ = ["FAMILIES", "convert_decoder", "weight_files"]

Floats = npt.NDArray[np.float32]

_MAX_CONFIG = 1 << 20
_MAX_INDEX = 64 << 20
_MAX_FILES = 1000
_FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
_COMPUTED = re.compile(r"rotary_emb\.inv_freq$|\.attention\.masked_bias$")
"""Left out: llama.cpp computes them."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, by its index where there are several. Raises :class:`InvalidModelError`."""
    index = folder / "model.safetensors.index.json"
    try:
        stored = read_json(index, _MAX_INDEX)
    except FileNotFoundError:
        return [folder / "model.safetensors"]
    except StateFileError as error:
        raise InvalidModelError(f"{index.name} can't be used: {error.reason}.") from None
    listed = stored.get("weight_map") if isinstance(stored, dict) else None
    names = sorted({str(each) for each in listed.values()}) if isinstance(listed, dict) else []
    if not names or len(names) > _MAX_FILES or any(Path(each).name != each for each in names):
        raise InvalidModelError(f"{index.name} does not list files of its folder.")
    return [folder / each for each in names]


def convert_decoder(
    folder: Path, target: Path, *, name: str, type: str = "F16", progress: Callable[[int, int], None] | None = None
) -> Vocabulary:
    """Writes ``config.json``, ``tokenizer.json`` and the safetensors of ``folder`` as one GGUF; its matrices are of ``type``.

    A tensor is in memory at a time. ``progress`` gets tensors done, and in all. Returns the vocabulary, to compare with. Raises
    :class:`InvalidModelError`, naming a family or a rule that is not known.
    """
    family, config = _read(folder)
    vocabulary = read_vocabulary(folder, config.vocab_size)
    source = {key: each for path in weight_files(folder) for key, each in open_safetensors(path).items()}
    done, tensors = 0, _tensors(source, config, family, type)

    def counted(data: Callable[[], bytes]) -> Callable[[], bytes]:
        def made() -> bytes:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(tensors))
            return data()

        return made

    counting = {key: Tensor(each.shape, each.type, counted(each.data)) for key, each in tensors.items()}
    write_gguf(target, _metadata(config, family, name, type) | dict(vocabulary.metadata), counting)
    return vocabulary


def _read(folder: Path) -> tuple[Family, Config]:
    """The family is looked at first: the configuration of another one has other fields."""
    path = folder / "config.json"
    try:
        stored = read_json(path, _MAX_CONFIG)
        kinds = stored.get("architectures") if isinstance(stored, dict) else None
        named = [str(each) for each in kinds] if isinstance(kinds, list) else []
        family = next((FAMILIES[each] for each in named if each in FAMILIES), None)
        if family is None:
            raise InvalidModelError(
                f"{folder.name} is {named[0] if named else 'a model'} of a family that is not known.",
                hint=f"Known are {', '.join(FAMILIES)}; llama.cpp's convert_hf_to_gguf.py knows more.",
            )
        return family, read_as(TypeAdapter(Config), path, _MAX_CONFIG)
    except (FileNotFoundError, StateFileError) as error:
        raise InvalidModelError(f"The model in {folder.name} can't be converted: {error}") from None


def _metadata(config: Config, family: Family, name: str, type: str) -> dict[str, Value]:
    arch = family.arch
    metadata: dict[str, Value] = {
        "general.architecture": arch,
        "general.type": "model",
        "general.name": name,
        "general.quantization_version": 2,
        "general.file_type": _FILE_TYPES[type],
        f"{arch}.block_count": config.num_hidden_layers,
        f"{arch}.context_length": config.max_position_embeddings,
        f"{arch}.embedding_length": config.hidden_size,
        f"{arch}.feed_forward_length": config.intermediate_size,
        f"{arch}.attention.head_count": config.num_attention_heads,
        f"{arch}.attention.head_count_kv": config.kv_heads,
        f"{arch}.attention.key_length": config.head,
        f"{arch}.attention.value_length": config.head,
        f"{arch}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        f"{arch}.vocab_size": config.vocab_size,
    }
    return metadata | position_metadata(arch, config, family.theta) | family.metadata(config)


def _tensors(source: Mapping[str, SafeTensor], config: Config, family: Family, type: str) -> dict[str, Tensor]:
    names = _name_map(family.arch, config.num_hidden_layers)
    tensors, tied = factor_tensors(config), family.ties(config)
    for theirs, each in source.items():
        if _COMPUTED.search(theirs) or (theirs == "lm_head.weight" and tied):
            continue
        ours = names(theirs)
        if ours is None or ours in tensors:
            raise InvalidModelError(f"The weight {theirs} has no place in a model of the family {family.arch}.")
        tensors[ours] = _tensor(ours, each, config, family, type)
    wanted = {"token_embd.weight", "output_norm.weight"} | ({"output.weight"} if not tied else set())
    wanted |= {f"blk.{layer}.{family.query}.weight" for layer in range(config.num_hidden_layers)}
    if missing := sorted(wanted - tensors.keys()):
        raise InvalidModelError(f"The weights lack what becomes {missing[0]}.")
    return tensors


def _name_map(arch: str, layers: int) -> Callable[[str], str | None]:
    try:
        import gguf
    except ImportError:
        raise ConfigurationError(
            "Converting needs the packages gguf and tokenizers.", hint='`pip install "parlant-local[workshop]"`'
        ) from None
    known = next(each for each, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    table = gguf.get_tensor_name_map(known, layers)

    def named(theirs: str) -> str | None:
        found = table.get_name(theirs, try_suffixes=(".weight", ".bias"))
        return None if found is None else str(found)

    return named


def _tensor(name: str, each: SafeTensor, config: Config, family: Family, type: str) -> Tensor:
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.kv_heads}.get(name.split(".")[-2])
    chosen = "F32" if len(each.shape) < 2 else type
    if chosen == "Q8_0" and each.shape[-1] % 32:
        chosen = "F16"

    def data() -> bytes:
        values = each.read()
        if family.interleaved and heads is not None:
            values = _interleaved(values, heads)
        if family.norm_offset and name.endswith("norm.weight"):
            values = values + np.float32(family.norm_offset)
        return WRITERS[chosen](np.ascontiguousarray(values))

    return Tensor(each.shape, chosen, data)


def _interleaved(values: Floats, heads: int) -> Floats:
    """Each head's rows: first with first of the second half, second with second, and so on."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)
