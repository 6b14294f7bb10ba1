"""The vocabulary of a decoder's ``tokenizer.json``: BPE over bytes, or over characters with bytes to fall back on (SentencePiece)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlant_local.conversion.gguf_writing import Value
from parlant_local.conversion.pretokenizers import CHECK_TEXT, pretokenizer_named
from parlant_local.errors import ConfigurationError, InvalidModelError, StateFileError
from parlant_local.storage import read_json, read_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Vocabulary", "read_vocabulary"]

_MAX_BYTES = 256 << 20
_MAX_TEMPLATE = 4 << 20
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_SPECIALS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
"""Keys of ``tokenizer_config.json``, and the part of GGUF's."""
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<pad>|<mask>|<2mass>|\[@BOS@\]|<unused\d+>", re.DOTALL)
"""Control tokens that files (Gemma's among them) say are none; in a user's text they are text."""
_UNMERGED = -1e6  # the score of a piece that no merge makes


@dataclass(frozen=True, slots=True)
class Vocabulary:
    metadata: Mapping[str, Value]
    tokenizer: Tokenizer

    def encode(self, text: str) -> list[int]:
        """The tokens that the original makes of a text, without those that it adds; to compare with."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def words(self, most: int) -> list[str]:
        """The texts of up to ``most`` ordinary tokens, from all over the vocabulary."""
        types = self.metadata["tokenizer.ggml.token_type"]
        assert isinstance(types, list)
        ordinary = [number for number, kind in enumerate(types) if kind == _NORMAL]
        texts = (self.tokenizer.decode([number]) for number in ordinary[:: max(1, len(ordinary) // most)])
        return [text for text in texts if text and "\N{REPLACEMENT CHARACTER}" not in text]  # part of a letter


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """Of ``size`` tokens, as many as the embeddings have rows. Raises :class:`InvalidModelError`, :class:`ConfigurationError`."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigurationError(
            "Converting needs the packages gguf and tokenizers.", hint='`pip install "parlant-local[workshop]"`'
        ) from None
    path = folder / "tokenizer.json"
    try:
        stored = read_json(path, _MAX_BYTES)
        tokenizer = Tokenizer.from_file(str(path))
    except FileNotFoundError:
        raise InvalidModelError(
            f"{folder.name} has no tokenizer.json.", hint="Files of SentencePiece (tokenizer.model) alone are not read."
        ) from None
    except Exception as error:  # tokenizers raises plain Exceptions of its own
        raise InvalidModelError(f"The tokenizer.json of {folder.name} can't be read: {error}.") from None
    model = stored.get("model") if isinstance(stored, dict) else None
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else None
        raise InvalidModelError(f"The tokenizer of {folder.name} is {kind!r}; BPE is known.")
    tokens, types = _tokens(stored, tokenizer, size)
    merges = _merges(model)
    metadata: dict[str, Value] = {
        **(_pieces(stored, tokens, types, merges) if model.get("byte_fallback") else _bytes(stored, tokenizer, merges)),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        **_added(folder, tokenizer, tokens),
    }
    return Vocabulary(metadata, tokenizer)


def _tokens(stored: Mapping[str, Any], tokenizer: Tokenizer, size: int) -> tuple[list[str], list[int]]:
    known = {number: text for text, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    if known and max(known) >= size:
        raise InvalidModelError(f"The tokenizer has a token {max(known):,}; the model's embeddings have {size:,} rows.")
    added = {int(each["id"]): each for each in stored.get("added_tokens") or ()}
    tokens, types = [], []
    for number in range(size):
        text = known.get(number)
        if text is None:
            tokens.append(f"[PAD{number}]")
            types.append(_UNUSED)
        elif (item := added.get(number)) is not None:
            special = item.get("special") or _LOOKS_SPECIAL.fullmatch(text)
            tokens.append(text)
            types.append(_CONTROL if special else _USER_DEFINED)
        else:
            tokens.append(text)
            types.append(_NORMAL)
    if len(set(tokens)) != size:
        raise InvalidModelError("The tokenizer has two tokens of the same text.")
    return tokens, types


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for each in model.get("merges") or ():
        left, right = each.split(" ", 1) if isinstance(each, str) else each
        found.append((left, right))
    return found


def _bytes(stored: Mapping[str, Any], tokenizer: Tokenizer, merges: list[tuple[str, str]]) -> dict[str, Value]:
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pretokenizer_named(tokenizer.encode(CHECK_TEXT).ids, stored.get("pre_tokenizer")),
        "tokenizer.ggml.merges": [f"{left} {right}" for left, right in merges],
    }


