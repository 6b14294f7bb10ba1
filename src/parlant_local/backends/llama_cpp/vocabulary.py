"""A model's vocabulary without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlant_local.paths import user_path

if TYPE_CHECKING:
    from parlant_local.backends.llama_cpp.prompts import PromptEncoder
    from parlant_local.engine import LoadedModel
    from parlant_local.settings import Settings

__all__ = ["open_vocabulary"]


def open_vocabulary(
    reference: str, settings: Settings, chat_format: str | None = None
) -> tuple[LoadedModel, PromptEncoder]:
    """A model's vocabulary and template without its weights: fast, and possible for files that hold no weights at all.

    The caller releases the model.
    """
    from parlant_local.backends.llama_cpp.prompts import PromptEncoder
    from parlant_local.catalog import LocalModelManager
    from parlant_local.engine import LoadedModel
    from parlant_local.engine.templates import ChatTemplate
    from parlant_local.engine.vetting import Vetting, verdicts_file

    path, vouched = user_path(reference), False
    if not path.is_file():
        manager = LocalModelManager(settings=settings)
        record = manager.resolve_adapted(reference).record  # adapters change no vocabulary
        assert record.path is not None
        path, vouched = record.path, record.vouched
    vetting = Vetting(vouched, verdicts_file(settings.home))
    model = LoadedModel(path, settings.engine, vocabulary_only=True, vetting=vetting)
    metadata = dict(model.metadata)
    if model.chat_template:
        metadata["tokenizer.chat_template"] = model.chat_template
    template = ChatTemplate.of_model(
        metadata, bos=model.bos_text, eos=model.eos_text, chat_format=chat_format, knows=model.knows
    )
    return model, PromptEncoder(template, model)
