"""The recipes of docs/scaling.md for other servers: commands and settings fit together, and the settings reach the server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from parlant.core.common import DefaultBaseModel

from parlant_local.errors import CloudNotAllowedError
from parlant_local.nlp import ModelSwitcher
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from parlant_local.switching.resolve import TargetResolver
from tests.fakes.vllm import FakeVLLM

TEXT = (Path(__file__).parents[2] / "docs/scaling.md").read_text("utf-8")
RECIPES = re.findall(
    r"<!-- run by tests/switching/test_recipes.py -->\n```sh\n(.*?)```\n\n```yaml\n(.*?)```", TEXT, re.DOTALL
)
FLAGS = {
    # Of vLLM's `vllm serve --help`; its dotted names are fields of the configurations.
    "vllm": "--served-model-name --port --max-model-len --enable-prefix-caching --structured-outputs-config.backend "
    "--generation-config --enable-prompt-tokens-details",
    # Of llama.cpp's common/arg.cpp and tools/rpc/rpc-server.cpp, in the release that the engine is pinned to
    "llama-server": "--model --alias --port --api-key-file --rpc --n-gpu-layers --ctx-size --parallel --kv-unified --metrics",
    "ggml-rpc-server": "--host --port --cache",
}


class City(DefaultBaseModel):
    capital: str
    inhabitants: int


def commands(text: str) -> dict[str, dict[str, str]]:
    """Programs, and their flags with values."""
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line, comments=True)
        flags = {
            word: words[index + 1] if index + 1 < len(words) and not words[index + 1].startswith("--") else ""
            for index, word in enumerate(words)
            if word.startswith("--")
        }
        found[program] = flags
    return found


@pytest.mark.parametrize(("shell", "settings"), RECIPES, ids=["vllm", "llama.cpp"])
def test_commands_and_settings_name_the_same(shell: str, settings: str) -> None:
    programs, file = commands(shell), yaml.safe_load(settings)
    for program, flags in programs.items():
        assert flags.keys() <= set(FLAGS[program].split()), program
    server = programs.get("vllm") or programs["llama-server"]
    name, _, model = file["model"].partition("/")
    endpoint = file["endpoints"][name]
    assert server.get("--served-model-name", server.get("--alias")) == model
    assert urlsplit(endpoint["base_url"]).port == int(server["--port"])
    assert endpoint["n_ctx"] == int(server.get("--max-model-len", server.get("--ctx-size", "")))
    if "--rpc" in server:
        lender = programs["ggml-rpc-server"]
        assert f"{lender['--host']}:{lender['--port']}" == server["--rpc"].split(",")[0]


@pytest.mark.parametrize("settings", [settings for _, settings in RECIPES], ids=["vllm", "llama.cpp"])
async def test_the_settings_reach_the_server(settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, but for the address, which is a stand-in's here, and without the local fallback."""
    file = yaml.safe_load(settings)
    name, _, model = file["model"].partition("/")
    endpoint = file["endpoints"][name]
    monkeypatch.setenv(endpoint["api_key_env"], "correct-horse-battery")
    async with FakeVLLM(names=(model,), key="correct-horse-battery", max_model_len=endpoint["n_ctx"]) as server:
        endpoint["base_url"] = server.base_url
        file["switcher"].pop("fallbacks")
        (tmp_path / "settings.yml").write_text(yaml.safe_dump(file), "utf-8")
        loaded = Settings.load(tmp_path / "settings.yml", home=tmp_path, **{"moderation.mode": "none"})
        switcher = ModelSwitcher(settings=loaded, logger=NullLogger())
        generator = await switcher.get_schematic_generator(City)
        result = await generator.generate("Which city?")
        await switcher.close()
        assert result.info.model == file["model"]
        assert isinstance(result.content, City)
        asked = server.requests[-1].body
        assert (asked["model"], asked["response_format"]["type"]) == (model, "json_schema")


@pytest.mark.parametrize("settings", [settings for _, settings in RECIPES], ids=["vllm", "llama.cpp"])
async def test_nothing_leaves_without_being_allowed(
    settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = yaml.safe_load(settings)
    file["switcher"]["allow_cloud"] = "never"
    monkeypatch.setenv(next(iter(file["endpoints"].values()))["api_key_env"], "correct-horse-battery")
    (tmp_path / "settings.yml").write_text(yaml.safe_dump(file), "utf-8")
    loaded = Settings.load(tmp_path / "settings.yml", home=tmp_path)
    backend = TargetResolver(loaded).target(loaded.model or "").open()
    with pytest.raises(CloudNotAllowedError):
        await backend.chat("Where?")
