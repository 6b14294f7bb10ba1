"""Requests to fill in, in llama-server's form."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from parlant_local.call_options import OPTIONS
from parlant_local.server.shapes.chat import Sampling
from parlant_local.server.shapes.common import TO_WHOLE, Listed, Request

__all__ = ["InfillRequest"]


class ExtraText(Request):
    text: str
    filename: str | None = None


class InfillRequest(Sampling):
    input_prefix: str | None = None
    """The text before the gap."""
    input_suffix: str | None = None
    """The text after it."""
    input_extra: Listed[ExtraText] | None = None
    """Pieces of other files, for context."""
    prompt: str | None = None
    """What is written in the gap already."""
    n_predict: Annotated[int, Field(ge=-1, le=OPTIONS["max_tokens"].high), TO_WHOLE] | None = None
    """Most tokens; 0 only reads the prompt, for the next request."""
    n_cmpl: Annotated[int, Field(ge=1, le=OPTIONS["n"].high), TO_WHOLE] | None = None
    """Number of answers; more than one come as a list."""
    n_indent: Annotated[int, Field(ge=0, le=1 << 16), TO_WHOLE] | None = None
    """The answer ends before the first further line that is indented less."""
    t_max_predict_ms: Annotated[float, Field(ge=0)] | None = None
    """The answer ends at the first line break after so many milliseconds; 0: never."""
    response_fields: Listed[str] | None = None
    """Only these fields are answered; ``timings/prompt_n`` names one within another."""