def _pieces(
    stored: Mapping[str, Any], tokens: list[str], types: list[int], merges: list[tuple[str, str]]
) -> dict[str, Value]:
    """SentencePiece joins the pair with the best score: that of the piece it makes. The earlier the merge, the better."""
    rank: dict[str, int] = {}
    for at, (left, right) in enumerate(merges):
        rank.setdefault(left + right, at)
    scores = []
    for number, text in enumerate(tokens):
        if types[number] == _NORMAL and text.startswith("<0x") and len(text) == 6:
            types[number] = _BYTE
        elif types[number] == _USER_DEFINED:
            tokens[number] = text.replace("\u2581", " ")  # llama.cpp looks for them before it marks spaces
        scores.append(-float(rank[text]) if text in rank else _UNMERGED)
    if (unknown := stored["model"].get("unk_token")) in tokens:
        types[tokens.index(unknown)] = _UNKNOWN
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.add_space_prefix": _prefixes_space(stored),
    }


def _prefixes_space(stored: Mapping[str, Any]) -> bool:
    """Whether a text gets a space before it, by either of the ways in which files say so."""
    normalizer, rule = str(stored.get("normalizer")), stored.get("pre_tokenizer")
    if isinstance(rule, dict) and rule.get("type") == "Metaspace":
        return bool(rule.get("prepend_scheme", "always") != "never")
    return "'Prepend'" in normalizer


def _added(folder: Path, tokenizer: Tokenizer, tokens: list[str]) -> dict[str, Value]:
    """Special tokens, whether they are added to a text, and the chat template."""
    config = _json(folder / "tokenizer_config.json")
    metadata: dict[str, Value] = {}
    for key, name in _SPECIALS.items():
        said = config.get(key)
        text = said.get("content") if isinstance(said, dict) else said
        if isinstance(text, str) and (number := tokenizer.token_to_id(text)) is not None:
            metadata[f"tokenizer.ggml.{name}_token_id"] = number
    general = _json(folder / "config.json")
    for key, name in (("bos_token_id", "bos"), ("eos_token_id", "eos")):
        number = general.get(key)
        number = number[0] if isinstance(number, list) and number else number
        if isinstance(number, int) and 0 <= number < len(tokens):
            metadata.setdefault(f"tokenizer.ggml.{name}_token_id", number)
    around = tokenizer.encode("a").ids
    for name, at in (("bos", 0), ("eos", -1)):
        end = metadata.get(f"tokenizer.ggml.{name}_token_id")
        metadata[f"tokenizer.ggml.add_{name}_token"] = end is not None and around[at] == end
    if template := _template(folder, config):
        metadata["tokenizer.chat_template"] = template
    return metadata


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    try:
        return read_text(folder / "chat_template.jinja", _MAX_TEMPLATE)
    except FileNotFoundError:
        pass
    said = config.get("chat_template")
    if isinstance(said, list):
        named = {each.get("name"): each.get("template") for each in said if isinstance(each, dict)}
        said = named.get("default")
    return said if isinstance(said, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path, _MAX_BYTES)
    except FileNotFoundError:
        return {}
    except StateFileError as error:
        raise InvalidModelError(f"{path.name} can't be used: {error.reason}.") from None
    return found if isinstance(found, dict) else {}
