"""One tree of settings: command line, then environment, then one file, then defaults.

Sections live in files of their own; :mod:`parlant_local.settings.layers` puts the layers together and remembers where
each value came from. Unknown keys are errors everywhere.
"""

from __future__ import annotations

from parlant_local.settings.adapters import AdapterSettings
from parlant_local.settings.chat import ChatSettings
from parlant_local.settings.constraints import ConstraintSettings
from parlant_local.settings.downloads import DownloadSettings
from parlant_local.settings.embedding import EmbeddingSettings
from parlant_local.settings.endpoints import EndpointSettings, OllamaSettings
from parlant_local.settings.engine import EngineSettings, OutputSettings, PrefixSettings
from parlant_local.settings.evaluation import EvaluationSettings
from parlant_local.settings.generation import GenerationSettings, OutputLimits
from parlant_local.settings.health import HealthSettings
from parlant_local.settings.images import ImageModelSettings, ImageSettings
from parlant_local.settings.media import MediaSettings
from parlant_local.settings.moderation import ModerationSettings
from parlant_local.settings.ray import RayModelSettings, RaySettings, ReplicaSettings
from parlant_local.settings.responses import ResponseSettings
from parlant_local.settings.server import (
    AuthSettings,
    CorsSettings,
    LimitSettings,
    LoggingSettings,
    ServedModelSettings,
    ServerSettings,
)
from parlant_local.settings.switching import BreakerSettings, BudgetSettings, SwitcherSettings, TargetSettings
from parlant_local.settings.telemetry import TelemetrySettings
from parlant_local.settings.tree import Settings, load_settings

__all__ = [
    "AdapterSettings",
    "AuthSettings",
    "BreakerSettings",
    "BudgetSettings",
    "ChatSettings",
    "ConstraintSettings",
    "CorsSettings",
    "DownloadSettings",
    "EmbeddingSettings",
    "EndpointSettings",
    "EngineSettings",
    "EvaluationSettings",
    "GenerationSettings",
    "HealthSettings",
    "ImageModelSettings",
    "ImageSettings",
    "LimitSettings",
    "LoggingSettings",
    "MediaSettings",
    "ModerationSettings",
    "OllamaSettings",
    "OutputLimits",
    "OutputSettings",
    "PrefixSettings",
    "RayModelSettings",
    "RaySettings",
    "ReplicaSettings",
    "ResponseSettings",
    "ServedModelSettings",
    "ServerSettings",
    "Settings",
    "SwitcherSettings",
    "TargetSettings",
    "TelemetrySettings",
    "load_settings",
]
