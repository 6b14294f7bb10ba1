"""The root of the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from platformdirs import user_data_dir
from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from parlant_local.errors import SettingsError
from parlant_local.paths import is_dir, user_path
from parlant_local.settings.adapters import AdapterSettings
from parlant_local.settings.chat import ChatSettings
from parlant_local.settings.downloads import DownloadSettings
from parlant_local.settings.embedding import EmbeddingSettings
from parlant_local.settings.endpoints import EndpointSettings, OllamaSettings
from parlant_local.settings.engine import EngineSettings
from parlant_local.settings.evaluation import EvaluationSettings
from parlant_local.settings.generation import GenerationSettings
from parlant_local.settings.health import HealthSettings
from parlant_local.settings.images import ImageSettings
from parlant_local.settings.layers import ENV_PREFIX, describe_errors, merged
from parlant_local.settings.media import MediaSettings
from parlant_local.settings.moderation import ModerationSettings
from parlant_local.settings.ray import RaySettings
from parlant_local.settings.responses import ResponseSettings
from parlant_local.settings.section import Section
from parlant_local.settings.server import (
    AuthSettings,
    CorsSettings,
    LimitSettings,
    LoggingSettings,
    ServedModelSettings,
    ServerSettings,
)
from parlant_local.settings.switching import SwitcherSettings
from parlant_local.settings.telemetry import TelemetrySettings

__all__ = ["Settings", "load_settings"]

M = TypeVar("M", bound=BaseModel)


EARLIER_HOME = "~/.local/share/parlant-local"
"""The home on every system, until each got its own; still used where it is."""


def _data_home() -> Path:
    earlier = user_path(EARLIER_HOME)
    try:
        found = Path(user_data_dir("parlant-local", appauthor=False))
    except RuntimeError:  # no home directory
        found = Path()
    if not found.is_absolute():
        raise SettingsError(
            "This account has no home directory.", hint="Set PARLANT_LOCAL_HOME to a folder for models."
        )
    return earlier if not is_dir(found) and is_dir(earlier) and "XDG_DATA_HOME" not in os.environ else found


def default_file() -> Path:
    """The settings file where nothing names another: in the home, which therefore only the environment can move."""
    home = os.environ.get(f"{ENV_PREFIX}HOME")
    return (user_path(home) if home else _data_home()) / "config.yml"


class Settings(Section):
    """Every setting: arguments over environment over one settings file over defaults.

    ``Settings()`` reads all layers. The file is the one that ``PARLANT_LOCAL_CONFIG`` names, else ``config.yml`` in the home;
    :meth:`load` takes another.
    Raises :class:`SettingsError` naming the key, its value and its origin.
    """

    model: str | None = None
    """Default model: a catalogue id, a reference or a GGUF path, with LoRA adapters or without (``MODEL:ONE+TWO@0.5``), as everywhere that a
    model is named. None: the best one available."""

    home: Path = Field(default_factory=_data_home)
    """Directory for models, prefixes and counters."""

    models_dir: Path | None = None
    """Directory for downloaded models; None: ``models`` in the home."""

    offline: bool = False
    """Never open a socket to another machine (HF_HUB_OFFLINE=1 does the same)."""

    log_level: Literal["debug", "info", "warning", "error", "none"] = "info"

    engine: EngineSettings = EngineSettings()
    generation: GenerationSettings = GenerationSettings()
    chat: ChatSettings = ChatSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    media: MediaSettings = MediaSettings()
    images: ImageSettings = ImageSettings()
    moderation: ModerationSettings = ModerationSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    health: HealthSettings = HealthSettings()
    switcher: SwitcherSettings = SwitcherSettings()
    downloads: DownloadSettings = DownloadSettings()
    ollama: OllamaSettings = OllamaSettings()
    endpoints: dict[str, EndpointSettings] = Field(default_factory=dict)
    """Endpoints with an OpenAI-compatible API, by name."""

    adapters: dict[str, AdapterSettings] = Field(default_factory=dict)
    """LoRA adapters by name, besides the GGUF files in the folder ``adapters`` of the home, which are named as they are."""

    server: ServerSettings = ServerSettings()
    cors: CorsSettings = CorsSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    responses: ResponseSettings = ResponseSettings()
    ray: RaySettings = RaySettings()
    logging: LoggingSettings = LoggingSettings()
    models: dict[str, ServedModelSettings] = Field(default_factory=dict)
    """Models that ``serve`` offers under these names, besides their catalogue ids."""

    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of backends and sources from plug-in packages, by name; each defines its own."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def models_path(self) -> Path:
        return self.models_dir or self.home / "models"

    def plugin(self, name: str, options: type[M]) -> M:
        """``plugins.<name>`` validated by that plug-in's own model; :class:`SettingsError` says what is invalid."""
        try:
            return options.model_validate(self.plugins.get(name, {}))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(["plugins", name, *map(str, problem["loc"])])
            raise SettingsError(
                f"Invalid settings: {key} (from {self.origin(key)}): {problem['msg']}.",
                hint=f"Known: {', '.join(options.model_fields)}.",
            ) from None

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from: ``default``, a file's path, an environment variable, or ``argument``."""
        return self._origins.get(key, "default")

    @property
    def origins(self) -> Mapping[str, str]:
        """Dotted key to origin, of every value that is not a default."""
        return dict(self._origins)

    @classmethod
    def load(cls, config: Path | str | None = None, **arguments: object) -> Settings:
        """All layers, with the file ``config``; dotted arguments (``**{"engine.n_ctx": 4096}``) and ``None`` are allowed."""
        return load_settings(config, arguments)

    @model_validator(mode="wrap")
    @classmethod
    def _with_all_layers(
        cls, given: Any, validate: ModelWrapValidatorHandler[Settings], info: ValidationInfo
    ) -> Settings:
        if not isinstance(given, Mapping):
            return validate(given)
        context = info.context or {}
        layers = merged(cls, given, context.get("config"), default=default_file, content=context.get("content"))
        try:
            settings = validate(layers.values)
        except ValidationError as error:
            raise SettingsError(
                describe_errors(error, cls, layers.origins),
                hint="See `parlant-local doctor` for where values come from.",
            ) from None
        settings._origins.update(layers.origins)
        return settings


def load_settings(config: Path | str | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """:class:`Settings` with the file ``config`` and with arguments by their dotted keys; ``None`` means not given."""
    return Settings.model_validate(overrides or {}, context={"config": config})
