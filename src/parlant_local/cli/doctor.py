"""``doctor``: the machine's capabilities, the installation, and the origin of settings."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.catalogue import catalogue_options, make_manager
from parlant_local.cli.library import describe_library
from parlant_local.cli.printing import emit_json, say
from parlant_local.cli.records import adapters_told
from parlant_local.cores import usable_threads
from parlant_local.engine.native.builds import BUILDS
from parlant_local.errors import CatalogError

if TYPE_CHECKING:
    from parlant_local.catalog import LocalModelManager

__all__ = ["doctor"]

_WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"
# CUDA versions that have a wheel index of their own, newest first.
_CUDA_INDEXES = ((13, 2), (13, 0), (12, 5), (12, 4), (12, 3), (12, 2), (12, 1), (11, 8))
_PACKAGES = (
    "parlant-local",
    "llama-cpp-python",
    "xllamacpp",
    "llguidance",
    "huggingface_hub",
    "openai",
    "ollama",
    "parlant",
    "fastapi",
)
_NONE = {"settings": "all have their defaults"}
_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)


@click.command()
@catalogue_options
def doctor(as_json: bool, **catalogue: Any) -> None:
    """Show what this machine can run, what is installed, and where settings come from."""
    manager = make_manager(**catalogue)
    report = asyncio.run(_report(manager))
    if as_json:
        emit_json(report)
        return
    for section, values in report.items():
        say(section.replace("_", " "))
        if not values:
            say(f"  {_NONE.get(section, 'none')}")
        elif isinstance(values, dict):
            for key, value in values.items():
                say(f"  {key:<18} {_plain(value)}")
        else:
            for value in values:
                say(f"  {value}")


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


async def _report(manager: LocalModelManager) -> dict[str, Any]:
    from parlant_local.catalog.adapters import Adapters

    await manager.initialize()
    models = manager.list_models(states="all")
    gpu = _gpu()
    advice = []
    llama = await asyncio.to_thread(describe_library, manager.settings.engine.library)
    if gpu["kind"] and llama.get("gpu_offload") is False:
        advice.append(
            f"A {gpu['kind']} GPU was found, but this llama.cpp was built without support for it. To use it: {gpu['install']}"
        )
    if not llama["works"]:
        advice.append(f"Models can't run in this process: {llama['why']}.")
    if all(model.shipped for model in models):
        advice.append("Only the small model that comes along is here: `parlant-local recommend` suggests real models.")
    for model in models:
        if model.state == "broken":
            advice.append(f"{model.id} is broken: {model.reason.rstrip('.')}. See `parlant-local verify {model.id}`.")
    advice += _misnamed(manager)
    return {
        "system": {
            "python": f"{platform.python_version()} ({sys.executable})",
            "platform": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "llama_cpp": llama,
        "hardware": _hardware() | {"gpu": gpu["kind"], "gpu_name": gpu["name"], "gpu_wheels": gpu["install"]},
        "storage": _storage(manager),
        "network": await _network(manager),
        "models": {
            "available": sum(m.state == "available" for m in models),
            "other": sum(m.state != "available" for m in models),
        },
        "adapters": adapters_told(Adapters(manager.settings)),
        "pictures": _pictures(manager),
        "plug_ins": _plug_ins(),
        "settings": {
            key: f"{_setting(manager, key)}   (from {origin})" for key, origin in manager.settings.origins.items()
        },
        "advice": advice,
    }


def _misnamed(manager: LocalModelManager) -> list[str]:
    """What is wrong with the models that the settings name."""
    from parlant_local.backends.referring import split_reference
    from parlant_local.settings.embedding import LEXICAL

    settings = manager.settings
    named = {
        "model": settings.model,
        "embedding.model": settings.embedding.model,
        "moderation.model": settings.moderation.model,
    }
    named |= {f"switcher.fallbacks[{at}]": name for at, name in enumerate(settings.switcher.fallbacks)}
    named |= {f"models.{name}.model": served.model for name, served in settings.models.items()}
    found = []
    for key, name in named.items():
        if name is None or name in (LEXICAL, *settings.models) or split_reference(name, settings) is not None:
            continue
        try:
            manager.find_adapted(name)
        except CatalogError as error:
            found.append(f"{key} (from {settings.origin(key)}): {error}")
    return found


def _pictures(manager: LocalModelManager) -> dict[str, str]:
    """The models that make them, by where they run."""
    from parlant_local.images import ImageDirectory

    def place(remote: bool) -> str:
        if not remote:
            return "on this machine"
        settings = manager.settings
        allowed = settings.switcher.allow_cloud != "never" and not settings.offline
        return "remote" if allowed else "remote, not allowed (switcher.allow_cloud, offline)"

    return {model.id: place(model.remote) for model in ImageDirectory(manager.settings).models()}


def _plug_ins() -> dict[str, str]:
    """What plug-in packages add, each with its package or its error."""
    from parlant_local.backends import BACKENDS
    from parlant_local.catalog.sources import SOURCES
    from parlant_local.images.registry import IMAGE_BACKENDS
    from parlant_local.profiles.families import FAMILY_REGISTRY

    found: dict[str, str] = {}
    kinds = (
        ("backend", BACKENDS),
        ("image backend", IMAGE_BACKENDS),
        ("source", SOURCES),
        ("family", FAMILY_REGISTRY),
    )
    for kind, registry in kinds:
        found |= {f"{kind} {name}": package for name, package in registry.packages().items()}
        found |= {f"{kind} {error.plugin}": str(error) for error in registry.problems()}
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> dict[str, Any]:
    import psutil

    from parlant_local.catalog.disk import human_bytes
    from parlant_local.gguf_info import available_memory, total_memory

    usable = usable_threads()
    return {
        "processor": _processor(),
        "cores": f"{psutil.cpu_count(logical=False) or usable} physical, {usable} usable threads",
        "memory": f"{human_bytes(available_memory())} available of {human_bytes(total_memory())}",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()


def _gpu() -> dict[str, str | None]:
    """The accelerator of this machine, and the command that installs a build for it."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return {"kind": "Metal", "name": "Apple", "install": _wheel_command("metal")}
    if shutil.which("nvidia-smi"):
        name = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
        if name:
            return {"kind": "CUDA", "name": name.splitlines()[0], "install": _wheel_command(_cuda_index())}
    if Path("/dev/kfd").exists():
        return {"kind": "ROCm", "name": "AMD", "install": _wheel_command("rocm72")}
    if shutil.which("vulkaninfo") and (summary := _output("vulkaninfo", "--summary")):
        names = [line.partition("=")[2].strip() for line in summary.splitlines() if "deviceName" in line]
        if real := [name for name in names if "llvmpipe" not in name]:
            return {"kind": "Vulkan", "name": real[0], "install": _wheel_command("vulkan")}
    return {"kind": None, "name": None, "install": None}


