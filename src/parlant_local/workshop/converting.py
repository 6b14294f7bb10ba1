"""Converts models as their makers publish them, safetensors in a folder or on the hub, to GGUF."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.catalog.references import HubReference, looks_like_path, parse_reference
from parlant_local.catalog.sources.huggingface import Hub
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.conversion import convert_bert, convert_decoder
from parlant_local.conversion.decoders import weight_files
from parlant_local.conversion.pretokenizers import CHECK_TEXT
from parlant_local.conversion.vocabularies import Vocabulary
from parlant_local.engine import LoadedModel
from parlant_local.engine.vetting import Vetting, verdicts_file
from parlant_local.errors import BadRequestError, InvalidModelError, ModelNotFoundError
from parlant_local.paths import is_dir, user_path
from parlant_local.storage import read_json
from parlant_local.workshop.control import Control
from parlant_local.workshop.products import Material, hashed, produce, product_file

__all__ = ["CONVERSIONS", "convert"]

CONVERSIONS = ("F16", "BF16", "Q8_0", "F32")
"""What matrices are written as; vectors are always F32."""
_WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "chat_template.jinja")
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
    """The model in the folder ``source``, or of that name on the hub, as one GGUF of the catalogue.

    Llama, Mistral, Qwen 2 and 3, and BERT's sentence encoders, with a ``tokenizer.json``. llama.cpp's tokens of several texts are
    compared with the original tokenizer's before the product is kept. Raises :class:`InvalidModelError` naming a family or a
    pre-tokenizer that is not known, :class:`BadRequestError`, the errors of downloads.
    """
    manager, control = manager or LocalModelManager(), control or Control()
    chosen = type.upper()
    if chosen not in CONVERSIONS:
        raise BadRequestError(f"{type!r} is not a type to convert to.", hint=f"Known: {', '.join(CONVERSIONS)}.")
    folder, title, said = _folder(str(source), manager)
    files = weight_files(folder)
    if missing := next((each for each in files if not each.is_file()), None):
        raise InvalidModelError(f"There is no {missing.name} in {folder}.", hint="Weights are read from safetensors.")
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
        source=Material(said, tuple(files), digests, title),
        options={"type": chosen},
        # F32 from BF16 is twice as large, and a vocabulary is added.
        size=(2 if chosen == "F32" else 1) * sum(each.stat().st_size for each in files) + (64 << 20),
        write=write,
    )


def _folder(source: str, manager: LocalModelManager) -> tuple[Path, str, str]:
    """Where the files are, the model's name, and what is said of where it came from."""
    place = user_path(source).absolute()
    if is_dir(place):
        return place, place.name, str(place)
    if looks_like_path(source):
        raise ModelNotFoundError(f"There is no folder {place}.")
    reference = parse_reference(source)
    if not isinstance(reference, HubReference):
        raise BadRequestError(
            f"{source} is neither a folder nor a repository of the hub.", hint="Such as ./my-model or Qwen/Qwen3-0.6B."
        )
    return _downloaded(reference, manager), reference.repo.rpartition("/")[2], str(reference)


def _downloaded(reference: HubReference, manager: LocalModelManager) -> Path:
    """Kept in the hub's cache, where an interrupted download is resumed."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub = Hub(SourceContext(manager.models_dir, manager.hub_cache, manager.settings, manager.logger, Event()))

    def fetched() -> str:
        return hub.api.snapshot_download(
            reference.repo,
            revision=reference.revision,
            cache_dir=manager.hub_cache,
            allow_patterns=list(_WANTED),
            local_files_only=manager.offline,
        )

    try:
        return Path(fetched() if manager.offline else hub.ask(reference, fetched))
    except LocalEntryNotFoundError:
        raise ModelNotFoundError(
            f"{reference} is not in the hub's cache here.", hint="Without --offline it is downloaded."
        ) from None


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
