"""Requests for embeddings, ranking, moderation, tokens, and models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from parlant_local.server.shapes.chat import ChatMessage, Part, ToolShape
from parlant_local.server.shapes.common import TO_WHOLE, Listed, Request
from parlant_local.server.shapes.inputs import Inputs, TokenIds

__all__ = [
    "AdapterScale",
    "ApplyTemplateRequest",
    "ControlRequest",
    "DetokenizeRequest",
    "EmbeddingRequest",
    "ModelRequest",
    "ModerationRequest",
    "RerankRequest",
    "SimpleChatRequest",
    "SlotRequest",
    "TokenizeRequest",
]


class EmbeddingRequest(Request):
    input: Inputs
    """Texts or token ids."""
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1 << 20), TO_WHOLE] | None = None
    """Fewer dimensions than the model's: the vectors are truncated and normalised again."""
    truncate: bool | None = None
    """Whether a text that is too long is truncated instead of rejected; ``truncated`` in the response lists which.
    Default: the setting ``embedding.truncate``."""
    truncate_prompt_tokens: Annotated[int, Field(ge=-1), TO_WHOLE] | None = None
    """-1: the same, under vLLM's name. Other numbers are rejected."""
    user: str | None = None


class RerankDocument(Request):
    text: str


class RerankRequest(Request):
    query: str
    documents: Listed[str | RerankDocument] = Field(min_length=1)
    model: str | None = None
    top_n: Annotated[int, Field(ge=1), TO_WHOLE] | None = None
    return_documents: bool | None = None


class ModerationRequest(Request):
    input: str | Listed[str | Part]
    """Strings, or OpenAI's parts of type text, which are joined to one input."""
    model: str | None = None


class TokenizeRequest(Request):
    content: str
    model: str | None = None
    add_special: bool | None = None
    """Add the BOS and EOS tokens that the vocabulary asks for."""
    parse_special: bool | None = None
    """Parse control tokens in the text."""
    with_pieces: bool | None = None


class ControlRequest(Request):
    id: str = Field(min_length=1)
    """Of an answer that is being written (``chatcmpl-…``, ``msg_…``, ``resp_…``), or the ``x-request-id`` of its request."""
    action: Literal["reasoning_end"]
    """The model answers with what it has thought so far."""


class SlotRequest(Request):
    filename: str | None = None
    """The name that a prefix is saved under, or was."""
    model: str | None = None


class DetokenizeRequest(Request):
    tokens: TokenIds
    model: str | None = None


class ApplyTemplateRequest(Request):
    messages: Listed[ChatMessage] = Field(min_length=1)
    tools: Listed[ToolShape] | None = None
    model: str | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    """Continue the last message, which must be the assistant's."""


class ModelRequest(Request):
    model: str = Field(min_length=1)
    """A listed name; for downloads, a reference such as ``user/repo:Q4_K_M`` or ``llama3.2:3b``."""


class AdapterScale(Request):
    id: int | str
    """Its number or its name."""
    scale: float = Field(ge=-100, le=100)


class SimpleChatRequest(Request):
    message: str
    model: str | None = None
    stream: bool | None = None
    """Default: true."""
    system: str | None = None
    options: dict[str, Any] | None = None
    """Sampling options by their names in ``/v1/chat/completions``."""