def _wheel_command(index: str) -> str:
    return f"pip install --force-reinstall --no-cache-dir {BUILDS[0].package}=={BUILDS[0].version} --extra-index-url {_WHEELS}/{index}"


def _cuda_index() -> str:
    """The newest index that the driver can run: its CUDA version stands in nvidia-smi's table."""
    table = _output("nvidia-smi") or ""
    version = table.partition("CUDA Version:")[2].split("|")[0].split()[:1]
    major, _, minor = (version[0] if version else "12.4").partition(".")
    if major.isdigit() and minor.isdigit():
        for index in _CUDA_INDEXES:
            if index <= (int(major), int(minor)):
                return f"cu{index[0]}{index[1]}"
    return "cu124"


def _output(*command: str) -> str | None:
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _storage(manager: LocalModelManager) -> dict[str, Any]:
    from parlant_local.catalog.disk import human_bytes

    def free(path: Path) -> str:
        place = path
        while not place.exists():
            place = place.parent
        return f"{path} ({human_bytes(shutil.disk_usage(place).free)} free)"

    return {
        "models": free(manager.models_dir),
        "hub cache": free(manager.hub_cache),
        "home": str(manager.settings.home),
    }


async def _network(manager: LocalModelManager) -> dict[str, Any]:
    from huggingface_hub import get_token

    from parlant_local.catalog.sources.huggingface import hub_endpoint
    from parlant_local.catalog.sources.ollama_daemon import daemon_host, is_reachable

    values: dict[str, Any] = {
        "offline": manager.offline,
        "hub": hub_endpoint(),
        "ollama": daemon_host(manager.settings),
    }
    if manager.offline:
        return values
    values["hub token"] = "present" if get_token() else "not set"
    values["ollama reachable"] = await is_reachable(manager.settings)
    return values


def _setting(manager: LocalModelManager, key: str) -> object:
    if key.startswith("plugins.") and _SECRET.search(
        key
    ):  # a plug-in's setting may be a secret without being declared one
        return "***"
    value: object = manager.settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value
