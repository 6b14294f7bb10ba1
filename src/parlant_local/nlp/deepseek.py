"""DeepSeek models in this process: R1 and its distillations on Llama and Qwen bodies, V2 and V3, Coder."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from typing_extensions import override

from parlant_local.catalog import LocalModelManager, ModelType
from parlant_local.errors import ConfigurationError, ModelNotFoundError
from parlant_local.nlp.collaborators import Collaborators
from parlant_local.nlp.llama import LlamaService
from parlant_local.profiles import profile_of
from parlant_local.settings import Settings

__all__ = ["DeepSeekService"]


class DeepSeekService(LlamaService):
    """:class:`LlamaService` for the DeepSeek family; without a model, the largest one in the catalogue.

    Thoughts are recognised from the rendered prompt's tail, bounded by ``generation.reasoning_tokens``, kept out of the
    content, and reported in the usage; ``generation.reasoning`` turns them on or off where the model supports it. What
    is specific to the family is in its profile. A GGUF of another family is refused when it is loaded.
    """

    def __init__(
        self,
        *,
        model_manager: LocalModelManager | None = None,
        model_id: str | None = None,
        model_path: str | Path | None = None,
        settings: Settings | None = None,
        **collaborators: Unpack[Collaborators],
    ) -> None:
        settings = settings or Settings()
        manager = model_manager or LocalModelManager(settings=settings)
        if model_id is None and model_path is None:
            model_id = settings.model or _largest(manager)
        super().__init__(
            model_manager=manager, model_id=model_id, model_path=model_path, settings=settings, **collaborators
        )

    @override
    async def _prepare(self) -> None:
        await super()._prepare()
        info = self.backend.model_info()
        profile = profile_of(
            info.chat_template, {"general.architecture": info.architecture or "", "general.name": info.name}
        )
        if profile.name != "deepseek":
            raise ConfigurationError(
                f"{info.id} belongs to the model family {profile.name!r}, not to DeepSeek.",
                hint="Use LlamaService for it.",
            )


def _largest(manager: LocalModelManager) -> str:
    found = manager.list_models(ModelType.DEEPSEEK)
    if not found:
        raise ModelNotFoundError(
            "No DeepSeek model is installed.",
            hint="Download one, for example: parlant-local pull bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF:Q4_K_M",
        )
    return max(found, key=lambda model: (not model.is_base, model.parameters or 0)).id
