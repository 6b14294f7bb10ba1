"""Traces and metrics by OpenTelemetry."""

from __future__ import annotations

from typing import Literal

from parlant_local.settings.section import Section

__all__ = ["TelemetrySettings"]


class TelemetrySettings(Section):
    """Spans and metrics of every model call, by OpenTelemetry's conventions for generative AI (extra ``otel``)."""

    enabled: bool = False

    exporter: Literal["otlp", "console"] = "otlp"
    """Where they go, unless the program has set up OpenTelemetry itself (as Parlant does for its own): to a collector, as the variables
    OTEL_EXPORTER_OTLP_* say; or to standard error."""

    content: bool = False
    """Also send prompts and answers. Off: figures and names only."""
