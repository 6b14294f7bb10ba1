"""Dockerfile, compose.yml and LibreChat's side, as far as they can be checked without a Docker daemon: what they name exists,
fits together, and their commands work in this environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from parlant_local.settings import load_settings

from .conftest import TINY, Server

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
COMPOSE_TEXT = (ROOT / "compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
LIBRECHAT: dict[str, Any] = yaml.safe_load((ROOT / "config/librechat/librechat.yaml").read_text())
FINAL = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
PREPARATION = re.findall(r"^#   (.*?)(?: +#.*)?$", COMPOSE_TEXT, re.MULTILINE)
"""The commands at the top of compose.yml."""


def instruction(name: str, text: str = FINAL) -> list[str]:
    return [line.strip() for line in re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)]


def environment_of_the_image() -> dict[str, str]:
    pairs = [pair for line in instruction("ENV") for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def health_check() -> list[str]:
    (line,) = instruction("HEALTHCHECK")
    command: list[str] = json.loads(line[line.index("[") :])
    return command


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    sources = {
        source for line in instruction("COPY", DOCKERFILE) if "--from" not in line for source in line.split()[:-1]
    }
    assert sources <= kept
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch(source, pattern) for pattern in ignored[1:] if not pattern.startswith("!"))


def test_the_builds_own_commands_name_the_locked_versions(tmp_path: Path) -> None:
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    [constraints] = [line for line in instruction("RUN", DOCKERFILE) if "requirements.lock" in line]
    assert any("[binary," in line for line in instruction("RUN", DOCKERFILE)), (
        "the wheel of llama.cpp: nothing is compiled"
    )
    locked = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    subprocess.run(["bash", "-c", constraints], cwd=tmp_path, check=True)
    lines = (tmp_path / "constraints.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines] == [name for name, _ in locked]
    assert not any("--hash" in line or line.endswith("\\") for line in lines)


def test_the_image_serves_is_found_healthy_and_ends(start: Callable[..., Server], tmp_path: Path) -> None:
    (entry,), (default,) = instruction("ENTRYPOINT"), instruction("CMD")
    assert [*json.loads(entry), *json.loads(default)] == ["parlant-local", "serve"]
    assert shutil.which("parlant-local", path=str(Path(sys.executable).parent))
    (tmp_path / "keys").write_text("librechat:correct-horse-battery-staple\n")
    # The image's own environment, with a home of the test's, on another address and port: several tests may run at once.
    image = environment_of_the_image()
    ours = {name: value for name, value in image.items() if name.startswith(("PARLANT_LOCAL_", "OMP_"))}
    assert {"PARLANT_LOCAL_HOME", "PARLANT_LOCAL_SERVER__HOST", "OMP_WAIT_POLICY"} <= set(ours)
    server = start(
        "--api-key-file",
        str(tmp_path / "keys"),
        environment=ours | {"PARLANT_LOCAL_HOME": str(tmp_path / "data")},
        fresh=True,
    )
    port = server.url.rpartition(":")[2]
    assert server.url == f"http://0.0.0.0:{port}"
    check = [part.replace("8080", port) for part in health_check()]
    assert check != health_check()
    check[0] = sys.executable
    assert subprocess.run(check, timeout=30).returncode == 0
    refused = httpx2.get(f"http://127.0.0.1:{port}/v1/models")
    assert refused.status_code == 401
    assert instruction("STOPSIGNAL") == ["SIGTERM"]
    assert server.stop() == 0
    assert subprocess.run(check, stderr=subprocess.DEVNULL, timeout=30).returncode != 0


def test_the_image_alone_is_refused_for_want_of_keys(tmp_path: Path) -> None:
    image = {**os.environ, **environment_of_the_image(), "PARLANT_LOCAL_HOME": str(tmp_path)}
    image["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(["parlant-local", "serve"], env=image, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--api-key-file" in done.stderr


def test_the_services_fit_together() -> None:
    services = COMPOSE["services"]
    ours, chat = services["parlant-local"], services["librechat"]
    for service in services.values():
        for other in service.get("depends_on", {}):
            assert other in services
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    assert chat["depends_on"]["parlant-local"] == {"condition": "service_healthy"}
    assert instruction("HEALTHCHECK")
    mounted = {volume.split(":")[1] for volume in ours["volumes"]}
    assert ours["environment"]["CONFIG_PATH"] in mounted
    assert environment_of_the_image()["PARLANT_LOCAL_HOME"] in mounted
    named = {value for key, value in ours["environment"].items() if key.endswith("KEY_FILE")}
    assert named == {f"/run/secrets/{secret}" for secret in ours["secrets"]}
    assert len(named) == 2
    assert set(ours["secrets"]) == set(COMPOSE["secrets"])
    # Published on loopback only, both.
    for service in (ours, chat):
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_compose_leaves_the_server_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLANT_LOCAL_CONFIG", "CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings(ROOT / "config/librechat/parlant-local.yml")
    grace = int(COMPOSE["services"]["parlant-local"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.server.shutdown_seconds
    assert settings.server.host == "0.0.0.0"


def test_librechat_finds_the_server(server: Server) -> None:
    (endpoint,) = LIBRECHAT["endpoints"]["custom"]
    assert endpoint["baseURL"] == "http://parlant-local:8080/v1"
    assert "parlant-local" in COMPOSE["services"]
    assert instruction("EXPOSE") == ["8080"]
    variable = endpoint["apiKey"].strip("${}")
    assert variable in COMPOSE["services"]["librechat"]["environment"]
    assert not endpoint["name"].lower().startswith("ollama")
    listed = [card["id"] for card in httpx2.get(f"{server.url}/v1/models").json()["data"]]
    assert endpoint["models"]["default"] == [TINY]
    assert TINY in listed
    mounted = [volume for volume in COMPOSE["services"]["librechat"]["volumes"] if "librechat.yaml" in volume]
    assert mounted == ["./config/librechat/librechat.yaml:/app/librechat.yaml:ro"]


def test_the_commands_on_top_make_every_secret(tmp_path: Path) -> None:
    made = [line for line in PREPARATION if "docker" not in line]
    assert len(made) == 5
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(made)], cwd=tmp_path, check=True)
    values = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT)) == set(values)
    # LibreChat encrypts with AES-256 in CBC mode: 32 bytes of key, 16 of initialisation vector.
    assert len(bytes.fromhex(values["CREDS_KEY"])) == 32
    assert len(bytes.fromhex(values["CREDS_IV"])) == 16
    keys = tmp_path / COMPOSE["secrets"]["keys"]["file"]
    assert keys.read_text() == f"librechat:{values['PARLANT_LOCAL_KEY']}\n"
    admins = (tmp_path / COMPOSE["secrets"]["admin-keys"]["file"]).read_text()
    assert admins.startswith("admin:")
    assert admins.strip().partition(":")[2] != values["PARLANT_LOCAL_KEY"]
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/secrets/", ".env"} <= set(ignored)


@pytest.mark.evidence
def test_what_the_image_installs_is_enough_to_serve(tmp_path: Path) -> None:
    """The build's last two steps in a fresh environment; the engine is this environment's, not compiled again."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    for name in ("requirements.lock", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (there,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    engine = metadata.distribution("llama-cpp-python")
    for name in {file.parts[0] for file in engine.files or () if file.parts[0].startswith("llama_cpp")}:
        shutil.copytree(Path(str(engine.locate_file(name))), there / name)
    constraints, package = (line for line in instruction("RUN", DOCKERFILE) if "constraints.txt" in line)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    for command in (constraints, package):
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True
        )
    asked = "import importlib.metadata as m; print(*(d.metadata['Name'].lower().replace('_', '-') for d in m.distributions()))"
    found = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert {"parlant-local", "fastapi", "uvicorn", "prometheus-client", "llama-cpp-python"} <= set(found)
    assert "parlant" not in found
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PARLANT_LOCAL_")}
    clean |= {"PATH": path, "PARLANT_LOCAL_HOME": str(tmp_path / "data"), "PARLANT_LOCAL_LOGGING__FORMAT": "json"}
    process = subprocess.Popen(
        ["parlant-local", "serve", "--port", "0", "--model", TINY],
        cwd=tmp_path,
        env=clean,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr)
        url = next(line for line in lines if "Serving at" in line).split("Serving at ")[1].split('"')[0]
        asked_of = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
        reply = httpx2.post(f"{url}/v1/chat/completions", json=asked_of, timeout=60).json()
        assert "Paris" in reply["choices"][0]["message"]["content"]
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stderr.close()
