"""What is known about a model, loaded or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parlant_local.backends.base import ModelInfo
from parlant_local.gguf_info import read_header, senses_of
from parlant_local.messages import Tool
from parlant_local.paths import user_path

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModel
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.templates import ChatTemplate

__all__ = ["describe_loaded", "describe_speech"]


def describe_speech(template: ChatTemplate) -> dict[str, Any]:
    """How a model with this chat template writes calls and thoughts, as far as probing shows."""
    speech = template.speech([Tool("probe")])
    tags = speech.profile.reasoning
    example = speech.calls.write([("NAME", '{"KEY": "VALUE"}')])
    return {
        "family": speech.profile.name,
        "tool_calls": {"form": speech.calls_are, "example": example},
        "thoughts": None if tags is None else [tags.start, tags.end],
    }


def describe_loaded(
    engine: LlamaEngine,
    template: ChatTemplate,
    record: LocalModel | None,
    model_id: str,
    pooling: str | None,
    digest: str | None,
) -> ModelInfo:
    model = engine.model
    capabilities = {"embed"}
    if model.generates:
        capabilities |= {"chat", "schema", "tools", "streaming", "complete", "rerank"}
        if template.resolved_profile.reasoning is not None:
            capabilities.add("reasoning")
        if engine.settings.projector is not None:
            capabilities |= {*senses_of(read_header(user_path(engine.settings.projector)))}
    else:
        capabilities.add("rerank")
    return ModelInfo(
        id=model_id,
        name=(record.name if record is not None else "") or model.metadata.get("general.name", "") or model.path.stem,
        architecture=model.architecture or None,
        family=template.profile.name if model.generates else "embedding",
        parameters=model.n_params,
        quantization=record.quantization if record is not None else None,
        n_ctx=engine.n_ctx,
        n_ctx_train=model.n_ctx_train,
        n_gpu_layers=engine.sizing.layout.gpu_layers,
        embedding_length=model.n_embd,
        pooling=pooling or (record.pooling if record is not None else None),
        chat_template=template.source if model.generates else None,
        memory_bytes=engine.memory_bytes,
        digest=digest,
        path=model.path,
        loaded=True,
        capabilities=frozenset(capabilities),
        metadata=model.metadata,
    )
